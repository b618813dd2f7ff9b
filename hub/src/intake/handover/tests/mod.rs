//! Contributions as they have their turn in a registry.

mod believed;
mod cases;
mod mail;
mod outboxes;
mod reviews;
mod rule;
mod sides;
mod trouble;

use std::{sync::Arc, time::Duration};

use dancu_proto::{
    Areas, Field, FieldSet, PersonalId, Record, Revision,
    v1::{Citizen, Contribution, ContributionState, Date, RejectionReason, Signed},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use super::{Prepared, Told, conclude, handed_in, judge, outbox, settle, waiting};
use crate::{
    enrollment::{self, NodeRoll, RollRows},
    intake::{
        event::{Authority, known_on},
        handover::{evidence::Evidence, handed_in::HandedIn},
    },
    procedures,
    projection::Ledger,
    registry::{
        CitizenUpdate, Commit, CommitError, Content, Decide, Decision, Origin, Person, Registry, Rows,
        Standing, StoredCitizen,
    },
    review::{self, Deciding},
    router::Router,
};

const MOTHER: &str = "001190000001";
const FATHER: &str = "001088000002";
const OTHER: &str = "001090000003";
const NOW: OffsetDateTime = datetime!(2026-11-28 10:00 UTC);
const TODAY: Date = Date { year: 2026, month: 11, day: 28 };

/// A registry with three people, and an office.
struct Office {
    registry: Registry,
    authority: Arc<Authority>,
    cases: Arc<procedures::Office>,
    roll: Arc<NodeRoll>,
    runtime: tokio::runtime::Runtime,
    sequence: u64,
    /// Whether others wait for what was last handed in.
    awaited: bool,
    _dir: tempfile::TempDir,
}

impl Office {
    fn open() -> Office {
        let dir = tempfile::tempdir().unwrap();
        let order = Areas::shipped().in_force().to_message();
        Registry::create(dir.path(), &order).unwrap();
        let registry = Registry::open(dir.path(), 0, Arc::new(Router::default()), Arc::new(|| NOW)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let authority = Arc::new(Authority::load(None).unwrap());
        let signs = enrollment::Authority::create(&dir.path().join("authority"), NOW).unwrap();
        let rows = Arc::new(RollRows(Arc::clone(registry.store())));
        let roll = NodeRoll::open(Arc::new(signs), rows, Duration::from_secs(3600)).unwrap();
        let ledger = Arc::new(Ledger::new(registry.first_order().unwrap()));
        let roll = Arc::new(roll);
        let cases = procedures::Office::load(None, None, &registry, ledger, Arc::clone(&roll)).unwrap();
        let cases = Arc::new(cases);
        let (sequence, awaited) = (0, false);
        let office = Office { registry, authority, cases, roll, runtime, sequence, awaited, _dir: dir };
        let spouse = |of: &str| json!({ "personal_id": of, "name": "Ai Đó" });
        for (number, name, born, sex, of) in [
            (MOTHER, "Trần Thị Mẹ", "1990-03-04", "2", Some(FATHER)),
            (FATHER, "Nguyễn Văn Cha", "1988-01-02", "1", Some(MOTHER)),
            (OTHER, "Lê Văn Khác", "1990-05-06", "1", None),
        ] {
            let mut citizen = json!({
                "personal_id": number, "full_name": name, "date_of_birth": born, "sex": sex,
                "permanent_residence": { "commune": "00004", "province": "01", "detail": "1 Cũ" },
            });
            if let Some(of) = of {
                citizen["spouse"] = spouse(of);
                citizen["marital_status"] = "2".into();
            }
            let citizen: Citizen = serde_json::from_value(citizen).unwrap();
            let person = Person::KnownOrNew(number.parse().unwrap());
            let update = CitizenUpdate::plain(person, Record::encode(&citizen), FieldSet::EMPTY);
            let origin = Origin { source: "import".into(), ..Origin::default() };
            office.commit(Commit { origin, content: Content::Citizens(vec![update]) });
        }
        office
    }

    fn commit(&self, commit: Commit) -> Revision {
        self.runtime.block_on(self.registry.commit(commit)).unwrap().revision
    }

    /// Hands in an event in a role, from a day on.
    fn hand_in(&mut self, role: &str, day: &str, event: Value) -> HandedIn {
        self.hand_in_as(Uuid::now_v7(), role, day, event)
    }

    fn hand_in_as(&mut self, id: Uuid, role: &str, day: &str, event: Value) -> HandedIn {
        self.hand_in_with(id, role, day, event, json!({}))
    }

    /// The same, with something beside the event: a task that it answers, a case that it opens.
    fn hand_in_with(&mut self, id: Uuid, role: &str, day: &str, event: Value, more: Value) -> HandedIn {
        let prepared = self.prepared(id, role, day, event, more);
        self.settle(prepared)
    }

    fn prepared(&mut self, id: Uuid, role: &str, day: &str, event: Value, more: Value) -> Prepared {
        self.sequence += 1;
        let mut contribution = json!({
            "id": id.to_string(),
            "context": { "purpose": "p", "case_number": "c", "officer": "o" },
            "effective_date": day,
            "document": { "number": "12/2026", "date": "2026-11-01", "issued_by": "UBND" },
            "event": event,
        });
        contribution.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        let mut contribution: Contribution = serde_json::from_value(contribution).unwrap();
        dancu_proto::contribution::validate(&mut contribution, Some(Areas::shipped()), TODAY).unwrap();
        Prepared {
            id,
            node: "node".into(),
            agency: "agency".into(),
            outbox: vec![1; 16],
            sequence: self.sequence,
            evidence: Evidence::of(Signed::default().into(), true).remove(0),
            contribution: Ok(contribution.into()),
            roles: [role.to_owned()].into(),
            areas: Arc::new(Areas::shipped().clone()),
        }
    }

    fn settle(&mut self, prepared: Prepared) -> HandedIn {
        let told = Arc::new(Told::default());
        let (heard, authority) = (Arc::clone(&told), Arc::clone(&self.authority));
        let cases = Arc::clone(&self.cases);
        let by =
            Arc::new(move |standing: &Standing<'_>| settle(standing, &authority, &cases, &prepared, &heard));
        self.decided(by, false);
        let news = told.news();
        self.awaited = news.awaited;
        news.row.unwrap_or_default()
    }

    #[expect(clippy::type_complexity, reason = "what a commit is decided by")]
    fn decided(
        &self,
        by: Arc<dyn Fn(&Standing<'_>) -> Result<Decision, crate::registry::CommitError> + Send + Sync>,
        alone: bool,
    ) {
        self.commit(Commit { origin: Origin::default(), content: Content::Decided(Decide { alone, by }) });
    }

    fn decide(&self, number: u64, accept: bool) -> HandedIn {
        let deciding = Deciding {
            number,
            accept,
            reason: "looked at the papers".into(),
            document: "1/QĐ".into(),
            operator: "op".into(),
            areas: Arc::new(Areas::shipped().clone()),
            today: TODAY,
        };
        let told = Arc::new(Told::default());
        let (heard, authority) = (Arc::clone(&told), Arc::clone(&self.authority));
        let cases = Arc::clone(&self.cases);
        let by =
            Arc::new(move |standing: &Standing<'_>| deciding.settle(standing, &authority, &cases, &heard));
        self.decided(by, true);
        told.news().row.unwrap()
    }

    /// Judges those again that waited.
    fn look_again(&self) -> Vec<HandedIn> {
        let due = waiting::all(&self.registry.view()).unwrap();
        let again = due.into_iter().map(|(_, name)| {
            let told = Arc::new(Told::default());
            let (heard, authority) = (Arc::clone(&told), Arc::clone(&self.authority));
            let cases = Arc::clone(&self.cases);
            let by = Arc::new(move |standing: &Standing<'_>| {
                let rows = Rows::new(standing);
                let row = handed_in::by_name_in(&rows, &name)?.unwrap();
                let said = row.contribution.clone().unwrap();
                let judged = judge(standing, &authority, &row, &said, Areas::shipped(), false);
                conclude(rows, row, judged, &cases, None, &heard)
            });
            self.decided(by, false);
            told.news().row.unwrap()
        });
        again.collect()
    }

    fn stored(&self, number: &str) -> Option<StoredCitizen> {
        let number: PersonalId = number.parse().unwrap();
        self.registry.view().resolve(number).unwrap().map(|(_, stored)| stored)
    }

    fn citizen(&self, number: &str) -> Citizen {
        self.stored(number).unwrap().record.decode().unwrap()
    }

    fn in_question(&self, number: &str) -> FieldSet {
        self.stored(number).unwrap().record.in_question()
    }

    fn of(&self, row: &HandedIn) -> String {
        PersonalId::from_u64(row.personal_id).unwrap().to_string()
    }
}

fn birth(name: &str, day: &str) -> Value {
    json!({ "birth": {
        "child": {
            "full_name": name, "date_of_birth": day, "sex": "2",
            "place_of_birth_registration": { "commune": "00004" }, "nationality": ["VN"],
        },
        "father": { "personal_id": FATHER },
        "mother": { "personal_id": MOTHER },
    } })
}

fn death(of: &str, day: &str) -> Value {
    json!({ "death": { "person": { "personal_id": of }, "date_of_death": day } })
}

fn moved(of: &str, detail: &str) -> Value {
    json!({ "moved": {
        "members": [{ "person": { "personal_id": of } }],
        "address": { "commune": "00008", "detail": detail },
    } })
}

fn accepted(row: &HandedIn) -> bool {
    row.state() == ContributionState::Accepted && row.revision > 0
}

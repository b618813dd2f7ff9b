//! Procedures at the hub that runs: whose tasks there are by the agreements and the roll of now, and cases in
//! the commits of contributions.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use anyhow::Context;
use dancu_proto::{
    Areas, Delta, PersonalId, Record, contribution,
    hub::v1::mail::Content,
    v1::{CaseRequest, Event, TaskAnswer, person_ref::By},
};
use uuid::Uuid;

use super::{
    answers::Refusal,
    catalogue::Catalogue,
    effects::CaseEffects,
    engine::{AnsweredBy, OpenedBy, Procedures, Reads, TakenBack},
    routes::Routes,
    rows::{DOCUMENT, TABLE},
    surroundings::{Lookout, Surroundings},
};
use crate::{
    enrollment::NodeRoll,
    intake::handover::handed_in::{self, HandedIn},
    mail,
    projection::{Day, Ledger},
    registry::{
        CitizenAt, CitizenUpdate, CommitError, Person, Registry, Rows, StoreError, View, store::Write,
    },
};

/// The engine, with what it stands on. Shared.
pub struct Office {
    engine: Procedures,
    lookout: Lookout,
}

/// A contribution that concerns a case.
#[derive(Clone, Copy, Debug)]
pub struct Moving<'a> {
    /// Its id.
    pub id: Uuid,
    /// The agency.
    pub agency: &'a str,
    /// The node.
    pub node: &'a str,
    /// The roles in which the agency hands it in.
    pub roles: &'a [String],
    /// Number of the case file.
    pub case_number: &'a str,
    /// Its event.
    pub event: Option<&'a Event>,
    /// Whom it concerns, by role.
    pub persons: &'a [(&'static str, PersonalId)],
    /// What it changes.
    pub updates: &'a [CitizenUpdate],
    /// The task that it answers.
    pub task: Option<&'a TaskAnswer>,
    /// The case that it opens.
    pub opens: Option<&'a CaseRequest>,
}

/// What a correction registers instead of what it takes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Correcting<'a> {
    /// The event; none where nothing is registered instead.
    pub instead: Option<&'a Event>,
    /// Whom it concerns, by role.
    pub persons: &'a [(&'static str, PersonalId)],
    /// What changes.
    pub updates: &'a [CitizenUpdate],
}

impl Office {
    /// Over the files of a catalogue, for a registry: documents of before are remembered, as cases still go
    /// by them.
    ///
    /// # Errors
    /// If the disk refuses, or a document of before can no longer be read.
    pub fn open(
        mut catalogue: Catalogue,
        registry: &Registry,
        ledger: Arc<Ledger>,
        roll: Arc<NodeRoll>,
    ) -> anyhow::Result<Office> {
        for row in registry.view().rows_after(TABLE, &[DOCUMENT], None) {
            let text = String::from_utf8(row?.1).context("a procedure of before")?;
            catalogue.remember(&text).context("a procedure of before")?;
        }
        let lookout = Lookout::new(ledger, roll);
        lookout.refresh(&registry.view())?;
        Ok(Office { engine: Procedures::new(catalogue), lookout })
    }

    /// Over files, or what is built in where none are given.
    ///
    /// # Errors
    /// What is wrong with the files; as above.
    pub fn load(
        procedures: Option<&Path>,
        forms: Option<&Path>,
        registry: &Registry,
        ledger: Arc<Ledger>,
        roll: Arc<NodeRoll>,
    ) -> anyhow::Result<Office> {
        Office::open(Catalogue::load(procedures, forms)?, registry, ledger, roll)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Procedures {
        &self.engine
    }

    /// Who does what where.
    #[must_use]
    pub fn lookout(&self) -> &Lookout {
        &self.lookout
    }

    /// Moves the cases that a contribution concerns, in its commit; whom there is mail for.
    ///
    /// # Errors
    /// The contribution is to be rejected for it, or the disk refuses; nothing is written then.
    pub fn moves(&self, rows: &mut Rows<'_>, moving: Moving<'_>) -> Result<Vec<String>, Refusal> {
        let surroundings = self.lookout.now(rows.standing()).map_err(Refusal::Commit)?;
        let reads = Reading { rows, updates: moving.updates, surroundings: &surroundings };
        let answered = moving.task.map(|answer| self.answered(&reads, answer, moving)).transpose()?;
        let opened = moving.opens.map(|request| {
            let by = OpenedBy {
                contribution: moving.id,
                event: moving.event.map(contribution::event_name).unwrap_or_default(),
                agency: moving.agency.to_owned(),
                node: moving.node.to_owned(),
                roles: moving.roles.to_vec(),
                case_number: moving.case_number.to_owned(),
                persons: moving.persons.iter().map(|(role, id)| ((*role).to_owned(), *id)).collect(),
                revision: rows.standing().at(),
                now: rows.standing().now(),
            };
            self.engine.open(request, by, &reads)
        });
        let opened = opened.transpose()?;
        let mut nodes = Vec::new();
        for effects in answered.into_iter().chain(opened) {
            nodes.extend(carry_out(rows, effects)?);
        }
        Ok(nodes)
    }

    /// Whether a contribution that somebody is to decide on could move its cases as they are now: otherwise
    /// nobody need look at it.
    ///
    /// # Errors
    /// The contribution is to be rejected for it, or the disk refuses.
    pub fn check(&self, rows: &Rows<'_>, moving: Moving<'_>) -> Result<(), Refusal> {
        let surroundings = self.lookout.now(rows.standing()).map_err(Refusal::Commit)?;
        let reads = Reading { rows, updates: moving.updates, surroundings: &surroundings };
        if let Some(answer) = moving.task {
            self.answered(&reads, answer, moving)?;
        }
        let event = moving.event.map(contribution::event_name).unwrap_or_default();
        match moving.opens {
            Some(request) => self.engine.check(request, event, moving.roles, &surroundings.areas),
            None => Ok(()),
        }
    }

    fn answered(
        &self,
        reads: &Reading<'_>,
        answer: &TaskAnswer,
        moving: Moving<'_>,
    ) -> Result<CaseEffects, Refusal> {
        let by = AnsweredBy {
            contribution: moving.id,
            event: moving.event.map(contribution::event_name),
            concerns: concerned(reads.rows, moving.event, moving.persons)?,
            agency: moving.agency.to_owned(),
            node: moving.node.to_owned(),
            revision: reads.rows.standing().at(),
            now: reads.rows.standing().now(),
        };
        self.engine.answer(answer, &by, reads)
    }

    /// Carries on the cases that a contribution opened or completed a step of that is taken back, in the
    /// commit that does it; whom there is mail for.
    ///
    /// # Errors
    /// Agreements or roll changed meanwhile, or the disk refuses.
    pub fn take_back(
        &self,
        rows: &mut Rows<'_>,
        taken_back: &HandedIn,
        correction: Correcting<'_>,
    ) -> Result<Vec<String>, CommitError> {
        let Some(said) = &taken_back.contribution else { return Ok(Vec::new()) };
        let of_task = said.task.as_ref().and_then(|task| task.case_id.parse().ok());
        let opened = said.opens.as_ref().map(|_| taken_back.uuid());
        let mut nodes = Vec::new();
        for case in of_task.into_iter().chain(opened) {
            let surroundings = self.lookout.now(rows.standing())?;
            let instead = correction.instead;
            let back = TakenBack {
                contribution: taken_back.uuid(),
                instead: instead.map(contribution::event_name),
                concerns: concerned(rows, instead, correction.persons)?,
                revision: rows.standing().at(),
                now: rows.standing().now(),
            };
            let reads = Reading { rows, updates: correction.updates, surroundings: &surroundings };
            if let Some(effects) = self.engine.take_back(case, &back, &reads)? {
                nodes.extend(carry_out(rows, effects)?);
            }
        }
        Ok(nodes)
    }
}

/// Writes what becomes of a case, and puts what nodes are told into their mail; whose mail.
///
/// # Errors
/// If the disk refuses.
pub(super) fn carry_out(rows: &mut Rows<'_>, effects: CaseEffects) -> Result<Vec<String>, StoreError> {
    for write in effects.rows {
        match write {
            Write::Row(table, name, row) => rows.put(table, name, row),
            Write::NoRow(table, name) => rows.remove(table, name),
            // A case writes no other.
            _ => return Err(StoreError::Corrupt("the rows of a case")),
        }
    }
    let mut nodes = Vec::new();
    for (node, content) in effects.mail {
        let name = match &content {
            Content::Task(task) => format!("task/{}/{}", task.case_id, task.step),
            Content::Case(case) => format!("case/{}", case.case_id),
            Content::Form(form) => format!("form/{}", form.id),
            Content::Outcome(outcome) => format!("outcome/{}", outcome.contribution_id),
        };
        mail::put(rows, &node, &name, content)?;
        nodes.push(node);
    }
    nodes.sort_unstable();
    nodes.dedup();
    Ok(nodes)
}

/// The numbers of whom an event concerns, as the contribution writes them and as they are in force; a child
/// that is named by its birth has the number that this gave.
fn concerned(
    rows: &Rows<'_>,
    event: Option<&Event>,
    persons: &[(&'static str, PersonalId)],
) -> Result<BTreeSet<PersonalId>, StoreError> {
    let mut numbers: BTreeSet<_> = persons.iter().map(|(_, number)| *number).collect();
    for person in event.map(contribution::persons).unwrap_or_default() {
        let number = match &person.by {
            Some(By::PersonalId(number)) => number.parse().ok(),
            Some(By::BornBy(id)) => match id.parse::<Uuid>() {
                Ok(id) => born_by(rows, id)?,
                Err(_) => None,
            },
            Some(By::Unregistered(_)) | None => None,
        };
        let Some(number) = number else { continue };
        numbers.insert(number);
        if let Some((_, citizen)) = rows.standing().resolve(number)? {
            numbers.extend(citizen.record.personal_id());
        }
    }
    Ok(numbers)
}

/// The number that a birth gave.
fn born_by(rows: &Rows<'_>, id: Uuid) -> Result<Option<PersonalId>, StoreError> {
    let birth = handed_in::by_id_in(rows, id)?.filter(|birth| birth.is_accepted());
    Ok(birth.and_then(|birth| PersonalId::from_u64(birth.personal_id).ok()))
}

/// The registry as a commit leaves it.
pub(super) struct Reading<'a> {
    pub(super) rows: &'a Rows<'a>,
    pub(super) updates: &'a [CitizenUpdate],
    pub(super) surroundings: &'a Surroundings,
}

impl Reads for Reading<'_> {
    fn row(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.rows.get(TABLE, name)
    }

    fn citizen(&self, number: PersonalId) -> Result<Option<CitizenAt>, StoreError> {
        let stored = self.rows.standing().resolve(number)?.map(|(_, citizen)| citizen);
        let in_force = stored.as_ref().and_then(|citizen| citizen.record.personal_id()).unwrap_or(number);
        let update = self.updates.iter().find(|update| match update.person {
            Person::Known(of) | Person::KnownOrNew(of) => of == number || of == in_force,
        });
        let lists = stored.as_ref().map(|citizen| citizen.lists()).unwrap_or_default();
        let Some(update) = update else {
            return Ok(stored.map(|citizen| CitizenAt { record: citizen.record.clone(), lists }));
        };
        if update.leaves.is_some() {
            return Ok(None);
        }
        let nobody = Record::default();
        let before = stored.as_ref().map_or(&nobody, |citizen| &citizen.record);
        let record = with(before, update)?;
        Ok(Some(CitizenAt { record, lists }))
    }

    fn routes(&self) -> &Routes {
        &self.surroundings.routes
    }

    fn areas(&self) -> Arc<Areas> {
        Arc::clone(&self.surroundings.areas)
    }

    fn day(&self) -> Day {
        self.surroundings.day
    }
}

fn with(before: &Record, update: &CitizenUpdate) -> Result<Record, StoreError> {
    let delta = Delta { set: update.set.as_bytes().to_vec(), cleared: update.clear };
    before.apply(&delta).map_err(|_| StoreError::Corrupt("the values of an event"))
}

/// The registry as it is on the disk, to see what a commit would do.
pub(super) struct Looking<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) surroundings: &'a Surroundings,
}

impl Reads for Looking<'_> {
    fn row(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.view.row(TABLE, name)
    }

    fn citizen(&self, number: PersonalId) -> Result<Option<CitizenAt>, StoreError> {
        let stored = self.view.resolve(number)?;
        Ok(stored.map(|(_, citizen)| CitizenAt { lists: citizen.lists(), record: citizen.record }))
    }

    fn routes(&self) -> &Routes {
        &self.surroundings.routes
    }

    fn areas(&self) -> Arc<Areas> {
        Arc::clone(&self.surroundings.areas)
    }

    fn day(&self) -> Day {
        self.surroundings.day
    }
}

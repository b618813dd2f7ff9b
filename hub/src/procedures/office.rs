//! Procedures at the hub that runs: whose tasks there are by the agreements and the roll of now, and cases in
//! the commits of contributions.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use dancu_proto::{
    Areas, Delta, PersonalId, Record, Revision, contribution,
    hub::v1::mail::Content,
    v1::{CaseRequest, Event, TaskAnswer, person_ref::By},
};
use uuid::Uuid;

use super::{
    catalogue::Catalogue,
    engine::{AnsweredBy, CaseEffects, OpenedBy, Procedures, Reads, Refusal},
    routes::{NodeFacts, Routes},
    rows::{DOCUMENT, TABLE, named},
};
use crate::{
    enrollment::{NodeRoll, NodeState},
    intake::handover::handed_in,
    mail::{self, Item},
    projection::{Day, Ledger},
    registry::{CitizenAt, CitizenUpdate, Person, Registry, Rows, StoreError, View, store::Write},
};

/// The engine, with what it stands on. Shared.
pub struct Office {
    engine: Procedures,
    ledger: Arc<Ledger>,
    roll: Arc<NodeRoll>,
    known: Mutex<Option<Arc<Surroundings>>>,
}

/// Who does what where, and by which order and day.
#[derive(Debug)]
pub struct Surroundings {
    /// Who does what where.
    pub routes: Arc<Routes>,
    /// The administrative orders.
    pub areas: Arc<Areas>,
    /// The day.
    pub day: Day,
    /// The latest change of the sharing policy.
    latest: Revision,
    /// The nodes, with their agencies.
    nodes: Vec<(String, String)>,
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

impl Office {
    /// Over the files of a catalogue, for a registry: documents of before are remembered, as cases still go
    /// by them, and those of now kept.
    ///
    /// # Errors
    /// If the disk refuses, or a document of before can no longer be read.
    pub fn open(
        mut catalogue: Catalogue,
        registry: &Registry,
        ledger: Arc<Ledger>,
        roll: Arc<NodeRoll>,
    ) -> anyhow::Result<Office> {
        let mut kept = BTreeSet::new();
        for row in registry.view().rows_after(TABLE, &[DOCUMENT], None) {
            let (name, text) = row?;
            let text = String::from_utf8(text).context("a procedure of before")?;
            catalogue.remember(&text).context("a procedure of before")?;
            kept.insert(name);
        }
        let texts = catalogue.texts().map(|(mark, text)| (named(DOCUMENT, &mark), text.as_bytes().to_vec()));
        let new = texts.filter(|(name, _)| !kept.contains(name));
        let new: Vec<_> = new.map(|(name, text)| Write::Row(TABLE, name, text)).collect();
        if !new.is_empty() {
            match registry.store().apply(&new) {
                // Reads go on; no case can be opened without room either.
                Err(StoreError::Full) => {}
                kept => kept?,
            }
        }
        Ok(Office { engine: Procedures::new(catalogue), ledger, roll, known: Mutex::default() })
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

    /// Who does what where, by what the ledger has taken in; the same one as long as nothing changes.
    #[must_use]
    pub fn surroundings(&self) -> Arc<Surroundings> {
        let latest = self.ledger.latest();
        let serves = |state: &NodeState| matches!(state, NodeState::Invited | NodeState::Active);
        let entries = self.roll.list().into_iter().filter(|entry| serves(&entry.state));
        let nodes: Vec<_> = entries.map(|entry| (entry.name, entry.agency)).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.latest == latest && known.nodes == nodes) {
            return Arc::clone(known);
        }
        let facts = nodes.iter().map(|(name, agency)| NodeFacts {
            name: name.clone(),
            agency: agency.clone(),
            policy: Arc::new(self.ledger.policy(name, agency, latest)),
        });
        let fresh = Arc::new(Surroundings {
            routes: Arc::new(Routes::new(facts.collect())),
            areas: self.ledger.areas(latest),
            day: self.ledger.day(latest),
            latest,
            nodes,
        });
        *known = Some(Arc::clone(&fresh));
        fresh
    }

    /// Moves the cases that a contribution concerns, in its commit; whom there is mail for.
    ///
    /// # Errors
    /// The contribution is to be rejected for it, or the disk refuses.
    pub fn moves(&self, rows: &mut Rows<'_>, moving: Moving<'_>) -> Result<Vec<String>, Refusal> {
        let surroundings = self.surroundings();
        let (now, revision) = (rows.standing().now(), rows.standing().at());
        let event = moving.event.map(contribution::event_name);
        let mut nodes = Vec::new();
        if let Some(request) = moving.opens {
            // Before anything is written.
            self.engine.check(request, event.unwrap_or_default(), &surroundings.areas)?;
        }
        if let Some(answer) = moving.task {
            let reads = Reading { rows, updates: moving.updates, surroundings: &surroundings };
            let by = AnsweredBy {
                contribution: moving.id,
                event,
                concerns: concerned(rows, moving)?,
                agency: moving.agency.to_owned(),
                node: moving.node.to_owned(),
                revision,
                now,
            };
            let effects = self.engine.answer(answer, &by, &reads)?;
            nodes.extend(carry_out(rows, effects)?);
        }
        if let Some(request) = moving.opens {
            let reads = Reading { rows, updates: moving.updates, surroundings: &surroundings };
            let by = OpenedBy {
                contribution: moving.id,
                event: event.unwrap_or_default(),
                agency: moving.agency.to_owned(),
                node: moving.node.to_owned(),
                case_number: moving.case_number.to_owned(),
                persons: moving.persons.iter().map(|(role, id)| ((*role).to_owned(), *id)).collect(),
                revision,
                now,
            };
            let effects = self.engine.open(request, by, &reads)?;
            nodes.extend(carry_out(rows, effects)?);
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
        mail::put(rows, &node, Item::Other(name, content))?;
        nodes.push(node);
    }
    nodes.sort_unstable();
    nodes.dedup();
    Ok(nodes)
}

/// The numbers of whom an event concerns, as the contribution writes them and as they are in force; a child
/// that is named by its birth has the number that this gave.
fn concerned(rows: &Rows<'_>, moving: Moving<'_>) -> Result<BTreeSet<PersonalId>, StoreError> {
    let mut numbers = BTreeSet::new();
    for person in moving.event.map(contribution::persons).unwrap_or_default() {
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
    numbers.extend(moving.persons.iter().map(|(_, number)| *number));
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
            return Ok(stored.map(|citizen| CitizenAt { record: citizen.record, lists }));
        };
        if update.leaves.is_some() {
            return Ok(None);
        }
        let before = stored.map(|citizen| citizen.record).unwrap_or_default();
        let record = with(&before, update)?;
        Ok(Some(CitizenAt { record, lists }))
    }

    fn routes(&self) -> Result<Arc<Routes>, StoreError> {
        Ok(Arc::clone(&self.surroundings.routes))
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

    fn routes(&self) -> Result<Arc<Routes>, StoreError> {
        Ok(Arc::clone(&self.surroundings.routes))
    }

    fn areas(&self) -> Arc<Areas> {
        Arc::clone(&self.surroundings.areas)
    }

    fn day(&self) -> Day {
        self.surroundings.day
    }
}

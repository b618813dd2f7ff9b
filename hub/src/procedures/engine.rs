//! Carries cases on: what a contribution that opens one, answers a task or is taken back does to it, and what
//! the passing of time does. Reading is asked of whoever calls, and writing left to them, so that a case moves
//! in the commit of the contribution.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dancu_proto::{
    Areas, PersonalId, Revision,
    v1::{Address, CaseRequest, StepState, TaskAnswer},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    answers::{Refusal, check_answers, concern, ends},
    case::{Case, CaseStep, Opening},
    catalogue::Catalogue,
    circumstances::{Circumstances, PersonInCase, place_of},
    definition::{Asked, Procedure},
    effects::{CaseEffects, told},
    routes::Routes,
    rows::{DOCUMENT, TABLE, name_of_case, name_of_subject, named},
};
use crate::{
    projection::Day,
    registry::{CitizenAt, StoreError, store::Write},
};

/// What cases ask of the registry.
pub trait Reads {
    /// A row of the table [`super::rows::TABLE`], as the commits before leave it.
    ///
    /// # Errors
    /// If the disk refuses; so for all below.
    fn row(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The person with a number, in force or former, with what the commit itself changes.
    ///
    /// # Errors
    /// See above.
    fn citizen(&self, number: PersonalId) -> Result<Option<CitizenAt>, StoreError>;

    /// Who does what where.
    fn routes(&self) -> &Routes;

    /// The administrative orders.
    fn areas(&self) -> Arc<Areas>;

    /// The day that ages in agreements go by.
    fn day(&self) -> Day;
}

/// Who opens a case, by which contribution.
#[derive(Clone, Debug)]
pub struct OpenedBy {
    /// The contribution; it gives the case its id.
    pub contribution: Uuid,
    /// Its event.
    pub event: &'static str,
    /// The agency.
    pub agency: String,
    /// The node.
    pub node: String,
    /// The roles in which the agency hands it in.
    pub roles: Vec<String>,
    /// Number of the case file, as the contribution names it.
    pub case_number: String,
    /// Who is who: see [`super::persons_of`]. Only people with a number.
    pub persons: BTreeMap<String, PersonalId>,
    /// The revision of the commit.
    pub revision: Revision,
    /// The time of the commit.
    pub now: OffsetDateTime,
}

/// Who answers a task, by which contribution.
#[derive(Clone, Debug)]
pub struct AnsweredBy {
    /// The contribution.
    pub contribution: Uuid,
    /// Its event, if it has one.
    pub event: Option<&'static str>,
    /// Whom the event concerns.
    pub concerns: BTreeSet<PersonalId>,
    /// The agency.
    pub agency: String,
    /// The node.
    pub node: String,
    /// The revision of the commit.
    pub revision: Revision,
    /// The time of the commit.
    pub now: OffsetDateTime,
}

/// A contribution that was taken back.
#[derive(Clone, Debug)]
pub struct TakenBack {
    /// The contribution.
    pub contribution: Uuid,
    /// The event that is registered instead.
    pub instead: Option<&'static str>,
    /// Whom that concerns.
    pub concerns: BTreeSet<PersonalId>,
    /// The revision of the commit.
    pub revision: Revision,
    /// The time of the commit.
    pub now: OffsetDateTime,
}

/// The engine.
#[derive(Debug)]
pub struct Procedures {
    catalogue: Catalogue,
}

impl Procedures {
    /// Over the procedures of a catalogue.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Procedures {
        Procedures { catalogue }
    }

    /// The procedures, holidays and forms.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Whether a request for a case can be granted to a contribution with an event, that is handed in in some
    /// roles. Whether there is such a case already is not asked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(
        &self,
        request: &CaseRequest,
        event: &str,
        roles: &[String],
        areas: &Areas,
    ) -> Result<(), Refusal> {
        let (procedure, _) = self.requested(request)?;
        if procedure.opened_by != event {
            let message = format!("`{}` is opened by a {}", procedure.id, procedure.opened_by);
            return Err(Refusal::invalid("opens.procedure", message));
        }
        let first = &procedure.first().role;
        if !roles.contains(first) {
            return Err(Refusal::NotTheirs(first.clone()));
        }
        check_answers("opens.answers", &procedure.answers, &request.answers, true)?;
        match (&request.address, procedure.address) {
            (None, Asked::Required) => {
                Err(Refusal::invalid("opens.address", "this procedure needs an address"))
            }
            (Some(_), Asked::No) => {
                Err(Refusal::invalid("opens.address", "this procedure asks for no address; leave it out"))
            }
            (Some(address), _) if place_of(Some(address), areas).commune.is_none() => {
                Err(Refusal::invalid("opens.address.commune", "write the code of a commune in force"))
            }
            _ => Ok(()),
        }
    }

    /// Opens a case. Its document is kept with it, as is by whom it is about: the same is not opened twice.
    ///
    /// # Errors
    /// If the request is not good, there is such a case, or the disk refuses.
    pub fn open(
        &self,
        request: &CaseRequest,
        by: OpenedBy,
        reads: &dyn Reads,
    ) -> Result<CaseEffects, Refusal> {
        let areas = reads.areas();
        self.check(request, by.event, &by.roles, &areas)?;
        let (procedure, document) = self.requested(request)?;
        let people = people(&by.persons, reads, &areas)?;
        let world = self.world(by.now, by.revision, people, reads.routes(), &areas);
        let subjects = subjects(procedure, &by.persons, &world);
        if stands_for(procedure, &subjects, reads)? {
            return Err(Refusal::OpenedBefore);
        }
        let opening = Opening {
            contribution: by.contribution,
            document,
            case_number: by.case_number,
            agency: by.agency,
            node: by.node,
            persons: by.persons,
            answers: request.answers.clone().into_iter().collect(),
            address: request.address.clone().map(|address| Address { division: 0, ..address }),
        };
        let case = Case::open(procedure, opening, &world);
        let id = case.id.as_bytes().to_vec();
        let mut effects = told(procedure, None, case, &world, reads.day(), &[]);
        let subjects = subjects.into_iter().map(|number| name_of_subject(&procedure.id, number));
        effects.rows.extend(subjects.map(|name| Write::Row(TABLE, name, id.clone())));
        let kept = named(DOCUMENT, &document);
        if reads.row(&kept)?.is_none() {
            let text = self.catalogue.text(document).ok_or(StoreError::Corrupt("the procedure of a case"))?;
            effects.rows.push(Write::Row(TABLE, kept, text.as_bytes().to_vec()));
        }
        Ok(effects)
    }

    /// Takes the answer to a task.
    ///
    /// # Errors
    /// If the task is not open or not theirs, the answer is not good, or the disk refuses.
    pub fn answer(
        &self,
        answer: &TaskAnswer,
        by: &AnsweredBy,
        reads: &dyn Reads,
    ) -> Result<CaseEffects, Refusal> {
        let id = answer.case_id.parse::<Uuid>().map_err(|_| Refusal::TaskNotOpen)?;
        let row = reads.row(&name_of_case(id))?.ok_or(Refusal::TaskNotOpen)?;
        let before = Case::decode(&row)?;
        let procedure = self.of_case(&before)?;
        let place = procedure.place(&answer.step).ok_or(Refusal::TaskNotOpen)?;
        let areas = reads.areas();
        let people = people(&before.persons, reads, &areas)?;
        let end = ends(&procedure, &before, place, &people, answer, by)?;
        let world = self.world(by.now, by.revision, people, reads.routes(), &areas);
        let mut case = before.clone();
        case.end(&procedure, place, end, &world);
        Ok(told(&procedure, Some(&before), case, &world, reads.day(), &[]))
    }

    /// What becomes of a case of which a contribution is taken back that opened it or completed a step;
    /// nothing where it did neither. What is registered instead may say the same of the same people: then the
    /// case goes on, and tasks have the values of now.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn take_back(
        &self,
        case: Uuid,
        back: &TakenBack,
        reads: &dyn Reads,
    ) -> Result<Option<CaseEffects>, StoreError> {
        let Some(row) = reads.row(&name_of_case(case))? else { return Ok(None) };
        let before = Case::decode(&row)?;
        let by = |step: &CaseStep| step.contribution == Some(back.contribution);
        let Some(place) = before.steps.iter().position(by) else { return Ok(None) };
        let procedure = self.of_case(&before)?;
        let areas = reads.areas();
        let people = people(&before.persons, reads, &areas)?;
        let world = self.world(back.now, back.revision, people, reads.routes(), &areas);
        let (of, mut case) = (&procedure.steps[place], before.clone());
        let same = of.event == back.instead && concern(of, &case, &world.people, &back.concerns);
        match place {
            _ if same => {}
            0 => case.lose_ground(back.now),
            _ => case.undo(&procedure, place, &world),
        }
        Ok(Some(told(&procedure, Some(&before), case, &world, reads.day(), &[])))
    }

    /// What the passing of time, and a change of agreements, do to a case; nothing for most. `anew` looks
    /// at what its open tasks hold, as agreements may have changed since they were given.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn tick(
        &self,
        before: &Case,
        anew: bool,
        now: OffsetDateTime,
        revision: Revision,
        reads: &dyn Reads,
    ) -> Result<Option<CaseEffects>, StoreError> {
        if !anew && !before.has_newly_late(now) {
            return Ok(None);
        }
        let procedure = self.of_case(before)?;
        let areas = reads.areas();
        let people = people(&before.persons, reads, &areas)?;
        let world = self.world(now, revision, people, reads.routes(), &areas);
        let mut case = before.clone();
        let moved = anew && case.route(&procedure, &world);
        let late = case.pass(now);
        let effects = told(&procedure, Some(before), case, &world, reads.day(), &late);
        let changed = moved || !late.is_empty() || effects.case != *before;
        Ok(changed.then_some(effects))
    }

    /// The procedure by which a case goes.
    ///
    /// # Errors
    /// If its document is not known any more.
    pub fn of_case(&self, case: &Case) -> Result<Arc<Procedure>, StoreError> {
        self.catalogue.document(case.document).ok_or(StoreError::Corrupt("the procedure of a case"))
    }

    fn requested(&self, request: &CaseRequest) -> Result<(&Procedure, [u8; 16]), Refusal> {
        let known = self.catalogue.procedure(&request.procedure);
        known.ok_or_else(|| Refusal::invalid("opens.procedure", "no procedure has this id"))
    }

    fn world<'a>(
        &'a self,
        now: OffsetDateTime,
        revision: Revision,
        people: BTreeMap<String, PersonInCase>,
        routes: &'a Routes,
        areas: &'a Areas,
    ) -> Circumstances<'a> {
        Circumstances { now, revision, people, days: self.catalogue.days(), routes, areas }
    }
}

/// Whether there is a case of a procedure about one of some numbers that makes another one needless.
fn stands_for(
    procedure: &Procedure,
    subjects: &BTreeSet<PersonalId>,
    reads: &dyn Reads,
) -> Result<bool, StoreError> {
    for number in subjects {
        let Some(id) = reads.row(&name_of_subject(&procedure.id, *number))? else { continue };
        let id = Uuid::from_slice(&id).map_err(|_| StoreError::Corrupt("whom a case is about"))?;
        let Some(row) = reads.row(&name_of_case(id))? else { continue };
        let case = Case::decode(&row)?;
        // What was withdrawn or taken back may be registered anew.
        let withdrawn = case.steps.first().is_some_and(|step| step.state == StepState::Refused);
        if !withdrawn && (case.closed_at.is_none() || procedure.is_once_in_a_life()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All numbers that those have and had whom the first step is about.
fn subjects(
    procedure: &Procedure,
    persons: &BTreeMap<String, PersonalId>,
    world: &Circumstances<'_>,
) -> BTreeSet<PersonalId> {
    let about = procedure.first().about.iter();
    let numbers = about.flat_map(|role| {
        let known = world.people.get(role).map(PersonInCase::numbers).unwrap_or_default();
        known.into_iter().chain(persons.get(role).copied())
    });
    numbers.collect()
}

fn people(
    persons: &BTreeMap<String, PersonalId>,
    reads: &dyn Reads,
    areas: &Areas,
) -> Result<BTreeMap<String, PersonInCase>, StoreError> {
    let mut people = BTreeMap::new();
    for (role, number) in persons {
        if let Some(at) = reads.citizen(*number)? {
            people.insert(role.clone(), PersonInCase::of(at, areas)?);
        }
    }
    Ok(people)
}

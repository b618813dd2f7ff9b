//! Carries cases on: what a contribution that opens one or answers a task does to it, and what the passing
//! of time does. Reading is asked of whoever calls, and writing left to them, so that a case moves in the
//! commit of the contribution.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dancu_proto::{
    Areas, PersonalId, Revision,
    hub::v1::mail,
    v1::{Address, CaseRequest, CaseStatus, RejectionReason, StepState, TaskAnswer, TaskEnd},
};
use thiserror::Error;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    case::{Case, End, Opening},
    catalogue::Catalogue,
    circumstances::{Circumstances, PersonInCase, place_of},
    definition::{Ask, Asked, Procedure, Step},
    routes::{Routes, Work},
    rows::name_of_case,
    tell::{Teller, ended, mark, status},
};
use crate::{
    projection::Day,
    registry::{CitizenAt, StoreError, store::Write},
};

/// What may be said in one answer, bytes.
const ANSWER: usize = 2000;
/// How long a note may be, bytes.
const NOTE: usize = 2000;

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
    ///
    /// # Errors
    /// See above.
    fn routes(&self) -> Result<Arc<Routes>, StoreError>;

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

/// What becomes of a case, and who is told.
#[derive(Debug)]
pub struct CaseEffects {
    /// The case as it is then.
    pub case: Case,
    /// Rows to write, in the same commit.
    pub rows: Vec<Write>,
    /// Mail, by node.
    pub mail: Vec<(String, mail::Content)>,
}

/// Why a case does not open, or an answer does not count.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The task is not open, or not this agency's.
    #[error("the task is not open, or is not this agency's")]
    TaskNotOpen,
    /// What was said cannot be.
    #[error("{field}: {message}")]
    Invalid {
        /// Dotted below the contribution.
        field: String,
        /// What is wrong, and what to do. No personal data.
        message: String,
    },
    /// The disk refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    fn invalid(field: impl Into<String>, message: impl Into<String>) -> Refusal {
        Refusal::Invalid { field: field.into(), message: message.into() }
    }

    /// As what becomes of the contribution; none where the disk refuses and it is tried again.
    #[must_use]
    pub fn reason(&self) -> Option<RejectionReason> {
        match self {
            Refusal::TaskNotOpen => Some(RejectionReason::TaskNotOpen),
            Refusal::Invalid { .. } => Some(RejectionReason::Invalid),
            Refusal::Store(_) => None,
        }
    }
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

    /// Whether a request for a case can be granted to a contribution with an event.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, request: &CaseRequest, event: &str, areas: &Areas) -> Result<(), Refusal> {
        let (procedure, _) = self.requested(request)?;
        if procedure.opened_by != event {
            let message = format!("`{}` is opened by a {}", procedure.id, procedure.opened_by);
            return Err(Refusal::invalid("opens.procedure", message));
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

    /// Opens a case.
    ///
    /// # Errors
    /// If the request is not good, or the disk refuses.
    pub fn open(
        &self,
        request: &CaseRequest,
        by: OpenedBy,
        reads: &dyn Reads,
    ) -> Result<CaseEffects, Refusal> {
        let areas = reads.areas();
        self.check(request, by.event, &areas)?;
        let (procedure, document) = self.requested(request)?;
        let (now, revision) = (by.now, by.revision);
        let routes = reads.routes()?;
        let people = people(&by.persons, reads, &areas)?;
        let world = Circumstances {
            now,
            revision,
            people,
            days: self.catalogue.days(),
            routes: &routes,
            areas: &areas,
        };
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
        Ok(told(procedure, None, case, &world, reads.day(), &[]))
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
        let end = ends(&procedure, &before, place, answer, by)?;
        let areas = reads.areas();
        let routes = reads.routes()?;
        let world = Circumstances {
            now: by.now,
            revision: by.revision,
            people: people(&before.persons, reads, &areas)?,
            days: self.catalogue.days(),
            routes: &routes,
            areas: &areas,
        };
        let mut case = before.clone();
        case.end(&procedure, place, end, &world);
        Ok(told(&procedure, Some(&before), case, &world, reads.day(), &[]))
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
        let (areas, routes) = (reads.areas(), reads.routes()?);
        let world = Circumstances {
            now,
            revision,
            people: people(&before.persons, reads, &areas)?,
            days: self.catalogue.days(),
            routes: &routes,
            areas: &areas,
        };
        let mut case = before.clone();
        let moved = anew && case.route(&procedure, &world);
        let late = case.pass(now);
        let effects = told(&procedure, Some(before), case, &world, reads.day(), &late);
        let changed = moved || !late.is_empty() || effects.case != *before;
        Ok(changed.then_some(effects))
    }

    fn requested(&self, request: &CaseRequest) -> Result<(&Procedure, [u8; 16]), Refusal> {
        let known = self.catalogue.procedure(&request.procedure);
        known.ok_or_else(|| Refusal::invalid("opens.procedure", "no procedure has this id"))
    }

    /// The procedure by which a case goes.
    ///
    /// # Errors
    /// If its document is not known any more.
    pub fn of_case(&self, case: &Case) -> Result<Arc<Procedure>, StoreError> {
        self.catalogue.document(case.document).ok_or(StoreError::Corrupt("the procedure of a case"))
    }
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

/// How an answer ends a step.
fn ends(
    procedure: &Procedure,
    case: &Case,
    place: usize,
    answer: &TaskAnswer,
    by: &AnsweredBy,
) -> Result<End, Refusal> {
    let (of, step) = (&procedure.steps[place], &case.steps[place]);
    let theirs = step.agency.as_deref() == Some(&*by.agency) && step.tasks.contains_key(&by.node);
    if step.state != StepState::Open || !theirs {
        return Err(Refusal::TaskNotOpen);
    }
    let note = || match answer.note.trim() {
        "" => Err(Refusal::invalid("task.note", "say why")),
        note if note.len() > NOTE => Err(Refusal::invalid("task.note", "is too long")),
        note => Ok(note.to_owned()),
    };
    let without_event = || match by.event {
        Some(_) => Err(Refusal::invalid("event", "what is not done registers nothing: leave the event out")),
        None => Ok(()),
    };
    match answer.end() {
        TaskEnd::Unspecified => Err(Refusal::invalid("task.end", "say how the task ends")),
        TaskEnd::Refused if of.may_refuse => without_event().and_then(|()| Ok(End::Refused(note()?))),
        TaskEnd::Returned if of.may_return => without_event().and_then(|()| Ok(End::Returned(note()?))),
        TaskEnd::Refused => Err(Refusal::invalid("task.end", "this step cannot be refused")),
        TaskEnd::Returned => Err(Refusal::invalid("task.end", "this step cannot be returned")),
        TaskEnd::Done => {
            event_fits(of, case, step.contribution.is_some(), by)?;
            let asks = if place == 0 { &procedure.answers } else { &of.asks };
            // What the applicant said stands, unless the first step says otherwise now.
            check_answers("task.answers", asks, &answer.answers, place > 0)?;
            let said = answer.answers.clone().into_iter().collect();
            Ok(End::Done(said, by.event.map(|_| by.contribution)))
        }
    }
}

/// The event that completes a step is the one that the procedure names, about those whom the step is about.
/// One that was completed before may be done again without, or with a correction.
fn event_fits(of: &Step, case: &Case, again: bool, by: &AnsweredBy) -> Result<(), Refusal> {
    match (of.event, by.event) {
        (None, None) => Ok(()),
        (Some(_), None) if again => Ok(()),
        (Some(_), Some("correction")) if again => Ok(()),
        (Some(expected), Some(event)) if expected == event => {
            let mut about = of.about.iter().filter_map(|role| case.persons.get(role));
            match about.all(|number| by.concerns.contains(number)) {
                true => Ok(()),
                false => Err(Refusal::invalid("event", "it concerns other people than the task does")),
            }
        }
        (Some(expected), _) => {
            Err(Refusal::invalid("event", format!("this task is completed by the event {expected}")))
        }
        (None, Some(_)) => {
            Err(Refusal::invalid("event", "this task is completed by an answer, not an event"))
        }
    }
}

fn check_answers(
    below: &str,
    asks: &[Ask],
    answers: &BTreeMap<String, String>,
    whole: bool,
) -> Result<(), Refusal> {
    for (name, value) in answers {
        if !asks.iter().any(|ask| ask.name == *name) {
            // The name is the caller's, and may be anything.
            return Err(Refusal::invalid(below, "has a name that is not asked for"));
        }
        if value.len() > ANSWER {
            return Err(Refusal::invalid(format!("{below}.{name}"), "is too long"));
        }
    }
    let said = |ask: &Ask| answers.get(&ask.name).is_some_and(|value| !value.trim().is_empty());
    match asks.iter().find(|ask| whole && ask.required && !said(ask)) {
        Some(ask) => Err(Refusal::invalid(format!("{below}.{}", ask.name), "is missing")),
        None => Ok(()),
    }
}

/// The effects of what became of a case, and who is told: whose task it is or no longer is, and how the case
/// stands everybody who takes part or follows.
fn told(
    procedure: &Procedure,
    before: Option<&Case>,
    mut case: Case,
    world: &Circumstances<'_>,
    day: Day,
    late: &[usize],
) -> CaseEffects {
    for place in late {
        let of = &procedure.steps[*place];
        if of.escalation.superior {
            let at = world.place_of(case.steps[*place].address.as_ref());
            case.nodes.extend(world.routes.superiors(procedure.work(*place), at));
        }
        case.nodes.extend(world.routes.of_agencies(&of.escalation.agencies));
    }
    let mut mail = Vec::new();
    for (place, of) in procedure.steps.iter().enumerate() {
        let then = before.map(|before| &before.steps[place]);
        let open = case.steps[place].state == StepState::Open;
        let was_open = then.is_some_and(|then| then.state == StepState::Open);
        if open {
            let nodes: Vec<_> = case.steps[place].tasks.keys().cloned().collect();
            for node in nodes {
                let task = Teller { procedure, case: &case, world, day }.task(place, &node);
                let mark = mark(&task);
                let known = then.filter(|_| was_open).and_then(|then| then.tasks.get(&node));
                if known != Some(&mark) {
                    mail.push((node.clone(), mail::Content::Task(task)));
                }
                case.steps[place].tasks.insert(node, mark);
            }
        }
        let Some(then) = then.filter(|_| was_open) else { continue };
        for node in then.tasks.keys() {
            if !open {
                let task = ended(&case, of, case.steps[place].state);
                mail.push((node.clone(), mail::Content::Task(task)));
            } else if !case.steps[place].tasks.contains_key(node) {
                mail.push((node.clone(), mail::Content::Task(ended(&case, of, StepState::Unspecified))));
            }
        }
    }
    if before.is_none_or(|before| before.version != case.version) {
        let status = status(procedure, &case);
        let mut nodes: BTreeSet<_> = case.nodes.clone();
        nodes.extend(world.routes.of_agencies(&procedure.followers.agencies));
        let roles = procedure.followers.roles.iter();
        nodes.extend(roles.flat_map(|role| world.routes.in_role(role).iter().cloned()));
        let steps = (0..procedure.steps.len()).map(|place| procedure.work(place));
        let followers = procedure.followers.roles.iter().map(|role| Work { role, purposes: &[] });
        let work: Vec<_> = steps.chain(followers).collect();
        mail.extend(nodes.into_iter().map(|node| {
            let purposes = world.routes.purposes(&node, &work);
            (node, mail::Content::Case(CaseStatus { purposes, ..status.clone() }))
        }));
    }
    CaseEffects { rows: case.writes(), case, mail }
}

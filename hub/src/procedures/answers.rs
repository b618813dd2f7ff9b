//! How an answer ends a step, and why one does not count.

use std::collections::{BTreeMap, BTreeSet};

use dancu_proto::{
    PersonalId,
    v1::{RejectionReason, StepState, TaskAnswer, TaskEnd},
};
use thiserror::Error;

use super::{
    case::{Case, End},
    circumstances::PersonInCase,
    definition::{Ask, Procedure, Step},
    engine::AnsweredBy,
};
use crate::registry::{CommitError, StoreError};

/// What may be said in one answer, bytes.
const ANSWER: usize = 2000;
/// How long a note may be, bytes.
const NOTE: usize = 2000;

/// Why a case does not open, or an answer does not count.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The task is not open, or not this agency's.
    #[error("the task is not open, or is not this agency's")]
    TaskNotOpen,
    /// Whoever does the first step opens the case.
    #[error("a case of this procedure is opened in the role `{0}`, which this agency has not")]
    NotTheirs(String),
    /// There is one about the same.
    #[error("there is a case of this procedure about the same already; hand the event in without `opens`")]
    OpenedBefore,
    /// What was said cannot be.
    #[error("{field}: {message}")]
    Invalid {
        /// Dotted below the contribution.
        field: String,
        /// What is wrong, and what to do. No personal data.
        message: String,
    },
    /// It cannot be said now: agreements changed meanwhile, or the disk refuses.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Commit(error.into())
    }
}

impl Refusal {
    pub(super) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Refusal {
        Refusal::Invalid { field: field.into(), message: message.into() }
    }

    /// As what becomes of the contribution; none where it is tried again.
    #[must_use]
    pub fn reason(&self) -> Option<RejectionReason> {
        match self {
            Refusal::TaskNotOpen => Some(RejectionReason::TaskNotOpen),
            Refusal::NotTheirs(_) => Some(RejectionReason::NotAuthoritative),
            Refusal::OpenedBefore | Refusal::Invalid { .. } => Some(RejectionReason::Invalid),
            Refusal::Commit(_) => None,
        }
    }

    /// Where it is at fault, dotted below the contribution.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Refusal::NotTheirs(_) | Refusal::OpenedBefore => "opens",
            Refusal::Invalid { field, .. } => field,
            Refusal::TaskNotOpen | Refusal::Commit(_) => "task",
        }
    }
}

/// How an answer ends a step.
pub(super) fn ends(
    procedure: &Procedure,
    case: &Case,
    place: usize,
    people: &BTreeMap<String, PersonInCase>,
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
            event_fits(of, case, people, step.contribution.is_some(), by)?;
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
fn event_fits(
    of: &Step,
    case: &Case,
    people: &BTreeMap<String, PersonInCase>,
    again: bool,
    by: &AnsweredBy,
) -> Result<(), Refusal> {
    match (of.event, by.event) {
        (None, None) => Ok(()),
        (Some(_), None) if again => Ok(()),
        (Some(_), Some("correction")) if again => Ok(()),
        (Some(expected), Some(event)) if expected == event => match concern(of, case, people, &by.concerns) {
            true => Ok(()),
            false => Err(Refusal::invalid("event", "it concerns other people than the task does")),
        },
        (Some(expected), _) => {
            Err(Refusal::invalid("event", format!("this task is completed by the event {expected}")))
        }
        (None, Some(_)) => {
            Err(Refusal::invalid("event", "this task is completed by an answer, not an event"))
        }
    }
}

/// Whether numbers are of everybody whom a step is about. A case has the numbers of when it was opened; people
/// may have others by now.
pub(super) fn concern(
    of: &Step,
    case: &Case,
    people: &BTreeMap<String, PersonInCase>,
    numbers: &BTreeSet<PersonalId>,
) -> bool {
    let mut about = of.about.iter().filter_map(|role| Some((role, case.persons.get(role)?)));
    about.all(|(role, number)| {
        let known = people.get(role).map(PersonInCase::numbers).unwrap_or_default();
        numbers.contains(number) || known.iter().any(|number| numbers.contains(number))
    })
}

pub(super) fn check_answers(
    below: &str,
    asks: &[Ask],
    answers: &BTreeMap<String, String>,
    whole: bool,
) -> Result<(), Refusal> {
    for (name, value) in answers {
        let Some(ask) = asks.iter().find(|ask| ask.name == *name) else {
            // The name is the caller's, and may be anything.
            return Err(Refusal::invalid(below, "has a name that is not asked for"));
        };
        let fault = if value.len() > ANSWER { Some("is too long") } else { ask.kind.fault(value) };
        if let Some(fault) = fault {
            return Err(Refusal::invalid(format!("{below}.{name}"), fault));
        }
    }
    let said = |ask: &Ask| answers.get(&ask.name).is_some_and(|value| !value.trim().is_empty());
    match asks.iter().find(|ask| whole && ask.required && !said(ask)) {
        Some(ask) => Err(Refusal::invalid(format!("{below}.{}", ask.name), "is missing")),
        None => Ok(()),
    }
}

//! What can be checked of a contribution without the registry.

mod event;

use prost::Message;

use crate::{
    Areas, Violation,
    v1::{CaseRequest, Contribution, Date, Event, TaskAnswer, TaskEnd, event::Event as Kind},
    validate::Check,
};

/// An event names at most so many people.
pub const MOST_PERSONS: usize = 100;
/// A contribution has at most so many bytes, encoded.
pub const MOST_BYTES: usize = 128 << 10;
/// The longest purpose, case number or officer code, and name of a step or an answer, characters.
const LONGEST_CODE: usize = 64;
/// Answers of one task or request.
const MOST_ANSWERS: usize = 100;

/// Checks a contribution and brings its values to their normal form. The effective date is filled in where
/// the event says it. Without `areas`, codes of areas are only asked to have the form of one. `today` is
/// the day in Asia/Ho_Chi_Minh.
///
/// # Errors
/// Everything that is wrong, by field; never a value.
pub fn validate(
    contribution: &mut Contribution,
    areas: Option<&Areas>,
    today: Date,
) -> Result<(), Vec<Violation>> {
    let size = contribution.encoded_len();
    if size > MOST_BYTES {
        let reason = format!("has {size} bytes; at most {MOST_BYTES} are allowed");
        return Err(vec![Violation { field: "event".into(), reason }]);
    }
    let mut check = Check::new(areas);
    uuid(&mut check, "id", &mut contribution.id);
    context(&mut check, contribution);
    let Contribution { event, task, opens, .. } = contribution;
    if let Some(task) = task {
        answer(&mut check, task, event.is_some());
    }
    if let Some(opens) = opens {
        request(&mut check, opens);
        if event.is_none() {
            check.say("opens", "a case is opened by an event; there is none");
        }
    }
    match event {
        Some(given) => {
            event::event(&mut check, &contribution.id, given);
            document(&mut check, contribution, today);
            effective_date(&mut check, contribution, today);
        }
        None if task.is_none() => check.say("event", "is missing"),
        None => {}
    }
    check.end()
}

fn context(check: &mut Check<'_>, contribution: &Contribution) {
    let none = Default::default();
    let context = contribution.context.as_ref().unwrap_or(&none);
    for (field, text) in [
        ("context.purpose", &context.purpose),
        ("context.case_number", &context.case_number),
        ("context.officer", &context.officer),
    ] {
        code(check, field, text);
    }
}

/// A short text that is there.
fn code(check: &mut Check<'_>, field: &str, text: &str) {
    let length = text.chars().count();
    if text.trim().is_empty() {
        check.say(field, "is missing");
    } else if length > LONGEST_CODE {
        check.say(field, format!("has {length} characters; at most {LONGEST_CODE} are allowed"));
    } else if text.chars().any(char::is_control) {
        check.say(field, "has control characters");
    }
}

/// A UUIDv7, brought to the form with hyphens and small letters.
fn uuid(check: &mut Check<'_>, field: &str, text: &mut String) {
    match uuid::Uuid::try_parse(text) {
        Ok(id) if id.get_version_num() == 7 => *text = id.to_string(),
        _ if text.is_empty() => check.say(field, "is missing"),
        _ => check.say(field, "is no UUID of version 7 (RFC 9562)"),
    }
}

fn document(check: &mut Check<'_>, contribution: &mut Contribution, today: Date) {
    let Some(document) = &mut contribution.document else {
        return check.say("document", "is missing");
    };
    for (field, text) in
        [("document.number", &mut document.number), ("document.issued_by", &mut document.issued_by)]
    {
        check.text(field, text);
        if text.is_empty() {
            check.say(field, "is missing");
        }
    }
    match &document.date {
        None => check.say("document.date", "is missing"),
        Some(date) => {
            check.date("document.date", Some(date));
            if date.as_number() > today.as_number() {
                check.say("document.date", "lies in the future");
            }
        }
    }
}

fn effective_date(check: &mut Check<'_>, contribution: &mut Contribution, today: Date) {
    let said = contribution.event.as_ref().and_then(said);
    let date = match (contribution.effective_date, &said) {
        (None, Some(Said::Is(date, _))) => *date,
        // What is declared ahead holds from the day that its source says.
        (None, Some(Said::From(date))) if date.as_number() <= today.as_number() => *date,
        (None, _) => return check.say("effective_date", "is missing"),
        (Some(given), Some(Said::Is(date, field))) => {
            if given != *date {
                check.say("effective_date", format!("differs from the {field}; it is the same day"));
            }
            given
        }
        (Some(given), _) => given,
    };
    contribution.effective_date = Some(date);
    check.date("effective_date", Some(&date));
    if date.as_number() > today.as_number() {
        check.say(
            "effective_date",
            match said {
                Some(Said::Is(_, field)) => format!("lies in the future; it is the {field}"),
                _ => "lies in the future".to_owned(),
            },
        );
    }
}

/// What an event says of the day from which it holds.
enum Said {
    /// It is the day of this field.
    Is(Date, &'static str),
    /// It is this day, unless the source says another.
    From(Date),
}

fn said(event: &Event) -> Option<Said> {
    match event.event.as_ref()? {
        Kind::Birth(birth) => Some(Said::Is(birth.child.as_ref()?.date_of_birth?, "date of birth")),
        Kind::Death(death) => Some(Said::Is(death.date_of_death?, "date of death")),
        Kind::TemporaryResidenceRegistered(of) => Some(Said::From(of.stay.as_ref()?.from?)),
        Kind::AbsenceDeclared(of) => Some(Said::From(of.absence.as_ref()?.from?)),
        Kind::IdentityCardIssued(of) => Some(Said::From(of.card.as_ref()?.issued_on?)),
        Kind::Correction(of) => said(of.instead.as_deref()?),
        _ => None,
    }
}

/// What an agency says of a task.
fn answer(check: &mut Check<'_>, task: &mut TaskAnswer, registers: bool) {
    code(check, "task.case_id", &task.case_id);
    code(check, "task.step", &task.step);
    check.text("task.note", &mut task.note);
    match task.end() {
        TaskEnd::Unspecified => check.say("task.end", "is missing: done, refused or returned"),
        TaskEnd::Done => {}
        TaskEnd::Refused | TaskEnd::Returned => {
            if task.note.is_empty() {
                check.say("task.note", "is missing: why it is refused, or what more is needed");
            }
            if registers {
                check.say("event", "a task that is refused or returned registers nothing");
            }
        }
    }
    answers(check, "task.answers", &mut task.answers);
}

/// What is asked of a case.
fn request(check: &mut Check<'_>, opens: &mut CaseRequest) {
    code(check, "opens.procedure", &opens.procedure);
    answers(check, "opens.answers", &mut opens.answers);
    if let Some(address) = &mut opens.address {
        check.address("opens.address", address);
    }
}

fn answers(check: &mut Check<'_>, field: &str, answers: &mut std::collections::BTreeMap<String, String>) {
    if answers.len() > MOST_ANSWERS {
        check.say(field, format!("has more than {MOST_ANSWERS} answers"));
    }
    for (name, text) in answers {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if name.is_empty() || name.len() > LONGEST_CODE || !plain {
            // What could be anything is not repeated.
            check.say(field, "a name has 1 to 64 letters, digits, `_`, `-` and `.`");
        } else {
            check.text(&format!("{field}.{name}"), text);
        }
    }
}

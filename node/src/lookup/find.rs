//! Citizens by what is known of them. A criterion may only be used on citizens whose fields in it
//! the agreements give for the purpose: to be found by a value is to have it confirmed.

use dancu_proto::{
    Field, FieldSet, PersonalId, name,
    node::{
        served::CitizenMatch,
        v1::{NameAndBirth, find_citizen_request::Criterion},
    },
};

use super::{
    authorise::Permit,
    project::project,
    refusal::{Fault, Refusal},
};
use crate::slice::{Held, SliceReader};

/// The most matches in one answer.
const MAX_MATCHES: usize = 50;

/// How many candidates are read at first; namesakes outside the purpose may take up some.
const FIRST_READ: usize = 128;

/// What is found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) matches: Vec<CitizenMatch>,
    pub(super) more: bool,
    /// Of whom what is told, for the record of the call.
    pub(super) people: Vec<(PersonalId, FieldSet)>,
}

/// Checks a criterion before anything is read.
pub(super) fn check(criterion: Option<&Criterion>) -> Result<&Criterion, Refusal> {
    let Some(criterion) = criterion else {
        let fault = Fault::new("criterion", "give name_and_birth or old_id_number");
        return Err(Refusal::Invalid(vec![fault]));
    };
    let faults = match criterion {
        Criterion::OldIdNumber(number) => old_id_number(number.trim()),
        Criterion::NameAndBirth(known) => name_and_birth(known),
    };
    if faults.is_empty() { Ok(criterion) } else { Err(Refusal::Invalid(faults)) }
}

fn old_id_number(number: &str) -> Vec<Fault> {
    if number.len() == 9 && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    vec![Fault::new("old_id_number", "an old number has 9 digits")]
}

fn name_and_birth(known: &NameAndBirth) -> Vec<Fault> {
    let mut faults = Vec::new();
    if name::fold(&known.full_name).is_empty() {
        faults.push(Fault::new("name_and_birth.full_name", "is missing"));
    }
    match &known.date_of_birth {
        None => faults.push(Fault::new("name_and_birth.date_of_birth", "is missing")),
        Some(date) => {
            if let Err(error) = date.check() {
                faults.push(Fault::new("name_and_birth.date_of_birth", error.to_string()));
            }
        }
    }
    faults
}

/// A match, and what it tells of whom.
type Match = (CitizenMatch, (PersonalId, FieldSet));

/// The citizens a criterion finds.
pub(super) fn find(
    reader: &SliceReader<'_>,
    permit: &Permit,
    criterion: &Criterion,
    wanted: FieldSet,
) -> Result<Found, Refusal> {
    let mut found = match criterion {
        Criterion::OldIdNumber(number) => {
            permit.need(Field::OldIdNumber)?;
            let candidates = reader.find_by_old_number(number.trim())?;
            matches(&candidates, permit, &[Field::OldIdNumber], wanted, |_| true)?
        }
        Criterion::NameAndBirth(known) => by_name(reader, permit, known, wanted)?,
    };
    found.sort_by_key(|(found, _)| !found.exact);
    let more = found.len() > MAX_MATCHES;
    found.truncate(MAX_MATCHES);
    if found.is_empty() && !permit.absence_is_certain() {
        return Err(permit.nobody());
    }
    let (matches, people) = found.into_iter().unzip();
    Ok(Found { matches, more, people })
}

fn by_name(
    reader: &SliceReader<'_>,
    permit: &Permit,
    known: &NameAndBirth,
    wanted: FieldSet,
) -> Result<Vec<Match>, Refusal> {
    permit.need(Field::FullName)?;
    permit.need(Field::DateOfBirth)?;
    let birth = known.date_of_birth.unwrap_or_default();
    let exact = |held: &Held| -> bool {
        let citizen = held.record.decode().unwrap_or_default();
        citizen.full_name.is_some_and(|name| name::same_text(&name.full(), &known.full_name))
    };
    let mut limit = FIRST_READ;
    loop {
        let candidates = reader.find_by_name(&known.full_name, &birth, limit)?;
        let needed = [Field::FullName, Field::DateOfBirth];
        let matches = matches(&candidates, permit, &needed, wanted, exact)?;
        // Candidates that the purpose may not see must neither hide others nor be counted.
        if candidates.len() < limit || matches.len() > MAX_MATCHES {
            return Ok(matches);
        }
        limit *= 4;
    }
}

fn matches(
    candidates: &[Held],
    permit: &Permit,
    needed: &[Field],
    wanted: FieldSet,
    exact: impl Fn(&Held) -> bool,
) -> Result<Vec<Match>, Refusal> {
    let mut matches = Vec::new();
    for held in candidates {
        let Some(fields) = permit.fields_for(held) else { continue };
        if !needed.iter().all(|field| fields.contains(*field)) {
            continue;
        }
        let answer = project(held, fields, wanted);
        let authorised = answer.authorised();
        let told = (answer.personal_id()?, answer.authorised);
        let found = CitizenMatch { citizen: Some(answer.citizen), authorised, exact: exact(held) };
        matches.push((found, told));
    }
    Ok(matches)
}

#[cfg(test)]
mod tests {
    use dancu_proto::v1::Date;

    use super::*;

    #[test]
    fn a_criterion_is_whole() {
        let named = |criterion: Option<Criterion>| match check(criterion.as_ref()) {
            Ok(_) => Vec::new(),
            Err(Refusal::Invalid(faults)) => faults.into_iter().map(|fault| fault.field).collect(),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(named(None), ["criterion"]);
        assert_eq!(named(Some(Criterion::OldIdNumber("12345678".into()))), ["old_id_number"]);
        assert!(named(Some(Criterion::OldIdNumber("012345678".into()))).is_empty());
        let known = |full_name: &str, date_of_birth| {
            Some(Criterion::NameAndBirth(NameAndBirth { full_name: full_name.into(), date_of_birth }))
        };
        let both = ["name_and_birth.full_name", "name_and_birth.date_of_birth"];
        assert_eq!(named(known("  ", None)), both);
        assert_eq!(named(known("An", Some(Date { year: 1985, month: 2, day: 30 }))), both[1..]);
        assert!(named(known("An", Some(Date { year: 1985, month: 0, day: 0 }))).is_empty());
    }
}

//! What became known late holds from its own day: who was answered in between, without it.

use std::collections::BTreeMap;

use dancu_proto::{
    Field, FieldSet, PersonalId, Revision,
    v1::{AccessOperation, AccessSubject, Date, SubjectOutcome, log_record::Body},
};

use super::{
    log::AuditLog,
    query::{Found, Query},
};
use crate::registry::{CitizenKey, StoreError, View};

/// Calls that are told of one event.
const MOST: usize = 200;
/// Asia/Ho_Chi_Minh has been seven hours ahead without summer time since 1975.
const VIETNAM: time::UtcOffset = time::macros::offset!(+7);

/// The time between the day from which an event holds and the commit by which it became known.
pub struct Gap {
    /// The day from which it holds; of one that is known in part the first it can be. None: any.
    pub from: Option<Date>,
    /// The revision by which it became known. A node that was offline answers without it long after.
    pub known: Revision,
    /// The people whom it changed, and which fields.
    pub changed: Vec<(CitizenKey, FieldSet)>,
}

/// The fields that decide whom an answer of a node under a purpose could be about, as of a revision. Where a
/// pension is for the living, that there was an answer says that the person lives.
pub type Deciding<'a> = &'a dyn Fn(&str, &str, Revision) -> FieldSet;

/// A call that was answered without an event that held already.
pub struct Answered {
    /// Its place in the log.
    pub index: u64,
    /// When, milliseconds since 1970 by the node's clock.
    pub time_ms: u64,
    /// The node.
    pub node: String,
    /// The back-end.
    pub caller: String,
    /// The officer.
    pub officer: String,
    /// For what.
    pub purpose: String,
    /// The case file.
    pub case_number: String,
    /// What was asked for.
    pub operation: AccessOperation,
    /// The revision that the answer reflects.
    pub revision: u64,
    /// The number asked for.
    pub person: PersonalId,
    /// Of the fields that the event changed those that were told, or decided that there was an answer.
    pub fields: FieldSet,
}

/// The calls that were answered without an event.
#[derive(Default)]
pub struct Unaware {
    /// By time; the latest, where there are many.
    pub calls: Vec<Answered>,
    /// How many others there are, all of them earlier.
    pub left_off: u64,
}

impl Gap {
    /// Finds the calls in the log.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn find(
        &self,
        log: &AuditLog,
        view: &View<'_>,
        deciding: Deciding<'_>,
    ) -> Result<Unaware, StoreError> {
        let query = Query::new(log)?;
        let from = self.begins_ms();
        let (mut latest, mut left_off) = (BTreeMap::new(), 0);
        for (key, changed) in &self.changed {
            for found in query.of_key(*key) {
                let found = found?;
                if found.record.time_ms < from {
                    continue;
                }
                let Some(told) = self.told(&found, *changed, deciding) else { continue };
                let Some(call) = unaware(&query, view, found, *key, told)? else { continue };
                latest.insert((call.time_ms, call.index, key.0), call);
                if latest.len() > MOST {
                    latest.pop_first();
                    left_off += 1;
                }
            }
        }
        Ok(Unaware { calls: latest.into_values().collect(), left_off })
    }

    /// What a call under its purpose could tell of the fields that were changed: by the answer itself, and by
    /// there being one. Nothing where it knew already.
    fn told(&self, found: &Found, changed: FieldSet, deciding: Deciding<'_>) -> Option<Told> {
        let Some(Body::Access(entry)) = &found.record.body else { return None };
        if entry.revision >= self.known.0 {
            return None;
        }
        let decided = match entry.operation() {
            // That is asked of the hub about anybody, whomever the slice has.
            AccessOperation::Remote => FieldSet::EMPTY,
            _ => deciding(&found.node, &entry.purpose, Revision(entry.revision)).intersection(changed),
        };
        let disclosed =
            |subject: &AccessSubject| !fields_of(&subject.fields).intersection(changed).is_empty();
        let tells = !decided.is_empty() || entry.subjects.iter().any(disclosed);
        tells.then_some(Told { changed, decided })
    }

    /// The beginning of the day, in Vietnam.
    fn begins_ms(&self) -> u64 {
        let day = self.from.and_then(|date| {
            let month = u8::try_from(date.month.max(1)).ok()?.try_into().ok()?;
            let day = u8::try_from(date.day.max(1)).ok()?;
            time::Date::from_calendar_date(i32::try_from(date.year).ok()?, month, day).ok()
        });
        let begins = |day: time::Date| day.midnight().assume_offset(VIETNAM).unix_timestamp();
        day.map_or(0, |day| u64::try_from(begins(day)).unwrap_or_default() * 1000)
    }
}

/// What an event changed, and of that what decided whether there was an answer.
#[derive(Clone, Copy)]
struct Told {
    changed: FieldSet,
    decided: FieldSet,
}

/// A call, if it told something of the person of a key.
fn unaware(
    query: &Query<'_>,
    view: &View<'_>,
    found: Found,
    key: CitizenKey,
    told: Told,
) -> Result<Option<Answered>, StoreError> {
    let people = query.people(&found)?;
    let Some(Body::Access(entry)) = found.record.body else { return Ok(None) };
    let operation = entry.operation();
    let mut of_person: Option<(PersonalId, FieldSet)> = None;
    for (subject, number) in entry.subjects.iter().zip(people) {
        let Some(number) = number else { continue };
        let fields = fields_of(&subject.fields).intersection(told.changed).union(told.decided);
        let answered = subject.outcome() == SubjectOutcome::Answered && !fields.is_empty();
        // A person may stand in a call under another number, or under two.
        if answered && view.key_of(number.as_u64())? == key {
            let before = of_person.map_or(FieldSet::EMPTY, |(_, fields)| fields);
            of_person = Some((number, before.union(fields)));
        }
    }
    Ok(of_person.map(|(person, fields)| Answered {
        index: found.index,
        time_ms: found.record.time_ms,
        node: found.node,
        caller: entry.caller,
        officer: entry.officer,
        purpose: entry.purpose,
        case_number: entry.case_number,
        operation,
        revision: entry.revision,
        person,
        fields,
    }))
}

fn fields_of(numbers: &[i32]) -> FieldSet {
    numbers.iter().filter_map(|number| Field::try_from(*number).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: Option<Date>) -> Gap {
        Gap { from, known: Revision(9), changed: Vec::new() }
    }

    #[test]
    fn a_gap_begins_with_the_day_in_vietnam() {
        // 2026-11-20 00:00 in Vietnam is 17:00 the day before in London.
        assert_eq!(gap(Some(Date::from_number(20_261_120))).begins_ms(), 1_795_107_600_000);
        // A month is the first of it, and a year the first of January.
        let (month, first) = (Date::from_number(20_261_100), Date::from_number(20_261_101));
        assert_eq!(gap(Some(month)).begins_ms(), gap(Some(first)).begins_ms());
        assert_eq!(gap(Some(Date::from_number(19_500_000))).begins_ms(), 0);
        assert_eq!(gap(None).begins_ms(), 0);
    }
}

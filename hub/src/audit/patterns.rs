//! Calls that are worth a question, by rules that can be told in a sentence. A finding accuses nobody.

use std::collections::{HashMap, HashSet};

use dancu_proto::{
    PersonalId,
    hub::v1::AccessPattern,
    v1::{AccessOperation, SubjectOutcome, log_record::Body},
};
use time::OffsetDateTime;

use super::query::{Found, Of, Period, Query};
use crate::{
    registry::{Registry, StoreError},
    sync::timestamp,
};

/// From when a number is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Different people whom one officer looked up in an hour.
    pub burst: usize,
    /// Calls of one officer in a night.
    pub night: usize,
    /// Officers who looked up one person in a day.
    pub officers: usize,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { burst: 100, night: 5, officers: 5 }
    }
}

/// The night, hours in Vietnam: from the first until the second.
const NIGHT: (u64, u64) = (22, 5);
/// Milliseconds.
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// Vietnam is so far ahead of UTC.
const ZONE: u64 = 7 * HOUR;

/// What was counted of one thing in one hour, night or day.
#[derive(Default)]
struct Count<T> {
    different: HashSet<T>,
    calls: u64,
    first: u64,
    last: u64,
}

impl<T: std::hash::Hash + Eq> Count<T> {
    fn add(&mut self, one: Option<T>, time_ms: u64) {
        if self.calls == 0 {
            self.first = time_ms;
        }
        self.calls += 1;
        (self.first, self.last) = (self.first.min(time_ms), self.last.max(time_ms));
        self.different.extend(one);
    }
}

/// An officer of a node: codes are not the same everywhere.
type Officer = (String, String);

/// What the rules count. Bulk calls are counted like others: they are odd at night too.
#[derive(Default)]
struct Counts {
    hours: HashMap<(Officer, u64), Count<[u8; 16]>>,
    nights: HashMap<(Officer, u64), Count<()>>,
    people: HashMap<(PersonalId, u64), Count<Officer>>,
    records: u64,
}

/// What the rules find in a period, and how many records they saw.
///
/// # Errors
/// If the disk refuses.
pub(super) fn find(
    query: &Query<'_>,
    registry: &Registry,
    period: Period,
    thresholds: Thresholds,
) -> Result<(Vec<AccessPattern>, u64), StoreError> {
    let mut counts = Counts::default();
    for found in query.find(registry, &Of::Everyone, period)? {
        let found = found?;
        let people = query.people(&found)?;
        counts.add(&found, &people);
    }
    Ok((counts.patterns(thresholds), counts.records))
}

impl Counts {
    fn add(&mut self, found: &Found, people: &[Option<PersonalId>]) {
        let Some(Body::Access(entry)) = &found.record.body else { return };
        self.records += 1;
        let (time, here) = (found.record.time_ms, found.record.time_ms + ZONE);
        let officer: Officer = (found.node.clone(), entry.officer.clone());
        let hour = self.hours.entry((officer.clone(), here / HOUR)).or_default();
        // To be named is not to be looked up.
        let looked_up = entry.subjects.iter().filter(|_| entry.operation() != AccessOperation::Interest);
        for subject in looked_up {
            hour.add(subject.hash.as_slice().try_into().ok(), time);
        }
        let hour_of_day = here / HOUR % 24;
        if hour_of_day >= NIGHT.0 || hour_of_day < NIGHT.1 {
            // The night after a day belongs to it.
            let night = (here - NIGHT.1 * HOUR) / DAY;
            self.nights.entry((officer.clone(), night)).or_default().add(Some(()), time);
        }
        for (person, subject) in people.iter().zip(&entry.subjects) {
            if let Some(person) = person
                && subject.outcome() == SubjectOutcome::Answered
            {
                let day = self.people.entry((*person, here / DAY)).or_default();
                day.add(Some(officer.clone()), time);
            }
        }
    }

    fn patterns(&self, thresholds: Thresholds) -> Vec<AccessPattern> {
        let Thresholds { burst, night, officers } = thresholds;
        let mut patterns = Vec::new();
        for (((node, officer), _), count) in &self.hours {
            if count.different.len() > burst {
                let explanation = format!("one officer looked up more than {burst} people in an hour");
                let number = count.different.len() as u64;
                patterns.push(pattern("burst", explanation, (node, officer), None, number, count));
            }
        }
        for (((node, officer), _), count) in &self.nights {
            if count.calls as usize > night {
                let (from, until) = NIGHT;
                let explanation =
                    format!("one officer made more than {night} calls in a night ({from}:00 to {until}:00)");
                patterns.push(pattern("night", explanation, (node, officer), None, count.calls, count));
            }
        }
        for ((person, _), count) in &self.people {
            if count.different.len() > officers {
                let explanation = format!("more than {officers} officers looked up one person in a day");
                let number = count.different.len() as u64;
                patterns.push(pattern("many_officers", explanation, ("", ""), Some(*person), number, count));
            }
        }
        patterns.sort_by(|a, b| (&a.rule, b.count, &a.node).cmp(&(&b.rule, a.count, &b.node)));
        patterns
    }
}

fn pattern<T>(
    rule: &str,
    explanation: String,
    (node, officer): (&str, &str),
    person: Option<PersonalId>,
    number: u64,
    count: &Count<T>,
) -> AccessPattern {
    let moment = |ms: u64| OffsetDateTime::from_unix_timestamp((ms / 1000) as i64).ok().map(timestamp);
    AccessPattern {
        rule: rule.to_owned(),
        explanation,
        node: node.to_owned(),
        officer: officer.to_owned(),
        personal_id: person.map(|id| id.to_string()).unwrap_or_default(),
        count: number,
        first: moment(count.first),
        last: moment(count.last),
    }
}

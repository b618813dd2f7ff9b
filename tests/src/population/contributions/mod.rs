//! What offices hand in: contributions of every kind, from what happens in the lives of a population.
//!
//! Everything follows from the population's seed and the table of authority. Most of it is what offices
//! really hand in; some is late, comes twice, is corrected afterwards, is contradicted by another
//! office, or cannot be.

mod again;
mod envelope;
mod rare;
mod told;

use std::collections::{BTreeMap, VecDeque};

use dancu_proto::v1::{Citizen, Contribution, Date, PersonRef, event::Event as Kind, person_ref::By};

use self::envelope::Envelope;
use super::{
    Population,
    ages::{self, Day},
    draw::Chance,
    events::{self, Events},
};
use crate::oracle::contributions::Authority;

pub use self::envelope::name_of;

/// A contribution, and who hands it in.
#[derive(Clone, Debug, PartialEq)]
pub struct Handed {
    /// In which role.
    pub role: String,
    /// What.
    pub contribution: Contribution,
    /// Its sort, for a test to count.
    pub sort: &'static str,
}

impl Handed {
    /// Whether it names somebody by a birth that was handed in, perhaps at another node.
    #[must_use]
    pub fn names_a_birth(&self) -> bool {
        let event = self.contribution.event.as_ref();
        let named = event.map(dancu_proto::contribution::persons).unwrap_or_default();
        named.iter().any(|person| matches!(person.by, Some(By::BornBy(_))))
    }
}

/// The contributions of a population, in the order they become known.
pub struct Contributions<'a> {
    events: Events<'a>,
    authority: &'a Authority,
    chance: Chance,
    /// Everybody as their offices believe them to be.
    records: BTreeMap<String, Citizen>,
    /// Their numbers, for choosing.
    numbers: Vec<String>,
    /// The contributions of the births that gave people who were not there from the start.
    births: BTreeMap<String, String>,
    envelope: Envelope,
    next: VecDeque<Handed>,
    /// Handed in lately, and could be corrected.
    lately: VecDeque<Handed>,
    today: Day,
    /// Whether what cannot be is handed in too.
    faulty: bool,
}

impl<'a> Contributions<'a> {
    /// What becomes known from a day on, so many events a day.
    #[must_use]
    pub fn new(
        population: &'a Population,
        authority: &'a Authority,
        from: Day,
        per_day: f64,
    ) -> Contributions<'a> {
        let records: BTreeMap<String, Citizen> =
            population.iter().map(|citizen| (citizen.personal_id.clone(), filled(citizen))).collect();
        Contributions {
            events: Events::new(population, from, None, Some(per_day)),
            authority,
            chance: Chance::new(population.seed(), 5 << 40),
            numbers: records.keys().cloned().collect(),
            records,
            births: BTreeMap::new(),
            envelope: Envelope::new(population.seed()),
            next: VecDeque::new(),
            lately: VecDeque::new(),
            today: from,
            faulty: true,
        }
    }

    /// Only what can be, and nothing twice: for measuring.
    #[must_use]
    pub fn faultless(self) -> Contributions<'a> {
        Contributions { faulty: false, ..self }
    }

    /// How somebody is named: those who were not there from the start by their birth.
    fn named(&self, number: &str) -> PersonRef {
        let by = match self.births.get(number) {
            Some(id) => By::BornBy(id.clone()),
            None => By::PersonalId(number.to_owned()),
        };
        PersonRef { by: Some(by) }
    }

    /// Somebody of whom something holds; none if nobody was found.
    fn somebody(&mut self, holds: impl Fn(&Citizen, Day) -> bool) -> Option<String> {
        for _ in 0..200 {
            let at = self.chance.below(self.numbers.len() as u32) as usize;
            let number = &self.numbers[at];
            if holds(&self.records[number], self.today) {
                return Some(number.clone());
            }
        }
        None
    }

    /// Hands in an event, if anybody may; the id of the contribution.
    fn hand_in(&mut self, sort: &'static str, kind: Kind, effective: Date) -> Option<String> {
        let place = if self.chance.happens(0.15) { 1 } else { 0 };
        self.hand_in_as(sort, kind, effective, place)
    }

    /// The same, by the office of greatest authority, or the next.
    fn hand_in_as(
        &mut self,
        sort: &'static str,
        kind: Kind,
        effective: Date,
        place: usize,
    ) -> Option<String> {
        let (role, kind) = envelope::shaped(self.authority, kind, place)?;
        let contribution = self.envelope.seal(kind, effective, ages::date(self.today), &mut self.chance);
        let id = contribution.id.clone();
        self.push(Handed { role, contribution, sort });
        Some(id)
    }

    fn push(&mut self, handed: Handed) {
        if self.lately.len() == 200 {
            self.lately.pop_front();
        }
        self.lately.push_back(handed.clone());
        self.next.push_back(handed);
    }

    /// Somebody's record, as far as this knows, becomes another one.
    fn learn(&mut self, event: &events::Event) {
        for change in &event.changes {
            let set = filled(change.set.clone());
            let Some(old) = self.records.get(&change.personal_id) else {
                self.numbers.push(change.personal_id.clone());
                self.records.insert(change.personal_id.clone(), set);
                continue;
            };
            let merged = merged(old, &set, &change.clear);
            self.records.insert(change.personal_id.clone(), merged);
        }
    }
}

/// A record with some values set and some cleared.
fn merged(old: &Citizen, set: &Citizen, clear: &[&str]) -> Citizen {
    let mut values = serde_json::to_value(old).unwrap_or_default();
    if let Some(values) = values.as_object_mut() {
        values.retain(|field, _| !clear.contains(&field.as_str()));
        if let Ok(serde_json::Value::Object(set)) = serde_json::to_value(set) {
            values.extend(set);
        }
    }
    serde_json::from_value(values).unwrap_or_default()
}

/// With the province of each address, as a registry stores it.
fn filled(mut citizen: Citizen) -> Citizen {
    crate::testkit::fill_provinces(&mut citizen);
    citizen
}

impl Iterator for Contributions<'_> {
    type Item = Handed;

    fn next(&mut self) -> Option<Handed> {
        loop {
            if let Some(handed) = self.next.pop_front() {
                return Some(handed);
            }
            let event = self.events.next()?;
            self.today = day(event.known);
            self.told(&event);
            self.learn(&event);
            if self.chance.happens(0.5) {
                self.rare();
            }
            if self.faulty && self.chance.happens(0.2) {
                self.again();
            }
        }
    }
}

fn day(date: Date) -> Day {
    ages::day(date.year as i32, date.month.max(1) as u8, date.day.max(1) as u8)
}

fn alive(citizen: &Citizen) -> bool {
    citizen.date_of_death.is_none()
}

fn age(citizen: &Citizen, today: Day) -> i32 {
    ages::years(day(citizen.date_of_birth.unwrap_or_default()), today)
}

/// The sort of event a contribution is.
#[must_use]
pub fn kind_of(contribution: &Contribution) -> &'static str {
    contribution.event.as_ref().and_then(|event| event.event.as_ref()).map_or("nothing", name_of)
}

#[cfg(test)]
mod tests;

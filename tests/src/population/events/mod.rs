//! What happens in the lives of a population, day by day, as offices come to know of it.
//!
//! An event changes households; what it changes in the registry is the difference between their
//! members' records before and after. Only changed households are kept in memory.

mod happen;
mod lives;

use dancu_proto::v1::{Citizen, Date};
use serde::Serialize;

use super::{
    Population,
    ages::{self, Day},
    draw::{Chance, Weighted},
};
use lives::Lives;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Khai sinh: a child is born, and gets a number.
    Birth,
    /// Đăng ký lại khai sinh: a birth long ago is registered again.
    Reregistration,
    /// Khai tử: somebody died.
    Death,
    /// Kết hôn: two people married.
    Marriage,
    /// Somebody, or a household, has another permanent residence.
    Move,
    /// An identity card was issued.
    IdentityCard,
    /// A value was wrong or incomplete.
    Correction,
}

/// Times a year among 101,112,656 people: the census office for 2024; moves and cards estimated.
const YEARLY: [(Kind, f64); 7] = [
    (Kind::Birth, 1_400_000.0),
    (Kind::Reregistration, 434_902.0),
    (Kind::Death, 654_031.0),
    (Kind::Marriage, 616_475.0),
    (Kind::Move, 3_000_000.0),
    (Kind::IdentityCard, 1_000_000.0),
    (Kind::Correction, 500_000.0),
];
const PEOPLE: f64 = 101_112_656.0;
const DAYS: f64 = 365.25;

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// What.
    pub kind: Kind,
    /// The day it happened.
    pub happened: Date,
    /// The day the registry hears of it: the same or later.
    pub known: Date,
    /// Personal numbers of those it happened to.
    pub persons: Vec<String>,
    /// What it changes in the registry, theirs first.
    pub changes: Vec<Change>,
}

/// A change of one record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Whose.
    pub personal_id: String,
    /// Whether the registry did not know them before; then `set` is the whole record.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
    /// The fields with a new value.
    pub set: Citizen,
    /// The fields that have no value any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<&'static str>,
}

/// The events of a population, in the order they become known.
#[derive(Debug)]
pub struct Events<'a> {
    lives: Lives<'a>,
    kinds: Weighted<Kind>,
    per_day: f64,
    today: Day,
    until: Option<Day>,
    left_today: u64,
    chance: Chance,
}

impl<'a> Events<'a> {
    /// What becomes known from one day until another, that day included, or for ever. As often as
    /// in Vietnam, or `per_day` times a day.
    #[must_use]
    pub fn new(
        population: &'a Population,
        from: Day,
        until: Option<Day>,
        per_day: Option<f64>,
    ) -> Events<'a> {
        let all: f64 = YEARLY.iter().map(|(_, times)| times).sum();
        let usual = all / DAYS * f64::from(population.citizens()) / PEOPLE;
        let mut events = Events {
            lives: Lives::new(population),
            kinds: Weighted::new(YEARLY),
            per_day: per_day.unwrap_or(usual),
            today: from,
            until,
            left_today: 0,
            chance: Chance::new(0, 0),
        };
        events.begin(from);
        events
    }

    fn begin(&mut self, day: Day) {
        self.today = day;
        self.chance = Chance::new(self.lives.population().seed(), 3 << 40 | day as u64);
        self.left_today = self.chance.poisson(self.per_day);
    }

    /// How many households are kept in memory because they changed.
    #[must_use]
    pub fn changed_households(&self) -> usize {
        self.lives.changed()
    }
}

impl Iterator for Events<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        // Calendars end, even if events are asked for for ever.
        let end = self.until.unwrap_or(Day::MAX).min(ages::day(2150, 1, 1));
        loop {
            while self.left_today == 0 {
                if self.today >= end {
                    return None;
                }
                self.begin(self.today + 1);
            }
            if self.today > end {
                return None;
            }
            self.left_today -= 1;
            let kind = self.kinds.draw(&mut self.chance);
            if let Some(event) = happen::event(kind, &mut self.lives, self.today, &mut self.chance) {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests;

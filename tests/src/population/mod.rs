//! A synthetic population of Vietnam, and what happens in its lives.
//!
//! Everything follows from a seed, the number of citizens and a day. People are drawn hamlet by
//! hamlet, each on its own, so memory stays flat and any hamlet can be drawn again: that is how
//! [`events`] finds the people things happen to.

pub mod ages;
pub mod contributions;
mod csv_rows;
pub mod draw;
pub mod events;
mod households;
pub mod ids;
pub mod json;
pub mod names;
mod names_kinh;
mod names_peoples;
pub mod person;
pub mod places;
mod provinces;
pub mod record;
mod traits;
pub mod writer;

use std::collections::HashMap;

use dancu_proto::v1::Citizen;

use ages::Day;
use draw::{Chance, Weighted};
use person::Household;
pub use places::Codes;
use places::Places;
use record::Records;

/// The largest population: more would run out of numbers in the largest province.
pub const MOST: u32 = 100_000_000;

/// Kinh.
const KINH: u8 = 1;

/// A population.
#[derive(Debug)]
pub struct Population {
    seed: u64,
    citizens: u32,
    day: Day,
    codes: Codes,
    places: Places,
    peoples: HashMap<u8, Weighted<u8>>,
    guests: HashMap<u8, u32>,
}

impl Population {
    /// As it is on 1 January 2026; of one citizen at least, and at most [`MOST`].
    #[must_use]
    pub fn new(seed: u64, citizens: u32) -> Population {
        let peoples = provinces::PROVINCES.iter().map(|province| {
            let others: u16 = province.peoples.iter().map(|(_, per_mille)| per_mille).sum();
            let kinh = (KINH, f64::from(1000 - others.min(1000)));
            let all = province.peoples.iter().map(|(code, per_mille)| (*code, f64::from(*per_mille)));
            (province.code, Weighted::new(all.chain([kinh])))
        });
        let guests = provinces::PROVINCES.iter().map(|province| (province.code, province.guests.into()));
        let citizens = citizens.clamp(1, MOST);
        Population {
            seed,
            citizens,
            day: ages::day(2026, 1, 1),
            codes: Codes::InForce,
            places: Places::new(seed, citizens),
            peoples: peoples.collect(),
            guests: guests.collect(),
        }
    }

    /// As it is on another day.
    #[must_use]
    pub fn on(self, day: Day) -> Population {
        Population { day, ..self }
    }

    /// With places written by other codes than those in force.
    #[must_use]
    pub fn with_codes(self, codes: Codes) -> Population {
        Population { codes, ..self }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many citizens it has on its day.
    #[must_use]
    pub fn citizens(&self) -> u32 {
        self.citizens
    }

    /// The day.
    #[must_use]
    pub fn day(&self) -> Day {
        self.day
    }

    /// Where its people are.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What writes its records.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records { places: &self.places, codes: self.codes }
    }

    /// The households of a hamlet.
    #[must_use]
    pub fn households(&self, hamlet: u32) -> Vec<Household> {
        households::Draft::new(self, hamlet).households()
    }

    /// Everybody, in the order of hamlets.
    pub fn iter(&self) -> impl Iterator<Item = Citizen> + '_ {
        (0..self.places.hamlets()).flat_map(move |hamlet| {
            let households = self.households(hamlet);
            households.into_iter().flat_map(move |household| {
                let records = self.records();
                (0..household.people.len()).map(move |at| records.citizen(&household, at))
            })
        })
    }

    /// A people, as likely as its share in an old province.
    fn people_of(&self, province: u8, chance: &mut Chance) -> u8 {
        self.peoples.get(&province).map_or(KINH, |table| table.draw(chance))
    }

    /// Per mille of a province's people who were registered elsewhere.
    fn guests(&self, province: u8) -> u32 {
        self.guests.get(&province).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

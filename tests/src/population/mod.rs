//! A synthetic population of Vietnam, and what happens in its lives. Nobody in it exists.
//!
//! [`Population`] makes households one after the other, deterministic by seed, in flat memory; all
//! relatives that are named with a number exist in the same household. [`events`] prints births,
//! deaths, marriages, moves and corrections at Vietnam's real yearly rates for such a population.

mod draw;
pub mod events;
mod household;
mod ids;
mod names;
mod places;
#[cfg(test)]
mod tests;
pub mod writer;

use dancu_proto::v1::{Citizen, Date};
use rand::{SeedableRng, rngs::SmallRng};

pub use self::household::Layout;
use self::{ids::Ids, places::Places};

/// The day as of which the population stands, unless said otherwise.
pub const DAY: u32 = 20_260_101;

/// A population, made one citizen after the other.
pub struct Population {
    rng: SmallRng,
    places: Places,
    ids: Ids,
    day: Date,
    layout: Layout,
    left: u64,
    household: u64,
    ready: std::vec::IntoIter<Citizen>,
}

impl Population {
    /// A population of a size, by seed.
    #[must_use]
    pub fn new(seed: u64, citizens: u64) -> Population {
        Population::laid_out(seed, citizens, Date::from_number(DAY), Layout::InForce)
    }

    /// A population as of a day, over the communes in force or those before the merger of 1 July
    /// 2025.
    #[must_use]
    pub fn laid_out(seed: u64, citizens: u64, day: Date, layout: Layout) -> Population {
        Population {
            rng: SmallRng::seed_from_u64(seed),
            places: Places::new(seed),
            ids: Ids::new(seed),
            day,
            layout,
            left: citizens,
            household: 0,
            ready: Vec::new().into_iter(),
        }
    }
}

impl Iterator for Population {
    type Item = Citizen;

    fn next(&mut self) -> Option<Citizen> {
        if self.left == 0 {
            return None;
        }
        loop {
            if let Some(citizen) = self.ready.next() {
                self.left -= 1;
                return Some(citizen);
            }
            self.household += 1;
            let members = household::make(
                &mut self.rng,
                &self.places,
                &mut self.ids,
                &self.day,
                self.layout,
                self.household,
                // The last household is cut to size before its members name each other.
                usize::try_from(self.left).unwrap_or(usize::MAX),
            );
            self.ready = members.into_iter();
        }
    }
}

//! Personal numbers and old numbers, unique by construction and without a memory of those given.
//!
//! A class is (place of registration, sex, year of birth) and has a million numbers. Every hamlet
//! owns a few slots of every class: in the province it lies in, and in the one its guests come
//! from. A keyed bijection turns slots into digits that look drawn.

use super::{draw::mix, places::Hamlet};

/// Numbers in a class.
const CLASS: u64 = 1_000_000;
/// Natives of one hamlet that one class can have.
const NATIVES: u8 = 5;
/// Guests of one hamlet that one class can have.
const GUESTS: u8 = 2;
/// First slot of guests; below it there is room for 150,000 hamlets in a province.
const GUEST_SLOTS: u64 = 750_000;
/// First slot for those who are registered after the day of the population.
const LATE_SLOTS: u64 = 940_000;
/// The earliest year of birth.
pub const FIRST_YEAR: i32 = 1900;
const YEARS: usize = 300;

/// The numbers that a hamlet has given out.
#[derive(Debug)]
pub struct Numbers {
    seed: u64,
    hamlet: Hamlet,
    given: Vec<u8>,
}

/// Where somebody was registered at birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// In the province of the hamlet.
    Here,
    /// In the province that the hamlet's guests come from.
    Elsewhere,
}

impl Numbers {
    /// Of a hamlet.
    #[must_use]
    pub fn new(seed: u64, hamlet: Hamlet) -> Numbers {
        Numbers { seed, hamlet, given: vec![0; 4 * YEARS] }
    }

    /// A number nobody has, or none if the hamlet's share of that class is used up.
    pub fn next(&mut self, registered: Registered, female: bool, year: i32) -> Option<u64> {
        let (place, base, ordinal, share) = match registered {
            Registered::Here => (self.hamlet.native, 0, self.hamlet.native_ordinal, NATIVES),
            Registered::Elsewhere => (self.hamlet.guest, GUEST_SLOTS, self.hamlet.guest_ordinal, GUESTS),
        };
        let kind = 2 * usize::from(registered == Registered::Elsewhere) + usize::from(female);
        let given = self.given.get_mut(kind * YEARS + usize::try_from(year - FIRST_YEAR).ok()?)?;
        if *given == share {
            return None;
        }
        let slot = base + u64::from(ordinal) * u64::from(share) + u64::from(*given);
        *given += 1;
        Some(number(self.seed, place, female, year, slot))
    }
}

/// Whom the population already counts leaves the late slots alone, and nobody else is born later.
#[must_use]
pub fn late(seed: u64, place: u8, female: bool, year: i32, count: u32, counted: bool) -> Option<u64> {
    let slot = if counted { LATE_SLOTS + u64::from(count) } else { u64::from(count) };
    (slot < CLASS).then(|| number(seed, place, female, year, slot))
}

fn number(seed: u64, place: u8, female: bool, year: i32, slot: u64) -> u64 {
    let century = ((year - 1900) / 100 * 2 + i32::from(female)) as u64;
    let class = u64::from(place) * 1000 + century * 100 + (year % 100) as u64;
    class * CLASS + scatter(mix(seed ^ class), slot, CLASS)
}

/// The old number of nine digits: two for the province, seven for the person.
#[must_use]
pub fn old_number(seed: u64, hamlet: &Hamlet, person: u32) -> u32 {
    let slot = u64::from(hamlet.native_ordinal) * u64::from(super::places::HAMLET) + u64::from(person);
    let place = u64::from(hamlet.native);
    (place * 10_000_000 + scatter(mix(seed ^ place ^ 0x01d), slot, 10_000_000)) as u32
}

/// A bijection of the numbers below `n`, a power of ten: a product with a factor prime to ten.
fn scatter(key: u64, slot: u64, n: u64) -> u64 {
    let odd = (key >> 20) % n / 10 * 10;
    let factor = odd + [1, 3, 7, 9][(key % 4) as usize];
    (slot * factor + key % n) % n
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn scattering_is_one_to_one() {
        for key in [0, 1, mix(1), mix(2)] {
            let found: HashSet<u64> = (0..10_000).map(|slot| scatter(key, slot, 10_000)).collect();
            assert_eq!(found.len(), 10_000);
        }
    }

    #[test]
    fn a_hamlet_gives_each_number_once_and_then_no_more() {
        let hamlet =
            Hamlet { native: 1, native_ordinal: 8, guest: 40, guest_ordinal: 3, ..Hamlet::default() };
        let mut numbers = Numbers::new(1, hamlet);
        let mut found = HashSet::new();
        while let Some(number) = numbers.next(Registered::Here, true, 1985) {
            assert_eq!(number / 1_000_000, 1_185);
            assert!(found.insert(number));
        }
        assert_eq!(found.len(), usize::from(NATIVES));
        assert_eq!(numbers.next(Registered::Elsewhere, false, 2003).unwrap() / 1_000_000, 40_203);
    }

    #[test]
    fn late_numbers_are_their_own() {
        let early = number(1, 79, true, 2025, LATE_SLOTS - 1);
        assert_ne!(late(1, 79, true, 2025, 0, true), Some(early));
        assert!(late(1, 79, true, 2025, 60_000, true).is_none());
        assert!(late(1, 79, true, 2026, 60_000, false).is_some());
    }
}

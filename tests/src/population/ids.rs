//! Personal numbers and old numbers, each once.

use std::collections::HashMap;

use dancu_proto::v1::Date;

/// Hands out numbers: a counter for each place, century, sex and year, spread over the six digits by
/// a permutation of the seed's.
pub(super) struct Ids {
    next: HashMap<(u16, u32, u32), u64>,
    old: u64,
    step: u64,
    start: u64,
}

impl Ids {
    pub(super) fn new(seed: u64) -> Ids {
        // A step without a factor in common with 10^6 visits every number once.
        let step = (seed % 40_000) * 10 + 123_457;
        let step = if step.is_multiple_of(5) { step + 2 } else { step };
        Ids { next: HashMap::new(), old: 0, step, start: seed.wrapping_mul(7919) % 1_000_000 }
    }

    /// A new personal number for someone born somewhere.
    pub(super) fn personal(&mut self, place: u16, birth: &Date, female: bool) -> String {
        let digit = (birth.year - 1900) / 100 * 2 + u32::from(female);
        let count = self.next.entry((place, digit, birth.year % 100)).or_default();
        let random = (self.start + *count * self.step) % 1_000_000;
        *count += 1;
        format!("{place:03}{digit}{:02}{random:06}", birth.year % 100)
    }

    /// A new old number of nine digits.
    pub(super) fn old(&mut self) -> String {
        self.old += 1;
        // 387420489 has no factor in common with 10^9.
        format!("{:09}", (self.old * 387_420_489) % 1_000_000_000)
    }
}

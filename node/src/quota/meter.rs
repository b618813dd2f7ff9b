//! The count of one account.

use std::time::{Duration, Instant};

use super::Quota;

/// Of a day's quota so much is written down ahead.
const AHEAD: u64 = 64;

/// What was spent of one quota.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    /// People that may be asked about now; below zero while more were asked about at once.
    left: f64,
    /// When that was so; none before the first.
    at: Option<Instant>,
    day: i32,
    used: u64,
    written: u64,
}

impl Meter {
    /// A count as it was written down: all of it is taken as used.
    pub(super) fn written(day: i32, count: u64) -> Meter {
        Meter { day, used: count, written: count, ..Meter::default() }
    }

    /// Brings the count to a moment.
    pub(super) fn turn(&mut self, day: i32, quota: Quota, at: Instant) {
        let full = f64::from(quota.per_second);
        self.left = match self.at {
            None => full,
            Some(before) => {
                let passed = at.saturating_duration_since(before).as_secs_f64();
                (self.left + passed * full).min(full)
            }
        };
        self.at = Some(at);
        if self.day != day {
            (self.day, self.used, self.written) = (day, 0, 0);
        }
    }

    /// When there is some again, if this second's is used up.
    pub(super) fn second_is_used_up(&self, quota: Quota) -> Option<Duration> {
        let used_up = quota.per_second > 0 && self.left < 1.0;
        used_up.then(|| Duration::from_secs_f64((1.0 - self.left) / f64::from(quota.per_second)))
    }

    pub(super) fn day_is_used_up(&self, quota: Quota, people: u64) -> bool {
        quota.per_day > 0 && self.used.saturating_add(people) > u64::from(quota.per_day)
    }

    /// Spends; says whether more must be written down than is.
    pub(super) fn spend(&mut self, quota: Quota, people: u64) -> bool {
        self.left -= people as f64;
        self.used += people;
        if quota.per_day == 0 || self.used <= self.written {
            return false;
        }
        self.written = self.used + u64::from(quota.per_day) / AHEAD;
        true
    }

    pub(super) fn used_on(&self, day: i32) -> u64 {
        if self.day == day { self.used } else { 0 }
    }

    /// The day and the count to be written down.
    pub(super) fn to_write(&self) -> Option<(i32, u64)> {
        (self.written > 0).then_some((self.day, self.written))
    }
}

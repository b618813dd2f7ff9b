//! Drawing from weighted tables.

use rand::{Rng, rngs::SmallRng};

/// One of a table, by weight.
pub(super) fn weighted<T: Copy>(rng: &mut SmallRng, table: &[(T, u32)]) -> T {
    let total: u32 = table.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.random_range(0..total);
    for (value, weight) in table {
        if at < *weight {
            return *value;
        }
        at -= weight;
    }
    // The weights of a table are not all zero, so the loop has returned.
    table[0].0
}

/// Whether something happens that happens so many times in a thousand.
pub(super) fn permille(rng: &mut SmallRng, times: u32) -> bool {
    rng.random_range(0..1000) < times
}

/// One of several, all alike.
pub(super) fn one<'a>(rng: &mut SmallRng, of: &[&'a str]) -> &'a str {
    of[rng.random_range(0..of.len())]
}

//! Whom a new day moves from one scope to another: those who reach an age that some agreement names.
//! The commit of the day enters exactly those in the feed, at a cost that grows with them alone.

use std::sync::Arc;

use super::{
    Day, Ledger,
    scope::{self, Facts},
};
use crate::registry::{DayBegins, Subject};

/// What the commit of a day after another moves.
#[must_use]
pub fn day_begins(ledger: &Ledger, yesterday: Day, today: Day) -> Option<DayBegins> {
    let scopes = ledger.scopes_by_age();
    let ages = scopes.iter().flat_map(scope::Coverage::ages);
    let mut births: Vec<_> = ages.flat_map(|age| today.births_turning(age)).collect();
    births.sort_by_key(dancu_proto::v1::Date::as_number);
    births.dedup();
    let moves = move |citizen: Subject<'_>| {
        let facts = Facts::of(citizen);
        let covered = |scope, day| scope::covers(scope, &facts, day);
        scopes.iter().any(|scope| covered(scope, yesterday) != covered(scope, today))
    };
    Some(DayBegins {
        day: today.date()?,
        agencies: ledger.turning(yesterday, today),
        births,
        moves: Arc::new(moves),
        policy: ledger.latest(),
    })
}

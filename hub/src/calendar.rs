//! Begins each day, Asia/Ho_Chi_Minh, by a commit: what depends on the date is versioned like all
//! else. A hub that was down over midnight begins the days it missed, one after the other.

use std::{sync::Arc, time::Duration};

use time::UtcOffset;
use tokio_util::sync::CancellationToken;

use crate::{
    projection::{Day, Ledger, day_begins},
    registry::{Clock, Commit, CommitError, Content, Origin, Registry},
};

/// Asia/Ho_Chi_Minh has been seven hours ahead without summer time since 1975.
const VIETNAM: UtcOffset = time::macros::offset!(+7);

/// The calendar of a registry.
pub struct Calendar {
    /// The registry.
    pub registry: Arc<Registry>,
    /// Its agreements.
    pub ledger: Arc<Ledger>,
    /// The time.
    pub clock: Clock,
}

impl Calendar {
    /// Begins the days up to today that have not begun. A clock that goes back does not bring
    /// yesterday again.
    ///
    /// # Errors
    /// If the disk refuses, or the hub is going down.
    pub async fn catch_up(&self) -> Result<(), CommitError> {
        loop {
            let yesterday = self.day()?;
            let today = date_in_vietnam(&self.clock);
            let next = match date_of(yesterday) {
                Some(date) => date.next_day().filter(|next| *next <= today),
                None => Some(today),
            };
            let Some(next) = next else { return Ok(()) };
            let begins = day_begins(&self.ledger, yesterday, day_of(next));
            let Some(begins) = begins else { return Ok(()) };
            let origin = Origin { source: "calendar".into(), ..Origin::default() };
            match self.registry.commit(Commit { origin, content: Content::Day(begins) }).await {
                Ok(done) => tracing::info!(day = %next, revision = done.revision.0, "a day begins"),
                // An agreement came in between; the day is found anew by it.
                Err(CommitError::Stale) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn day(&self) -> Result<Day, CommitError> {
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        Ok(self.ledger.day(view.revision()?))
    }

    /// Begins each day as it comes, looking at the clock at an interval.
    pub async fn keep(self, every: Duration, cancel: CancellationToken) {
        while cancel.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            if let Err(error) = self.catch_up().await {
                tracing::error!(%error, "the day could not be begun; it is tried again");
            }
        }
    }
}

/// A moment as milliseconds since 1970.
#[must_use]
pub fn milliseconds(time: time::OffsetDateTime) -> i64 {
    (time.unix_timestamp_nanos() / 1_000_000) as i64
}

/// The year of a moment, Asia/Ho_Chi_Minh.
#[must_use]
pub fn year(time: time::OffsetDateTime) -> u32 {
    time.to_offset(VIETNAM).year().unsigned_abs()
}

/// The day it is, by a clock.
pub fn today(clock: &Clock) -> Day {
    day_of(date_in_vietnam(clock))
}

fn date_in_vietnam(clock: &Clock) -> time::Date {
    (clock)().to_offset(VIETNAM).date()
}

fn day_of(date: time::Date) -> Day {
    let (year, month, day) = (date.year().unsigned_abs(), u32::from(u8::from(date.month())), date.day());
    Day::from_number(year * 10_000 + month * 100 + u32::from(day))
}

fn date_of(day: Day) -> Option<time::Date> {
    let date = day.date()?;
    let month = u8::try_from(date.month).ok()?.try_into().ok()?;
    time::Date::from_calendar_date(date.year as i32, month, u8::try_from(date.day).ok()?).ok()
}

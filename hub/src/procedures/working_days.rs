//! Deadlines in working days, Asia/Ho_Chi_Minh. A period counts from the day after, and ends with its last
//! day; one that would end on a day off ends with the next working day (Civil Code 2015 Art. 147, 148).

use std::{collections::BTreeSet, ops::Range};

use serde::Deserialize;
use time::{Date, Duration, OffsetDateTime, Time, UtcOffset, Weekday};
use toml::Spanned;

use crate::agreements::{DocumentErrors, Problem, with_nearest_key};

/// Asia/Ho_Chi_Minh has been seven hours ahead without summer time since 1975.
const VIETNAM: UtcOffset = time::macros::offset!(+7);

/// The days on which agencies work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkingDays {
    /// Days off beside Saturdays and Sundays.
    off: BTreeSet<Date>,
    /// Saturdays and Sundays that are worked.
    worked: BTreeSet<Date>,
    /// The last year whose holidays are known.
    known_until: i32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    known_until: i32,
    #[serde(default)]
    holidays: Vec<Row>,
    #[serde(default)]
    working_days: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(rename = "name")]
    _name: String,
    days: Vec<Spanned<toml::value::Datetime>>,
}

impl WorkingDays {
    /// Reads a document of holidays.
    ///
    /// # Errors
    /// Everything that is wrong with it, by line.
    pub fn parse(text: &str) -> Result<WorkingDays, DocumentErrors> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let message = with_nearest_key(&error.message().trim().replace('\n', "; "));
            DocumentErrors(vec![Problem::at(text, &error.span().unwrap_or(0..0), message)])
        })?;
        let mut problems = Vec::new();
        let mut problem = |at: &Range<usize>, message: &str| problems.push(Problem::at(text, at, message));
        let mut days = |rows: &[Row], worked: bool| {
            let mut days = BTreeSet::new();
            for row in rows.iter().flat_map(|row| &row.days) {
                let Some(day) = day_of(row.get_ref()) else {
                    problem(&row.span(), "write a whole day, like 2026-01-31");
                    continue;
                };
                if worked && !is_weekend(day) {
                    problem(&row.span(), "this is a working day already: it is no Saturday and no Sunday");
                } else if day.year() > document.known_until {
                    problem(&row.span(), "lies beyond `known_until`");
                } else if !days.insert(day) {
                    problem(&row.span(), "stands twice");
                }
            }
            days
        };
        let off = days(&document.holidays, false);
        let worked = days(&document.working_days, true);
        if problems.is_empty() {
            Ok(WorkingDays { off, worked, known_until: document.known_until })
        } else {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            Err(DocumentErrors(problems))
        }
    }

    /// Whether agencies work on a day.
    #[must_use]
    pub fn is_worked(&self, day: Date) -> bool {
        self.worked.contains(&day) || !(is_weekend(day) || self.off.contains(&day))
    }

    /// When a period of so many working days ends that begins at a time; 0 ends with the day itself, or
    /// with the next one that is worked.
    #[must_use]
    pub fn due(&self, from: OffsetDateTime, days: u32) -> OffsetDateTime {
        let mut day = from.to_offset(VIETNAM).date();
        let mut left = days;
        while left > 0 || !self.is_worked(day) {
            // The calendar of `time` ends in the year 9999, and so do deadlines.
            let Some(next) = day.next_day() else { break };
            day = next;
            if left > 0 && self.is_worked(day) {
                left -= 1;
            }
        }
        day.with_time(Time::MIDNIGHT).assume_offset(VIETNAM).saturating_add(Duration::DAY)
    }

    /// The last year whose holidays are known.
    #[must_use]
    pub fn known_until(&self) -> i32 {
        self.known_until
    }
}

/// The day it is in Vietnam, as the number yyyymmdd.
pub(super) fn day_number(now: OffsetDateTime) -> u32 {
    let date = now.to_offset(VIETNAM).date();
    date.year().unsigned_abs() * 10_000 + u32::from(u8::from(date.month())) * 100 + u32::from(date.day())
}

fn is_weekend(day: Date) -> bool {
    matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

fn day_of(value: &toml::value::Datetime) -> Option<Date> {
    let (date, None) = (value.date?, &value.time) else { return None };
    Date::from_calendar_date(date.year.into(), date.month.try_into().ok()?, date.day).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::{date, datetime};

    use super::*;

    fn shipped() -> WorkingDays {
        WorkingDays::parse(include_str!("../../../deploy/procedures/holidays.toml")).unwrap()
    }

    #[test]
    fn deadlines_go_over_tet_and_the_days_around_the_first_of_may() {
        let days = shipped();
        let due = |from: OffsetDateTime, days_left| days.due(from, days_left);
        // Friday before Tết Bính Ngọ: the week of 16 to 20 February is off.
        assert_eq!(due(datetime!(2026-02-13 09:00 +7), 1), datetime!(2026-02-24 00:00 +7));
        assert_eq!(due(datetime!(2026-02-13 09:00 +7), 2), datetime!(2026-02-25 00:00 +7));
        // In the middle of it.
        assert_eq!(due(datetime!(2026-02-18 09:00 +7), 0), datetime!(2026-02-24 00:00 +7));
        assert_eq!(due(datetime!(2026-02-18 09:00 +7), 1), datetime!(2026-02-24 00:00 +7));
        // 30 April and 1 May 2026 are Thursday and Friday.
        assert_eq!(due(datetime!(2026-04-29 16:00 +7), 1), datetime!(2026-05-05 00:00 +7));
        assert_eq!(due(datetime!(2026-04-28 16:00 +7), 1), datetime!(2026-04-30 00:00 +7));
        // A Saturday that is worked.
        assert_eq!(due(datetime!(2026-08-21 16:00 +7), 1), datetime!(2026-08-23 00:00 +7));
        // Half past eleven at night in Vietnam is still the day before in London.
        assert_eq!(due(datetime!(2026-03-02 16:30 UTC), 0), datetime!(2026-03-03 00:00 +7));
        assert_eq!(due(datetime!(2026-03-02 17:30 UTC), 0), datetime!(2026-03-04 00:00 +7));
    }

    #[test]
    fn what_is_wrong_is_named_by_line() {
        let said = |text: &str| WorkingDays::parse(text).unwrap_err().to_string();
        let row =
            |kind: &str, days: &str| format!("known_until = 2026\n[[{kind}]]\nname = \"x\"\ndays = [{days}]");
        assert_eq!(
            said(&row("working_days", "2026-03-02")),
            "line 4, column 9: this is a working day already: it is no Saturday and no Sunday"
        );
        assert_eq!(said(&row("holidays", "2027-01-01")), "line 4, column 9: lies beyond `known_until`");
        assert!(said(&row("holydays", "2026-01-01")).contains("did you mean \"holidays\"?"));
        assert!(said(&row("holidays", "2026-01-01T10:00:00")).contains("write a whole day"));
    }

    proptest! {
        /// As counted day by day.
        #[test]
        fn a_deadline_ends_with_a_working_day_and_has_as_many_in_it(start in 0i64..900, days_left in 0u32..30) {
            let days = shipped();
            let from = date!(2025-01-01).saturating_add(Duration::days(start));
            let due = days.due(from.with_time(Time::MIDNIGHT).assume_offset(VIETNAM), days_left);
            let last = due.to_offset(VIETNAM).date().previous_day().unwrap();
            prop_assert!(days.is_worked(last));
            let mut counted = 0;
            let mut day = from;
            while day < last {
                day = day.next_day().unwrap();
                counted += u32::from(days.is_worked(day));
            }
            match days_left {
                0 => prop_assert!(counted == u32::from(!days.is_worked(from))),
                left => prop_assert_eq!(counted, left),
            }
        }
    }
}

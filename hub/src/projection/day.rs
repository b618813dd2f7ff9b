//! The day, and what depends on it: the validity of agreements, and ages.

use std::fmt;

use dancu_proto::v1::Date;

use crate::agreements::Agreement;

/// A day, Asia/Ho_Chi_Minh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

impl Day {
    /// Before the first day that was committed.
    pub const NONE: Day = Day(0);

    /// From the number yyyymmdd.
    #[must_use]
    pub fn from_number(number: u32) -> Day {
        Day(number)
    }

    /// As the number yyyymmdd.
    #[must_use]
    pub fn as_number(self) -> u32 {
        self.0
    }

    /// The date.
    #[must_use]
    pub fn date(self) -> Option<Date> {
        (self != Day::NONE).then(|| Date::from_number(self.0))
    }

    pub(super) fn is_within(self, agreement: &Agreement) -> bool {
        let begun = agreement.valid_from.as_number() <= self.0;
        begun && agreement.valid_until.is_none_or(|last| last.as_number() >= self.0)
    }

    /// Whole years since a birth, given as yyyymmdd with unknown parts counting as the first of
    /// their kind. Someone born on 29 February turns on 1 March of a common year.
    pub(super) fn age(self, born: u32) -> Option<u32> {
        if born == 0 || self.0 < born {
            return None;
        }
        let before_birthday = self.0 % 10_000 < born % 10_000;
        Some(self.0 / 10_000 - born / 10_000 - u32::from(before_birthday))
    }

    /// The birth dates, as they are written, of those who may reach an age on this day.
    pub(super) fn births_turning(self, age: u32) -> Vec<Date> {
        let Date { year, month, day } = Date::from_number(self.0);
        let Some(year_of_birth) = year.checked_sub(age) else { return Vec::new() };
        let mut births = vec![Date { year: year_of_birth, month, day }];
        if day == 1 {
            births.push(Date { year: year_of_birth, month, day: 0 });
            match month {
                1 => births.push(Date { year: year_of_birth, month: 0, day: 0 }),
                3 => births.push(Date { year: year_of_birth, month: 2, day: 29 }),
                _ => {}
            }
        }
        births
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.date() {
            Some(date) => date.fmt(f),
            None => f.write_str("no day yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_are_counted_by_birthdays() {
        let day = Day::from_number;
        assert_eq!(day(20261122).age(20201123), Some(5));
        assert_eq!(day(20261123).age(20201123), Some(6));
        assert_eq!(day(20260228).age(20200229), Some(5));
        assert_eq!(day(20260301).age(20200229), Some(6));
        assert_eq!(day(20200101).age(20201123), None);
        assert_eq!(day(20200101).age(0), None);
    }

    #[test]
    fn whoever_turns_is_among_the_births_looked_at() {
        let first_of = |n: u32| if n == 0 { 1 } else { n };
        for today in [20260101, 20260301, 20240229, 20240301, 20261101, 20261123] {
            let date = time::Date::from_calendar_date(
                (today / 10_000) as i32,
                u8::try_from(today / 100 % 100).unwrap().try_into().unwrap(),
                u8::try_from(today % 100).unwrap(),
            );
            let yesterday = date.unwrap().previous_day().unwrap();
            let yesterday = yesterday.year().unsigned_abs() * 10_000
                + u32::from(u8::from(yesterday.month())) * 100
                + u32::from(yesterday.day());
            for year in [2019, 2020, 2021] {
                for month in 0..=12 {
                    for day in 0..=31 {
                        let Ok(born) = Date::checked(year, month, day) else { continue };
                        let first = year * 10_000 + first_of(month) * 100 + first_of(day);
                        let (now, then) = (Day(today).age(first), Day(yesterday).age(first));
                        if let Some(age) = now.filter(|_| now != then) {
                            assert!(Day(today).births_turning(age).contains(&born), "{born} on {today}");
                        }
                    }
                }
            }
        }
    }
}

//! Calendar dates of which a part may be unknown.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::v1::Date;

/// What is wrong with a date.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DateError {
    /// Not in one of the three forms.
    #[error("a date is written YYYY-MM-DD, YYYY-MM or YYYY")]
    Form,
    /// A year that cannot be meant.
    #[error("a year lies between 1800 and 2399")]
    Year,
    /// No such month.
    #[error("a month lies between 1 and 12, and a day needs a month")]
    Month,
    /// No such day.
    #[error("that month has no such day")]
    Day,
}

impl Date {
    /// A date that exists; `month` and `day` are 0 where unknown.
    ///
    /// # Errors
    /// Says which part cannot be.
    pub fn checked(year: u32, month: u32, day: u32) -> Result<Date, DateError> {
        if !(1800..=2399).contains(&year) {
            return Err(DateError::Year);
        }
        if month > 12 || (month == 0 && day != 0) {
            return Err(DateError::Month);
        }
        let days = match month {
            0 => 0,
            4 | 6 | 9 | 11 => 30,
            2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
            2 => 28,
            _ => 31,
        };
        if day > days { Err(DateError::Day) } else { Ok(Date { year, month, day }) }
    }

    /// Whether the date exists.
    ///
    /// # Errors
    /// Says which part cannot be.
    pub fn check(&self) -> Result<(), DateError> {
        Date::checked(self.year, self.month, self.day).map(drop)
    }

    /// As the number yyyymmdd; unknown parts are 0, so that a year alone sorts before its days. What is no
    /// date is some number.
    #[must_use]
    pub fn as_number(&self) -> u32 {
        let days = self.month.saturating_mul(100).saturating_add(self.day);
        self.year.saturating_mul(10_000).saturating_add(days)
    }

    /// From the number yyyymmdd.
    #[must_use]
    pub fn from_number(number: u32) -> Date {
        Date { year: number / 10_000, month: number / 100 % 100, day: number % 100 }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.month != 0 {
            write!(f, "-{:02}", self.month)?;
        }
        if self.day != 0 {
            write!(f, "-{:02}", self.day)?;
        }
        Ok(())
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Date, DateError> {
        let number = |from: usize, to: usize| -> Result<u32, DateError> {
            let digits = text.get(from..to).ok_or(DateError::Form)?;
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(DateError::Form);
            }
            digits.parse().map_err(|_| DateError::Form)
        };
        let dash = |at: usize| text.as_bytes().get(at) == Some(&b'-');
        match text.len() {
            4 => Date::checked(number(0, 4)?, 0, 0),
            // A written month or day of 00 is a mistake: the unknown part is left out.
            7 if dash(4) => known(Date::checked(number(0, 4)?, number(5, 7)?, 0)?, false),
            10 if dash(4) && dash(7) => {
                known(Date::checked(number(0, 4)?, number(5, 7)?, number(8, 10)?)?, true)
            }
            _ => Err(DateError::Form),
        }
    }
}

fn known(date: Date, with_day: bool) -> Result<Date, DateError> {
    if date.month == 0 {
        Err(DateError::Month)
    } else if with_day && date.day == 0 {
        Err(DateError::Day)
    } else {
        Ok(date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_whole_and_partial_dates() {
        for text in ["1985-02-28", "2000-02-29", "1950-07", "1931"] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_dates_that_do_not_exist() {
        let error = |text: &str| text.parse::<Date>().unwrap_err();
        assert_eq!(error("1900-02-29"), DateError::Day);
        assert_eq!(error("1985-13-01"), DateError::Month);
        assert_eq!(error("1985-00-00"), DateError::Month);
        assert_eq!(error("1985-01-00"), DateError::Day);
        assert_eq!(error("85-01-01"), DateError::Form);
        assert_eq!(error("28/02/1985"), DateError::Form);
        assert_eq!(error("1799"), DateError::Year);
    }

    #[test]
    fn what_is_no_date_lies_behind_every_date() {
        for year in [u32::MAX, u32::MAX / 10_000 + 1] {
            assert!(Date { year, month: u32::MAX, day: 1 }.as_number() > 99_991_231);
        }
    }
}

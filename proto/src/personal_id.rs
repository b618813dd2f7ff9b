//! The personal identification number (số định danh cá nhân).
//!
//! Twelve digits: three for the province or country of birth registration, one for century and
//! sex, two for the year of birth, six at random. There is no check digit. A number says where a
//! birth was registered, never where the person lives; it survives mergers of provinces.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A personal identification number that obeys the rule. Ordered as its digits are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonalId(u64);

/// The first of the three-digit codes that no Vietnamese province has; such codes name countries.
const FIRST_NOT_A_PROVINCE: u64 = 97;

/// Province codes of birth registration: the 63 provinces before 1 July 2025, without a gap in
/// validity since. Source: the statistics office's codes with a leading zero.
const PROVINCES: [u8; 63] = [
    1, 2, 4, 6, 8, 10, 11, 12, 14, 15, 17, 19, 20, 22, 24, 25, 26, 27, 30, 31, 33, 34, 35, 36, 37, 38, 40,
    42, 44, 45, 46, 48, 49, 51, 52, 54, 56, 58, 60, 62, 64, 66, 67, 68, 70, 72, 74, 75, 77, 79, 80, 82, 83,
    84, 86, 87, 89, 91, 92, 93, 94, 95, 96,
];

/// What is wrong with a personal number. Never holds the number itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PersonalIdError {
    /// Not twelve characters.
    #[error("a personal number has 12 digits, this has {0} characters")]
    Length(usize),
    /// A character that is no digit.
    #[error("a personal number has only digits; character {0} is not one")]
    NotADigit(usize),
    /// The first three digits.
    #[error("digits 1 to 3 name no province or country of birth registration")]
    Province,
}

impl PersonalId {
    /// No number is above this one.
    pub const MAX: u64 = 999_999_999_999;

    /// The number with these twelve digits.
    ///
    /// # Errors
    /// If the value has more than twelve digits or its first three name no place.
    pub fn from_u64(value: u64) -> Result<PersonalId, PersonalIdError> {
        if value > PersonalId::MAX {
            return Err(PersonalIdError::Length(value.ilog10() as usize + 1));
        }
        let place = value / 1_000_000_000;
        let known = place >= FIRST_NOT_A_PROVINCE
            || u8::try_from(place).is_ok_and(|p| PROVINCES.binary_search(&p).is_ok());
        if known { Ok(PersonalId(value)) } else { Err(PersonalIdError::Province) }
    }

    /// The digits as a number below 10^12.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// Code of the province (or country) of birth registration.
    #[must_use]
    pub fn place(self) -> u16 {
        (self.0 / 1_000_000_000) as u16
    }

    /// The year of birth that the number states.
    #[must_use]
    pub fn birth_year(self) -> u32 {
        1900 + 100 * (self.century_digit() / 2) + (self.0 / 1_000_000 % 100) as u32
    }

    /// The sex that the number states, as a code of table `sex`: 1 male, 2 female.
    #[must_use]
    pub fn sex(self) -> &'static str {
        if self.century_digit().is_multiple_of(2) { "1" } else { "2" }
    }

    fn century_digit(self) -> u32 {
        (self.0 / 100_000_000 % 10) as u32
    }
}

impl FromStr for PersonalId {
    type Err = PersonalIdError;

    fn from_str(text: &str) -> Result<PersonalId, PersonalIdError> {
        if text.len() != 12 {
            return Err(PersonalIdError::Length(text.chars().count()));
        }
        let mut value = 0u64;
        for (at, byte) in text.bytes().enumerate() {
            if !byte.is_ascii_digit() {
                return Err(PersonalIdError::NotADigit(at + 1));
            }
            value = value * 10 + u64::from(byte - b'0');
        }
        PersonalId::from_u64(value)
    }
}

impl fmt::Display for PersonalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

/// Debug output ends up in logs and panics, so it does not show the number.
impl fmt::Debug for PersonalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_number() {
        let id: PersonalId = "001185001234".parse().unwrap();
        assert_eq!((id.place(), id.birth_year(), id.sex()), (1, 1985, "2"));
        assert_eq!(id.to_string(), "001185001234");
        let id: PersonalId = "079203000001".parse().unwrap();
        assert_eq!((id.place(), id.birth_year(), id.sex()), (79, 2003, "1"));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<PersonalId>().unwrap_err();
        assert_eq!(error("00118500123"), PersonalIdError::Length(11));
        assert_eq!(error("00118500123x"), PersonalIdError::NotADigit(12));
        assert_eq!(error("003185001234"), PersonalIdError::Province);
        assert_eq!(error("000185001234"), PersonalIdError::Province);
        assert_eq!(error("một"), PersonalIdError::Length(3));
    }

    #[test]
    fn debug_hides_the_number() {
        let id: PersonalId = "001185001234".parse().unwrap();
        assert!(!format!("{id:?}").contains("1185"));
    }
}

//! The number of somebody who enters the registry, or gets another one.

use aws_lc_rs::rand;
use dancu_proto::{
    PersonalId,
    v1::{Citizen, RejectionReason},
};

use super::Judgement;
use crate::registry::Standing;

/// Numbers that share a province, a century, a sex and a year.
const SERIAL: u64 = 1_000_000;
/// After so many numbers at random that somebody has, they are tried one after the other.
const AT_RANDOM: usize = 64;
/// Codes of the table `sex`.
pub(super) const MALE: &str = "1";
pub(super) const FEMALE: &str = "2";

/// What the first six digits of a number say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u64);

impl Place {
    /// Of somebody whose birth is registered.
    pub(super) fn of(child: &Citizen) -> Result<Place, Judgement> {
        let missing = |field: &str, message: &str| {
            Judgement::rejected(RejectionReason::Invalid, message, &format!("event.birth.child.{field}"))
        };
        let registered = child.place_of_birth_registration.as_ref();
        let province = registered.map(|address| match &address.as_registered {
            Some(then) if !then.province.is_empty() => then.province.as_str(),
            _ => address.province.as_str(),
        });
        let province: u64 = province.and_then(|code| code.parse().ok()).ok_or_else(|| {
            let message = "the province of birth registration gives the number its first digits; name it";
            missing("place_of_birth_registration", message)
        })?;
        let year = child.date_of_birth.map(|date| date.year).filter(|year| *year >= 1900);
        let year = year.ok_or_else(|| missing("date_of_birth", "the year gives the number; name it"))?;
        let female = match child.sex.as_str() {
            MALE => 0,
            FEMALE => 1,
            _ => return Err(missing("sex", "gives the number its fourth digit: 1 male, 2 female")),
        };
        let century = u64::from((year - 1900) / 100) * 2 + female;
        let place = Place((province * 10 + century) * 100 + u64::from(year % 100));
        let valid = century <= 9 && PersonalId::from_u64(place.0 * SERIAL).is_ok();
        if valid { Ok(place) } else { Err(missing("place_of_birth_registration", "no number begins so")) }
    }

    /// Of somebody who has a number, which says where the birth was registered if nothing else does.
    pub(super) fn of_person(citizen: &Citizen, number: PersonalId) -> Result<Place, Judgement> {
        let mut citizen = citizen.clone();
        let registered = citizen.place_of_birth_registration.get_or_insert_default();
        if registered.province.is_empty() {
            registered.province = number.place().to_string();
        }
        Place::of(&citizen)
    }

    /// Whether a number begins so.
    pub(super) fn gives(self, number: PersonalId) -> bool {
        number.as_u64() / SERIAL == self.0
    }

    fn number(self, serial: u64) -> Option<PersonalId> {
        PersonalId::from_u64(self.0 * SERIAL + serial).ok()
    }
}

/// A number that nobody has or had.
pub(super) fn assign(standing: &Standing<'_>, place: Place) -> Result<PersonalId, Judgement> {
    let mut serial = 0;
    for _ in 0..AT_RANDOM {
        serial = random()?;
        if let Some(number) = place.number(serial)
            && !standing.is_used(number)?
        {
            return Ok(number);
        }
    }
    for step in 1..=SERIAL {
        if let Some(number) = place.number((serial + step) % SERIAL)
            && !standing.is_used(number)?
        {
            return Ok(number);
        }
    }
    let message = "every number of this province, sex and year is given; tell the hub's operator";
    Err(Judgement::rejected(RejectionReason::NoNumberLeft, message, "event"))
}

/// Evenly below a million.
fn random() -> Result<u64, Judgement> {
    loop {
        let mut bytes = [0; 4];
        rand::fill(&mut bytes).map_err(|_| Judgement::fault("there is no randomness"))?;
        let value = u64::from(u32::from_be_bytes(bytes));
        // The rest of the range would make some numbers likelier than others.
        if value < (1 << 32) / SERIAL * SERIAL {
            return Ok(value % SERIAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use dancu_proto::v1::{Address, Date};

    use super::*;

    #[test]
    fn the_first_digits_are_the_rule() {
        let child = |sex: &str, year| Citizen {
            sex: sex.into(),
            date_of_birth: Some(Date { year, month: 5, day: 6 }),
            place_of_birth_registration: Some(Address { province: "08".into(), ..Address::default() }),
            ..Citizen::default()
        };
        let first =
            |sex: &str, year| Place::of(&child(sex, year)).unwrap().number(123_456).unwrap().to_string();
        assert_eq!(first("2", 2026), "008326123456");
        assert_eq!(first("1", 1985), "008085123456");
        assert_eq!(first("1", 2101), "008401123456");
        assert!(Place::of(&child("0", 2026)).is_err());
        assert!(Place::of(&Citizen { place_of_birth_registration: None, ..child("1", 2026) }).is_err());
    }
}

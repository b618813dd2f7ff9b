//! People as records of the registry.

use std::fmt::Write;

use dancu_proto::{
    name::fold,
    v1::{
        Citizen, Date, IdentityCard, IdentityCardList, Relative, RelativeList, StringList, TemporaryAbsence,
        TemporaryResidence,
    },
};

use super::{
    ages::{self, Day},
    person::{Household, Kin, Marital, Person},
    places::{Codes, Places, communes},
};

/// Writes records.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    /// Where everything is.
    pub places: &'a Places,
    /// By which codes places are written.
    pub codes: Codes,
}

impl Records<'_> {
    /// The record of a member of a household.
    #[must_use]
    pub fn citizen(&self, household: &Household, at: usize) -> Citizen {
        let mut citizen = self.without_members(household, at);
        if household.people[at].alive() {
            let others = self.members(household).into_iter().filter(|(other, _)| *other != at);
            citizen.household_members = relatives(others.map(|(_, member)| member));
        }
        citizen
    }

    /// How a place that was registered on a day is written.
    fn codes_at(&self, day: Day) -> Codes {
        if self.codes == Codes::Both && day >= MERGER { Codes::InForce } else { self.codes }
    }

    /// The record but for the members of the household, which are much the same for all of them.
    #[must_use]
    pub fn without_members(&self, household: &Household, at: usize) -> Citizen {
        let person = &household.people[at];
        let residence = self.places.address(household.home, self.codes_at(household.since));
        let place = |commune, known| self.places.place(commune, self.codes_at(known), person.salt);
        let temporary = person.temporary.map(|stay| TemporaryResidence {
            address: Some(self.places.address(stay.home, self.codes_at(MERGER))),
            from: Some(ages::date(stay.from)),
            until: stay.until.map(ages::date),
        });
        let dwelling = match &temporary {
            Some(stay) => stay.address.clone(),
            None if person.alive() && person.salt.is_multiple_of(5) => Some(residence.clone()),
            None => None,
        };
        let mut citizen = Citizen {
            personal_id: personal_id(person.id),
            full_name: Some(person.name.to_name()),
            date_of_birth: Some(birth_date(person)),
            sex: if person.female { "2" } else { "1" }.into(),
            place_of_birth: Some(place(person.birth_place, person.birth)),
            place_of_birth_registration: Some(place(person.registration, person.registered)),
            place_of_origin: Some(place(person.origin, person.birth)),
            ethnicity: two_digits(person.ethnicity),
            religion: two_digits(person.religion),
            nationality: Some(StringList { values: vec!["VN".into()] }),
            blood_type: if person.blood == 0 { String::new() } else { two_digits(person.blood) },
            old_id_number: old_id(person.old_id),
            identity_cards: cards(person),
            father: person.father.map(relative),
            mother: person.mother.map(relative),
            spouse: person.spouse.map(relative),
            children: relatives(person.children.iter().copied().map(relative)),
            legal_representative: person.representative.map(relative),
            represented_persons: relatives(person.represented.iter().copied().map(relative)),
            permanent_residence: Some(residence),
            temporary_residence: temporary,
            current_dwelling: dwelling,
            temporary_absence: person.absence.map(|stay| TemporaryAbsence {
                from: Some(ages::date(stay.from)),
                until: stay.until.map(ages::date),
                reason: ["đi làm ăn xa", "đi học tập", "đi chữa bệnh", "thăm người thân"]
                    [person.salt as usize % 4]
                    .into(),
            }),
            marital_status: match person.marital {
                Marital::Single => "1",
                Marital::Married => "2",
                Marital::Formerly => "3",
            }
            .into(),
            date_of_death: person.death.map(ages::date),
            mobile_number: if person.mobile == 0 { String::new() } else { format!("0{:09}", person.mobile) },
            email: if person.email { email(person) } else { String::new() },
            ..Citizen::default()
        };
        if person.alive() {
            household_of(&mut citizen, household, at);
        }
        citizen
    }

    /// How the others' records name the living members of a household, each with its index.
    #[must_use]
    pub fn members(&self, household: &Household) -> Vec<(usize, Relative)> {
        let living = household.people.iter().enumerate().filter(|(_, person)| person.alive());
        let member = |person: &Person| Relative {
            relation: household.relation(person).into(),
            ..relative(person.kin())
        };
        living.map(|(at, person)| (at, member(person))).collect()
    }
}

/// The dead are of no household.
fn household_of(citizen: &mut Citizen, household: &Household, at: usize) {
    citizen.residence_file_number = file_number(household);
    citizen.relation_to_household_head = household.relation(&household.people[at]).into();
    citizen.household_head = household.people.get(household.head).map(|head| relative(head.kin()));
}

/// Twelve digits.
#[must_use]
pub fn personal_id(id: u64) -> String {
    digits(id, 12)
}

fn digits(mut number: u64, count: usize) -> String {
    let mut places = [b'0'; 20];
    for place in places.iter_mut().rev().take(count) {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
    let last = places.len().saturating_sub(count);
    places[last..].iter().map(|digit| char::from(*digit)).collect()
}

fn two_digits(code: u8) -> String {
    digits(code.into(), 2)
}

fn old_id(number: u32) -> String {
    if number == 0 { String::new() } else { digits(number.into(), 9) }
}

fn birth_date(person: &Person) -> Date {
    let date = ages::date(person.birth);
    if person.year_only { Date { month: 0, day: 0, ..date } } else { date }
}

fn relative(kin: Kin) -> Relative {
    Relative {
        name: Some(kin.name.to_name()),
        personal_id: if kin.id == 0 { String::new() } else { personal_id(kin.id) },
        old_id_number: old_id(kin.old_id),
        ..Relative::default()
    }
}

fn relatives(items: impl Iterator<Item = Relative>) -> Option<RelativeList> {
    let items: Vec<_> = items.collect();
    (!items.is_empty()).then_some(RelativeList { items })
}

fn cards(person: &Person) -> Option<IdentityCardList> {
    let items: Vec<_> = person
        .cards
        .iter()
        .map(|card| IdentityCard {
            issued_on: Some(ages::date(card.issued)),
            issued_by: issuer(card.issued).into(),
            expires_on: card.expires.map(ages::date),
        })
        .collect();
    (!items.is_empty()).then_some(IdentityCardList { items })
}

/// The Ministry of Public Security itself issues cards since the law of 2023 is in force.
fn issuer(issued: Day) -> &'static str {
    if issued < LAW_OF_2023 {
        "Cục Cảnh sát quản lý hành chính về trật tự xã hội"
    } else {
        "Bộ Công an"
    }
}

/// 1 July 2024, as a Julian day.
const LAW_OF_2023: Day = 2_460_493;
/// 1 July 2025, as a Julian day: districts ended.
const MERGER: Day = 2_460_858;

/// The commune, then the household's own key.
fn file_number(household: &Household) -> String {
    let commune = communes()[usize::from(household.home.commune)].code;
    let own = u64::from(household.key.0) * 1000 + u64::from(household.key.1);
    format!("{commune}{}", digits(own, 10))
}

/// An address in a domain that is nobody's.
fn email(person: &Person) -> String {
    let mut address = fold(person.name.given).replace(|c: char| !c.is_ascii_alphanumeric(), "");
    address.push('.');
    address.extend(fold(person.name.family).chars().filter(char::is_ascii_alphanumeric));
    // Writing to a string cannot fail.
    let _ = write!(address, "{:06}@example.vn", person.salt % 1_000_000);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_laws() {
        assert_eq!(MERGER, ages::day(2025, 7, 1));
        assert_eq!(LAW_OF_2023, ages::day(2024, 7, 1));
        assert_eq!(digits(1_185_001_234, 12), "001185001234");
    }
}

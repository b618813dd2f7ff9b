//! What a case must know of the world: the people in it as the registry has them, the time, the days that
//! are worked, and who does what where.

use std::collections::BTreeMap;

use dancu_proto::{
    Areas, CommuneCode, Field, FieldSet, PersonalId, ProvinceCode, Record, Revision,
    area::by_order_in_force,
    v1::{Address, Citizen},
};
use time::OffsetDateTime;

use super::{
    case::Case,
    definition::{AddressFrom, When},
    routes::Routes,
    working_days::{WorkingDays, day_number},
};
use crate::{
    projection::Place,
    registry::{CitizenAt, StoreError, former_numbers},
};

/// The world, as far as a case asks.
pub struct Circumstances<'a> {
    /// The time.
    pub now: OffsetDateTime,
    /// The revision as of which the people are.
    pub revision: Revision,
    /// The people in the case who are in the registry, by role.
    pub people: BTreeMap<String, PersonInCase>,
    /// The days that are worked.
    pub days: &'a WorkingDays,
    /// Who does what where.
    pub routes: &'a Routes,
    /// The administrative orders.
    pub areas: &'a Areas,
}

/// Somebody in a case, as the registry has them.
pub struct PersonInCase {
    /// As stored.
    pub at: CitizenAt,
    /// Decoded, with addresses by the order in force.
    pub citizen: Citizen,
    /// Fields that are in question.
    pub in_question: FieldSet,
}

impl PersonInCase {
    /// Reads a record.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn of(at: CitizenAt, areas: &Areas) -> Result<PersonInCase, StoreError> {
        let mut citizen = at.record.decode().map_err(|_| StoreError::Corrupt("a record"))?;
        by_order_in_force(&mut citizen, areas);
        Ok(PersonInCase { in_question: at.record.in_question(), at, citizen })
    }

    fn record(&self) -> &Record {
        &self.at.record
    }

    /// The number in force, and all former ones.
    pub(super) fn numbers(&self) -> Vec<PersonalId> {
        let former = former_numbers(self.record());
        self.number().into_iter().chain(former).collect()
    }

    /// The number in force.
    pub(super) fn number(&self) -> Option<PersonalId> {
        self.record().personal_id()
    }
}

impl Circumstances<'_> {
    /// Whether a condition holds.
    pub(super) fn holds(&self, when: &When, case: &Case) -> bool {
        match when {
            When::Aged { person, from, below } => self.age(person).is_some_and(|age| {
                from.is_none_or(|from| age >= from) && below.is_none_or(|below| age < below)
            }),
            When::Without(person, field) => {
                self.people.get(person).is_some_and(|person| person.record().value(*field).is_none())
            }
            When::Absent(person) => !case.persons.contains_key(person),
            When::Answered(name, value) => case.answers.get(name).is_some_and(|said| said.value == *value),
        }
    }

    /// Whole years, an unknown day or month counting as the first.
    fn age(&self, person: &str) -> Option<u32> {
        let born = self.people.get(person)?.citizen.date_of_birth?;
        let today = day_number(self.now);
        let birthday = born.month.max(1) * 100 + born.day.max(1);
        let years = (today / 10_000).checked_sub(born.year)?;
        years.checked_sub(u32::from(today % 10_000 < birthday))
    }

    /// An address, if there is one.
    pub(super) fn address(&self, from: &AddressFrom, case: &Case) -> Option<Address> {
        let address = match from {
            AddressFrom::Case => case.address.clone(),
            AddressFrom::Step(place) => case.steps[*place].address.clone(),
            AddressFrom::Person(person, field) => {
                let citizen = &self.people.get(person)?.citizen;
                match field {
                    Field::PermanentResidence => citizen.permanent_residence.clone(),
                    Field::CurrentDwelling => citizen.current_dwelling.clone(),
                    _ => citizen.temporary_residence.as_ref().and_then(|stay| stay.address.clone()),
                }
            }
        };
        // As registered long ago does not matter to whose task it is.
        address.map(|address| Address { as_registered: None, ..address })
    }

    /// Where an address by the order in force lies; nowhere where there is none.
    pub(super) fn place_of(&self, address: Option<&Address>) -> Place {
        place_of(address, self.areas)
    }
}

/// Where an address by the order in force lies.
#[must_use]
pub(super) fn place_of(address: Option<&Address>, areas: &Areas) -> Place {
    let Some(address) = address else { return Place::default() };
    let order = areas.in_force();
    let commune = address.commune.parse().ok().filter(|code: &CommuneCode| order.commune(*code).is_some());
    let of_commune = commune.and_then(|code| order.commune(code)).map(|commune| commune.province);
    let province: Option<ProvinceCode> = of_commune.or_else(|| address.province.parse().ok());
    Place {
        province: province.map(|code| code.under(areas.number())),
        commune: commune.map(|code| code.under(areas.number())),
    }
}

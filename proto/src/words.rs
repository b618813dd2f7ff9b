//! What people read at a terminal: values of a record with names beside codes and places by name; deadlines,
//! and where steps stand.

use time::{OffsetDateTime, Time, macros::offset};

use crate::{
    Field, ProvinceCode,
    area::Division,
    codes,
    contribution::event_title,
    v1::{
        Address, Citizen, IdentityCard, RegisteredArea, Relative, RelativeList, StepState, StringList,
        TemporaryAbsence, TemporaryResidence,
    },
};

/// A field's value in words, places by the administrative order in force; none where it has none.
#[must_use]
pub fn describe(field: Field, citizen: &Citizen, order: &Division) -> Option<String> {
    let address = |of: &Address| address(of, order);
    let text = |text: &String| text.clone();
    let code = |value: &String| {
        let table = field.spec().code_table.unwrap_or_default();
        match codes::label(table, value) {
            Some(label) => format!("{label} ({value})"),
            None => value.clone(),
        }
    };
    let described = match field {
        Field::PersonalId => text(&citizen.personal_id),
        Field::FormerPersonalIds => list(citizen.former_personal_ids.as_ref()),
        Field::FullName => citizen.full_name.as_ref()?.full(),
        Field::OtherName => text(&citizen.other_name),
        Field::DateOfBirth => citizen.date_of_birth?.to_string(),
        Field::Sex => code(&citizen.sex),
        Field::PlaceOfBirth => address(citizen.place_of_birth.as_ref()?),
        Field::PlaceOfBirthRegistration => address(citizen.place_of_birth_registration.as_ref()?),
        Field::PlaceOfOrigin => address(citizen.place_of_origin.as_ref()?),
        Field::Ethnicity => code(&citizen.ethnicity),
        Field::Religion => code(&citizen.religion),
        Field::Nationality => list(citizen.nationality.as_ref()),
        Field::BloodType => code(&citizen.blood_type),
        Field::OldIdNumber => text(&citizen.old_id_number),
        Field::IdentityCards => lines(citizen.identity_cards.as_ref()?.items.iter().map(identity_card)),
        Field::Father => relative(citizen.father.as_ref()?),
        Field::Mother => relative(citizen.mother.as_ref()?),
        Field::Spouse => relative(citizen.spouse.as_ref()?),
        Field::Children => relatives(citizen.children.as_ref()),
        Field::LegalRepresentative => relative(citizen.legal_representative.as_ref()?),
        Field::RepresentedPersons => relatives(citizen.represented_persons.as_ref()),
        Field::PermanentResidence => address(citizen.permanent_residence.as_ref()?),
        Field::TemporaryResidence => temporary_residence(citizen.temporary_residence.as_ref()?, order),
        Field::CurrentDwelling => address(citizen.current_dwelling.as_ref()?),
        Field::TemporaryAbsence => temporary_absence(citizen.temporary_absence.as_ref()?),
        Field::ResidenceFileNumber => text(&citizen.residence_file_number),
        Field::MaritalStatus => code(&citizen.marital_status),
        Field::RelationToHouseholdHead => text(&citizen.relation_to_household_head),
        Field::HouseholdHead => relative(citizen.household_head.as_ref()?),
        Field::HouseholdMembers => relatives(citizen.household_members.as_ref()),
        Field::DateOfDeath => citizen.date_of_death?.to_string(),
        Field::DateMissing => citizen.date_missing?.to_string(),
        Field::MobileNumber => text(&citizen.mobile_number),
        Field::Email => text(&citizen.email),
    };
    (!described.is_empty()).then_some(described)
}

/// Until when something is to be done, in the time of Vietnam. A period ends with its last day: that is the day
/// people know, and not the midnight after it.
#[must_use]
pub fn deadline(until: OffsetDateTime) -> String {
    let local = until.to_offset(offset!(+7));
    let (day, time) = (local.date(), local.time());
    match day.previous_day() {
        Some(last) if time == Time::MIDNIGHT => format!("{last} (end of day)"),
        _ => format!("{day} {:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()),
    }
}

/// An event: as an office calls it, and its name.
#[must_use]
pub fn event(name: &str) -> String {
    event_title(name).map_or_else(|| name.to_owned(), |title| format!("{title} ({name})"))
}

/// Where a step of a case stands.
#[must_use]
pub fn step_state(state: StepState) -> &'static str {
    match state {
        StepState::Unspecified => "–",
        StepState::Waiting => "waiting",
        StepState::Open => "open",
        StepState::Done => "done",
        StepState::Refused => "refused",
        StepState::Returned => "returned",
        StepState::Skipped => "skipped",
    }
}

fn list(list: Option<&StringList>) -> String {
    list.map(|list| list.values.join(", ")).unwrap_or_default()
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

fn joined<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn address(address: &Address, order: &Division) -> String {
    let commune = order.parse_commune(&address.commune).ok();
    let province: Option<ProvinceCode> =
        commune.map(|commune| commune.province).or_else(|| address.province.parse().ok());
    let province_name = province.and_then(|code| Some(format!("{} ({code})", order.province(code)?)));
    joined([
        address.detail.clone(),
        commune.map_or_else(|| address.commune.clone(), |known| format!("{} ({})", known.name, known.code)),
        province_name.unwrap_or_else(|| address.province.clone()),
        address.country.clone(),
        address.as_registered.as_ref().map(registered).unwrap_or_default(),
    ])
}

fn registered(area: &RegisteredArea) -> String {
    let codes = [&area.province, &area.district, &area.commune].into_iter().filter(|code| !code.is_empty());
    format!("registered as {}", codes.map(String::as_str).collect::<Vec<_>>().join("-"))
}

fn relative(relative: &Relative) -> String {
    let name = relative.name.as_ref().map(|name| name.full()).unwrap_or_default();
    joined([
        name,
        relative.relation.clone(),
        relative.personal_id.clone(),
        relative.old_id_number.clone(),
        relative.nationality.join(", "),
    ])
}

fn relatives(list: Option<&RelativeList>) -> String {
    lines(list.into_iter().flat_map(|list| &list.items).map(relative))
}

fn since(from: Option<crate::v1::Date>) -> String {
    from.map(|date| format!("from {date}")).unwrap_or_default()
}

fn until(until: Option<crate::v1::Date>) -> String {
    until.map(|date| format!("until {date}")).unwrap_or_default()
}

fn identity_card(card: &IdentityCard) -> String {
    let issued = card.issued_on.map(|date| format!("issued {date}")).unwrap_or_default();
    joined([issued, card.issued_by.clone(), until(card.expires_on)])
}

fn temporary_residence(residence: &TemporaryResidence, order: &Division) -> String {
    let place = residence.address.as_ref().map(|place| address(place, order)).unwrap_or_default();
    joined([place, since(residence.from), until(residence.until)])
}

fn temporary_absence(absence: &TemporaryAbsence) -> String {
    joined([absence.reason.clone(), since(absence.from), until(absence.until)])
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::Areas;

    #[test]
    fn codes_and_places_have_names() {
        let order = Areas::shipped().in_force();
        let row = r#"{"sex":"2","ethnicity":"01","permanent_residence":{"commune":"00004","detail":"12 Hàng Bài"}}"#;
        let citizen: Citizen = serde_json::from_str(row).unwrap();
        assert_eq!(describe(Field::Sex, &citizen, order).unwrap(), "Nữ (2)");
        assert_eq!(describe(Field::Ethnicity, &citizen, order).unwrap(), "Kinh (01)");
        let residence = describe(Field::PermanentResidence, &citizen, order).unwrap();
        assert!(
            residence.starts_with("12 Hàng Bài, Phường Ba Đình (00004), ") && residence.ends_with("(01)")
        );
    }

    #[test]
    fn every_field_of_a_full_record_has_words() {
        let order = Areas::shipped().in_force();
        let all: Citizen =
            serde_json::from_str(include_str!("../../node/tests/data/full_citizen.json")).unwrap();
        for field in Field::ALL {
            assert!(describe(*field, &all, order).is_some(), "{field}");
            assert!(describe(*field, &Citizen::default(), order).is_none(), "{field}");
        }
    }

    #[test]
    fn every_event_has_a_title() {
        for name in crate::contribution::EVENTS {
            assert!(event(name).ends_with(&format!(" ({name})")), "{name}");
        }
        assert_eq!((event("death"), event("")), ("khai tử (death)".to_owned(), String::new()));
    }

    #[test]
    fn a_deadline_is_its_last_day() {
        assert_eq!(deadline(datetime!(2026-11-24 17:00 UTC)), "2026-11-24 (end of day)");
        assert_eq!(deadline(datetime!(2026-11-25 0:00 +7)), "2026-11-24 (end of day)");
        assert_eq!(deadline(datetime!(2026-11-24 16:30 +7)), "2026-11-24 16:30:00");
    }
}

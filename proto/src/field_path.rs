//! A value below a citizen's record, as forms and tasks name it: a field of the catalogue, and below it a
//! part (`full_name`, `permanent_residence.commune`, `father.name`); and the value as people read it.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{
    Areas, Field, codes,
    field::Format,
    v1::{Address, Citizen, Date, IdentityCard, Name, Relative},
};

/// A path to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// The field of the catalogue: what an agreement gives or not.
    pub field: Field,
    /// What of it; none for the whole.
    part: Option<&'static str>,
}

/// No value is called so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FieldPathError {
    /// The field.
    #[error("no field is called \"{0}\"")]
    Field(String),
    /// The part.
    #[error("`{field}` has no part \"{part}\"{known}")]
    Part {
        /// Of this field.
        field: Field,
        /// What was asked for.
        part: String,
        /// What there is.
        known: String,
    },
}

/// What a value of a kind has for parts.
fn parts(format: Format) -> &'static [&'static str] {
    match format {
        Format::Name => &["family", "middle", "given"],
        Format::Date => &["day", "month", "year"],
        Format::Address => &["country", "province", "commune", "detail"],
        Format::IdentityCards => &["issued_on", "issued_by", "expires_on"],
        Format::Relative => &["name", "personal_id", "old_id_number", "nationality", "relation"],
        Format::TemporaryResidence => &["country", "province", "commune", "detail", "from", "until"],
        Format::TemporaryAbsence => &["from", "until", "reason"],
        Format::PersonalId
        | Format::PersonalIds
        | Format::Code
        | Format::Text
        | Format::Countries
        | Format::OldIdNumber
        | Format::Relatives
        | Format::Phone
        | Format::Email => &[],
    }
}

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<FieldPath, FieldPathError> {
        let (field, part) = match text.split_once('.') {
            Some((field, part)) => (field, Some(part)),
            None => (text, None),
        };
        let field: Field = field.parse().map_err(|_| FieldPathError::Field(field.to_owned()))?;
        let Some(part) = part else { return Ok(FieldPath { field, part: None }) };
        let known = parts(field.spec().format);
        match known.iter().find(|known| **known == part) {
            Some(part) => Ok(FieldPath { field, part: Some(part) }),
            None => {
                let known = if known.is_empty() {
                    "; it has none".to_owned()
                } else {
                    format!("; it has {}", known.join(", "))
                };
                Err(FieldPathError::Part { field, part: part.to_owned(), known })
            }
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.field.fmt(f)?;
        self.part.map_or(Ok(()), |part| write!(f, ".{part}"))
    }
}

impl FieldPath {
    /// The value in a record as people read it, in Vietnamese; none where there is none. Addresses are
    /// by the order in force.
    #[must_use]
    pub fn show(self, citizen: &Citizen, areas: &Areas) -> Option<String> {
        let shown = match self.field {
            Field::PersonalId => citizen.personal_id.clone(),
            Field::FormerPersonalIds => citizen.former_personal_ids.as_ref()?.values.join("; "),
            Field::FullName => self.name(citizen.full_name.as_ref()?),
            Field::OtherName => citizen.other_name.clone(),
            Field::DateOfBirth => self.date(citizen.date_of_birth.as_ref()?),
            Field::Sex => self.code(&citizen.sex),
            Field::PlaceOfBirth => self.address(citizen.place_of_birth.as_ref()?, areas),
            Field::PlaceOfBirthRegistration => {
                self.address(citizen.place_of_birth_registration.as_ref()?, areas)
            }
            Field::PlaceOfOrigin => self.address(citizen.place_of_origin.as_ref()?, areas),
            Field::Ethnicity => self.code(&citizen.ethnicity),
            Field::Religion => self.code(&citizen.religion),
            Field::Nationality => countries(&citizen.nationality.as_ref()?.values),
            Field::BloodType => self.code(&citizen.blood_type),
            Field::OldIdNumber => citizen.old_id_number.clone(),
            Field::IdentityCards => self.card(citizen.identity_cards.as_ref()?.items.last()?),
            Field::Father => self.relative(citizen.father.as_ref()?),
            Field::Mother => self.relative(citizen.mother.as_ref()?),
            Field::Spouse => self.relative(citizen.spouse.as_ref()?),
            Field::Children => relatives(&citizen.children.as_ref()?.items),
            Field::LegalRepresentative => self.relative(citizen.legal_representative.as_ref()?),
            Field::RepresentedPersons => relatives(&citizen.represented_persons.as_ref()?.items),
            Field::PermanentResidence => self.address(citizen.permanent_residence.as_ref()?, areas),
            Field::TemporaryResidence => {
                let stay = citizen.temporary_residence.as_ref()?;
                match self.part {
                    Some("from") => day(stay.from.as_ref()?),
                    Some("until") => day(stay.until.as_ref()?),
                    _ => self.address(stay.address.as_ref()?, areas),
                }
            }
            Field::CurrentDwelling => self.address(citizen.current_dwelling.as_ref()?, areas),
            Field::TemporaryAbsence => {
                let absence = citizen.temporary_absence.as_ref()?;
                match self.part {
                    Some("from") => day(absence.from.as_ref()?),
                    Some("until") => day(absence.until.as_ref()?),
                    _ => absence.reason.clone(),
                }
            }
            Field::ResidenceFileNumber => citizen.residence_file_number.clone(),
            Field::MaritalStatus => self.code(&citizen.marital_status),
            Field::RelationToHouseholdHead => citizen.relation_to_household_head.clone(),
            Field::HouseholdHead => self.relative(citizen.household_head.as_ref()?),
            Field::HouseholdMembers => relatives(&citizen.household_members.as_ref()?.items),
            Field::DateOfDeath => self.date(citizen.date_of_death.as_ref()?),
            Field::DateMissing => self.date(citizen.date_missing.as_ref()?),
            Field::MobileNumber => citizen.mobile_number.clone(),
            Field::Email => citizen.email.clone(),
        };
        (!shown.is_empty()).then_some(shown)
    }

    fn name(self, name: &Name) -> String {
        match self.part {
            Some("family") => name.family.clone(),
            Some("middle") => name.middle.clone(),
            Some("given") => name.given.clone(),
            _ => name.full(),
        }
    }

    fn date(self, date: &Date) -> String {
        let known = |part: u32, width: usize| match part {
            0 => String::new(),
            part => format!("{part:0width$}"),
        };
        match self.part {
            Some("day") => known(date.day, 2),
            Some("month") => known(date.month, 2),
            Some("year") => known(date.year, 4),
            _ => day(date),
        }
    }

    /// The name of a code; the code where the table does not have it.
    fn code(self, code: &str) -> String {
        let table = self.field.spec().code_table.unwrap_or_default();
        codes::label(table, code).unwrap_or(code).to_owned()
    }

    fn address(self, address: &Address, areas: &Areas) -> String {
        match self.part {
            Some("country") => country(&address.country).to_owned(),
            Some("province") => province(address, areas),
            Some("commune") => commune(address, areas),
            Some("detail") => address.detail.clone(),
            _ => address_in_words(address, areas),
        }
    }

    fn card(self, card: &IdentityCard) -> String {
        let date = |date: &Option<Date>| date.as_ref().map(day).unwrap_or_default();
        match self.part {
            Some("issued_on") => date(&card.issued_on),
            Some("issued_by") => card.issued_by.clone(),
            Some("expires_on") => date(&card.expires_on),
            _ => joined(&[date(&card.issued_on), card.issued_by.clone()]),
        }
    }

    fn relative(self, relative: &Relative) -> String {
        match self.part {
            Some("personal_id") => relative.personal_id.clone(),
            Some("old_id_number") => relative.old_id_number.clone(),
            Some("nationality") => countries(&relative.nationality),
            Some("relation") => relative.relation.clone(),
            _ => relative.name.as_ref().map(Name::full).unwrap_or_default(),
        }
    }
}

/// An address on one line: house and street, commune, province, and the country where it is another.
#[must_use]
pub fn address_in_words(address: &Address, areas: &Areas) -> String {
    let abroad = match address.country.as_str() {
        "" | "VN" => String::new(),
        other => other.to_owned(),
    };
    joined(&[address.detail.clone(), commune(address, areas), province(address, areas), abroad])
}

/// As dates are written in Vietnam: day, month, year, as far as known.
fn day(date: &Date) -> String {
    match (date.day, date.month) {
        (0, 0) => format!("{:04}", date.year),
        (0, month) => format!("{month:02}/{:04}", date.year),
        (day, month) => format!("{day:02}/{month:02}/{:04}", date.year),
    }
}

fn country(code: &str) -> &str {
    match code {
        "" | "VN" => "Việt Nam",
        other => other,
    }
}

fn countries(codes: &[String]) -> String {
    codes.iter().map(|code| country(code)).collect::<Vec<_>>().join(", ")
}

fn commune(address: &Address, areas: &Areas) -> String {
    let known = address.commune.parse().ok().and_then(|code| areas.in_force().commune(code));
    known.map_or_else(|| address.commune.clone(), |commune| commune.name.clone())
}

fn province(address: &Address, areas: &Areas) -> String {
    let order = areas.in_force();
    let of_commune = || Some(order.commune(address.commune.parse().ok()?)?.province);
    let code = address.province.parse().ok().or_else(of_commune);
    let name = code.and_then(|code| order.province(code));
    name.map_or_else(|| address.province.clone(), str::to_owned)
}

fn relatives(relatives: &[Relative]) -> String {
    let names = relatives.iter().filter_map(|relative| relative.name.as_ref()).map(Name::full);
    names.collect::<Vec<_>>().join("; ")
}

fn joined(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::IdentityCardList;

    fn show(path: &str, citizen: &Citizen) -> Option<String> {
        path.parse::<FieldPath>().unwrap().show(citizen, Areas::shipped())
    }

    #[test]
    fn values_read_as_people_write_them() {
        let address =
            Address { commune: "00004".into(), detail: "12 Đội Cấn".into(), ..Address::default() };
        let card = |year| IdentityCard {
            issued_on: Some(Date { year, month: 3, day: 9 }),
            issued_by: "Bộ Công an".into(),
            expires_on: None,
        };
        let citizen = Citizen {
            full_name: Some(Name::from_full("Nguyễn Văn An")),
            date_of_birth: Some(Date { year: 1985, month: 2, day: 0 }),
            sex: "2".into(),
            nationality: Some(crate::v1::StringList { values: vec!["VN".into(), "FR".into()] }),
            permanent_residence: Some(address),
            identity_cards: Some(IdentityCardList { items: vec![card(2015), card(2025)] }),
            father: Some(Relative {
                name: Some(Name::from_full("Nguyễn Văn Bình")),
                personal_id: "001060000001".into(),
                ..Relative::default()
            }),
            ..Citizen::default()
        };
        let shown = [
            ("full_name", "Nguyễn Văn An"),
            ("full_name.middle", "Văn"),
            ("date_of_birth", "02/1985"),
            ("date_of_birth.year", "1985"),
            ("sex", "Nữ"),
            ("nationality", "Việt Nam, FR"),
            ("permanent_residence.commune", "Phường Ba Đình"),
            ("permanent_residence.detail", "12 Đội Cấn"),
            ("identity_cards.issued_on", "09/03/2025"),
            ("father", "Nguyễn Văn Bình"),
            ("father.personal_id", "001060000001"),
        ];
        for (path, expected) in shown {
            assert_eq!(show(path, &citizen).as_deref(), Some(expected), "{path}");
        }
        let whole = show("permanent_residence", &citizen).unwrap();
        assert!(whole.starts_with("12 Đội Cấn, Phường Ba Đình, "), "{whole}");
        for path in ["date_of_birth.day", "mother", "email", "identity_cards.expires_on", "father.relation"] {
            assert_eq!(show(path, &citizen), None, "{path}");
        }
    }

    #[test]
    fn what_there_is_not_is_named() {
        let wrong = |path: &str| path.parse::<FieldPath>().unwrap_err().to_string();
        assert_eq!(wrong("fullname"), "no field is called \"fullname\"");
        assert_eq!(
            wrong("full_name.first"),
            "`full_name` has no part \"first\"; it has family, middle, given"
        );
        assert_eq!(wrong("sex.code"), "`sex` has no part \"code\"; it has none");
        for field in Field::ALL {
            for part in parts(field.spec().format) {
                let path = format!("{field}.{part}");
                assert_eq!(path.parse::<FieldPath>().unwrap().to_string(), path);
            }
        }
    }
}

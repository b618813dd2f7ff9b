//! Values as people type them, and as other offices' tables write them.

use dancu_proto::{
    Field, codes,
    field::Format,
    name::{fold, nfc},
    v1::{Citizen, Date, Name},
};
use serde_json::{Map, Value, json};

/// A value of a field as JSON has it, from text: plain, or JSON.
pub(super) fn value(field: Field, text: &str) -> Result<Value, serde_json::Error> {
    if text.starts_with(['{', '[', '"']) {
        return serde_json::from_str(text);
    }
    Ok(match field.spec().format {
        Format::Countries | Format::PersonalIds => text.split(',').map(str::trim).collect(),
        Format::Address if text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            json!({ "commune": text })
        }
        Format::Relative => json!({ "name": text }),
        _ => Value::from(text),
    })
}

/// Sets a field of a record from a cell of a table; an empty cell claims nothing. Dates may be written as
/// 2006-01-02, 02/01/2006, 01/2006 or 2006, codes by their Vietnamese name.
pub(super) fn set(citizen: &mut Citizen, field: Field, cell: &str) -> Result<(), String> {
    let text = nfc(cell.trim());
    if text.is_empty() {
        return Ok(());
    }
    match field {
        Field::PersonalId => citizen.personal_id = text.into_owned(),
        Field::OldIdNumber => citizen.old_id_number = text.into_owned(),
        Field::FullName => citizen.full_name = Some(Name::from_full(&text)),
        Field::OtherName => citizen.other_name = text.into_owned(),
        Field::DateOfBirth => citizen.date_of_birth = Some(date(&text)?),
        Field::DateOfDeath => citizen.date_of_death = Some(date(&text)?),
        Field::DateMissing => citizen.date_missing = Some(date(&text)?),
        Field::Sex => citizen.sex = code(field, &text),
        Field::Ethnicity => citizen.ethnicity = code(field, &text),
        Field::Religion => citizen.religion = code(field, &text),
        Field::MaritalStatus => citizen.marital_status = code(field, &text),
        Field::MobileNumber => citizen.mobile_number = text.into_owned(),
        Field::Email => citizen.email = text.into_owned(),
        _ => return set_by_json(citizen, field, &text),
    }
    Ok(())
}

/// Fields that are written seldom, or are made of parts.
fn set_by_json(citizen: &mut Citizen, field: Field, text: &str) -> Result<(), String> {
    let value = value(field, text).map_err(|error| error.to_string())?;
    let mut object = match serde_json::to_value(&*citizen) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    };
    object.insert(field.name().to_owned(), value);
    *citizen = serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())?;
    Ok(())
}

/// A date as tables write it.
fn date(text: &str) -> Result<Date, String> {
    let parts: Vec<_> = text.split(['/', '.', '-']).map(str::trim).collect();
    let turned = match parts.as_slice() {
        [day, month, year] if year.len() == 4 && day.len() <= 2 => format!("{year}-{month:0>2}-{day:0>2}"),
        [month, year] if year.len() == 4 && month.len() <= 2 => format!("{year}-{month:0>2}"),
        _ => text.to_owned(),
    };
    turned.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// A code, or the code of a name; what is neither stays as it is, and differs.
fn code(field: Field, text: &str) -> String {
    let Some(table) = field.spec().code_table else { return text.to_owned() };
    if codes::has(table, text) {
        return text.to_owned();
    }
    codes::code(table, &fold(text)).map_or_else(|| text.to_owned(), str::to_owned)
}

/// A value as a table shows it.
pub(super) fn shown(citizen: &Citizen, field: Field) -> String {
    match field {
        Field::PersonalId => citizen.personal_id.clone(),
        Field::FullName => citizen.full_name.as_ref().map(Name::full).unwrap_or_default(),
        Field::DateOfBirth => citizen.date_of_birth.map(|date| date.to_string()).unwrap_or_default(),
        _ => match serde_json::to_value(citizen) {
            Ok(Value::Object(mut object)) => match object.remove(field.name()) {
                Some(Value::String(text)) => text,
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            },
            _ => String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: Field, cell: &str) -> Result<String, String> {
        let mut citizen = Citizen::default();
        set(&mut citizen, field, cell).map(|()| shown(&citizen, field))
    }

    #[test]
    fn cells_are_read_as_offices_write_them() {
        for (field, cell, expected) in [
            (Field::PersonalId, " 001185001234 ", "001185001234"),
            (Field::FullName, "  nguyễn   thị an ", "nguyễn thị an"),
            (Field::DateOfBirth, "02/03/1985", "1985-03-02"),
            (Field::DateOfBirth, "2/3/1985", "1985-03-02"),
            (Field::DateOfBirth, "2.3.1985", "1985-03-02"),
            (Field::DateOfBirth, "03/1985", "1985-03"),
            (Field::DateOfBirth, "1985", "1985"),
            (Field::DateOfBirth, "1985-03-02", "1985-03-02"),
            (Field::Sex, "Nam", "1"),
            (Field::Sex, "NỮ", "2"),
            (Field::Sex, "2", "2"),
            (Field::Sex, "?", "?"),
            (Field::Ethnicity, "Kinh", "01"),
            (Field::PermanentResidence, "00004", r#"{"commune":"00004"}"#),
            (Field::Email, "", ""),
        ] {
            assert_eq!(read(field, cell).as_deref(), Ok(expected), "{field:?} {cell:?}");
        }
        for cell in ["31/02/1985", "85", "02/03/85", "hôm qua"] {
            assert!(read(Field::DateOfBirth, cell).unwrap_err().contains(cell), "{cell}");
        }
    }
}

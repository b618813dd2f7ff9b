//! Citizens as CSV with dotted column names.

use std::io::{self, Write};

use dancu_proto::v1::Citizen;
use serde_json::Value;

/// Writes the header.
///
/// # Errors
/// If writing fails.
pub(super) fn header(mut out: impl Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))
}

/// Appends a row.
///
/// # Errors
/// If a value has no form in JSON, which no citizen's value has.
pub(super) fn append(out: &mut Vec<u8>, citizen: &Citizen) -> io::Result<()> {
    let record = serde_json::to_value(citizen)?;
    let cells = COLUMNS.iter().map(|column| {
        let value = column.split('.').try_fold(&record, |value, part| value.get(part));
        value.map(cell).unwrap_or_default()
    });
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(cells)?;
    writer.flush()
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";")
        }
        parts => parts.to_string(),
    }
}

/// The columns. What has parts that repeat is JSON in its cell.
const COLUMNS: [&str; 48] = [
    "personal_id",
    "full_name",
    "date_of_birth",
    "sex",
    "place_of_birth.commune",
    "place_of_birth.as_registered.province",
    "place_of_birth.as_registered.district",
    "place_of_birth.as_registered.commune",
    "place_of_birth_registration.commune",
    "place_of_birth_registration.as_registered.province",
    "place_of_birth_registration.as_registered.district",
    "place_of_birth_registration.as_registered.commune",
    "place_of_origin.commune",
    "place_of_origin.as_registered.province",
    "place_of_origin.as_registered.district",
    "place_of_origin.as_registered.commune",
    "ethnicity",
    "religion",
    "nationality",
    "blood_type",
    "old_id_number",
    "identity_cards",
    "father",
    "mother",
    "spouse",
    "children",
    "legal_representative",
    "represented_persons",
    "permanent_residence.commune",
    "permanent_residence.detail",
    "permanent_residence.as_registered.province",
    "permanent_residence.as_registered.district",
    "permanent_residence.as_registered.commune",
    "temporary_residence",
    "current_dwelling.commune",
    "current_dwelling.detail",
    "current_dwelling.as_registered.province",
    "current_dwelling.as_registered.district",
    "current_dwelling.as_registered.commune",
    "temporary_absence",
    "residence_file_number",
    "marital_status",
    "relation_to_household_head",
    "household_head",
    "household_members",
    "date_of_death",
    "mobile_number",
    "email",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::{Codes, Population};

    /// Puts a row together again, as a reader of such files does.
    fn citizen(row: &csv::StringRecord) -> Citizen {
        let mut record = Value::Object(Default::default());
        for (column, cell) in COLUMNS.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
            let value = match serde_json::from_str(cell) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
                _ if *column == "nationality" => cell.split(';').collect(),
                _ => Value::from(cell),
            };
            let path = format!("/{}", column.replace('.', "/"));
            let mut at = &mut record;
            for part in path[1..].split('/') {
                at = &mut at[part];
            }
            *at = value;
        }
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn a_row_holds_the_whole_citizen() {
        let population = Population::new(4, 4_000).with_codes(Codes::Both);
        let citizens: Vec<Citizen> = population.iter().collect();
        let mut text = Vec::new();
        header(&mut text).unwrap();
        citizens.iter().for_each(|citizen| append(&mut text, citizen).unwrap());
        let mut rows = csv::Reader::from_reader(text.as_slice());
        assert_eq!(rows.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS);
        let read: Vec<Citizen> = rows.records().map(|row| citizen(&row.unwrap())).collect();
        assert!(read == citizens);
    }
}

//! Rows of a file as citizens: JSON Lines, or CSV with dotted column names.

use dancu_proto::{Areas, Field, Violation, field::Format, v1::Citizen, validate};
use serde_json::{Map, Value};
use thiserror::Error;

/// A row that brings no citizen.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct RowError {
    /// The field at fault; empty where the row as a whole is.
    pub field: String,
    /// What is wrong; never the value.
    pub reason: String,
}

/// A line of JSON.
///
/// # Errors
/// If it is no citizen, or a value cannot be.
pub fn from_json(line: &[u8], areas: &Areas) -> Result<Citizen, RowError> {
    let text = std::str::from_utf8(line)
        .map_err(|_| RowError { field: String::new(), reason: "is not UTF-8".into() })?;
    let mut citizen: Citizen = match serde_json::from_str(text) {
        Ok(citizen) => citizen,
        Err(_) => return Err(why_not_json(line)),
    };
    checked(&mut citizen, areas)?;
    Ok(citizen)
}

/// Reads a bad line again, slowly, to say where it is bad.
fn why_not_json(line: &[u8]) -> RowError {
    let mut reader = serde_json::Deserializer::from_slice(line);
    match serde_path_to_error::deserialize::<_, Citizen>(&mut reader) {
        Ok(_) => RowError { field: String::new(), reason: "more than one value on a line".into() },
        Err(error) => {
            let path = error.path().to_string();
            let field = if path == "." { String::new() } else { path };
            RowError { field, reason: without_values(&error.into_inner().to_string()) }
        }
    }
}

/// Serde's messages quote what they found; a reject's reason must not.
fn without_values(message: &str) -> String {
    match message.split_once("invalid type: ").or_else(|| message.split_once("invalid value: ")) {
        Some((_, rest)) => match rest.split_once(", expected ") {
            Some((_, expected)) => format!("a value of another kind; expected {expected}"),
            None => "a value of another kind".into(),
        },
        None => message.to_owned(),
    }
}

fn checked(citizen: &mut Citizen, areas: &Areas) -> Result<(), RowError> {
    validate(citizen, true, areas).map_err(|violations| {
        let first = violations.into_iter().next();
        let Violation { field, reason } =
            first.unwrap_or(Violation { field: String::new(), reason: String::new() });
        RowError { field, reason }
    })
}

/// Columns of more parts than this name nothing; no value of a citizen lies so deep.
const DEEPEST: usize = 8;

/// How the columns of a CSV file make a citizen.
#[derive(Clone, Debug)]
pub struct Columns(Vec<Column>);

#[derive(Clone, Debug)]
struct Column {
    /// The path in the JSON form of a citizen.
    path: Vec<String>,
    /// A cell of several values, separated by semicolons.
    list: bool,
    /// A cell that holds JSON if it begins as JSON does.
    json: bool,
}

impl Columns {
    /// Reads a header.
    ///
    /// # Errors
    /// If a column names no field.
    pub fn read(header: &csv::ByteRecord) -> Result<Columns, RowError> {
        let column = |name: &[u8]| {
            let name = std::str::from_utf8(name).unwrap_or_default().trim().trim_start_matches('\u{feff}');
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            let known = path[0].parse::<Field>().ok().filter(|_| path.len() <= DEEPEST);
            let field = known.ok_or_else(|| RowError {
                field: name.to_owned(),
                reason: "the header names a column that is no field of a citizen".into(),
            })?;
            let format = field.spec().format;
            let list = path.len() == 1 && matches!(format, Format::Countries | Format::PersonalIds);
            let json = path.len() == 1
                && matches!(
                    format,
                    Format::Relative
                        | Format::Relatives
                        | Format::IdentityCards
                        | Format::Address
                        | Format::TemporaryResidence
                        | Format::TemporaryAbsence
                        | Format::Name
                );
            Ok(Column { path, list, json })
        };
        Ok(Columns(header.iter().map(column).collect::<Result<_, _>>()?))
    }

    /// A row.
    ///
    /// # Errors
    /// If it is no citizen, or a value cannot be.
    pub fn citizen(&self, row: &csv::ByteRecord, areas: &Areas) -> Result<Citizen, RowError> {
        let mut object = Map::new();
        for (column, cell) in self.0.iter().zip(row) {
            let cell = std::str::from_utf8(cell)
                .map_err(|_| RowError { field: column.path.join("."), reason: "is not UTF-8".into() })?;
            if !cell.is_empty() {
                insert(&mut object, &column.path, column.value(cell));
            }
        }
        let mut citizen: Citizen =
            serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| RowError {
                field: error.path().to_string(),
                reason: without_values(&error.into_inner().to_string()),
            })?;
        checked(&mut citizen, areas)?;
        Ok(citizen)
    }
}

impl Column {
    fn value(&self, cell: &str) -> Value {
        if (self.json || self.list)
            && cell.starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str(cell)
        {
            return value;
        }
        if self.list {
            return cell.split(';').map(|item| Value::from(item.trim())).collect();
        }
        Value::from(cell)
    }
}

fn insert(object: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => _ = object.insert(last.clone(), value),
        [first, rest @ ..] => {
            let inner = object.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(cells: &[&str]) -> csv::ByteRecord {
        csv::ByteRecord::from(cells.to_vec())
    }

    #[test]
    fn csv_and_json_bring_the_same_citizen() {
        let columns = Columns::read(&record(&[
            "personal_id",
            "full_name",
            "date_of_birth",
            "nationality",
            "permanent_residence.commune",
            "father",
        ]))
        .unwrap();
        let father = r#"{"name":"Nguyễn Văn Bình"}"#;
        let areas = Areas::shipped();
        let by_csv =
            columns.citizen(&record(&["001185001234", "Nguyễn An", "1985", "VN;FR", "00004", father]), areas);
        let by_json = from_json(
            r#"{"personal_id":"001185001234","full_name":"Nguyễn An","date_of_birth":"1985","nationality":["VN","FR"],
            "permanent_residence":{"commune":"00004"},"father":{"name":"Nguyễn Văn Bình"}}"#
                .as_bytes(),
            areas,
        );
        assert_eq!(by_csv.unwrap(), by_json.unwrap());
    }

    #[test]
    fn faults_name_the_field_and_not_the_value() {
        let fault = |line: &str| from_json(line.as_bytes(), Areas::shipped()).unwrap_err();
        let error = fault(r#"{"personal_id":12345}"#);
        assert_eq!(error.field, "personal_id");
        assert!(!error.reason.contains("12345"), "{error}");
        assert_eq!(fault(r#"{"date_of_birth":"1985-13-01"}"#).field, "date_of_birth");
        assert_eq!(fault(r#"{"father":{"nam":"A"}}"#).field, "father.nam");
        assert_eq!(fault("not json").field, "");
        assert!(Columns::read(&record(&["shoe_size"])).is_err());
        let deep = format!("father{}", ".name".repeat(200_000));
        assert!(Columns::read(&record(&[&deep])).is_err());
    }
}

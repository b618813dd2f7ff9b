//! Rows of an import, JSON or CSV: a row is a citizen whose values are in their normal form, or is refused
//! without its values.

use dancu_hub::intake::{Columns, RowError, from_json};
use dancu_proto::{Areas, PersonalId, Record, area::by_order_in_force, v1::Citizen, validate};

use super::input::Input;

/// What seeds have for a value that must not be quoted.
const VALUE: &str = "Giatri";

/// A choice, and then a line of JSON or a CSV file.
pub fn import_rows(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let bytes = input.rest();
    if choice.is_multiple_of(2) { json(bytes) } else { csv(bytes) }
}

fn json(line: &[u8]) {
    match from_json(line, Areas::shipped()) {
        Ok(citizen) => is_normal(&citizen),
        Err(error) => quotes_nothing(&error),
    }
}

fn csv(file: &[u8]) {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let Ok(header) = reader.byte_headers().cloned() else { return };
    let columns = match Columns::read(&header) {
        Ok(columns) => columns,
        // It names a column, which is no value.
        Err(error) => return assert!(!error.reason.is_empty()),
    };
    for row in reader.byte_records() {
        let Ok(row) = row else { return };
        match columns.citizen(&row, Areas::shipped()) {
            Ok(citizen) => is_normal(&citizen),
            Err(error) => quotes_nothing(&error),
        }
    }
}

/// Names of fields are told, also those that are none.
fn quotes_nothing(error: &RowError) {
    let of_a_name = error.reason.starts_with("unknown field") || error.reason.starts_with("duplicate field");
    assert!(of_a_name || !error.reason.contains(VALUE), "a reason quotes a value: {}", error.reason);
}

/// Everything that comes after may trust a citizen that was taken in.
fn is_normal(citizen: &Citizen) {
    let areas = Areas::shipped();
    assert!(citizen.personal_id.parse::<PersonalId>().is_ok());
    let mut again = citizen.clone();
    validate(&mut again, true, areas).unwrap();
    assert_eq!(again, *citizen, "the normal form of a citizen is another one");

    let printed = serde_json::to_vec(citizen).unwrap();
    assert_eq!(from_json(&printed, areas).as_ref(), Ok(citizen), "a citizen is printed as another");

    let record = Record::encode(citizen);
    let stored = Record::from_bytes(record.as_bytes().to_vec()).unwrap();
    let decoded = stored.decode().unwrap();
    assert_eq!(Record::encode(&decoded), record);
    assert_eq!(record.personal_id().map(|id| id.to_string()).as_ref(), Some(&citizen.personal_id));
    assert!(record.delta_to(&stored).is_empty());

    let mut followed = decoded;
    by_order_in_force(&mut followed, areas);
    assert!(
        [&followed.permanent_residence, &followed.current_dwelling]
            .into_iter()
            .flatten()
            .all(|a| a.division == 0)
    );
}

//! Tables of `dancu-node reconcile`: every row claims something that can be sent, or says what is wrong.

use std::{cell::RefCell, fs, path::PathBuf};

use dancu_node::cli::claims;
use dancu_proto::{Record, name::nfc, v1::Citizen};
use prost::Message;
use tempfile::TempDir;

use super::input::Input;

thread_local! {
    static TABLE: RefCell<Option<(TempDir, PathBuf)>> = const { RefCell::new(None) };
}

/// What the operator says of the columns, up to a zero byte, and a table.
pub fn reconcile_rows(data: &[u8]) {
    let mut input = Input::new(data);
    let said = if data.contains(&0) { input.until(0) } else { &[] };
    let said = String::from_utf8_lossy(said);
    let said: Vec<_> = said.split(',').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    let table = input.rest();
    let path = written(table);
    let Ok(rows) = claims(&path, &said) else { return };
    let mut count = 0;
    for row in rows {
        let Ok((_, claim)) = row else { return };
        count += 1;
        match claim {
            Ok(claim) => can_be_sent(&claim),
            Err(why) => assert!(why.contains(": "), "a fault names no column: {why}"),
        }
    }
    let lines = table.iter().filter(|byte| b"\r\n".contains(byte)).count();
    assert!(count <= lines, "{count} rows of {lines} lines");
}

fn written(table: &[u8]) -> PathBuf {
    TABLE.with_borrow_mut(|kept| {
        let (_, path) = kept.get_or_insert_with(|| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("table.csv");
            (directory, path)
        });
        fs::write(&*path, table).unwrap();
        path.clone()
    })
}

fn can_be_sent(claim: &Citizen) {
    for date in [&claim.date_of_birth, &claim.date_of_death, &claim.date_missing].into_iter().flatten() {
        date.check().unwrap();
        assert_eq!(date.to_string().parse(), Ok(*date));
    }
    for text in [&claim.personal_id, &claim.old_id_number, &claim.other_name, &claim.email] {
        assert_eq!(text.trim(), text);
        assert_eq!(nfc(text), *text);
    }
    assert_eq!(Citizen::decode(claim.encode_to_vec().as_slice()).as_ref(), Ok(claim));
    let record = Record::encode(claim);
    assert_eq!(Record::from_bytes(record.as_bytes().to_vec()).as_ref(), Ok(&record));
    let printed = serde_json::to_string(claim).unwrap();
    assert_eq!(serde_json::from_str::<Citizen>(&printed).unwrap(), *claim);
}

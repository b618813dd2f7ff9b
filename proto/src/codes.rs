//! Tables of codes: sex, marital status, blood type, ethnicity, religion.
//!
//! They change by circular, so they are data: `data/code_tables.csv`.

use std::{collections::HashMap, sync::LazyLock};

const TABLES: &str = include_str!("../data/code_tables.csv");

type Tables = HashMap<&'static str, HashMap<&'static str, &'static str>>;

static CODES: LazyLock<Tables> = LazyLock::new(|| {
    let mut tables = Tables::new();
    for line in TABLES.lines().skip(1) {
        let mut columns = line.splitn(3, ',');
        if let (Some(table), Some(code), Some(name)) = (columns.next(), columns.next(), columns.next()) {
            tables.entry(table).or_default().insert(code, name);
        }
    }
    tables
});

/// The Vietnamese name of a code, if the table has it.
#[must_use]
pub fn label(table: &str, code: &str) -> Option<&'static str> {
    CODES.get(table)?.get(code).copied()
}

/// Whether a table has a code.
#[must_use]
pub fn has(table: &str, code: &str) -> bool {
    label(table, code).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Field;

    #[test]
    fn every_table_the_catalogue_names_exists() {
        for field in Field::ALL {
            if let Some(table) = field.spec().code_table {
                assert!(CODES.contains_key(table), "{table}");
            }
        }
        assert_eq!(label("ethnicity", "01"), Some("Kinh"));
        assert_eq!(label("sex", "2"), Some("Nữ"));
        assert!(!has("sex", "3"));
    }
}

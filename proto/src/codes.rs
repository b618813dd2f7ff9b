//! Tables of codes: sex, marital status, blood type, ethnicity, religion.
//!
//! They change by circular, so they are data: `data/code_tables.csv`.

use std::{collections::HashMap, sync::LazyLock};

use crate::name::fold;

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

type Names = HashMap<&'static str, HashMap<String, &'static str>>;

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let names = |codes: &HashMap<&'static str, &'static str>| {
        codes.iter().map(|(code, name)| (fold(name), *code)).collect()
    };
    CODES.iter().map(|(table, codes)| (*table, names(codes))).collect()
});

/// The Vietnamese name of a code, if the table has it.
#[must_use]
pub fn label(table: &str, code: &str) -> Option<&'static str> {
    CODES.get(table)?.get(code).copied()
}

/// The code of a name, which is given folded ([`crate::name::fold`]).
#[must_use]
pub fn code(table: &str, folded: &str) -> Option<&'static str> {
    NAMES.get(table)?.get(folded).copied()
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

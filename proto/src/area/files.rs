//! The files that authorities publish, as changes. All are CSV with a header line, UTF-8; columns are
//! found by their names, and those that mean nothing here are left aside.

use std::collections::{BTreeMap, HashMap};

use csv::StringRecord;
use thiserror::Error;

use super::{AreaError, CommuneCode, ProvinceCode};
use crate::v1::{AreaChange, Commune, Date, Province, Succession};

const SHIPPED: &str = include_str!("../../data/administrative_units.csv");

/// The day from which the shipped table holds.
pub const SHIPPED_FROM: Date = Date { year: 2025, month: 7, day: 1 };

/// A file that cannot be read.
#[derive(Debug, Error)]
pub enum FileError {
    /// Not CSV.
    #[error("the file is not CSV in UTF-8: {0}")]
    Csv(#[from] csv::Error),
    /// A column is missing.
    #[error("the file has no column `{0}`; its header names what it has")]
    Column(&'static str),
    /// A code that is none.
    #[error("line {line}: {error}")]
    Code {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        error: AreaError,
    },
    /// A word that means nothing here.
    #[error("line {line}: `{column}` is {expected}")]
    Word {
        /// The line, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What may stand there.
        expected: &'static str,
    },
    /// A commune with a largest part twice, or without one.
    #[error("commune {0} goes nowhere whole or by its largest part, or to two communes so")]
    Parts(CommuneCode),
    /// Without an area.
    #[error("the file names no area")]
    Empty,
}

/// The table that ships with this version: the order since 1 July 2025.
#[must_use]
pub fn shipped() -> AreaChange {
    // Covered by a test: the shipped file can be read.
    let units = units(SHIPPED.as_bytes()).expect("the shipped table of areas can be read");
    AreaChange { from: Some(SHIPPED_FROM), ..units }
}

/// A table of units: `province_code`, `province_name`, `commune_code`, `commune_name`, and
/// `district_code` where there are districts. A district without communes has an empty commune.
///
/// # Errors
/// If it cannot be read.
pub fn units(file: &[u8]) -> Result<AreaChange, FileError> {
    let mut table = Table::read(file)?;
    let [province, name, commune, commune_name] =
        table.columns(["province_code", "province_name", "commune_code", "commune_name"])?;
    let district = table.column("district_code");
    let mut provinces = BTreeMap::new();
    let mut communes = Vec::new();
    while let Some(row) = table.next()? {
        let code: ProvinceCode = row.code(province)?;
        provinces.entry(code).or_insert_with(|| row.text(name).to_owned());
        if row.text(commune).is_empty() {
            continue;
        }
        let district = district.map_or("", |district| row.text(district));
        communes.push(Commune {
            code: row.code::<CommuneCode>(commune)?.0,
            name: row.text(commune_name).to_owned(),
            province: code.0.into(),
            district: district.parse().unwrap_or_default(),
        });
    }
    if communes.is_empty() {
        return Err(FileError::Empty);
    }
    let provinces = provinces.into_iter().map(|(code, name)| Province { code: code.0.into(), name });
    Ok(AreaChange { provinces: provinces.collect(), communes, ..AreaChange::default() })
}

/// Where each commune goes: `old_commune_code`, `new_commune_code`, and `how`, which is `whole`, or
/// `largest part` and `part` where a commune is divided. Rows without an old commune are those of
/// districts that had none.
///
/// # Errors
/// If it cannot be read.
pub fn merger(file: &[u8]) -> Result<Vec<Succession>, FileError> {
    let mut table = Table::read(file)?;
    let [old, new, how] = table.columns(["old_commune_code", "new_commune_code", "how"])?;
    let mut order = Vec::new();
    let mut found: HashMap<CommuneCode, (Vec<CommuneCode>, Vec<CommuneCode>)> = HashMap::new();
    while let Some(row) = table.next()? {
        if row.text(old).is_empty() {
            continue;
        }
        let (commune, into): (CommuneCode, CommuneCode) = (row.code(old)?, row.code(new)?);
        let (most, parts) = found.entry(commune).or_insert_with(|| {
            order.push(commune);
            Default::default()
        });
        match row.text(how) {
            "whole" | "largest part" => most.push(into),
            "part" => parts.push(into),
            _ => return Err(row.word("how", "`whole`, `largest part` or `part`")),
        }
    }
    let succession = |commune: CommuneCode| match found.remove(&commune) {
        Some((most, parts)) if most.len() == 1 => Ok(Succession {
            commune: commune.0,
            into: most[0].0,
            parts: parts.iter().map(|part| part.0).collect(),
        }),
        _ => Err(FileError::Parts(commune)),
    };
    let successions: Vec<_> = order.into_iter().map(succession).collect::<Result<_, _>>()?;
    if successions.is_empty() { Err(FileError::Empty) } else { Ok(successions) }
}

/// New names of areas whose codes stay: `level` (`province` or `commune`), `code`, `name_after`.
///
/// # Errors
/// If it cannot be read.
pub fn names(file: &[u8]) -> Result<AreaChange, FileError> {
    let mut table = Table::read(file)?;
    let [level, code, name] = table.columns(["level", "code", "name_after"])?;
    let mut change = AreaChange::default();
    while let Some(row) = table.next()? {
        let name = row.text(name).to_owned();
        match row.text(level) {
            "province" => {
                let code = row.code::<ProvinceCode>(code)?.0.into();
                change.provinces.push(Province { code, name });
            }
            "commune" => {
                let code = row.code::<CommuneCode>(code)?.0;
                change.communes.push(Commune { code, name, ..Commune::default() });
            }
            _ => return Err(row.word("level", "`province` or `commune`")),
        }
    }
    let empty = change.provinces.is_empty() && change.communes.is_empty();
    if empty { Err(FileError::Empty) } else { Ok(change) }
}

struct Table<'a> {
    reader: csv::Reader<&'a [u8]>,
    header: StringRecord,
    row: StringRecord,
}

impl<'a> Table<'a> {
    fn read(file: &'a [u8]) -> Result<Table<'a>, FileError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let header = reader.headers()?.clone();
        Ok(Table { reader, header, row: StringRecord::new() })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column.trim_start_matches('\u{feff}') == name)
    }

    fn columns<const N: usize>(&self, names: [&'static str; N]) -> Result<[usize; N], FileError> {
        let mut found = [0; N];
        for (place, name) in found.iter_mut().zip(names) {
            *place = self.column(name).ok_or(FileError::Column(name))?;
        }
        Ok(found)
    }

    fn next(&mut self) -> Result<Option<Row<'_>>, FileError> {
        let more = self.reader.read_record(&mut self.row)?;
        Ok(more.then_some(Row(&self.row)))
    }
}

struct Row<'a>(&'a StringRecord);

impl Row<'_> {
    fn text(&self, column: usize) -> &str {
        self.0.get(column).unwrap_or_default()
    }

    fn line(&self) -> u64 {
        self.0.position().map_or(0, csv::Position::line)
    }

    fn code<C: std::str::FromStr<Err = AreaError>>(&self, column: usize) -> Result<C, FileError> {
        self.text(column).parse().map_err(|error| FileError::Code { line: self.line(), error })
    }

    fn word(&self, column: &'static str, expected: &'static str) -> FileError {
        FileError::Word { line: self.line(), column, expected }
    }
}

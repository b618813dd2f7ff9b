//! The rows of a table: CSV in UTF-8, or the first sheet of a workbook.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use calamine::{Data, Reader, open_workbook_auto};

use crate::cli::failure::Failure;

/// What is looked at to tell the separator.
const SAMPLE: usize = 64 << 10;

/// A table.
pub(super) struct Sheet {
    pub(super) header: Vec<String>,
    pub(super) rows: Box<dyn Iterator<Item = Result<Vec<String>, Failure>> + Send>,
    /// How many rows, where that is known.
    pub(super) count: Option<u64>,
}

impl Sheet {
    /// Opens a table by the name of its file.
    pub(super) fn open(path: &Path) -> Result<Sheet, Failure> {
        let ends = path.extension().map(|ends| ends.to_ascii_lowercase());
        match ends.as_deref().and_then(|ends| ends.to_str()) {
            Some("xlsx" | "xls" | "xlsm" | "xlsb" | "ods") => workbook(path),
            _ => csv(path),
        }
    }
}

fn csv(path: &Path) -> Result<Sheet, Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut sample = Vec::with_capacity(SAMPLE);
    file.by_ref().take(SAMPLE as u64).read_to_end(&mut sample).map_err(failed)?;
    let mark: u64 = if sample.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    if sample.starts_with(b"\xFF\xFE") || sample.starts_with(b"\xFE\xFF") {
        let fault = "is in UTF-16; save it as CSV in UTF-8";
        return Err(Failure::Usage(format!("{} {fault}", path.display())));
    }
    let first = sample.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| first.iter().filter(|byte| **byte == separator).count();
    let separator = [b',', b';', b'\t'].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',');
    file.seek(SeekFrom::Start(mark)).map_err(failed)?;
    let reader =
        ::csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(BufReader::new(file));
    let name = path.display().to_string();
    let fault = move |error: &::csv::Error| match error.kind() {
        ::csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(0, ::csv::Position::line);
            Failure::Usage(format!("{name} line {line} is not UTF-8; save the file as CSV in UTF-8"))
        }
        _ => Failure::Usage(format!("{name}: {error}")),
    };
    let mut records = reader.into_records();
    let header = records.reader_mut().headers().map_err(|error| fault(&error))?;
    let header = header.iter().map(str::to_owned).collect();
    let rows = records.map(move |record| match record {
        Ok(record) => Ok(record.iter().map(str::to_owned).collect()),
        Err(error) => Err(fault(&error)),
    });
    Ok(Sheet { header, rows: Box::new(rows), count: lines(path) })
}

/// Lines after the first: rows, but for cells that have several.
fn lines(path: &Path) -> Option<u64> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).ok()?);
    let mut count = 0;
    loop {
        let part = reader.fill_buf().ok()?;
        if part.is_empty() {
            return Some(u64::saturating_sub(count, 1));
        }
        count += part.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = part.len();
        reader.consume(length);
    }
}

fn workbook(path: &Path) -> Result<Sheet, Failure> {
    let fault = |error: calamine::Error| Failure::Usage(format!("{}: {error}", path.display()));
    let mut book = open_workbook_auto(path).map_err(fault)?;
    let range = book.worksheet_range_at(0);
    let range =
        range.ok_or_else(|| Failure::Usage(format!("{} has no sheet", path.display())))?.map_err(fault)?;
    let mut rows: Vec<Vec<String>> = range.rows().map(|row| row.iter().map(cell).collect()).collect();
    if rows.is_empty() {
        return Err(Failure::Usage(format!("{} is empty", path.display())));
    }
    let header = rows.remove(0);
    let count = Some(rows.len() as u64);
    Ok(Sheet { header, rows: Box::new(rows.into_iter().map(Ok)), count })
}

/// A cell as text. Numbers of people are often kept as numbers, without the zeros that they begin with.
fn cell(data: &Data) -> String {
    match data {
        Data::Float(number) if number.fract() == 0.0 && (1e9..1e12).contains(number) => {
            format!("{number:012.0}")
        }
        Data::Int(number) if (1_000_000_000..1_000_000_000_000).contains(number) => format!("{number:012}"),
        Data::DateTime(moment) if moment.is_datetime() => {
            let (year, month, day, ..) = moment.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}")
        }
        Data::DateTimeIso(text) => text.get(..10).unwrap_or(text).to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &[u8]) -> Result<(Vec<String>, Vec<Vec<String>>), Failure> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let sheet = Sheet::open(&path)?;
        Ok((sheet.header, sheet.rows.collect::<Result<_, _>>()?))
    }

    #[test]
    fn csv_is_read_as_spreadsheets_write_it() {
        let expected = (vec!["id".to_owned(), "tên".into()], vec![vec!["1".to_owned(), "Hà, An".into()]]);
        for content in ["id,tên\n1,\"Hà, An\"\n", "\u{FEFF}id;tên\r\n1;Hà, An\r\n", "id\ttên\n1\tHà, An\n"]
        {
            assert_eq!(read("a.csv", content.as_bytes()).unwrap(), expected, "{content:?}");
        }
    }

    #[test]
    fn another_encoding_is_refused_and_named() {
        let fault = read("a.csv", b"id,ten\n1,H\xE0\n").unwrap_err().to_string();
        assert!(fault.contains("line 2") && fault.contains("UTF-8"), "{fault}");
        let fault = read("a.csv", b"\xFF\xFEi\0d\0").unwrap_err().to_string();
        assert!(fault.contains("UTF-16"), "{fault}");
        assert!(read("a.xlsx", b"no workbook").is_err());
    }

    #[test]
    fn numbers_in_a_workbook_get_their_zeros_back() {
        assert_eq!(cell(&Data::Float(1_185_001_234.0)), "001185001234");
        assert_eq!(cell(&Data::Int(79_085_001_234)), "079085001234");
        assert_eq!(cell(&Data::Float(1985.0)), "1985");
        assert_eq!(cell(&Data::String("An".into())), "An");
    }
}

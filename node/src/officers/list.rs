//! `officers.csv`: read at the start, and again whenever it changes. A list with a fault is not taken: the
//! one before stays in force.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use dancu_proto::channel::file;
use time::{OffsetDateTime, macros::offset};
use tokio_util::sync::CancellationToken;

use super::rule::{Officer, RowError, Rule};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The list cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OfficerError {
    /// The file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not the CSV that is expected.
    #[error("{}: {source}", path.display())]
    Csv {
        /// Which.
        path: PathBuf,
        /// Why, and where.
        source: csv::Error,
    },
    /// A row is wrong.
    #[error("{} line {line}: {source}", path.display())]
    Row {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// Why.
        source: RowError,
    },
    /// Nobody of that code.
    #[error("no officer {0} is listed; `dancu-node officer list` shows who is")]
    Unknown(String),
}

/// The file.
#[derive(Clone, Debug)]
pub struct OfficersFile(PathBuf);

impl OfficersFile {
    /// The file in the agency's directory; it need not exist.
    #[must_use]
    pub fn of(agency_dir: &Path) -> OfficersFile {
        OfficersFile(agency_dir.join("officers.csv"))
    }

    /// A file of the same form elsewhere, to be taken over.
    #[must_use]
    pub fn at(path: PathBuf) -> OfficersFile {
        OfficersFile(path)
    }

    /// Its rows, each checked.
    ///
    /// # Errors
    /// It is not readable, or a row is wrong.
    pub fn rows(&self) -> Result<Vec<Officer>, OfficerError> {
        let content = match fs::read(&self.0) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(OfficerError::File { path: self.0.clone(), source }),
        };
        let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&content);
        let of_csv = |source| OfficerError::Csv { path: self.0.clone(), source };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(content);
        let header = reader.headers().map_err(of_csv)?.clone();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(of_csv)?;
            let line = record.position().map_or(0, csv::Position::line);
            let row: Officer = record.deserialize(Some(&header)).map_err(of_csv)?;
            row.rule().map_err(|source| OfficerError::Row { path: self.0.clone(), line, source })?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// Writes the list, in one step.
    ///
    /// # Errors
    /// A row is wrong, or the file cannot be written.
    pub fn write(&self, rows: &[Officer]) -> Result<(), OfficerError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for (line, row) in (2..).zip(rows) {
            row.rule().map_err(|source| OfficerError::Row { path: self.0.clone(), line, source })?;
            writer.serialize(row).map_err(|source| OfficerError::Csv { path: self.0.clone(), source })?;
        }
        let mut content = writer.into_inner().map_err(|error| OfficerError::File {
            path: self.0.clone(),
            source: io::Error::other(error.to_string()),
        })?;
        if content.is_empty() {
            content = b"officer,purposes,from,until\n".to_vec();
        }
        if let Some(dir) = self.0.parent() {
            fs::create_dir_all(dir).map_err(|source| OfficerError::File { path: dir.to_owned(), source })?;
        }
        file::replace(&self.0, &content, file::SECRET)
            .map_err(|source| OfficerError::File { path: self.0.clone(), source })
    }

    /// What differs when the file was replaced.
    fn stamp(&self) -> Option<(u64, u64, SystemTime)> {
        let data = fs::metadata(&self.0).ok()?;
        Some((data.ino(), data.len(), data.modified().ok()?))
    }
}

/// Who may act for what, now.
#[derive(Debug)]
pub struct Officers {
    file: OfficersFile,
    rules: ArcSwap<HashMap<String, Vec<Rule>>>,
}

impl Officers {
    /// The officers of the file.
    ///
    /// # Errors
    /// It is not readable, or a row is wrong.
    pub fn load(file: OfficersFile) -> Result<Arc<Officers>, OfficerError> {
        let officers = Officers { file, rules: ArcSwap::default() };
        officers.reload()?;
        Ok(Arc::new(officers))
    }

    /// Whether an officer is listed for a purpose on the day of a moment, Asia/Ho_Chi_Minh.
    #[must_use]
    pub fn may(&self, officer: &str, purpose: &str, now: OffsetDateTime) -> bool {
        let today = now.to_offset(offset!(+7)).date();
        let today = today.year().unsigned_abs() * 10_000
            + u32::from(u8::from(today.month())) * 100
            + u32::from(today.day());
        let rules = self.rules.load();
        rules.get(officer).is_some_and(|rules| rules.iter().any(|rule| rule.allows(purpose, today)))
    }

    /// Reads the file again. On an error the list stays as it was.
    ///
    /// # Errors
    /// It is not readable, or a row is wrong.
    pub fn reload(&self) -> Result<usize, OfficerError> {
        let mut rules: HashMap<String, Vec<Rule>> = HashMap::new();
        for (line, row) in (2..).zip(self.file.rows()?) {
            let rule = row.rule();
            let rule =
                rule.map_err(|source| OfficerError::Row { path: self.file.0.clone(), line, source })?;
            rules.entry(row.officer).or_default().push(rule);
        }
        let count = rules.len();
        self.rules.store(Arc::new(rules));
        Ok(count)
    }

    /// Reads the file again; an error goes to the log.
    pub fn reload_logged(&self) {
        match self.reload() {
            Ok(officers) => tracing::info!(officers, "the list of officers was read again"),
            Err(error) => tracing::error!(%error, "the list of officers stays as it was"),
        }
    }

    /// Reads the file again whenever it changes, until cancelled.
    pub async fn follow(self: Arc<Officers>, cancel: CancellationToken) {
        let mut seen = self.file.stamp();
        while cancel.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let now = self.file.stamp();
            if now != seen {
                seen = now;
                self.reload_logged();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn officer(officer: &str, purposes: &str, from: &str, until: &str) -> Officer {
        let [officer, purposes, from, until] = [officer, purposes, from, until].map(str::to_owned);
        Officer { officer, purposes, from, until }
    }

    #[test]
    fn an_officer_may_what_is_listed_on_the_days_that_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let file = OfficersFile::of(directory.path());
        let officers = Officers::load(file.clone()).unwrap();
        let noon = datetime!(2026-11-23 05:00 UTC);
        assert!(!officers.may("an", "a", noon));
        let rows = [
            officer("an", "a b", "", ""),
            officer("binh", "*", "2026-11-01", "2026-11-23"),
            officer("chi", "a", "2026-11-24", ""),
            officer("chi", "b", "", "2026-11-22"),
        ];
        file.write(&rows).unwrap();
        assert_eq!(officers.reload().unwrap(), 3);
        assert_eq!(file.rows().unwrap(), rows);
        let may = |officer: &str, purpose: &str| officers.may(officer, purpose, noon);
        assert!(may("an", "a") && may("an", "b") && !may("an", "c") && !may("AN", "a"));
        assert!(may("binh", "anything"));
        assert!(!may("chi", "a") && !may("chi", "b"));
        // A day is one of Vietnam: it begins at 17:00 UTC.
        let (before, after) = (datetime!(2026-11-23 16:59 UTC), datetime!(2026-11-23 17:00 UTC));
        assert!(officers.may("binh", "a", before) && !officers.may("binh", "a", after));
        assert!(!officers.may("chi", "a", before) && officers.may("chi", "a", after));
    }

    #[test]
    fn a_list_with_a_fault_is_not_taken_and_the_fault_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = OfficersFile::of(directory.path());
        file.write(&[officer("an", "a", "", "")]).unwrap();
        let officers = Officers::load(file).unwrap();
        let path = directory.path().join("officers.csv");
        for (content, line) in [
            ("officer,purposes,from,until\nan,a,,\nbinh,,,\n", "line 3: no purposes"),
            ("officer,purposes,from,until\nan,a,31/01/2026,\n", "line 2: \"31/01/2026\" is not a day"),
            ("officer,purposes,from,until\nan,a,2026-02-01,2026-01-01\n", "line 2: ends on"),
            ("officer,purposes,from,until\n,a,,\n", "line 2: the officer's code"),
            ("officer,from,until\nan,,\n", "missing field `purposes`"),
        ] {
            fs::write(&path, content).unwrap();
            let error = officers.reload().unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
            assert!(officers.may("an", "a", datetime!(2026-11-23 05:00 UTC)), "the list before stays");
        }
        // As spreadsheets write it: with a mark of the encoding, spaces, and columns left out.
        fs::write(&path, "\u{FEFF}officer, purposes\n chi , a\n").unwrap();
        officers.reload().unwrap();
        assert!(officers.may("chi", "a", datetime!(2026-11-23 05:00 UTC)));
    }
}

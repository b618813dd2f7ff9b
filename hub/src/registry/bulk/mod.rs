//! The founding load: an empty registry takes any number of citizens as one commit, through sorted
//! files that are built outside the database. Memory is flat: rows are sorted in runs on disk.
//!
//! It needs no feed entries and no journal of values: whoever comes later starts with a load, and
//! before its first journalled change a record is what it was founded with.

mod buckets;
mod former;
mod run;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use dancu_proto::{PersonalId, Record, v1::Date};

use self::{
    buckets::Buckets,
    former::Claims,
    run::{MergedRuns, Run, Runs, Sorter},
};
use super::{
    CitizenKey, Partition, StoreError, StoredCitizen,
    citizen::birth_of,
    partition::partitions_of,
    store::{BulkTable, Store},
};

/// Sorted files are about this large, bytes.
const FILE_SIZE: u64 = 256 << 20;
/// Threads that merge: each has its own range of keys.
const MERGERS: usize = 2;

/// A load under way.
#[derive(Debug)]
pub struct BulkLoad {
    dir: PathBuf,
    rows: Runs,
    claims: Runs,
    files: Vec<(BulkTable, PathBuf)>,
    citizens: u64,
}

/// A row that is left out, for what an earlier row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Line of the row.
    pub line: u64,
    /// Line of the other row.
    pub other: u64,
    /// What stands between them.
    pub clash: Clash,
}

/// What stands between two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// Both say the same.
    Same,
    /// Both are of one number, and say different things.
    Differs,
    /// The row's number is a former number of the other row's person.
    FormerOfOther,
    /// Both list the same former number.
    FormerOfBoth,
}

/// What a load comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkSummary {
    /// Citizens to enter.
    pub citizens: u64,
    /// Rows left out.
    pub left_out: Vec<LeftOut>,
}

/// Gathers rows in sorted runs; one for each thread that brings rows.
pub struct RunBuilder<'a> {
    rows: Sorter<'a>,
    claims: Sorter<'a>,
}

impl RunBuilder<'_> {
    /// Adds a row: the record of the person with a key and the former numbers that it lists, from a
    /// line of the file.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn push(
        &mut self,
        key: CitizenKey,
        line: u64,
        record: &[u8],
        former: impl Iterator<Item = PersonalId>,
    ) -> Result<(), StoreError> {
        for number in former {
            self.claims.push(number.into(), line, &former::owner(key))?;
        }
        self.rows.push(key, line, record)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.rows.write()?;
        self.claims.write()
    }
}

impl BulkLoad {
    pub(super) fn start(store: &dyn Store) -> Result<BulkLoad, StoreError> {
        if store.snapshot().head()?.citizens > 0 {
            return Err(StoreError::NotEmpty);
        }
        let dir = store.bulk_dir()?;
        let (rows, claims) = (Runs::new(dir.join("rows")), Runs::new(dir.join("claims")));
        Ok(BulkLoad { dir, rows, claims, files: Vec::new(), citizens: 0 })
    }

    /// A builder of runs, one for each thread that brings rows.
    #[must_use]
    pub fn run_builder(&self) -> RunBuilder<'_> {
        RunBuilder { rows: Sorter::new(&self.rows), claims: Sorter::new(&self.claims) }
    }

    /// Merges the runs into sorted files. `written` counts citizens as they are written.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn merge(&mut self, store: &dyn Store, written: &AtomicU64) -> Result<BulkSummary, StoreError> {
        let numbers = self.dir.join("numbers.sst");
        let (claims, any) = Claims::settle(store, &numbers, self.claims.take())?;
        if any {
            self.files.push((BulkTable::Numbers, numbers));
        }
        let runs = self.rows.take();
        let bounds = run::split(&runs, MERGERS);
        let dir = &self.dir;
        let parts: Vec<Part> = std::thread::scope(|scope| {
            let threads: Vec<_> = bounds
                .iter()
                .enumerate()
                .map(|(number, (from, until))| {
                    let sources = Sources { runs: &runs, claims: &claims, from: *from, until: *until };
                    scope.spawn(move || Part::build(store, dir, number, &sources, written))
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined
                .map(|part| part.unwrap_or(Err(StoreError::Corrupt("a sorting thread"))))
                .collect::<Result<_, _>>()
        })?;
        let mut summary = BulkSummary::default();
        let (mut members, mut births) = (Vec::new(), Vec::new());
        for part in parts {
            summary.citizens += part.citizens;
            summary.left_out.extend(part.left_out);
            self.files.extend(part.files.into_iter().map(|file| (BulkTable::Citizens, file)));
            members.push(part.members);
            births.push(part.births);
        }
        self.citizens = summary.citizens;
        let file = self.dir.join("members.sst");
        if write_buckets(store, BulkTable::Members, &file, &members)? {
            self.files.push((BulkTable::Members, file));
        }
        let file = self.dir.join("births.sst");
        if write_buckets(store, BulkTable::Births, &file, &births)? {
            self.files.push((BulkTable::Births, file));
        }
        Ok(summary)
    }

    pub(super) fn files(&self) -> &[(BulkTable, PathBuf)] {
        &self.files
    }

    pub(super) fn citizens(&self) -> u64 {
        self.citizens
    }
}

impl Drop for BulkLoad {
    fn drop(&mut self) {
        // Sorted files that were taken in have moved into the database; the rest is scratch.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// What a range of keys is merged from.
struct Sources<'a> {
    runs: &'a [Run],
    claims: &'a Claims,
    from: u64,
    until: u64,
}

/// One range of keys, merged.
struct Part {
    citizens: u64,
    left_out: Vec<LeftOut>,
    files: Vec<PathBuf>,
    members: Buckets,
    births: Buckets,
}

impl Part {
    fn build(
        store: &dyn Store,
        dir: &Path,
        number: usize,
        sources: &Sources<'_>,
        written: &AtomicU64,
    ) -> Result<Part, StoreError> {
        let mut part = Part {
            citizens: 0,
            left_out: Vec::new(),
            files: Vec::new(),
            members: Buckets::new(dir.join(format!("members-{number}"))),
            births: Buckets::new(dir.join(format!("births-{number}"))),
        };
        let mut rows = MergedRuns::open(sources.runs, sources.from, sources.until)?;
        let mut claims = sources.claims.walk(sources.from, sources.until)?;
        let mut writer = None;
        let mut last: Option<(u64, u64, Vec<u8>)> = None;
        while let Some((key, line)) = rows.next_row()? {
            if let Some((_, first, bytes)) = last.as_ref().filter(|(last, ..)| *last == key) {
                let clash = if bytes.as_slice() == rows.bytes() { Clash::Same } else { Clash::Differs };
                part.left_out.push(LeftOut { line, other: *first, clash });
                continue;
            }
            if let Some(other) = claims.claim_to(key)? {
                part.left_out.push(LeftOut { line, other, clash: Clash::FormerOfOther });
                continue;
            }
            if let Some(other) = sources.claims.refusal(line) {
                part.left_out.push(LeftOut { line, other, clash: Clash::FormerOfBoth });
                continue;
            }
            let record = Record::trusted(rows.bytes().to_vec());
            let key = CitizenKey(key);
            // Kept for the next row, in the space of the last.
            let mut bytes = last.take().map_or_else(Vec::new, |(_, _, bytes)| bytes);
            bytes.clear();
            bytes.extend_from_slice(rows.bytes());
            for partition in partitions_of(&record) {
                part.members.push(partition.as_number(), key)?;
            }
            if let Some(date) = birth_of(&record) {
                part.births.push(u64::from(date.as_number()), key)?;
            }
            last = Some((key.0, line, bytes));
            let file = match &mut writer {
                Some(file) => file,
                None => writer.insert(next_file(store, dir, number, &mut part.files)?),
            };
            file.citizen(key, &StoredCitizen::founding(record))?;
            if part.citizens.is_multiple_of(4096) && file.size() > FILE_SIZE {
                finish(&mut writer)?;
            }
            part.citizens += 1;
            written.fetch_add(1, Ordering::Relaxed);
        }
        finish(&mut writer)?;
        Ok(part)
    }
}

type CitizenFile<'a> = Box<dyn super::store::BulkWriter + 'a>;

fn next_file<'a>(
    store: &'a dyn Store,
    dir: &Path,
    number: usize,
    files: &mut Vec<PathBuf>,
) -> Result<CitizenFile<'a>, StoreError> {
    let file = dir.join(format!("citizens-{number}-{}.sst", files.len()));
    files.push(file.clone());
    store.bulk_writer(BulkTable::Citizens, &file)
}

fn finish(writer: &mut Option<CitizenFile<'_>>) -> Result<(), StoreError> {
    writer.take().map_or(Ok(()), |writer| writer.finish())
}

/// Writes what the parts gathered for each bucket, in order: the parts' ranges of keys follow each
/// other. Says whether there was anything.
fn write_buckets(
    store: &dyn Store,
    table: BulkTable,
    file: &Path,
    parts: &[Buckets],
) -> Result<bool, StoreError> {
    let mut names: Vec<u64> = parts.iter().flat_map(Buckets::names).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Ok(false);
    }
    let mut writer = store.bulk_writer(table, file)?;
    for name in names {
        for part in parts {
            part.read(name, |key| match table {
                BulkTable::Births => writer.birth(Date::from_number(name as u32), key),
                _ => {
                    let partition = Partition::from_number(name).ok_or(StoreError::Corrupt("a bulk load"))?;
                    writer.member(partition, key)
                }
            })?;
        }
    }
    writer.finish()?;
    Ok(true)
}

//! The records on disk: a database of its own, so that it grows and is synced apart from the slice.
//!
//! Records are in a table of their own, each after the one before, so that its files follow each other and
//! are never written again; what is overwritten with every record is in another.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rocksdb::{
    BoundColumnFamily, DB, DEFAULT_COLUMN_FAMILY_NAME, Direction, IteratorMode, Options, WriteBatch,
    WriteOptions,
};
use thiserror::Error;

use super::chain::Head;

/// The table of where the log stands.
const STANDING: &str = "standing";
/// In it, the hub's public key.
const RECIPIENT: &[u8] = &[2];
/// The last record that the hub has taken over.
const TAKEN_OVER: &[u8] = &[3];
/// Where the chain stands.
const HEAD: &[u8] = &[4];
/// So many records are removed at once, at the least.
const TOGETHER: u64 = 10_000;
/// Memory for writes, bytes.
const BUFFER: usize = 8 << 20;

/// A call cannot be recorded, and is therefore not answered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LogError {
    /// The disk.
    #[error("the access log cannot be written: {0}; tell the node's operator")]
    Database(String),
    /// No room.
    #[error("the disk is full, so that calls cannot be recorded; make room")]
    Full,
    /// Stored by another version, or damaged.
    #[error("the access log is damaged at record {0}; tell the node's operator")]
    Damaged(u64),
    /// The hub's key is not known yet.
    #[error("the node has not yet got the key that its access log needs from the hub; try again later")]
    NoRecipient,
    /// The cryptography library refuses.
    #[error("a number cannot be sealed for the hub; tell the node's operator")]
    Sealing,
    /// The node is going down.
    #[error("the node is going down; connect again and repeat the call")]
    Closed,
}

impl From<rocksdb::Error> for LogError {
    fn from(error: rocksdb::Error) -> LogError {
        LogError::Database(error.to_string())
    }
}

/// Records to be added in one write.
pub(super) struct Rows(WriteBatch);

impl Rows {
    /// None yet, with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Rows {
        Rows(WriteBatch::with_capacity_bytes(bytes))
    }

    /// Bytes so far.
    pub(super) fn size(&self) -> usize {
        self.0.size_in_bytes()
    }

    /// Puts a record in.
    pub(super) fn add(&mut self, sequence: u64, record: &[u8]) {
        self.0.put(key(sequence), record);
    }
}

/// The records. Cheap to clone.
#[derive(Clone)]
pub struct LogStore {
    database: Arc<DB>,
    dir: PathBuf,
    reserve: u64,
    /// Up to here records were removed since the start.
    removed: Arc<AtomicU64>,
    /// How to write: without and with waiting for the disk.
    writes: Arc<[WriteOptions; 2]>,
}

impl LogStore {
    /// Opens the log in a directory, or makes an empty one. Nothing is added while less than `reserve`
    /// bytes are free on the disk.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn open(dir: &Path, reserve: u64) -> Result<LogStore, LogError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_write_buffer_size(BUFFER);
        options.set_keep_log_file_num(2);
        options.set_max_open_files(64);
        // The same on every level: a file that need not be merged is moved, and not written again.
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        // Where the log stands is written with each record: it is overwritten where it is, which asks for one
        // write at a time. So that table stays small, and is not full before much of RocksDB's own log is kept
        // for it; with this it is written down in time.
        options.set_allow_concurrent_memtable_write(false);
        options.set_max_total_wal_size(2 * BUFFER as u64);
        let mut standing = options.clone();
        standing.set_inplace_update_support(true);
        standing.set_inplace_update_locks(16);
        let tables = [(DEFAULT_COLUMN_FAMILY_NAME, options.clone()), (STANDING, standing)];
        let database = Arc::new(DB::open_cf_with_opts(&options, dir, tables)?);
        let writes = Arc::new([false, true].map(synced));
        Ok(LogStore { database, dir: dir.to_owned(), reserve, removed: Arc::default(), writes })
    }

    fn write(&self, sync: bool) -> &WriteOptions {
        &self.writes[usize::from(sync)]
    }

    fn standing(&self) -> Result<Arc<BoundColumnFamily<'_>>, LogError> {
        self.database.cf_handle(STANDING).ok_or(LogError::Damaged(0))
    }

    /// Whether there is room to go on.
    pub(super) fn check_room(&self) -> Result<(), LogError> {
        let disk = rustix::fs::statvfs(&self.dir).map_err(io::Error::from);
        let disk = disk.map_err(|error| LogError::Database(error.to_string()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.reserve { Err(LogError::Full) } else { Ok(()) }
    }

    /// Where the chain stands. While records are added it may show a moment before they do.
    ///
    /// # Errors
    /// If the disk refuses, or what it has does not fit together.
    pub fn head(&self) -> Result<Head, LogError> {
        let Some(row) = self.database.get_cf(&self.standing()?, HEAD)? else { return Ok(Head::default()) };
        head_from(&row).ok_or(LogError::Damaged(0))
    }

    /// Adds records that follow each other, the last of which makes a head.
    pub(super) fn append(&self, Rows(mut batch): Rows, head: Head, sync: bool) -> Result<(), LogError> {
        batch.put_cf(&self.standing()?, HEAD, head_row(head));
        Ok(self.database.write_opt(batch, self.write(sync))?)
    }

    /// How many writes there were, if none had more than records and where the log stands.
    #[cfg(test)]
    pub(super) fn writes(&self) -> Result<u64, LogError> {
        Ok(self.database.latest_sequence_number() - self.head()?.sequence)
    }

    /// A log that was lost goes on after what the hub has of it.
    pub(super) fn go_on_after(&self, head: Head) -> Result<(), LogError> {
        Ok(self.database.put_cf_opt(&self.standing()?, HEAD, head_row(head), self.write(true))?)
    }

    /// What was appended is on the disk when this returns.
    pub(super) fn sync(&self) -> Result<(), LogError> {
        Ok(self.database.flush_wal(true)?)
    }

    /// Records after one, at most so many bytes of them and at least one, if there is one.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn after(&self, sequence: u64, bytes: usize) -> Result<Vec<Vec<u8>>, LogError> {
        let (mut records, mut size) = (Vec::new(), 0);
        let from = key(sequence + 1);
        for row in self.database.iterator(IteratorMode::From(&from, Direction::Forward)) {
            let (_, record) = row?;
            if size >= bytes {
                break;
            }
            size += record.len();
            records.push(record.into_vec());
        }
        Ok(records)
    }

    /// One record.
    pub(super) fn record(&self, sequence: u64) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.database.get(key(sequence))?)
    }

    /// The hub's public key, if it is known.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn recipient(&self) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.database.get_cf(&self.standing()?, RECIPIENT)?)
    }

    /// Numbers are sealed for this public key of the hub from the next start on.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_recipient(&self, recipient: &[u8]) -> Result<(), LogError> {
        Ok(self.database.put_cf_opt(&self.standing()?, RECIPIENT, recipient, self.write(true))?)
    }

    /// The last record that the hub has taken over; 0 for none.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn taken_over(&self) -> Result<u64, LogError> {
        let row = self.database.get_cf(&self.standing()?, TAKEN_OVER)?;
        let number = |row: Vec<u8>| row.try_into().map(u64::from_be_bytes).map_err(|_| LogError::Damaged(0));
        row.map_or(Ok(0), number)
    }

    /// The hub has everything up to a record. Those up to another are not kept any longer; some are for a
    /// while, since each removal of a range costs every later read.
    pub(super) fn set_taken_over(&self, sequence: u64, not_kept: u64) -> Result<(), LogError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(&self.standing()?, TAKEN_OVER, sequence.to_be_bytes());
        let not_kept = not_kept.min(sequence);
        let removed = self.removed.load(Ordering::Relaxed);
        let due = not_kept >= removed + TOGETHER;
        if due {
            batch.delete_range(key(removed), key(not_kept + 1));
        }
        self.database.write(batch)?;
        if due {
            self.removed.store(not_kept, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn key(sequence: u64) -> [u8; 8] {
    sequence.to_be_bytes()
}

fn head_row(head: Head) -> Vec<u8> {
    [&head.sequence.to_be_bytes()[..], &head.time_ms.to_be_bytes(), &head.hash].concat()
}

fn head_from(row: &[u8]) -> Option<Head> {
    let (sequence, rest) = row.split_first_chunk()?;
    let (time_ms, hash) = rest.split_first_chunk()?;
    Some(Head {
        sequence: u64::from_be_bytes(*sequence),
        time_ms: u64::from_be_bytes(*time_ms),
        hash: hash.try_into().ok()?,
    })
}

fn synced(sync: bool) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    options
}

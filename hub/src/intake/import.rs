//! Bulk import: JSON Lines or CSV, streaming, checked row by row. A bad row stops nothing.
//!
//! An empty registry takes the file as its founding load; a registry with citizens takes what
//! differs as ordinary commits, so that the same file again changes nothing.

use std::{
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_channel::{Receiver, Sender, bounded};
use dancu_proto::{Areas, Field, PersonalId, Record, Revision, v1::Citizen};
use thiserror::Error;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::{
    blocks::{self, Block},
    rows::{RowError, from_json},
    update::Batch,
};
use crate::registry::{BulkLoad, CitizenKey, Clash, CommitError, LeftOut, Origin, Registry, StoreError};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// One citizen a line.
    JsonLines,
    /// A header of dotted field names, then a citizen a row.
    Csv,
}

/// Threads that read rows.
const READERS: usize = 2;

/// An import that could not go on.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// The header of a CSV file.
    #[error("the header: {0}")]
    Header(RowError),
    /// The registry.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row that was refused.
#[derive(Clone, Debug)]
pub struct Reject {
    /// Its line.
    pub line: u64,
    /// What is wrong with it.
    pub error: RowError,
    /// The row as it came.
    pub row: Vec<u8>,
}

/// How far an import is; read while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows read.
    pub rows: AtomicU64,
    /// Citizens entered or written so far.
    pub written: AtomicU64,
    /// Rows refused.
    pub rejected: AtomicU64,
    /// 0 reading, 1 writing.
    pub phase: AtomicU64,
}

/// What an import came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows read.
    pub rows: u64,
    /// Citizens entered.
    pub added: u64,
    /// Citizens changed.
    pub changed: u64,
    /// Rows that brought nothing new.
    pub unchanged: u64,
    /// Rows refused.
    pub rejected: u64,
    /// The registry's revision after.
    pub revision: Revision,
}

/// An import.
pub struct Import {
    /// Where to.
    pub registry: Arc<Registry>,
    /// The administrative orders, by which places are named.
    pub areas: Arc<Areas>,
    /// How the file is written.
    pub format: ImportFormat,
    /// Name of the file, kept as the reason of the commits.
    pub source: String,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// Where refused rows go.
    pub rejects: tokio::sync::mpsc::Sender<Reject>,
    /// For the commits.
    pub runtime: Handle,
}

impl Import {
    /// Runs the import; blocks the thread.
    ///
    /// # Errors
    /// If the file, the registry or the disk fails. What was committed before stays; the same file
    /// can be imported again.
    pub fn run(&self, input: impl Read + Send) -> Result<Summary, ImportError> {
        match self.registry.bulk_load() {
            Ok(load) => self.found(load, input),
            Err(StoreError::NotEmpty) => self.update(input),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn origin(&self) -> Origin {
        Origin {
            source: "import".into(),
            contribution: Some(Uuid::now_v7()),
            reason: self.source.clone(),
            ..Origin::default()
        }
    }

    fn found(&self, mut load: BulkLoad, input: impl Read + Send) -> Result<Summary, ImportError> {
        let (send, blocks) = bounded(READERS * 2);
        std::thread::scope(|scope| -> Result<(), ImportError> {
            let readers: Vec<_> = (0..READERS)
                .map(|_| {
                    let (blocks, load) = (blocks.clone(), &load);
                    scope.spawn(move || -> Result<(), ImportError> {
                        let mut run = load.run_builder();
                        self.read_blocks(&blocks, |id, line, citizen| {
                            let record = Record::encode(citizen);
                            let former = citizen.former_personal_ids.iter().flat_map(|list| &list.values);
                            let former = former.filter_map(|number| number.parse().ok());
                            Ok(run.push(CitizenKey::from(id), line, record.as_bytes(), former)?)
                        })?;
                        Ok(run.finish()?)
                    })
                })
                .collect();
            drop(blocks);
            let split = self.split(input, &send);
            drop(send);
            for reader in readers {
                reader.join().unwrap_or(Err(ImportError::Store(StoreError::Corrupt("a row"))))?;
            }
            split
        })?;
        self.progress.phase.store(1, Ordering::Relaxed);
        let bulk = load.merge(&**self.registry.store(), &self.progress.written)?;
        let mut summary = Summary {
            rows: self.progress.rows.load(Ordering::Relaxed),
            unchanged: bulk.left_out.iter().filter(|row| row.clash == Clash::Same).count() as u64,
            ..Summary::default()
        };
        for LeftOut { line, other, clash } in bulk.left_out {
            let (field, reason) = match clash {
                Clash::Same => continue,
                Clash::Differs => {
                    (Field::PersonalId, format!("line {other} has this number with other values already"))
                }
                Clash::FormerOfOther => {
                    (Field::PersonalId, format!("is a former number of the person in line {other}"))
                }
                Clash::FormerOfBoth => {
                    (Field::FormerPersonalIds, format!("line {other} lists the same former number"))
                }
            };
            self.reject(line, RowError { field: field.name().into(), reason }, Vec::new());
        }
        summary.rejected = self.progress.rejected.load(Ordering::Relaxed);
        if bulk.citizens == 0 {
            summary.revision = self.registry.head();
            return Ok(summary);
        }
        let committed = self.runtime.block_on(self.registry.finish_bulk_load(load, self.origin()))?;
        summary.added = committed.added;
        summary.revision = committed.revision;
        Ok(summary)
    }

    fn update(&self, input: impl Read + Send) -> Result<Summary, ImportError> {
        let (send, blocks) = bounded(2);
        let mut summary = Summary::default();
        std::thread::scope(|scope| -> Result<(), ImportError> {
            // One reader: two rows of one person count in the order of the file.
            let reader = scope.spawn(|| -> Result<Summary, ImportError> {
                let mut batch = Batch::default();
                self.read_blocks(&blocks, |id, line, citizen| batch.add(self, id, line, citizen))?;
                batch.commit(self)?;
                drop(blocks);
                Ok(batch.summary)
            });
            let split = self.split(input, &send);
            drop(send);
            summary = reader.join().unwrap_or(Err(ImportError::Store(StoreError::Corrupt("a row"))))?;
            split
        })?;
        summary.rows = self.progress.rows.load(Ordering::Relaxed);
        summary.rejected = self.progress.rejected.load(Ordering::Relaxed);
        summary.revision = self.registry.head();
        Ok(summary)
    }

    fn split(&self, input: impl Read, blocks: &Sender<Block>) -> Result<(), ImportError> {
        match self.format {
            ImportFormat::JsonLines => blocks::split_lines(input, blocks),
            ImportFormat::Csv => blocks::split_csv(input, blocks),
        }
    }

    fn read_blocks(
        &self,
        blocks: &Receiver<Block>,
        mut each: impl FnMut(PersonalId, u64, &Citizen) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        for block in blocks {
            match block {
                Block::Lines { first, bytes } => {
                    let lines = bytes.split(|b| *b == b'\n');
                    for (line, row) in (first..).zip(lines) {
                        let row = row.strip_suffix(b"\r").unwrap_or(row);
                        if !row.iter().all(u8::is_ascii_whitespace) {
                            self.row(line, from_json(row, &self.areas), || row.to_vec(), &mut each)?;
                        }
                    }
                }
                Block::Rows { rows, columns } => {
                    for row in &rows {
                        let line = row.position().map_or(0, csv::Position::line);
                        self.row(line, columns.citizen(row, &self.areas), || as_csv(row), &mut each)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn row(
        &self,
        line: u64,
        parsed: Result<Citizen, RowError>,
        raw: impl Fn() -> Vec<u8>,
        each: &mut impl FnMut(PersonalId, u64, &Citizen) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        self.progress.rows.fetch_add(1, Ordering::Relaxed);
        let citizen = match parsed {
            Ok(citizen) => citizen,
            Err(error) => {
                self.reject(line, error, raw());
                return Ok(());
            }
        };
        // The row was checked, so its number is one.
        if let Ok(id) = citizen.personal_id.parse() {
            each(id, line, &citizen)?;
        }
        Ok(())
    }

    pub(super) fn reject(&self, line: u64, error: RowError, row: Vec<u8>) {
        self.progress.rejected.fetch_add(1, Ordering::Relaxed);
        // If no one takes rejects any more, the import goes on all the same.
        let _ = self.rejects.blocking_send(Reject { line, error, row });
    }
}

fn as_csv(row: &csv::ByteRecord) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let _ = writer.write_byte_record(row);
    writer.into_inner().unwrap_or_default()
}

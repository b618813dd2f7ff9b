//! Sorted runs on disk, and their merge.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::StoreError;
use crate::registry::CitizenKey;

/// Rows are sorted in memory up to this many bytes.
const RUN_SIZE: usize = 96 << 20;
/// Every so many rows the place of one is kept, for ranges to begin near.
const SAMPLE: usize = 1024;

/// A sorted run of rows: key, line, length, bytes.
#[derive(Debug)]
pub(super) struct Run {
    path: PathBuf,
    /// Keys of some rows, with their places.
    samples: Vec<(u64, u64)>,
}

/// Sorted runs under construction, by several threads.
#[derive(Debug)]
pub(super) struct Runs {
    path: PathBuf,
    started: AtomicUsize,
    done: Mutex<Vec<Run>>,
}

impl Runs {
    /// Runs whose files' names begin with a path.
    pub(super) fn new(path: PathBuf) -> Runs {
        Runs { path, started: AtomicUsize::new(0), done: Mutex::default() }
    }

    /// The runs so far.
    pub(super) fn take(&mut self) -> Vec<Run> {
        std::mem::take(self.done.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Gathers rows and writes them as sorted runs.
pub(super) struct Sorter<'a> {
    runs: &'a Runs,
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Row {
    key: u64,
    line: u64,
    start: u32,
    length: u32,
}

impl<'a> Sorter<'a> {
    pub(super) fn new(runs: &'a Runs) -> Sorter<'a> {
        Sorter { runs, bytes: Vec::new(), rows: Vec::new() }
    }

    /// Adds a row from a line of the file.
    pub(super) fn push(&mut self, key: CitizenKey, line: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if self.bytes.len() + bytes.len() > RUN_SIZE {
            self.write()?;
        }
        let (start, length) = (self.bytes.len() as u32, bytes.len() as u32);
        self.bytes.extend_from_slice(bytes);
        self.rows.push(Row { key: key.0, line, start, length });
        Ok(())
    }

    /// Writes what has been gathered.
    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.rows.sort_unstable_by_key(|row| (row.key, row.line));
        let number = self.runs.started.fetch_add(1, Ordering::Relaxed);
        let path = self.runs.path.with_extension(number.to_string());
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut samples = Vec::new();
        let mut place = 0u64;
        for (count, row) in self.rows.iter().enumerate() {
            if count % SAMPLE == 0 {
                samples.push((row.key, place));
            }
            file.write_all(&row.key.to_le_bytes())?;
            file.write_all(&row.line.to_le_bytes())?;
            file.write_all(&row.length.to_le_bytes())?;
            file.write_all(&self.bytes[row.start as usize..][..row.length as usize])?;
            place += HEADER as u64 + u64::from(row.length);
        }
        file.flush()?;
        self.runs.done.lock().unwrap_or_else(PoisonError::into_inner).push(Run { path, samples });
        self.rows.clear();
        self.bytes.clear();
        Ok(())
    }
}

const HEADER: usize = 20;

/// Ranges of keys with about the same number of rows each.
pub(super) fn split(runs: &[Run], parts: usize) -> Vec<(u64, u64)> {
    let mut keys: Vec<u64> = runs.iter().flat_map(|run| run.samples.iter().map(|(key, _)| *key)).collect();
    keys.sort_unstable();
    let mut bounds = vec![0];
    bounds.extend((1..parts).filter_map(|part| keys.get(keys.len() * part / parts).copied()));
    bounds.push(u64::MAX);
    bounds.dedup();
    bounds.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The rows of all runs in a range of keys, in the order of keys and then lines.
pub(super) struct MergedRuns {
    runs: Vec<BufReader<File>>,
    next: BinaryHeap<Reverse<(u64, u64, usize, u32)>>,
    until: u64,
    bytes: Vec<u8>,
}

impl MergedRuns {
    pub(super) fn open(runs: &[Run], from: u64, until: u64) -> Result<MergedRuns, StoreError> {
        let mut merged = MergedRuns {
            runs: Vec::with_capacity(runs.len()),
            next: BinaryHeap::new(),
            until,
            bytes: Vec::new(),
        };
        for run in runs {
            let sample = run.samples.partition_point(|(key, _)| *key < from).saturating_sub(1);
            let place = run.samples.get(sample).map_or(0, |(_, place)| *place);
            let mut file = BufReader::with_capacity(256 << 10, File::open(&run.path)?);
            file.seek(SeekFrom::Start(place))?;
            merged.runs.push(file);
            merged.pull(merged.runs.len() - 1, from)?;
        }
        Ok(merged)
    }

    /// The next row's key and line; its bytes are then in [`MergedRuns::bytes`].
    pub(super) fn next_row(&mut self) -> Result<Option<(u64, u64)>, StoreError> {
        let Some(Reverse((key, line, run, length))) = self.next.pop() else { return Ok(None) };
        self.bytes.resize(length as usize, 0);
        self.runs[run].read_exact(&mut self.bytes)?;
        self.pull(run, 0)?;
        Ok(Some((key, line)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the next header of a run at or after a key.
    fn pull(&mut self, run: usize, from: u64) -> Result<(), StoreError> {
        let reader = &mut self.runs[run];
        loop {
            let mut header = [0; HEADER];
            match reader.read_exact(&mut header) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            let word = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&header[at..at + 8]);
                u64::from_le_bytes(bytes)
            };
            let (key, line) = (word(0), word(8));
            let mut length = [0; 4];
            length.copy_from_slice(&header[16..]);
            let length = u32::from_le_bytes(length);
            if key < from {
                reader.seek_relative(i64::from(length))?;
                continue;
            }
            if key < self.until {
                self.next.push(Reverse((key, line, run, length)));
            }
            return Ok(());
        }
    }
}

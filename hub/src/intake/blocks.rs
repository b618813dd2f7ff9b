//! A file cut into blocks of whole rows, for the readers.

use std::{
    io::{BufRead, BufReader, Read},
    sync::Arc,
};

use crossbeam_channel::Sender;

use super::{import::ImportError, rows::Columns};

/// Bytes of lines handed to a reader at a time.
const BLOCK: usize = 512 << 10;
/// Rows of a CSV file handed to a reader at a time.
const CSV_ROWS: usize = 1000;
/// A line longer than this is no citizen, bytes.
const LONGEST_LINE: usize = 1 << 20;

/// Rows on their way to a reader.
pub(super) enum Block {
    Lines { first: u64, bytes: Vec<u8> },
    Rows { rows: Vec<csv::ByteRecord>, columns: Arc<Columns> },
}

/// Lines of a file, a block at a time; a line is never cut.
pub(super) fn split_lines(input: impl Read, blocks: &Sender<Block>) -> Result<(), ImportError> {
    let mut input = BufReader::with_capacity(BLOCK, input);
    let mut line = 1;
    loop {
        let mut bytes = Vec::with_capacity(BLOCK + 4096);
        (&mut input).take(BLOCK as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.last() != Some(&b'\n') {
            (&mut input).take(LONGEST_LINE as u64).read_until(b'\n', &mut bytes)?;
        }
        let first = line;
        line += bytes.iter().filter(|b| **b == b'\n').count() as u64;
        // The last line's end would otherwise count as an empty line more.
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if blocks.send(Block::Lines { first, bytes }).is_err() {
            return Ok(());
        }
    }
}

/// Rows of a CSV file, after its header.
pub(super) fn split_csv(input: impl Read, blocks: &Sender<Block>) -> Result<(), ImportError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).buffer_capacity(BLOCK).from_reader(input);
    let header = reader.byte_headers().map_err(csv_error)?.clone();
    let columns = Arc::new(Columns::read(&header).map_err(ImportError::Header)?);
    let mut rows = Vec::with_capacity(CSV_ROWS);
    for row in reader.byte_records() {
        rows.push(row.map_err(csv_error)?);
        if rows.len() == CSV_ROWS {
            let rows = std::mem::replace(&mut rows, Vec::with_capacity(CSV_ROWS));
            if blocks.send(Block::Rows { rows, columns: Arc::clone(&columns) }).is_err() {
                return Ok(());
            }
        }
    }
    let _ = blocks.send(Block::Rows { rows, columns });
    Ok(())
}

fn csv_error(error: csv::Error) -> ImportError {
    ImportError::File(std::io::Error::other(error.to_string()))
}

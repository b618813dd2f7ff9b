//! Writing citizens: JSON Lines, or CSV with dotted column names.

use std::io::{self, Write};

use dancu_proto::{Field, field::Format, v1::Citizen};
use serde_json::Value;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RowFormat {
    /// One JSON object a line.
    Jsonl,
    /// A header, then a row a citizen.
    Csv,
}

/// Writes rows.
pub struct RowWriter<W: Write> {
    out: W,
    format: RowFormat,
    line: Vec<u8>,
}

impl<W: Write> RowWriter<W> {
    /// Begins, with a header where the format has one.
    ///
    /// # Errors
    /// If writing fails.
    pub fn new(mut out: W, format: RowFormat) -> io::Result<RowWriter<W>> {
        if format == RowFormat::Csv {
            write_cells(&mut out, columns().map(|(name, _)| name))?;
        }
        Ok(RowWriter { out, format, line: Vec::with_capacity(4096) })
    }

    /// Writes one citizen; says how many bytes.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&mut self, citizen: &Citizen) -> io::Result<u64> {
        self.line.clear();
        match self.format {
            RowFormat::Jsonl => {
                serde_json::to_writer(&mut self.line, citizen)?;
                self.line.push(b'\n');
            }
            RowFormat::Csv => {
                let value = serde_json::to_value(citizen)?;
                let cells = columns().map(|(name, field)| cell(&value, &name, field));
                write_cells(&mut self.line, cells)?;
            }
        }
        self.out.write_all(&self.line)?;
        Ok(self.line.len() as u64)
    }

    /// Ends.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Columns: plain fields as they are, addresses by their parts, all else as JSON in the cell.
fn columns() -> impl Iterator<Item = (String, Field)> {
    Field::ALL.iter().flat_map(|field| {
        let parts: &[&str] = match field.spec().format {
            Format::Address => &[".province", ".commune", ".detail"],
            _ => &[""],
        };
        parts.iter().map(move |part| (format!("{}{part}", field.name()), *field))
    })
}

fn cell(citizen: &Value, column: &str, field: Field) -> String {
    let value = column.split('.').try_fold(citizen, |value, part| value.get(part));
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if field.spec().format == Format::Countries => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";")
        }
        Some(other) => other.to_string(),
    }
}

fn write_cells(out: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(cells)?;
    let row = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
    out.write_all(&row)
}

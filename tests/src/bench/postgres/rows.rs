//! Citizens as rows: a typed column for each field of the catalogue, `jsonb` where the value has
//! parts, and what the row filters and the look-ups need.

use std::{
    io::{BufWriter, Write},
    path::Path,
    process::Stdio,
};

use anyhow::{Context, ensure};
use dancu_proto::{
    Field,
    field::Format,
    name::fold,
    v1::{Citizen, Date},
};

use super::Cluster;

/// The statement that makes the table of a registry: all fields, and what filters and look-ups need.
#[must_use]
pub fn table() -> String {
    let columns = definitions(Field::ALL);
    format!("CREATE TABLE citizens ({columns}, commune text NOT NULL, name_folded text)")
}

/// The statement that makes the table of a subscriber who is given some fields.
#[must_use]
pub fn table_of(fields: &[Field]) -> String {
    format!("CREATE TABLE citizens ({}, PRIMARY KEY (personal_id))", definitions(fields))
}

fn definitions(fields: &[Field]) -> String {
    let column = |field: &Field| format!("{} {}", field.spec().name, kind(*field));
    fields.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// The indexes that the hub has too: by number, commune and date of birth.
pub const INDEXES: &str = "ALTER TABLE citizens ADD PRIMARY KEY (personal_id);\
     CREATE INDEX ON citizens (commune); CREATE INDEX ON citizens (date_of_birth)";

/// The indexes that a node has and the hub has not: by old number, and by name with date of birth.
pub const SEARCH_INDEXES: &str = "CREATE INDEX ON citizens (old_id_number) \
     WHERE old_id_number IS NOT NULL; CREATE INDEX ON citizens (name_folded, date_of_birth)";

/// The indexes of a subscriber, beside the number's: what a node can be asked by. How a name is
/// searched is a subscriber's own to make; lower case is less work than what a node does.
pub const SUBSCRIBER_INDEXES: &str = "CREATE INDEX ON citizens (old_id_number) \
     WHERE old_id_number IS NOT NULL; CREATE INDEX ON citizens (lower(full_name), date_of_birth)";

/// The fields of these names, and the number.
#[must_use]
pub fn fields_of(names: &[&str]) -> Vec<Field> {
    let given = |field: &Field| *field == Field::PersonalId || names.contains(&field.spec().name);
    Field::ALL.iter().copied().filter(given).collect()
}

/// The columns of some fields, as a publication lists them.
#[must_use]
pub fn columns(fields: &[Field]) -> String {
    fields.iter().map(|field| field.spec().name).collect::<Vec<_>>().join(", ")
}

fn kind(field: Field) -> &'static str {
    match field.spec().format {
        Format::PersonalId => "bigint",
        Format::Date => "date",
        Format::Name | Format::Code | Format::Text | Format::OldIdNumber | Format::Phone | Format::Email => {
            "text"
        }
        _ => "jsonb",
    }
}

/// Fills the table of a registry.
///
/// # Errors
/// If a row is refused.
pub fn copy(
    cluster: &Cluster,
    citizens: impl Iterator<Item = Citizen>,
    mut progress: impl FnMut(),
) -> anyhow::Result<()> {
    let mut psql = cluster.psql()?;
    let mut child = psql.args(["-c", COPY]).stdin(Stdio::piped()).spawn()?;
    let mut out = BufWriter::with_capacity(1 << 20, child.stdin.take().context("a pipe")?);
    let mut line = Vec::new();
    for citizen in citizens {
        line.clear();
        append(&mut line, &citizen)?;
        out.write_all(&line)?;
        progress();
    }
    out.flush()?;
    drop(out);
    ensure!(child.wait()?.success(), "the rows could not be copied");
    Ok(())
}

/// Fills the table of a registry from a file of such lines, which may be compressed.
///
/// # Errors
/// If a row is refused.
pub fn copy_file(cluster: &Cluster, path: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::open(path)?;
    let mut psql = cluster.psql()?;
    psql.args(["-c", COPY]);
    let status = if path.extension().is_some_and(|ending| ending == "zst") {
        let mut child = psql.stdin(Stdio::piped()).spawn()?;
        let mut out = child.stdin.take().context("a pipe")?;
        std::io::copy(&mut zstd::Decoder::new(file)?, &mut out)?;
        drop(out);
        child.wait()?
    } else {
        psql.stdin(file).status()?
    };
    ensure!(status.success(), "the rows could not be copied");
    Ok(())
}

/// The lines have the table's columns in its order.
const COPY: &str = "COPY citizens FROM STDIN";

/// Appends a citizen as a line of COPY's text format.
///
/// # Errors
/// If the citizen cannot be told as JSON.
pub fn append(out: &mut Vec<u8>, citizen: &Citizen) -> std::io::Result<()> {
    let json = serde_json::to_value(citizen)?;
    let mut line = String::with_capacity(2048);
    for field in Field::ALL {
        let text = match (field.spec().format, json.get(field.spec().name)) {
            (_, None) => None,
            // A name and a date are text there too, but not always one text.
            (Format::Name, Some(_)) => citizen.full_name.as_ref().map(|name| name.full()),
            (Format::Date, Some(serde_json::Value::String(date))) => whole_date(date),
            (_, Some(serde_json::Value::String(text))) => Some(text.clone()),
            (_, Some(value)) => Some(value.to_string()),
        };
        push(&mut line, text.as_deref());
        line.push('\t');
    }
    push(&mut line, citizen.permanent_residence.as_ref().map(|home| home.commune.as_str()).or(Some("")));
    line.push('\t');
    push(&mut line, citizen.full_name.as_ref().map(|name| fold(&name.full())).as_deref());
    line.push('\n');
    out.extend_from_slice(line.as_bytes());
    Ok(())
}

/// A date of which a part is unknown has its first day here: a column of type `date` has no other.
fn whole_date(text: &str) -> Option<String> {
    let date: Date = text.parse().ok()?;
    Some(format!("{:04}-{:02}-{:02}", date.year, date.month.max(1), date.day.max(1)))
}

fn push(line: &mut String, value: Option<&str>) {
    let Some(value) = value else {
        line.push_str("\\N");
        return;
    };
    for c in value.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '\t' => line.push_str("\\t"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            c => line.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::Population;

    #[test]
    fn every_citizen_is_a_row_of_all_columns() {
        for citizen in Population::new(1, 300).iter() {
            let mut line = Vec::new();
            append(&mut line, &citizen).unwrap();
            let line = String::from_utf8(line).unwrap();
            assert_eq!(line.matches('\t').count(), Field::ALL.len() + 1);
            assert_eq!(line.matches('\n').count(), 1);
        }
    }
}

//! Citizens as rows: a typed column for each field of the catalogue, `jsonb` where the value has
//! parts, and what the row filters and the look-ups need.

use std::{
    io::{BufWriter, Write},
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

/// The columns that are not fields: the commune that row filters go by, and the name as it is
/// searched.
const MORE: [&str; 2] = ["commune", "name_folded"];

/// Statements that make the table of citizens, with the fields given (and the number).
#[must_use]
pub fn table(fields: &[Field]) -> String {
    let column = |field: &Field| format!("{} {}", field.spec().name, kind(*field));
    let columns: Vec<String> = fields.iter().map(column).collect();
    format!("CREATE TABLE citizens ({}, commune text NOT NULL, name_folded text)", columns.join(", "))
}

/// Statements that make the indexes that hub and node have too: by number, by old number, by name
/// and date of birth; with `by_commune`, by commune.
#[must_use]
pub fn indexes(by_commune: bool) -> String {
    let commune = if by_commune { "CREATE INDEX ON citizens (commune);" } else { "" };
    format!(
        "ALTER TABLE citizens ADD PRIMARY KEY (personal_id);\
         CREATE INDEX ON citizens (old_id_number) WHERE old_id_number IS NOT NULL;\
         CREATE INDEX ON citizens (name_folded, date_of_birth);\
         CREATE INDEX ON citizens (date_of_birth); {commune}"
    )
}

/// Every field of the catalogue.
#[must_use]
pub fn all_fields() -> Vec<Field> {
    Field::ALL.to_vec()
}

/// The fields of these names, and the number.
#[must_use]
pub fn fields_of(names: &[&str]) -> Vec<Field> {
    let given = |field: &Field| *field == Field::PersonalId || names.contains(&field.spec().name);
    Field::ALL.iter().copied().filter(given).collect()
}

/// The columns of some fields, as a publication lists them: with what its filter needs.
#[must_use]
pub fn columns(fields: &[Field]) -> String {
    let names = fields.iter().map(|field| field.spec().name).chain(MORE);
    names.collect::<Vec<_>>().join(", ")
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

/// Fills the table.
///
/// # Errors
/// If a row is refused.
pub fn copy(
    cluster: &Cluster,
    fields: &[Field],
    citizens: impl Iterator<Item = Citizen>,
    mut progress: impl FnMut(),
) -> anyhow::Result<()> {
    let statement = format!("COPY citizens ({}) FROM STDIN", columns(fields));
    let mut psql = cluster.psql()?;
    let mut child = psql.args(["-c", &statement]).stdin(Stdio::piped()).spawn()?;
    let mut out = BufWriter::with_capacity(1 << 20, child.stdin.take().context("a pipe")?);
    for citizen in citizens {
        out.write_all(line(fields, &citizen)?.as_bytes())?;
        progress();
    }
    out.flush()?;
    drop(out);
    ensure!(child.wait()?.success(), "the rows could not be copied");
    Ok(())
}

/// A citizen as a line of COPY's text format.
///
/// # Errors
/// If the citizen cannot be told as JSON.
pub fn line(fields: &[Field], citizen: &Citizen) -> anyhow::Result<String> {
    let json = serde_json::to_value(citizen)?;
    let mut line = String::with_capacity(2048);
    for field in fields {
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
    Ok(line)
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
        let fields = all_fields();
        for citizen in Population::new(1, 300).iter() {
            let line = line(&fields, &citizen).unwrap();
            assert_eq!(line.matches('\t').count(), fields.len() + MORE.len() - 1);
            assert_eq!(line.matches('\n').count(), 1);
        }
    }
}

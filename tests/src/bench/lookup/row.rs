//! A row of PostgreSQL as a citizen: what a back-end does with it before it can work with it, as the
//! client of a node does with an answer.

use anyhow::{Context, bail, ensure};
use dancu_proto::{
    Field,
    v1::{Citizen, Date, Name},
};
use serde::de::DeserializeOwned;
use time::{Duration, macros::date};

/// What days are counted from there.
const DAY_0: time::Date = date!(2000 - 01 - 01);

/// Takes a row in binary form apart.
pub(super) fn citizen(mut row: &[u8], columns: &[Field]) -> anyhow::Result<Citizen> {
    let count = u16::from_be_bytes(taken(&mut row)?);
    ensure!(usize::from(count) == columns.len(), "a row of {count} columns");
    let mut citizen = Citizen::default();
    for column in columns {
        // Below 0 where there is no value.
        let Ok(length) = usize::try_from(i32::from_be_bytes(taken(&mut row)?)) else { continue };
        let (value, rest) = row.split_at_checked(length).context("a row that ends early")?;
        row = rest;
        set(&mut citizen, *column, value)?;
    }
    Ok(citizen)
}

fn set(citizen: &mut Citizen, column: Field, value: &[u8]) -> anyhow::Result<()> {
    match column {
        Field::PersonalId => citizen.personal_id = format!("{:012}", i64::from_be_bytes(value.try_into()?)),
        Field::FormerPersonalIds => citizen.former_personal_ids = Some(json(value)?),
        Field::FullName => citizen.full_name = Some(Name::from_full(&text(value)?)),
        Field::DateOfBirth => citizen.date_of_birth = Some(day(value)?),
        Field::Sex => citizen.sex = text(value)?,
        Field::OldIdNumber => citizen.old_id_number = text(value)?,
        Field::PermanentResidence => citizen.permanent_residence = Some(json(value)?),
        Field::TemporaryResidence => citizen.temporary_residence = Some(json(value)?),
        Field::DateOfDeath => citizen.date_of_death = Some(day(value)?),
        Field::DateMissing => citizen.date_missing = Some(day(value)?),
        Field::MobileNumber => citizen.mobile_number = text(value)?,
        other => bail!("the slice has no {}", other.spec().name),
    }
    Ok(())
}

fn taken<const N: usize>(bytes: &mut &[u8]) -> anyhow::Result<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk().context("a row that ends early")?;
    *bytes = rest;
    Ok(*first)
}

fn text(value: &[u8]) -> anyhow::Result<String> {
    Ok(std::str::from_utf8(value)?.to_owned())
}

/// `jsonb`: a version, and text.
fn json<T: DeserializeOwned>(value: &[u8]) -> anyhow::Result<T> {
    let (_, text) = value.split_first().context("an empty value")?;
    Ok(serde_json::from_slice(text)?)
}

fn day(value: &[u8]) -> anyhow::Result<Date> {
    let days = i64::from(i32::from_be_bytes(value.try_into()?));
    let day = DAY_0.checked_add(Duration::days(days)).context("a day")?;
    Ok(Date { year: day.year().try_into()?, month: u8::from(day.month()).into(), day: day.day().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_citizen() {
        let mut row = vec![0, 4];
        for value in [
            Some(&1_234_567_890_i64.to_be_bytes()[..]),
            Some("Trần Văn An".as_bytes()),
            Some(&(-1_i32).to_be_bytes()[..]),
            None,
        ] {
            row.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
            row.extend(value.unwrap_or_default());
        }
        let columns = [Field::PersonalId, Field::FullName, Field::DateOfBirth, Field::MobileNumber];
        let citizen = citizen(&row, &columns).unwrap();
        assert_eq!(citizen.personal_id, "001234567890");
        assert_eq!(citizen.full_name.unwrap().full(), "Trần Văn An");
        assert_eq!(citizen.date_of_birth, Some(Date { year: 1999, month: 12, day: 31 }));
        assert!(citizen.mobile_number.is_empty());
        assert!(super::citizen(&row[..row.len() - 1], &columns).is_err());
        assert!(super::citizen(&row, &columns[1..]).is_err());
    }
}

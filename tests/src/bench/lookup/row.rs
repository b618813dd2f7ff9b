//! A row of PostgreSQL as a citizen: what a back-end does with it before it can work with it, as the
//! client of a node does with an answer.

use anyhow::{Context, bail};
use dancu_proto::{
    Field,
    v1::{Citizen, Date, Name},
};
use serde::de::DeserializeOwned;
use time::{Duration, macros::date};
use tokio_postgres::Row;

use super::super::postgres::client::Raw;

/// What days are counted from there.
const DAY_0: time::Date = date!(2000 - 01 - 01);

/// Takes a row apart.
pub(super) fn citizen(row: &Row, columns: &[Field]) -> anyhow::Result<Citizen> {
    let mut citizen = Citizen::default();
    for (place, column) in columns.iter().enumerate() {
        if let Some(Raw(value)) = row.try_get(place)? {
            set(&mut citizen, *column, value)?;
        }
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
    fn values_in_binary_form_are_a_citizen() {
        let mut citizen = Citizen::default();
        set(&mut citizen, Field::PersonalId, &1_234_567_890_i64.to_be_bytes()).unwrap();
        set(&mut citizen, Field::FullName, "Trần Văn An".as_bytes()).unwrap();
        set(&mut citizen, Field::DateOfBirth, &(-1_i32).to_be_bytes()).unwrap();
        assert_eq!(citizen.personal_id, "001234567890");
        assert_eq!(citizen.full_name.as_ref().unwrap().full(), "Trần Văn An");
        assert_eq!(citizen.date_of_birth, Some(Date { year: 1999, month: 12, day: 31 }));
        assert!(set(&mut citizen, Field::Email, b"a@b.vn").is_err(), "the slice has none");
    }
}

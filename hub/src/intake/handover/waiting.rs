//! Contributions that name somebody by a birth of which it is not certain what becomes of it. Rows of the
//! table `waiting`: the birth, and then the contribution.

use uuid::Uuid;

use crate::registry::{Rows, StoreError, View};

/// The table.
const WAITING: &str = "waiting";
/// By the birth, by the contribution, and how many there are for a birth.
const BIRTH: u8 = b'b';
const CONTRIBUTION: u8 = b'c';
const COUNT: u8 = b'n';

fn of_birth(birth: Uuid, name: &[u8]) -> Vec<u8> {
    [&[BIRTH][..], birth.as_bytes(), name].concat()
}

fn of_contribution(name: &[u8]) -> Vec<u8> {
    [&[CONTRIBUTION][..], name].concat()
}

fn count(birth: Uuid) -> Vec<u8> {
    [&[COUNT][..], birth.as_bytes()].concat()
}

/// A contribution waits for a birth, and for no other any more: who names two children by their births waits
/// for the one and then for the other.
pub(super) fn put(rows: &mut Rows<'_>, birth: Uuid, name: &[u8]) -> Result<(), StoreError> {
    remove(rows, name)?;
    rows.put(WAITING, of_birth(birth, name), Vec::new());
    rows.put(WAITING, of_contribution(name), birth.as_bytes().to_vec());
    rows.next(WAITING, &count(birth))?;
    Ok(())
}

/// It waits no longer.
pub(super) fn remove(rows: &mut Rows<'_>, name: &[u8]) -> Result<(), StoreError> {
    let Some(birth) = rows.get(WAITING, &of_contribution(name))? else { return Ok(()) };
    let birth = Uuid::from_slice(&birth).map_err(|_| StoreError::Corrupt("what waits"))?;
    rows.remove(WAITING, of_birth(birth, name));
    rows.remove(WAITING, of_contribution(name));
    let count = count(birth);
    match rows.number(WAITING, &count)? {
        0 | 1 => rows.remove(WAITING, count),
        more => rows.put(WAITING, count, (more - 1).to_be_bytes().to_vec()),
    }
    Ok(())
}

/// Whether anything waits for a birth.
pub(super) fn any(rows: &Rows<'_>, birth: Uuid) -> Result<bool, StoreError> {
    Ok(rows.number(WAITING, &count(birth))? > 0)
}

/// What waits for a birth: names of contributions.
///
/// # Errors
/// If the disk refuses.
pub(super) fn of(view: &View<'_>, birth: Uuid) -> Result<Vec<Vec<u8>>, StoreError> {
    let prefix = of_birth(birth, &[]);
    let rows = view.rows_after(WAITING, &prefix, None);
    rows.map(|row| Ok(row?.0.split_off(prefix.len()))).collect()
}

/// What waits: names of contributions, each with its birth.
///
/// # Errors
/// If the disk refuses.
pub(super) fn all(view: &View<'_>) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
    let rows = view.rows_after(WAITING, &[BIRTH], None);
    rows.map(|row| {
        let (key, _) = row?;
        let (birth, name) = key[1..].split_at_checked(16).ok_or(StoreError::Corrupt("what waits"))?;
        let birth = Uuid::from_slice(birth).map_err(|_| StoreError::Corrupt("what waits"))?;
        Ok((birth, name.to_vec()))
    })
    .collect()
}

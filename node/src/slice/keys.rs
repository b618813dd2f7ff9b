//! The only place that knows the bytes of keys; the first byte says what a key is for.

use dancu_proto::{PersonalId, name::fold, v1::Date};

/// The state row.
pub(super) const STATE: &[u8] = &[0];
/// The changes of the administrative order, by their number, behind the state row.
pub(super) fn area(number: usize) -> [u8; 3] {
    let [high, low] = (number as u16).to_be_bytes();
    [0, high, low]
}
/// What is left to do of a load, behind the areas.
pub(super) const LANDING: &[u8] = &[0, u8::MAX, u8::MAX, u8::MAX];
const RECORD: u8 = 1;
const NAME: u8 = 2;
const OLD_NUMBER: u8 = 3;
const FORMER: u8 = 4;

const ID: usize = 5;

/// All keys of citizens begin with these bytes or higher.
pub(super) const AFTER_STATE: &[u8] = &[RECORD];
/// Above every key.
pub(super) const END: &[u8] = &[u8::MAX];

fn id_bytes(id: PersonalId) -> [u8; ID] {
    let [_, _, _, bytes @ ..] = id.as_u64().to_be_bytes();
    bytes
}

pub(super) fn record(id: PersonalId) -> Vec<u8> {
    [&[RECORD][..], &id_bytes(id)].concat()
}

/// Where the records after a number begin; also after the highest one.
pub(super) fn record_after(number: u64) -> Vec<u8> {
    let [_, _, _, bytes @ ..] = (number + 1).to_be_bytes();
    [&[RECORD][..], &bytes].concat()
}

/// Where records begin, and where they end.
pub(super) fn records() -> ([u8; 1], [u8; 1]) {
    ([RECORD], [RECORD + 1])
}

/// The person at the end of a key.
pub(super) fn person(key: &[u8]) -> Option<PersonalId> {
    let mut whole = [0; 8];
    whole[8 - ID..].copy_from_slice(key.last_chunk::<ID>()?);
    PersonalId::from_u64(u64::from_be_bytes(whole)).ok()
}

/// A name and a year of birth: the key of everyone who has both begins so. Names are hashed, which
/// makes keys short and of one length.
pub(super) fn name_prefix(full_name: &str, year: u32) -> Vec<u8> {
    let hash = blake3::hash(fold(full_name).as_bytes());
    [&[NAME][..], &hash.as_bytes()[..16], &(year as u16).to_be_bytes()].concat()
}

pub(super) fn name(full_name: &str, birth: &Date, id: PersonalId) -> Vec<u8> {
    let day = (birth.month * 100 + birth.day) as u16;
    [&name_prefix(full_name, birth.year)[..], &day.to_be_bytes(), &id_bytes(id)].concat()
}

pub(super) fn old_number_prefix(number: &str) -> Option<Vec<u8>> {
    let number: u32 = number.parse().ok()?;
    Some([&[OLD_NUMBER][..], &number.to_be_bytes()].concat())
}

pub(super) fn old_number(number: &str, id: PersonalId) -> Option<Vec<u8>> {
    Some([&old_number_prefix(number)?[..], &id_bytes(id)].concat())
}

pub(super) fn former_prefix(former: PersonalId) -> Vec<u8> {
    [&[FORMER][..], &id_bytes(former)].concat()
}

pub(super) fn former(former: PersonalId, id: PersonalId) -> Vec<u8> {
    [&former_prefix(former)[..], &id_bytes(id)].concat()
}

/// The first key after all that begin with a prefix.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    END.to_vec()
}

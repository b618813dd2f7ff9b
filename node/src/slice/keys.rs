//! The only place that knows the bytes of keys. In the table of the slice the first byte says what a key is
//! for; people, names and numbers are in keys as keyed hashes alone.

use dancu_proto::{PersonalId, name::fold};

use super::cipher::{Cipher, HASH};

/// The state row.
pub(super) const STATE: &[u8] = &[0];
/// The changes of the administrative order, by their number, behind the state row.
pub(super) fn area(number: usize) -> [u8; 3] {
    let [high, low] = (number as u16).to_be_bytes();
    [0, high, low]
}
/// What is left to do of a load, behind the areas.
pub(super) const LANDING: &[u8] = &[0, u8::MAX, u8::MAX, u8::MAX];
/// The layout of the database, and by which key it is sealed: the rows that are not
/// sealed are this one, the next, and the administrative order, which is public.
pub(super) const SEALED_BY: &[u8] = &[1];
/// The registry that the slice comes from, behind it: the access log names it, of a sealed slice too.
pub(super) const REGISTRY: &[u8] = &[1, 0];
const NAME: u8 = 2;
const OLD_NUMBER: u8 = 3;
const FORMER: u8 = 4;

/// All index entries begin with this byte or a higher one.
pub(super) const INDEXES: &[u8] = &[NAME];
/// Above every key of the slice's table.
pub(super) const END: &[u8] = &[u8::MAX];
/// Above every record and every frame.
pub(super) const AFTER_ALL: &[u8] = &[u8::MAX; HASH + 1];

/// A record, and a person in an index entry.
pub(super) type Person = [u8; HASH];

/// The person at the end of an index entry.
pub(super) fn person(entry: &[u8]) -> Option<Person> {
    entry.last_chunk::<HASH>().copied()
}

fn prefix(cipher: &Cipher, kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[kind][..], &cipher.hash(kind, parts)].concat()
}

fn entry(prefix: Vec<u8>, person: &Person) -> Vec<u8> {
    [prefix, person.to_vec()].concat()
}

/// A name and a year of birth: the key of everyone who has both begins so.
pub(super) fn name_prefix(cipher: &Cipher, full_name: &str, year: u32) -> Vec<u8> {
    prefix(cipher, NAME, &[&year.to_be_bytes(), fold(full_name).as_bytes()])
}

pub(super) fn name(cipher: &Cipher, full_name: &str, year: u32, person: &Person) -> Vec<u8> {
    entry(name_prefix(cipher, full_name, year), person)
}

pub(super) fn old_number_prefix(cipher: &Cipher, number: &str) -> Vec<u8> {
    prefix(cipher, OLD_NUMBER, &[number.as_bytes()])
}

pub(super) fn old_number(cipher: &Cipher, number: &str, person: &Person) -> Vec<u8> {
    entry(old_number_prefix(cipher, number), person)
}

pub(super) fn former_prefix(cipher: &Cipher, former: PersonalId) -> Vec<u8> {
    prefix(cipher, FORMER, &[&former.as_u64().to_be_bytes()])
}

pub(super) fn former(cipher: &Cipher, former: PersonalId, person: &Person) -> Vec<u8> {
    entry(former_prefix(cipher, former), person)
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

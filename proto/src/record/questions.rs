//! Which fields of a record are in question, as its last part says (`Citizen.in_question`): a byte for each
//! of them, in ascending order. In a delta one zero says that none is any more.

use super::{IN_QUESTION, Record, contents};
use crate::{Field, FieldSet};

/// The part in a delta after which nothing is in question.
pub(super) const NONE: &[u8] = &[0];

/// The fields that a part names; none if they are not as they should be.
pub(super) fn read(value: &[u8]) -> Option<FieldSet> {
    let ascending = value.is_sorted_by(|a, b| a < b);
    let fields = value.iter().map(|number| Field::from_number(u32::from(*number)));
    fields.collect::<Option<FieldSet>>().filter(|fields| ascending && !fields.is_empty())
}

/// Writes the part for some fields; for none, nothing.
pub(super) fn write(fields: FieldSet, to: &mut Vec<u8>) {
    if !fields.is_empty() {
        write_numbers(fields.len(), fields.iter().map(|field| field as u8), to);
    }
}

/// Writes of a part what concerns some fields.
pub(super) fn filter(value: &[u8], fields: FieldSet, to: &mut Vec<u8>) {
    let kept = || value.iter().copied().filter(|number| fields.contains_number(u32::from(*number)));
    let count = kept().count();
    if count > 0 {
        write_numbers(count, kept(), to);
    }
}

/// Writes the part after which nothing is in question.
pub(super) fn write_none(to: &mut Vec<u8>) {
    write_numbers(1, NONE.iter().copied(), to);
}

fn write_numbers(count: usize, numbers: impl Iterator<Item = u8>, to: &mut Vec<u8>) {
    /// Key of the part: its number and that it has a length, a varint of two bytes.
    const KEY: [u8; 2] = [((IN_QUESTION << 3 | 2) & 0x7f) as u8 | 0x80, (IN_QUESTION >> 4) as u8];
    to.extend_from_slice(&KEY);
    // There are not so many fields that it takes a second byte.
    to.push(count as u8);
    to.extend(numbers);
}

impl Record {
    /// The fields that are in question, with a value or without.
    #[must_use]
    pub fn in_question(&self) -> FieldSet {
        contents(&self.0, IN_QUESTION).and_then(read).unwrap_or_default()
    }

    /// The record with these fields in question, and no others.
    #[must_use]
    pub fn with_in_question(&self, fields: FieldSet) -> Record {
        let Record(mut bytes) = self.values(FieldSet::all());
        write(fields, &mut bytes);
        Record(bytes)
    }
}

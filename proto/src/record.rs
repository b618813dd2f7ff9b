//! A citizen's record as bytes: the canonical encoding, and projection and deltas upon it.
//!
//! A record is an encoded `dancu.v1.Citizen` with its fields in the order of their numbers, each at
//! most once, defaults absent. So one record has one encoding; a projection is a copy of some byte
//! ranges; and the difference of two records is found by walking both once.
//!
//! Its last part is no value: it names the fields that are in question. Whoever is given a field is told
//! whether it is, and of no other; so a projection has of that part what concerns its fields.

mod bytes;
mod change;
mod questions;

pub use bytes::CitizenBytes;
pub use change::Change;

use prost::{
    Message,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use thiserror::Error;

use crate::{Field, FieldSet, PersonalId, v1::Citizen};

/// Number of `Citizen.in_question`: the last part of a record, and no field of the catalogue.
pub(crate) const IN_QUESTION: u32 = 35;

/// A citizen's record, canonically encoded.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Record(Vec<u8>);

/// Bytes are not a canonical record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Not protobuf, or cut short.
    #[error("the record is not a valid encoding")]
    Encoding,
    /// Not canonical.
    #[error("field {0} of the record is out of order, repeated, empty or unknown")]
    Field(u32),
}

impl Record {
    /// The record of a citizen. Empty parts count as absent.
    #[must_use]
    pub fn encode(citizen: &Citizen) -> Record {
        let bytes = citizen.encode_to_vec();
        // Prost writes an empty sub-message as a field of length 0; here that means "no value".
        if parts(&bytes).any(|part| part.value.is_empty() || part.number == IN_QUESTION) {
            let kept = parts(&bytes).filter(|part| !part.value.is_empty() && part.number != IN_QUESTION);
            let mut kept: Vec<u8> = kept.flat_map(|part| part.bytes).copied().collect();
            let in_question = citizen.in_question.iter().filter_map(|number| Field::try_from(*number).ok());
            questions::write(in_question.collect(), &mut kept);
            return Record(kept);
        }
        Record(bytes)
    }

    /// Bytes received or read back.
    ///
    /// # Errors
    /// If they are not canonical.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Record, RecordError> {
        canonical(&bytes, |in_question| questions::read(in_question).is_some())?;
        Ok(Record(bytes))
    }

    /// Bytes that this process wrote itself, canonical when it did.
    #[must_use]
    pub fn trusted(bytes: Vec<u8>) -> Record {
        Record(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The citizen.
    ///
    /// # Errors
    /// If the bytes are damaged.
    pub fn decode(&self) -> Result<Citizen, RecordError> {
        Citizen::decode(self.0.as_slice()).map_err(|_| RecordError::Encoding)
    }

    /// The personal number in force, if the record holds a valid one.
    #[must_use]
    pub fn personal_id(&self) -> Option<PersonalId> {
        std::str::from_utf8(self.value(Field::PersonalId)?).ok()?.parse().ok()
    }

    /// The fields that have a value.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        fields_in(&self.0)
    }

    /// The encoded value of one field (the contents, without key and length).
    #[must_use]
    pub fn value(&self, field: Field) -> Option<&[u8]> {
        value_in(&self.0, field)
    }

    /// The encoded values of some fields.
    #[must_use]
    pub fn values_of<const N: usize>(&self, fields: [Field; N]) -> [Option<&[u8]>; N] {
        let mut values = [None; N];
        for part in parts(&self.0) {
            if let Some(at) = fields.iter().position(|field| field.number() == part.number) {
                values[at] = Some(part.value);
            }
        }
        values
    }

    /// Only the fields of a set, and which of them are in question.
    #[must_use]
    pub fn project(&self, fields: FieldSet) -> Projected {
        let mut bytes = Vec::with_capacity(self.0.len());
        for part in parts(&self.0) {
            if fields.contains_number(part.number) {
                bytes.extend_from_slice(part.bytes);
            } else if part.number == IN_QUESTION {
                questions::filter(part.value, fields, &mut bytes);
            }
        }
        Projected(Record(bytes))
    }

    /// Only the values of a set of fields, whether in question or not.
    #[must_use]
    pub fn values(&self, fields: FieldSet) -> Record {
        let mut kept = Vec::with_capacity(self.0.len());
        let wanted = parts(&self.0).filter(|part| fields.contains_number(part.number));
        wanted.for_each(|part| kept.extend_from_slice(part.bytes));
        Record(kept)
    }

    /// The fields that have another value in another record, and those of which one says that they are in
    /// question and the other does not.
    #[must_use]
    pub fn differences(&self, other: &Record) -> (FieldSet, FieldSet) {
        let (one, other_one) = (self.in_question(), other.in_question());
        let questioned = one.union(other_one).difference(one.intersection(other_one));
        (self.differing(other), questioned)
    }

    /// The fields that have another value in another record.
    #[must_use]
    pub fn differing(&self, other: &Record) -> FieldSet {
        let mut fields = FieldSet::EMPTY;
        let mut differs =
            |number| Field::from_number(number).into_iter().for_each(|field| fields.insert(field));
        let mut old = parts(&self.0).peekable();
        for part in parts(&other.0) {
            while let Some(gone) = old.next_if(|o| o.number < part.number) {
                differs(gone.number);
            }
            match old.next_if(|o| o.number == part.number) {
                Some(same) if same.bytes == part.bytes => {}
                _ => differs(part.number),
            }
        }
        old.for_each(|gone| differs(gone.number));
        fields
    }

    /// What leads from this record to another.
    #[must_use]
    pub fn delta_to(&self, new: &Record) -> Delta {
        let mut delta = Delta::default();
        let mut old = parts(&self.0).peekable();
        for part in parts(&new.0) {
            while let Some(gone) = old.next_if(|o| o.number < part.number) {
                delta.clear(gone.number);
            }
            match old.next_if(|o| o.number == part.number) {
                Some(same) if same.bytes == part.bytes => {}
                _ => delta.set.extend_from_slice(part.bytes),
            }
        }
        old.for_each(|gone| delta.clear(gone.number));
        delta
    }

    /// The record after a delta.
    ///
    /// # Errors
    /// If the delta's bytes are not canonical.
    pub fn apply(&self, delta: &Delta) -> Result<Record, RecordError> {
        canonical(&delta.set, |value| value == questions::NONE || questions::read(value).is_some())?;
        let mut bytes = Vec::with_capacity(self.0.len() + delta.set.len());
        let is_kept = |part: &Part<'_>| part.number != IN_QUESTION || part.value != questions::NONE;
        let mut new = parts(&delta.set).peekable();
        for part in parts(&self.0) {
            while let Some(added) = new.next_if(|n| n.number < part.number) {
                bytes.extend_from_slice(added.bytes);
            }
            if let Some(replaced) = new.next_if(|n| n.number == part.number) {
                if is_kept(&replaced) {
                    bytes.extend_from_slice(replaced.bytes);
                }
            } else if !delta.cleared.contains_number(part.number) {
                bytes.extend_from_slice(part.bytes);
            }
        }
        new.filter(is_kept).for_each(|added| bytes.extend_from_slice(added.bytes));
        Ok(Record(bytes))
    }
}

/// Whether fields are in order, none twice, none empty and all known; whether what they say is in question
/// is as it should be, `in_question` tells.
fn canonical(bytes: &[u8], in_question: impl Fn(&[u8]) -> bool) -> Result<(), RecordError> {
    let mut rest = bytes;
    let mut last = 0;
    while !rest.is_empty() {
        let (number, value) = next_part(&mut rest).ok_or(RecordError::Encoding)?;
        let known = || Field::from_number(number).is_some() || number == IN_QUESTION && in_question(value);
        if number <= last || value.is_empty() || !known() {
            return Err(RecordError::Field(number));
        }
        last = number;
    }
    Ok(())
}

/// A record is personal data, so debug output shows only its size.
impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record({} bytes)", self.0.len())
    }
}

/// A record that holds no field outside the set it was projected on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Projected(Record);

impl Projected {
    /// The record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.0
    }

    /// The record, owned.
    #[must_use]
    pub fn into_record(self) -> Record {
        self.0
    }
}

/// What leads from one record to another.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Delta {
    /// The fields with a new value, canonically encoded; and, if others are in question than before, which
    /// ones now. A zero there says that none is.
    pub set: Vec<u8>,
    /// The fields that no longer have a value.
    pub cleared: FieldSet,
}

impl Delta {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.cleared.is_empty()
    }

    /// The fields whose values it touches.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        fields_in(&self.set).union(self.cleared)
    }

    /// The fields that are in question after it, if these are others than before.
    #[must_use]
    pub fn in_question(&self) -> Option<FieldSet> {
        contents(&self.set, IN_QUESTION).map(|value| questions::read(value).unwrap_or_default())
    }

    /// Makes it say which fields are in question, whatever was said before.
    pub fn tell_in_question(&mut self, fields: FieldSet) {
        self.set = Record::trusted(std::mem::take(&mut self.set)).with_in_question(fields).into_bytes();
        if fields.is_empty() {
            questions::write_none(&mut self.set);
        }
    }

    fn clear(&mut self, number: u32) {
        match Field::from_number(number) {
            Some(field) => self.cleared.insert(field),
            // The last part: nothing that is set comes after it.
            None if number == IN_QUESTION => questions::write_none(&mut self.set),
            None => {}
        }
    }
}

/// The fields that have a value in an encoded record.
#[must_use]
pub fn fields_in(bytes: &[u8]) -> FieldSet {
    parts(bytes).filter_map(|part| Field::from_number(part.number)).collect()
}

/// The encoded value of one field in an encoded message (contents, without key and length). Also
/// serves for the messages inside a record, by their own field numbers.
#[must_use]
pub fn value_in(bytes: &[u8], field: Field) -> Option<&[u8]> {
    contents(bytes, field.number())
}

/// The contents of the first length-delimited field with a number in an encoded message.
#[must_use]
pub fn contents(bytes: &[u8], number: u32) -> Option<&[u8]> {
    parts(bytes)
        .take_while(|part| part.number <= number)
        .find(|part| part.number == number)
        .map(|part| part.value)
}

/// The value of the first field with a number that is a varint.
#[must_use]
pub fn varint(bytes: &[u8], number: u32) -> Option<u64> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (found, wire) = decode_key(&mut rest).ok()?;
        if found == number && wire == WireType::Varint {
            return decode_varint(&mut rest).ok();
        }
        skip_field(wire, found, &mut rest, DecodeContext::default()).ok()?;
    }
    None
}

pub(crate) struct Part<'a> {
    pub(crate) number: u32,
    /// Key, length and contents.
    pub(crate) bytes: &'a [u8],
    /// The contents.
    pub(crate) value: &'a [u8],
}

/// The top-level fields of an encoding. Every field of `Citizen` is length-delimited; what is not
/// readable ends the walk, which `Record::from_bytes` has ruled out.
pub(crate) fn parts(bytes: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let start = rest;
        let (number, value) = next_part(&mut rest)?;
        Some(Part { number, bytes: &start[..start.len() - rest.len()], value })
    })
}

fn next_part<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let start = *rest;
    let key = short_varint(rest)?;
    let (number, wire) = (key >> 3, key & 7);
    if wire != WireType::LengthDelimited as u32 {
        *rest = start;
        let (number, wire) = decode_key(rest).ok()?;
        skip_field(wire, number, rest, DecodeContext::default()).ok()?;
        return Some((number, &[]));
    }
    let length = short_varint(rest)? as usize;
    let value = rest.get(..length)?;
    *rest = &rest[length..];
    (number > 0).then_some((number, value))
}

/// A varint of one byte or two, which keys and lengths nearly all are; longer ones the long way.
fn short_varint(rest: &mut &[u8]) -> Option<u32> {
    match **rest {
        [first, ref tail @ ..] if first < 0x80 => {
            *rest = tail;
            Some(u32::from(first))
        }
        [first, second, ref tail @ ..] if second < 0x80 => {
            *rest = tail;
            Some(u32::from(first & 0x7f) | u32::from(second) << 7)
        }
        _ => u32::try_from(decode_varint(rest).ok()?).ok(),
    }
}

#[cfg(test)]
mod tests;

//! A citizen as the registry stores them.

use std::fmt;

use dancu_proto::{
    Delta, Field, FieldSet, PersonalId, Record, Revision,
    record::varint,
    v1::{Citizen, Date, StringList},
};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};

use super::{ListId, Partition, StoreError};

/// The key of a person for ever: the first number under which they entered the registry. Numbers
/// can be cancelled and replaced (Decree 70/2024); this does not change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CitizenKey(pub u64);

impl From<PersonalId> for CitizenKey {
    fn from(id: PersonalId) -> CitizenKey {
        CitizenKey(id.as_u64())
    }
}

/// It is a personal number, so debug output hides it.
impl fmt::Debug for CitizenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CitizenKey(…)")
    }
}

/// Fields whose values came with one revision (law 5). The journal says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceGroup {
    /// The fields.
    pub fields: FieldSet,
    /// The revision that brought their values.
    pub revision: Revision,
}

/// A citizen's record with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCitizen {
    /// The record.
    pub record: Record,
    /// The revision of the commit that entered the person; none for the founding bulk load.
    pub entered: Option<Revision>,
    /// Sources of the values that did not come with `entered` (or the founding load).
    pub sources: Vec<SourceGroup>,
    /// The latest feed entry of this citizen in each partition that has one.
    pub feed: Vec<(Partition, Revision)>,
    /// The interest lists that name or named this citizen.
    pub interests: Vec<Interest>,
}

/// From when until when an interest list names a citizen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The list.
    pub list: ListId,
    /// From this revision on.
    pub since: Revision,
    /// No longer from this one on.
    pub until: Option<Revision>,
}

/// A citizen as of a revision, as far as scopes ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CitizenAt {
    /// The record.
    pub record: Record,
    /// The interest lists that name the citizen.
    pub lists: Vec<ListId>,
}

/// The same, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The record.
    pub record: &'a Record,
    /// The interest lists that name the citizen.
    pub lists: &'a [ListId],
}

impl CitizenAt {
    /// Borrowed.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        Subject { record: &self.record, lists: &self.lists }
    }
}

impl StoredCitizen {
    /// A citizen as the founding load writes them.
    #[must_use]
    pub fn founding(record: Record) -> StoredCitizen {
        StoredCitizen { record, entered: None, sources: Vec::new(), feed: Vec::new(), interests: Vec::new() }
    }

    /// The interest lists that name the citizen now.
    #[must_use]
    pub fn lists(&self) -> Vec<ListId> {
        self.lists_at(Revision(u64::MAX))
    }

    /// The interest lists that named the citizen as of a revision.
    #[must_use]
    pub fn lists_at(&self, at: Revision) -> Vec<ListId> {
        let then = |one: &&Interest| one.since <= at && one.until.is_none_or(|until| until > at);
        self.interests.iter().filter(then).map(|one| one.list).collect()
    }

    /// Enters the citizen on a list; false if they are on it.
    pub(super) fn join(&mut self, list: ListId, at: Revision) -> bool {
        let new = !self.lists().contains(&list);
        if new {
            self.interests.push(Interest { list, since: at, until: None });
        }
        new
    }

    /// Takes the citizen off a list; false if they are not on it.
    pub(super) fn leave(&mut self, list: ListId, at: Revision) -> bool {
        let current = self.interests.iter_mut().find(|one| one.list == list && one.until.is_none());
        current.is_some_and(|one| {
            one.until = Some(at);
            true
        })
    }

    /// The revision that brought the value of a field; none for the founding load.
    #[must_use]
    pub fn source_of(&self, field: Field) -> Option<Revision> {
        let group = self.sources.iter().find(|group| group.fields.contains(field));
        group.map(|group| group.revision).or(self.entered)
    }

    /// Forgets from which revision values are: they are from when the person came in.
    pub(super) fn no_source(&mut self, fields: FieldSet) {
        for group in &mut self.sources {
            group.fields = group.fields.difference(fields);
        }
        self.sources.retain(|group| !group.fields.is_empty());
    }

    /// Whether the person has left the registry: merged into another, or cancelled.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.record.as_bytes().is_empty()
    }

    /// Notes that a revision brought new values.
    pub fn set_source(&mut self, fields: FieldSet, revision: Revision) {
        for group in &mut self.sources {
            group.fields = group.fields.difference(fields);
        }
        self.sources.retain(|group| !group.fields.is_empty());
        // Of a field without a value too: that it has none is as good a claim as any.
        match self.sources.iter_mut().find(|group| group.revision == revision) {
            Some(group) => group.fields = group.fields.union(fields),
            None if !fields.is_empty() => self.sources.push(SourceGroup { fields, revision }),
            None => {}
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let rest = Row {
            record: Vec::new(),
            entered: self.entered.map_or(0, |revision| revision.0),
            sources: self.sources.iter().flat_map(|g| [g.fields.bits(), g.revision.0]).collect(),
            feed: self.feed.iter().flat_map(|(p, r)| [p.as_number(), r.0]).collect(),
            interests: self
                .interests
                .iter()
                .flat_map(|one| [u64::from(one.list.0), one.since.0, one.until.map_or(0, |at| at.0)])
                .collect(),
        };
        let record = self.record.as_bytes();
        let mut row = Vec::with_capacity(record.len() + 8 + rest.encoded_len());
        // The record is copied once, and not into a message first: a founding load writes millions.
        encode_key(1, WireType::LengthDelimited, &mut row);
        encode_varint(record.len() as u64, &mut row);
        row.extend_from_slice(record);
        rest.encode_raw(&mut row);
        row
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<StoredCitizen, StoreError> {
        let row = Row::decode(bytes).map_err(|_| StoreError::Corrupt("a citizen's row"))?;
        let pairs = |numbers: &[u64]| -> Vec<(u64, u64)> {
            numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
        };
        let sources = pairs(&row.sources).into_iter();
        let feed = pairs(&row.feed).into_iter();
        Ok(StoredCitizen {
            record: Record::trusted(row.record),
            entered: (row.entered != 0).then_some(Revision(row.entered)),
            sources: sources
                .map(|(bits, revision)| SourceGroup {
                    fields: FieldSet::from_bits(bits),
                    revision: Revision(revision),
                })
                .collect(),
            feed: feed
                .map(|(number, revision)| {
                    let partition = Partition::from_number(number);
                    partition
                        .map(|p| (p, Revision(revision)))
                        .ok_or(StoreError::Corrupt("a citizen's feed positions"))
                })
                .collect::<Result<_, _>>()?,
            interests: row
                .interests
                .chunks_exact(3)
                .map(|one| Interest {
                    list: ListId(one[0] as u32),
                    since: Revision(one[1]),
                    until: (one[2] != 0).then_some(Revision(one[2])),
                })
                .collect(),
        })
    }
}

/// The date of birth in a record.
#[must_use]
pub fn birth_of(record: &Record) -> Option<Date> {
    date_of(record, Field::DateOfBirth)
}

/// The date that a field of a record is.
#[must_use]
pub fn date_of(record: &Record, field: Field) -> Option<Date> {
    let value = record.value(field)?;
    let part = |number| varint(value, number).unwrap_or_default() as u32;
    Some(Date { year: part(1), month: part(2), day: part(3) })
}

/// The former numbers in a record.
#[must_use]
pub fn former_numbers(record: &Record) -> Vec<PersonalId> {
    let Some(value) = record.value(Field::FormerPersonalIds) else { return Vec::new() };
    let list = StringList::decode(value).unwrap_or_default();
    list.values.iter().filter_map(|number| number.parse().ok()).collect()
}

/// The record with these former numbers.
pub(super) fn with_former_numbers(record: &Record, numbers: &[PersonalId]) -> Record {
    let values = numbers.iter().map(ToString::to_string).collect();
    let list = Citizen { former_personal_ids: Some(StringList { values }), ..Citizen::default() };
    let set = Record::encode(&list);
    let cleared = FieldSet::from_iter([Field::FormerPersonalIds]).difference(set.fields());
    let delta = Delta { set: set.into_bytes(), cleared };
    // The set was encoded a line ago, so it applies.
    record.apply(&delta).unwrap_or_else(|_| record.clone())
}

/// The row as stored. A founding citizen is the record and three bytes.
#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(bytes = "vec", tag = "1")]
    record: Vec<u8>,
    #[prost(uint64, tag = "2")]
    entered: u64,
    #[prost(uint64, repeated, tag = "3")]
    sources: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    feed: Vec<u64>,
    #[prost(uint64, repeated, tag = "5")]
    interests: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_follow_the_values() {
        let citizen = Citizen { sex: "1".into(), email: "a@b.vn".into(), ..Citizen::default() };
        let mut stored = StoredCitizen::founding(Record::encode(&citizen));
        assert_eq!(stored.source_of(Field::Sex), None);
        stored.set_source([Field::Sex].into_iter().collect(), Revision(3));
        stored.set_source([Field::Sex, Field::Email].into_iter().collect(), Revision(5));
        assert_eq!(stored.source_of(Field::Sex), Some(Revision(5)));
        assert_eq!(stored.sources.len(), 1);
        stored.feed = vec![(Partition::Nation, Revision(5))];
        assert_eq!(StoredCitizen::decode(&stored.encode()).unwrap(), stored);
    }
}

//! The journal: every change for ever, with who, why, and the values before and after.

use dancu_proto::{
    Delta, FieldSet, Record, Revision,
    record::fields_in,
    v1::{AreaChange, Date},
};
use prost::{Message, Oneof};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Claims, Origin};

/// The entry of one revision. Stored for ever: fields are only ever added.
#[derive(Clone, PartialEq, Message)]
pub struct JournalEntry {
    /// When it became known: nanoseconds since 1970.
    #[prost(fixed64, tag = "1")]
    pub time_nanos: u64,
    /// See [`Origin::source`].
    #[prost(string, tag = "2")]
    pub source: String,
    /// See [`Origin::contribution`]; empty or 16 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub contribution: Vec<u8>,
    /// See [`Origin::reason`].
    #[prost(string, tag = "4")]
    pub reason: String,
    /// See [`Origin::document_number`].
    #[prost(string, tag = "5")]
    pub document_number: String,
    /// See [`Origin::effective_date`], as yyyymmdd; 0 where unknown.
    #[prost(uint32, tag = "6")]
    pub effective_date: u32,
    /// What changed.
    #[prost(oneof = "Content", tags = "7, 8, 9, 10, 11, 12, 13")]
    pub content: Option<Content>,
    /// See [`Origin::role`].
    #[prost(string, tag = "14")]
    pub role: String,
    /// See [`Origin::event`].
    #[prost(string, tag = "15")]
    pub event: String,
    /// See [`Origin::decided`].
    #[prost(bool, tag = "16")]
    pub decided: bool,
    /// The revision whose claims it takes back; 0 for none.
    #[prost(uint64, tag = "17")]
    pub takes_back: u64,
}

/// What changed.
#[derive(Clone, PartialEq, Oneof)]
pub enum Content {
    /// Citizens.
    #[prost(message, tag = "7")]
    Citizens(CitizenChanges),
    /// The founding bulk load: how many citizens. Their records are as they were before their
    /// first journalled change.
    #[prost(uint64, tag = "8")]
    Founding(u64),
    /// An agreement's document takes force.
    #[prost(message, tag = "9")]
    Applied(AppliedAgreement),
    /// An agreement ends: its id.
    #[prost(string, tag = "10")]
    Withdrawn(String),
    /// A day begins: yyyymmdd.
    #[prost(uint32, tag = "11")]
    Day(u32),
    /// People came onto an interest list or left it.
    #[prost(message, tag = "12")]
    Interest(InterestChange),
    /// The administrative order is another.
    #[prost(message, tag = "13")]
    Areas(AreaChange),
}

/// A change of an interest list.
#[derive(Clone, PartialEq, Message)]
pub struct InterestChange {
    /// The list.
    #[prost(uint32, tag = "1")]
    pub list: u32,
    /// Id of the agreement whose scope it is.
    #[prost(string, tag = "2")]
    pub agreement: String,
    /// The node whose list it is.
    #[prost(string, tag = "3")]
    pub node: String,
    /// The list is new.
    #[prost(bool, tag = "4")]
    pub created: bool,
    /// Keys of those who came onto it.
    #[prost(uint64, repeated, tag = "5")]
    pub joined: Vec<u64>,
    /// Keys of those who left it.
    #[prost(uint64, repeated, tag = "6")]
    pub left: Vec<u64>,
    /// Numbers without a person that are now awaited.
    #[prost(uint64, repeated, tag = "7")]
    pub awaited: Vec<u64>,
    /// Numbers that no longer are.
    #[prost(uint64, repeated, tag = "8")]
    pub released: Vec<u64>,
}

/// An agreement that takes force.
#[derive(Clone, PartialEq, Message)]
pub struct AppliedAgreement {
    /// Its id.
    #[prost(string, tag = "1")]
    pub agreement: String,
    /// The document, TOML.
    #[prost(string, tag = "2")]
    pub document: String,
}

/// Changes of several citizens in one commit.
#[derive(Clone, PartialEq, Message)]
pub struct CitizenChanges {
    /// The changes, each citizen at most once.
    #[prost(message, repeated, tag = "1")]
    pub changes: Vec<CitizenChange>,
}

/// The change of one citizen.
#[derive(Clone, PartialEq, Message)]
pub struct CitizenChange {
    /// The citizen's key.
    #[prost(uint64, tag = "1")]
    pub key: u64,
    /// The person entered the registry with this change.
    #[prost(bool, tag = "2")]
    pub entered: bool,
    /// New values, canonically encoded, and what is in question now: see [`Delta::set`].
    #[prost(bytes = "vec", tag = "3")]
    pub set: Vec<u8>,
    /// Fields that lost their value.
    #[prost(fixed64, tag = "4")]
    pub cleared: u64,
    /// The values before, of the fields that had one, and what was in question.
    #[prost(bytes = "vec", tag = "5")]
    pub before: Vec<u8>,
    /// The fields that had none before.
    #[prost(fixed64, tag = "6")]
    pub absent_before: u64,
    /// See [`Claims::set`](super::Claims::set).
    #[prost(bytes = "vec", tag = "7")]
    pub claimed: Vec<u8>,
    /// See [`Claims::cleared`](super::Claims::cleared).
    #[prost(fixed64, tag = "8")]
    pub claimed_cleared: u64,
    /// See [`Claims::added`](super::Claims::added).
    #[prost(bytes = "vec", tag = "9")]
    pub added: Vec<u8>,
}

impl CitizenChange {
    /// What the change did.
    #[must_use]
    pub fn delta(&self) -> Delta {
        Delta { set: self.set.clone(), cleared: FieldSet::from_bits(self.cleared) }
    }

    /// What the source claimed.
    #[must_use]
    pub fn claims(&self) -> Claims {
        Claims {
            set: Record::trusted(self.claimed.clone()),
            cleared: FieldSet::from_bits(self.claimed_cleared),
            added: Record::trusted(self.added.clone()),
        }
    }

    /// The fields that the source claimed something of.
    #[must_use]
    pub fn claimed_fields(&self) -> FieldSet {
        let cleared = FieldSet::from_bits(self.claimed_cleared);
        fields_in(&self.claimed).union(fields_in(&self.added)).union(cleared)
    }

    /// What undoes the change.
    #[must_use]
    pub fn undo(&self) -> Delta {
        Delta { set: self.before.clone(), cleared: FieldSet::from_bits(self.absent_before) }
    }
}

impl JournalEntry {
    pub(super) fn new(
        origin: &Origin,
        time: OffsetDateTime,
        content: Content,
        takes_back: Option<Revision>,
    ) -> JournalEntry {
        JournalEntry {
            time_nanos: u64::try_from(time.unix_timestamp_nanos()).unwrap_or_default(),
            source: origin.source.clone(),
            contribution: origin.contribution.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
            reason: origin.reason.clone(),
            document_number: origin.document_number.clone(),
            effective_date: origin.effective_date.as_ref().map_or(0, Date::as_number),
            content: Some(content),
            role: origin.role.clone(),
            event: origin.event.clone(),
            decided: origin.decided,
            takes_back: takes_back.map_or(0, |revision| revision.0),
        }
    }

    /// When it became known.
    #[must_use]
    pub fn time(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.time_nanos))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// On whose word.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            source: self.source.clone(),
            contribution: Uuid::from_slice(&self.contribution).ok(),
            reason: self.reason.clone(),
            document_number: self.document_number.clone(),
            effective_date: (self.effective_date != 0).then(|| Date::from_number(self.effective_date)),
            role: self.role.clone(),
            event: self.event.clone(),
            decided: self.decided,
        }
    }

    /// How many citizens this revision changed.
    #[must_use]
    pub fn citizens(&self) -> usize {
        match &self.content {
            Some(Content::Citizens(changes)) => changes.changes.len(),
            _ => 0,
        }
    }

    /// The change of one citizen, if this revision changed them.
    #[must_use]
    pub fn change_of(&self, key: super::CitizenKey) -> Option<&CitizenChange> {
        match &self.content {
            Some(Content::Citizens(changes)) => changes.changes.iter().find(|change| change.key == key.0),
            _ => None,
        }
    }
}

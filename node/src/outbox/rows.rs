//! The bytes of the outbox's keys and rows. Of the people whom a contribution concerns nothing is in them:
//! what it says is sealed for the hub, and a number that it got is sealed with the slice's key.

use dancu_proto::v1::{AccessContext, ContributionOutcome, ContributionState};
use prost::Message;
use uuid::Uuid;

/// Version of the layout; a later one comes with a migration.
pub(super) const FORMAT: u32 = 2;
/// Who the outbox is.
pub(super) const IDENTITY: &[u8] = &[0, 0];
/// Where it stands.
pub(super) const STANDING: &[u8] = &[0, 1];
/// The hub's public key.
pub(super) const RECIPIENT: &[u8] = &[0, 2];
/// What is agreed.
pub(super) const AGREED: &[u8] = &[0, 3];
/// Contributions as they were signed, by their place.
pub(super) const QUEUE: u8 = 1;
/// The places of those that the hub is not known to have.
pub(super) const UNSENT: u8 = 2;
/// Where each stands, by its id.
pub(super) const STATUS: u8 = 3;
/// Which changed, each once, by the number of its latest change.
pub(super) const CHANGES: u8 = 4;
/// Contributions of other nodes' outboxes.
pub(super) const FOREIGN: u8 = 5;

/// Who an outbox is.
#[derive(Clone, PartialEq, Message)]
pub(super) struct IdentityRow {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) outbox: Vec<u8>,
    /// What contents are hashed with, 32 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) hashed_with: Vec<u8>,
    /// How it is laid out: [`FORMAT`].
    #[prost(uint32, tag = "3")]
    pub(super) format: u32,
}

/// Where an outbox stands.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct StandingRow {
    /// The last place that was taken.
    #[prost(uint64, tag = "1")]
    pub(super) last_sequence: u64,
    /// The last change.
    #[prost(uint64, tag = "2")]
    pub(super) last_change: u64,
    /// The last mail.
    #[prost(uint64, tag = "3")]
    pub(super) mail: u64,
    /// The last place that the hub has.
    #[prost(uint64, tag = "4")]
    pub(super) hub_sequence: u64,
    /// When the hub last took something over, or said that it has all; seconds.
    #[prost(int64, tag = "5")]
    pub(super) delivered: i64,
}

/// A contribution as it was signed.
#[derive(Clone, PartialEq, Message)]
pub(super) struct QueueRow {
    /// Its id, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
    /// `dancu.v1.Signed`.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) signed: Vec<u8>,
}

/// Where a contribution stands.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusRow {
    /// Who handed it in; empty where that is not known any more.
    #[prost(string, tag = "1")]
    pub(super) caller: String,
    /// Its place.
    #[prost(uint64, tag = "2")]
    pub(super) sequence: u64,
    /// When it was queued, seconds.
    #[prost(int64, tag = "3")]
    pub(super) queued: i64,
    /// Where it stands.
    #[prost(enumeration = "ContributionState", tag = "4")]
    pub(super) state: i32,
    /// What the hub said, without a number.
    #[prost(message, optional, tag = "5")]
    pub(super) outcome: Option<ContributionOutcome>,
    /// The number that somebody got, sealed.
    #[prost(bytes = "vec", tag = "6")]
    pub(super) number: Vec<u8>,
    /// Of what it says, as the caller said it: long enough to tell that something else is said. What it is
    /// hashed with lies beside it, so that who has the disk can try out a guess, and be wrong once in four
    /// billion; it is too short to tell one of many guesses from the others.
    #[prost(fixed32, tag = "7")]
    pub(super) content: u32,
    /// Its latest change.
    #[prost(uint64, tag = "8")]
    pub(super) change: u64,
    /// Under which purpose, in which case, by which officer.
    #[prost(message, optional, tag = "9")]
    pub(super) context: Option<AccessContext>,
    /// When the hub's last word on it came, seconds; 0 before.
    #[prost(int64, tag = "10")]
    pub(super) concluded: i64,
}

impl StatusRow {
    /// Whether somebody handed it in here; of one that was handed in before the disk was lost, only what the
    /// hub said of it is known.
    pub(super) fn is_handed_in(&self) -> bool {
        !self.caller.is_empty()
    }

    /// Whether nothing more is expected of it.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.state(), ContributionState::Accepted | ContributionState::Rejected)
    }
}

/// A key of a table by number.
pub(super) fn numbered(table: u8, number: u64) -> [u8; 9] {
    let mut key = [table; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The number in such a key.
pub(super) fn number(key: &[u8]) -> Option<u64> {
    key.get(1..)?.try_into().ok().map(u64::from_be_bytes)
}

/// The key of a status.
pub(super) fn status(id: Uuid) -> [u8; 17] {
    let mut key = [STATUS; 17];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// The key of a contribution of another outbox.
pub(super) fn foreign(node: &str, outbox: &[u8], sequence: u64) -> Vec<u8> {
    [&foreign_outbox(node, outbox)[..], &sequence.to_be_bytes()].concat()
}

/// The start of the keys of another outbox.
pub(super) fn foreign_outbox(node: &str, outbox: &[u8]) -> Vec<u8> {
    [&[FOREIGN][..], node.as_bytes(), &[0], outbox].concat()
}

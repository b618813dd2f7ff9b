//! From entries to records: each has the number and the hash of the one before, so that none can be
//! altered, dropped, added or moved without breaking the chain.

use aws_lc_rs::digest::{Context, SHA256, digest};
use dancu_proto::v1::{AccessEntry, AccessSubject, LogKey, LogRecord, log_record::Body};
use prost::Message;

use super::{
    entry::{Entry, listed},
    seal::Sealer,
    store::LogError,
};

/// Bytes of a hash.
pub(super) const HASH: usize = 32;

pub(super) fn sha256(bytes: &[u8]) -> [u8; HASH] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

/// The hash of a record as it was written: that of a leaf (RFC 6962, 2.1).
pub(super) fn hash(record: &[u8]) -> [u8; HASH] {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(record);
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// When a record was written, ms.
pub(super) fn time_of(record: &[u8]) -> u64 {
    LogRecord::decode(record).map_or(0, |read| read.time_ms)
}

/// Memory for a record, behind the byte that its hash as a leaf begins with.
#[derive(Default)]
pub(super) struct Leaf(Vec<u8>);

impl Leaf {
    fn write(&mut self, record: &LogRecord) {
        self.0.clear();
        self.0.reserve(1 + record.encoded_len());
        self.0.push(0);
        record.encode_raw(&mut self.0);
    }

    /// What [`hash`] says of the record.
    fn hash(&self) -> [u8; HASH] {
        sha256(&self.0)
    }

    /// The record.
    pub(super) fn record(&self) -> &[u8] {
        self.0.get(1..).unwrap_or_default()
    }
}

/// Where a chain stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The last record; 0 for none.
    pub sequence: u64,
    /// Its hash.
    pub hash: [u8; HASH],
    /// When it was written, ms.
    pub time_ms: u64,
}

impl Head {
    /// The head that a record makes, if it follows this one.
    pub(super) fn follow(&self, record: &[u8]) -> Option<Head> {
        let read = LogRecord::decode(record).ok()?;
        let follows = read.sequence == self.sequence + 1
            && read.previous == self.hash
            && read.time_ms >= self.time_ms
            && read.body.is_some();
        follows.then(|| Head { sequence: read.sequence, hash: hash(record), time_ms: read.time_ms })
    }

    /// Writes the next record, in place of what is there; the head that it makes. Time does not go back in
    /// a log: a clock that was set back is waited for.
    fn next(&self, time_ms: u64, body: Body, leaf: &mut Leaf) -> Head {
        let (sequence, time_ms) = (self.sequence + 1, time_ms.max(self.time_ms));
        let record = LogRecord { sequence, previous: self.hash.to_vec(), time_ms, body: Some(body) };
        leaf.write(&record);
        Head { sequence, hash: leaf.hash(), time_ms }
    }

    /// Writes the record of a key, as [`Head::next`] does.
    pub(super) fn key(&self, time_ms: u64, key: LogKey, leaf: &mut Leaf) -> Head {
        self.next(time_ms, Body::Key(key), leaf)
    }

    /// Writes the record of a call, as [`Head::next`] does.
    pub(super) fn access(
        &self,
        time_ms: u64,
        entry: Entry,
        sealer: &Sealer,
        leaf: &mut Leaf,
    ) -> Result<Head, LogError> {
        let sequence = self.sequence + 1;
        let subject = |(place, subject): (usize, &super::Subject)| {
            Ok(AccessSubject {
                hash: sealer.hash(subject.id),
                sealed: sealer.seal(subject.id, sequence, place as u32)?,
                fields: listed(subject.fields),
                outcome: subject.outcome.into(),
            })
        };
        let subjects = entry.subjects.iter().enumerate().map(subject).collect::<Result<_, LogError>>()?;
        let body = Body::Access(AccessEntry {
            caller: entry.caller,
            officer: entry.context.officer,
            purpose: entry.context.purpose,
            case_number: entry.context.case_number,
            operation: entry.operation.into(),
            subjects,
            revision: entry.revision,
            outcome: entry.outcome.to_owned(),
            key: sealer.number(),
        });
        Ok(self.next(time_ms, body, leaf))
    }
}

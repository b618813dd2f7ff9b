//! Finds records, each with the proof that it stands in the log.

use std::sync::Arc;

use dancu_proto::{
    PersonalId,
    channel::SwappableIdentity,
    hub::v1::{AccessRow, AccessTree},
    signed::{self, SignError},
    v1::{LogRecord, Signed, TreeHead, log_record::Body},
};
use prost::Message;
use time::OffsetDateTime;

use super::{
    log::AuditLog,
    store::{RowsAt, read_leaf},
    tree,
};
use crate::{
    registry::{CitizenKey, Registry, StoreError},
    sync::timestamp,
};

/// Whose records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Those that concern a person.
    Person(PersonalId),
    /// Those of an officer.
    Officer(String),
    /// Those of a node.
    Node(String),
    /// All.
    Everyone,
}

impl Of {
    /// What is asked for, for the hub's own log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Of::Person(_) => "person",
            Of::Officer(_) => "officer",
            Of::Node(_) => "node",
            Of::Everyone => "everyone",
        }
    }
}

/// A time in which records were written, ms; by the clocks of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

/// A record that was found.
pub(super) struct Found {
    pub(super) index: u64,
    pub(super) leaf: Vec<u8>,
    pub(super) node: String,
    pub(super) record: LogRecord,
}

/// What is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The hub's key.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// A proof for a tree that is larger than the log.
    #[error("the log has {0} records, and a proof is asked for a tree with more")]
    Larger(u64),
}

/// The log at one moment, with what signs its head.
pub(super) struct Query<'a> {
    log: &'a AuditLog,
    rows: RowsAt<'a>,
    size: u64,
    root: tree::Hash,
}

impl<'a> Query<'a> {
    pub(super) fn new(log: &'a AuditLog) -> Result<Query<'a>, StoreError> {
        let rows = log.now();
        let (size, root) = rows.tree()?;
        Ok(Query { log, rows, size, root })
    }

    /// The tree head, signed, and the proof that the log begins with a smaller tree.
    pub(super) fn tree(
        &self,
        registry: &Registry,
        identity: &Arc<SwappableIdentity>,
        now: OffsetDateTime,
        since: u64,
    ) -> Result<AccessTree, QueryError> {
        if since > self.size {
            return Err(QueryError::Larger(self.size));
        }
        let head = TreeHead {
            registry_id: registry.id().to_vec(),
            size: self.size,
            root: self.root.to_vec(),
            time: Some(timestamp(now)),
        };
        let head: Signed = signed::sign(&head, identity)?;
        Ok(AccessTree { head: Some(head), consistency: tree::consistency(&self.rows, since, self.size)? })
    }

    /// The records, one after the other; keys of nodes are not among them.
    pub(super) fn find(
        &self,
        registry: &Registry,
        of: &Of,
        period: Period,
    ) -> Result<impl Iterator<Item = Result<Found, StoreError>> + use<'_>, StoreError> {
        let places: Box<dyn Iterator<Item = Result<u64, StoreError>> + '_> = match of {
            Of::Person(number) => Box::new(self.rows.of_person(registry.view().key_of(number.as_u64())?)),
            Of::Officer(officer) => Box::new(self.rows.of_officer(officer)),
            Of::Node(node) => Box::new(self.rows.of_node(node, 0)),
            Of::Everyone => Box::new((0..self.size).map(Ok)),
        };
        let of = of.clone();
        let found = move |place: Result<u64, StoreError>| {
            let found = place.and_then(|index| self.read(index));
            let wanted = |found: &Found| {
                let Some(Body::Access(entry)) = &found.record.body else { return false };
                let of_officer = !matches!(&of, Of::Officer(officer) if *officer != entry.officer);
                of_officer && (period.from_ms..period.until_ms).contains(&found.record.time_ms)
            };
            match found {
                Ok(found) => wanted(&found).then_some(Ok(found)),
                Err(error) => Some(Err(error)),
            }
        };
        Ok(places.filter_map(found))
    }

    /// The records that concern the person of a key, in the order in which they were taken over.
    pub(super) fn of_key(
        &self,
        key: CitizenKey,
    ) -> impl Iterator<Item = Result<Found, StoreError>> + use<'_, 'a> {
        self.rows.of_person(key).map(|place| place.and_then(|index| self.read(index)))
    }

    fn read(&self, index: u64) -> Result<Found, StoreError> {
        let leaf = self.rows.leaf(index)?;
        let damaged = StoreError::Corrupt("a leaf of the access log");
        let read = read_leaf(&leaf)
            .and_then(|(node, record)| Some((node.to_owned(), LogRecord::decode(record).ok()?)));
        let (node, record) = read.ok_or(damaged)?;
        Ok(Found { index, leaf, node, record })
    }

    /// The numbers of those whom a record concerns; none for one that cannot be opened.
    pub(super) fn people(&self, found: &Found) -> Result<Vec<Option<PersonalId>>, StoreError> {
        let Some(Body::Access(entry)) = &found.record.body else { return Ok(Vec::new()) };
        let sequence = found.record.sequence;
        let number = |(place, subject): (u32, &dancu_proto::v1::AccessSubject)| {
            self.log.number(&self.rows, &found.node, entry.key, sequence, place, &subject.sealed)
        };
        (0..).zip(&entry.subjects).map(number).collect()
    }

    /// A record as it is told, with its proof.
    pub(super) fn row(&self, found: Found) -> Result<AccessRow, StoreError> {
        let people = self.people(&found)?;
        let text = |person: Option<PersonalId>| person.map(|id| id.to_string()).unwrap_or_default();
        Ok(AccessRow {
            index: found.index,
            proof: tree::inclusion(&self.rows, self.size, found.index)?,
            leaf: found.leaf,
            personal_ids: people.into_iter().map(text).collect(),
        })
    }
}

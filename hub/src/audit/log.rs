//! Takes over what nodes hand in, and finds it again.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dancu_proto::{
    contribution::OpenError,
    v1::{Contribution, LogHead, QueuedContribution, log_record::Body},
};

use super::{
    alarm::{Alarm, AlarmKind, Fault},
    chain::{Place, Read, at_head, follow},
    recipient::{Keys, Recipient, RecipientError},
    store::{Rows, RowsAt, Writes, leaf},
    tree::{self, Hash, leaf_hash},
};
use crate::{
    metrics,
    registry::{Registry, StoreError},
};

/// The log cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk.
    #[error("the access log: {0}")]
    Store(#[from] StoreError),
    /// The key.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
}

/// The access log of all nodes.
pub struct AuditLog {
    rows: Rows,
    recipient: Recipient,
    registry: Arc<Registry>,
    /// One batch after the other: the tree has one order.
    taking: Mutex<()>,
    keys: Mutex<Keys>,
}

impl AuditLog {
    /// Opens the log, and makes it if there is none. Nothing is taken over while less than `reserve` bytes
    /// are free on the disk.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn open(data_dir: &Path, reserve: u64, registry: Arc<Registry>) -> Result<AuditLog, AuditError> {
        Ok(AuditLog {
            rows: Rows::open(&data_dir.join("audit"), reserve)?,
            recipient: Recipient::open(&data_dir.join("audit-key"))?,
            registry,
            taking: Mutex::default(),
            keys: Mutex::default(),
        })
    }

    /// What nodes seal numbers for.
    #[must_use]
    pub fn recipient(&self) -> &[u8] {
        self.recipient.public()
    }

    /// What is sealed in a contribution.
    ///
    /// # Errors
    /// It is not for this hub, or not what was sealed.
    pub fn open_contribution(&self, queued: &QueuedContribution) -> Result<Contribution, OpenError> {
        self.recipient.open_contribution(queued)
    }

    /// The log as it is now.
    pub(super) fn now(&self) -> RowsAt<'_> {
        self.rows.now()
    }

    /// Where a node's log stands.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn place(&self, node: &str) -> Result<Place, StoreError> {
        self.rows.now().place(node)
    }

    /// Compares what a node says of its log, before it hands anything in, with what is here.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn meet(&self, node: &str, head: &LogHead) -> Result<Result<Place, Fault>, StoreError> {
        let rows = self.rows.now();
        let place = rows.place(node)?;
        if head.sequence == 0 && place.sequence > 0 {
            let text =
                "the node has lost its log; what it recorded after this and did not hand in is missing";
            self.raise(node, &Fault::new(AlarmKind::Restarted, place.sequence, text), place.heard_ms)?;
            return Ok(Ok(place));
        }
        if head.sequence >= place.sequence {
            return Ok(Ok(place));
        }
        Ok(at_head(head, place, |sequence| hash_of(&rows, node, sequence))?.map(|()| place))
    }

    /// Takes over a batch whose signature is known to be right, or says what is wrong with it; then
    /// nothing of it is taken over. It is on the disk when this returns.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn take_over(
        &self,
        node: &str,
        records: &[Vec<u8>],
        head: &LogHead,
        now_ms: u64,
    ) -> Result<Result<Place, Fault>, StoreError> {
        let _one = locked(&self.taking);
        let rows = self.rows.now();
        let known = |sequence| hash_of(&rows, node, sequence);
        let (read, mut at) = match follow(rows.place(node)?, records, known)? {
            Ok(followed) => followed,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Err(fault) = at_head(head, at, known)? {
            return Ok(Err(fault));
        }
        let time = head.time.as_ref().map_or(0, |time| u64::try_from(time.seconds).unwrap_or_default());
        (at.ended_ms, at.heard_ms) = (time.saturating_mul(1000), now_ms);
        let mut writes = Writes::default();
        writes.place(node, at);
        let mut unreadable = Vec::new();
        if !records.is_empty() {
            let (size, _) = rows.tree()?;
            let mut leaves = Vec::with_capacity(records.len());
            for (index, (record, read)) in (size..).zip(records.iter().zip(read)) {
                let leaf = leaf(node, record);
                leaves.push(leaf_hash(&leaf));
                writes.leaf(index, &leaf);
                writes.of_log(node, read.sequence, index);
                let sequence = read.sequence;
                if !self.index(&rows, node, read, index, &mut writes)? {
                    unreadable.push(sequence);
                }
            }
            let root = tree::append(&rows, size, leaves, |index, hash| writes.node(index, hash))?;
            writes.tree(size + records.len() as u64, &root);
        }
        self.rows.write(writes)?;
        if let Some(first) = unreadable.first() {
            let text =
                format!("the numbers in {} records from this one on cannot be opened", unreadable.len());
            self.raise(node, &Fault::new(AlarmKind::Unreadable, *first, text), now_ms)?;
        }
        Ok(Ok(at))
    }

    /// Makes a record findable by officer and person; says whether its numbers could be opened.
    fn index(
        &self,
        rows: &RowsAt<'_>,
        node: &str,
        read: Read,
        index: u64,
        writes: &mut Writes,
    ) -> Result<bool, StoreError> {
        let entry = match read.body {
            Body::Key(key) => {
                locked(&self.keys).put(node, read.sequence, &key, &self.recipient);
                return Ok(true);
            }
            Body::Access(entry) => entry,
        };
        writes.of_officer(&entry.officer, index);
        let view = self.registry.view();
        let mut readable = true;
        for (place, subject) in (0..).zip(&entry.subjects) {
            match self.number(rows, node, entry.key, read.sequence, place, &subject.sealed)? {
                Some(number) => writes.of_person(view.key_of(number.as_u64())?, index),
                None => readable = false,
            }
        }
        Ok(readable)
    }

    /// A number that a node sealed; none where it cannot be opened.
    pub(super) fn number(
        &self,
        rows: &RowsAt<'_>,
        node: &str,
        key: u64,
        sequence: u64,
        place: u32,
        sealed: &[u8],
    ) -> Result<Option<dancu_proto::PersonalId>, StoreError> {
        let read = || key_record(rows, node, key);
        let mut keys = locked(&self.keys);
        let key = keys.get(node, key, &self.recipient, read)?;
        Ok(key.and_then(|key| key.number(sequence, place, sealed)))
    }

    /// Raises an alarm: kept, counted and logged.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn raise(&self, node: &str, fault: &Fault, now_ms: u64) -> Result<(), StoreError> {
        let mut alarm = Alarm {
            kind: fault.kind,
            node: node.to_owned(),
            sequence: fault.sequence,
            text: fault.text.clone(),
            first_ms: now_ms,
            last_ms: now_ms,
            count: 1,
        };
        if let Some(before) = self.rows.now().alarm(&alarm)? {
            (alarm.first_ms, alarm.count) = (before.first_ms, before.count + 1);
        }
        metrics::audit_alarm(fault.kind.name());
        tracing::error!(node, kind = fault.kind.name(), record = fault.sequence, "ALARM: {}", fault.text);
        let mut writes = Writes::default();
        writes.alarm(&alarm)?;
        self.rows.write(writes)
    }
}

/// What a mutex holds; nothing here is left half done by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The hash of a record in the chain of its node.
fn hash_of(rows: &RowsAt<'_>, node: &str, sequence: u64) -> Result<Option<Hash>, StoreError> {
    let Some(index) = rows.of_log(node, sequence)? else { return Ok(None) };
    let leaf = rows.leaf(index)?;
    let (_, record) =
        super::store::read_leaf(&leaf).ok_or(StoreError::Corrupt("a leaf of the access log"))?;
    Ok(Some(leaf_hash(record)))
}

/// The key that a record tells of.
fn key_record(
    rows: &RowsAt<'_>,
    node: &str,
    sequence: u64,
) -> Result<Option<dancu_proto::v1::LogKey>, StoreError> {
    let Some(index) = rows.of_log(node, sequence)? else { return Ok(None) };
    let leaf = rows.leaf(index)?;
    let record = super::store::read_leaf(&leaf).and_then(|(_, record)| {
        let record: dancu_proto::v1::LogRecord = prost::Message::decode(record).ok()?;
        match record.body? {
            Body::Key(key) => Some(key),
            Body::Access(_) => None,
        }
    });
    Ok(record)
}

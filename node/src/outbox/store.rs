//! The outbox on disk: a database of its own, synced before anything is said of it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::rand;
use dancu_proto::{
    contribution::Sealer,
    signed::{SignError, VerifyError},
    v1::{ContributionState, QueuedContribution, Signed},
};
use prost::Message;
use prost_types::Timestamp;
use rocksdb::{DB, Direction, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions};
use thiserror::Error;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::{
    agreed::Agreed,
    draft::Draft,
    queue::Desk,
    rows::{self, IdentityRow, QueueRow, StandingRow, StatusRow},
};
use crate::{
    access_log::LogStore,
    slice::{Slice, SliceError},
    state::Clock,
};

/// Memory for writes, bytes.
const BUFFER: usize = 4 << 20;
/// Contributions that are looked at in one change.
pub(super) const TOGETHER: usize = 1_000;

/// The outbox cannot do what it is asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OutboxError {
    /// The disk.
    #[error("the outbox cannot be read or written: {0}; tell the node's operator")]
    Database(String),
    /// No room.
    #[error("the disk is full, so that nothing can be queued: the contribution is not accepted; make room")]
    Full,
    /// No room, not even for the reserve.
    #[error("the disk is full, so that the outbox cannot be written; make room, and it goes on")]
    NoSpace,
    /// Stored by another version, or damaged.
    #[error("the outbox is damaged: {0}; tell the node's operator")]
    Damaged(&'static str),
    /// The slice's key is not here.
    #[error("the node's data is sealed: its key comes from the hub; ask the node's operator")]
    Sealed,
    /// What contributions are sealed for is not known yet.
    #[error("the node has not yet heard from the hub what contributions are sealed for; try again later")]
    NotReady,
    /// The id is that of another contribution.
    #[error(
        "another contribution has this id, and it stands: give this one an id of its own (UUIDv7); what the other says is changed by a correction"
    )]
    Reused,
    /// Nothing of that id is this caller's.
    #[error("this caller has handed in no contribution of that id at this node")]
    Unknown,
    /// What another node signed is not to be believed.
    #[error("what was brought is no contribution that a node of this registry signed: {0}")]
    Foreign(String),
    /// It cannot be sealed or signed.
    #[error("the contribution cannot be sealed for the hub: {0}; tell the node's operator")]
    Sealing(String),
    /// The node is going down.
    #[error("the node is going down; hand the contribution in again: it counts once")]
    Closed,
}

impl From<rocksdb::Error> for OutboxError {
    fn from(error: rocksdb::Error) -> OutboxError {
        let text = error.to_string();
        if text.contains("No space left") { OutboxError::NoSpace } else { OutboxError::Database(text) }
    }
}

impl From<SliceError> for OutboxError {
    fn from(error: SliceError) -> OutboxError {
        match error {
            SliceError::Sealed => OutboxError::Sealed,
            _ => OutboxError::Damaged("a number that somebody got"),
        }
    }
}

/// A key of the database, and what is under it.
pub(super) type KeyAndRow = (Box<[u8]>, Box<[u8]>);

/// Signs what is queued with the node's key.
pub type Sign = Box<dyn Fn(&QueuedContribution) -> Result<Signed, SignError> + Send + Sync>;

/// Puts one signature with the node's key in the place of many, where its certificate can stand for them.
pub type Gather = Box<dyn Fn(Vec<Signed>) -> Result<Vec<Signed>, SignError> + Send + Sync>;

/// Reads what another node signed, if it is to be believed.
pub type Check = Box<dyn Fn(&Signed) -> Result<QueuedContribution, VerifyError> + Send + Sync>;

/// What an outbox works with.
pub struct Setup {
    /// The node.
    pub node: String,
    /// Has the key that numbers are sealed with, and the identity of the registry.
    pub slice: Slice,
    /// Knows the hub's key, if the outbox does not.
    pub log: Option<LogStore>,
    /// Signs.
    pub sign: Sign,
    /// Signs as one what goes to the hub together.
    pub gather: Gather,
    /// Checks what other nodes signed.
    pub check: Check,
    /// The time.
    pub clock: Clock,
    /// Nothing is queued while less than this is free on the disk, bytes.
    pub reserve: u64,
}

/// How many contributions stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// In the outbox.
    pub queued: u64,
    /// At the hub, which has not said what becomes of them.
    pub handed_over: u64,
    /// In review.
    pub in_review: u64,
    /// Accepted.
    pub accepted: u64,
    /// Rejected.
    pub rejected: u64,
}

impl Tally {
    pub(super) fn count(&mut self, state: ContributionState, by: i64) {
        let counted = match state {
            ContributionState::Unspecified => return,
            ContributionState::Queued => &mut self.queued,
            ContributionState::HandedOver => &mut self.handed_over,
            ContributionState::Accepted => &mut self.accepted,
            ContributionState::Rejected => &mut self.rejected,
            ContributionState::InReview => &mut self.in_review,
        };
        *counted = counted.saturating_add_signed(by);
    }
}

/// Where an outbox stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its identity.
    pub outbox: [u8; 16],
    /// The last place that was taken; 0 for none.
    pub last_sequence: u64,
    /// The last mail; 0 for none.
    pub mail: u64,
    /// The last place that the hub has.
    pub hub_sequence: u64,
    /// When the hub last took something over, or said that it has all; seconds since 1970.
    pub delivered: i64,
    /// How many stand where.
    pub tally: Tally,
}

/// The outbox. Cheap to clone.
#[derive(Clone)]
pub struct Outbox(pub(super) Arc<Inner>);

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox")
    }
}

pub(super) struct Inner {
    database: DB,
    dir: PathBuf,
    pub(super) setup: Setup,
    pub(super) outbox: [u8; 16],
    hashed_with: [u8; 32],
    pub(super) sealer: Sealer,
    /// Held while something changes.
    changing: Mutex<(StandingRow, Tally)>,
    /// The number of the last change.
    changed: watch::Sender<u64>,
    pub(super) desk: Desk,
    /// There is something to send.
    pub(super) added: Notify,
}

impl Outbox {
    /// Opens the outbox in a directory, or makes an empty one, which has another identity than every other.
    ///
    /// # Errors
    /// If the disk refuses, or what it has does not fit together.
    pub fn open(dir: &Path, setup: Setup) -> Result<Outbox, OutboxError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(BUFFER);
        options.set_keep_log_file_num(2);
        options.set_max_open_files(64);
        options.set_compression_type(rocksdb::DBCompressionType::Lz4);
        let database = DB::open(&options, dir)?;
        let identity = match database.get(rows::IDENTITY)? {
            Some(row) => IdentityRow::decode(&row[..]).map_err(|_| OutboxError::Damaged("its identity"))?,
            None => {
                let mut random = [0; 48];
                rand::fill(&mut random).map_err(|_| OutboxError::Sealing("no randomness".into()))?;
                let (outbox, hashed_with) = random.split_at(16);
                let row = IdentityRow {
                    outbox: outbox.to_vec(),
                    hashed_with: hashed_with.to_vec(),
                    format: rows::FORMAT,
                };
                database.put_opt(rows::IDENTITY, row.encode_to_vec(), &synced())?;
                row
            }
        };
        if identity.format != rows::FORMAT {
            return Err(OutboxError::Damaged("it is of another version of dancu-node"));
        }
        let damaged = |_: Vec<u8>| OutboxError::Damaged("its identity");
        let outbox: [u8; 16] = identity.outbox.try_into().map_err(damaged)?;
        let hashed_with: [u8; 32] = identity.hashed_with.try_into().map_err(damaged)?;
        let inner = Inner {
            database,
            dir: dir.to_owned(),
            setup,
            outbox,
            hashed_with,
            sealer: Sealer::default(),
            changing: Mutex::default(),
            changed: watch::Sender::new(0),
            desk: Desk::default(),
            added: Notify::new(),
        };
        let outbox = Outbox(Arc::new(inner));
        let standing = outbox.read_standing()?;
        let mut tally = Tally::default();
        for row in outbox.table(rows::STATUS, &[rows::STATUS]) {
            tally.count(status_row(&row?.1)?.state(), 1);
        }
        *outbox.changing() = (standing, tally);
        outbox.0.changed.send_replace(standing.last_change);
        Ok(outbox)
    }

    pub(super) fn changing(&self) -> MutexGuard<'_, (StandingRow, Tally)> {
        // It is replaced whole.
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_standing(&self) -> Result<StandingRow, OutboxError> {
        let row = self.0.database.get(rows::STANDING)?.unwrap_or_default();
        StandingRow::decode(&row[..]).map_err(|_| OutboxError::Damaged("where it stands"))
    }

    /// Changes something. It is on the disk when this returns.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Draft<'_>) -> Result<T, OutboxError>,
    ) -> Result<T, OutboxError> {
        let mut changing = self.changing();
        let mut draft = Draft::new(self, changing.0, changing.1);
        let changed = change(&mut draft)?;
        let Draft { mut batch, standing, tally, .. } = draft;
        if batch.is_empty() && standing == changing.0 {
            return Ok(changed);
        }
        batch.put(rows::STANDING, standing.encode_to_vec());
        if let Err(error) = self.0.database.write_opt(batch, &synced()) {
            // It is not known how it went: what is on the disk counts.
            if let Ok(standing) = self.read_standing() {
                changing.0 = standing;
            }
            return Err(error.into());
        }
        *changing = (standing, tally);
        self.0.changed.send_replace(standing.last_change);
        Ok(changed)
    }

    /// Whether there is room to queue more.
    ///
    /// # Errors
    /// There is none.
    pub fn check_room(&self) -> Result<(), OutboxError> {
        let disk = rustix::fs::statvfs(&self.0.dir).map_err(io::Error::from);
        let disk = disk.map_err(|error| OutboxError::Database(error.to_string()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.0.setup.reserve { Err(OutboxError::Full) } else { Ok(()) }
    }

    /// Where it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let (row, tally) = *self.changing();
        Standing {
            outbox: self.0.outbox,
            last_sequence: row.last_sequence,
            mail: row.mail,
            hub_sequence: row.hub_sequence,
            delivered: row.delivered,
            tally,
        }
    }

    /// When the oldest contribution that the hub is not known to have was queued.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn oldest(&self) -> Result<Option<Timestamp>, OutboxError> {
        let Some(sequence) = self.unsent(0).next().transpose()? else { return Ok(None) };
        let Some((id, _)) = self.queued(sequence)? else { return Ok(None) };
        Ok(self.row(id)?.map(|row| Timestamp { seconds: row.queued, nanos: 0 }))
    }

    /// The number of the last change; follows it.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Waits until there is something to send.
    pub async fn added(&self) {
        self.0.added.notified().await;
    }

    /// Something of another outbox is there to be sent.
    pub(super) fn notify(&self) {
        self.0.added.notify_one();
    }

    /// The public key of the hub that contributions are sealed for.
    ///
    /// # Errors
    /// It is not known yet, or the disk refuses.
    pub fn recipient(&self) -> Result<Vec<u8>, OutboxError> {
        if let Some(known) = self.0.database.get(rows::RECIPIENT)? {
            return Ok(known);
        }
        let known = self.0.setup.log.as_ref().map(LogStore::recipient).transpose();
        let known = known.map_err(|error| OutboxError::Database(error.to_string()))?.flatten();
        known.ok_or(OutboxError::NotReady)
    }

    /// Contributions are sealed for this public key of the hub from now on.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_recipient(&self, recipient: &[u8]) -> Result<(), OutboxError> {
        if recipient.is_empty() || self.0.database.get(rows::RECIPIENT)?.as_deref() == Some(recipient) {
            return Ok(());
        }
        Ok(self.0.database.put_opt(rows::RECIPIENT, recipient, &synced())?)
    }

    /// What was agreed when the slice was last open.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn agreed(&self) -> Result<Option<Agreed>, OutboxError> {
        let row = self.0.database.get(rows::AGREED)?;
        let read = row.map(|row| Agreed::decode(&row[..])).transpose();
        read.map_err(|_| OutboxError::Damaged("what is agreed"))
    }

    /// Keeps what is agreed.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn set_agreed(&self, agreed: &Agreed) -> Result<(), OutboxError> {
        if self.agreed()?.as_ref() == Some(agreed) {
            return Ok(());
        }
        Ok(self.0.database.put_opt(rows::AGREED, agreed.encode_to_vec(), &synced())?)
    }

    /// The keyed hash of what a caller said, cut short.
    pub(super) fn content(&self, said: &[u8; 32]) -> u32 {
        let hash = blake3::keyed_hash(&self.0.hashed_with, said);
        let [a, b, c, d, ..] = *hash.as_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    pub(super) fn row(&self, id: Uuid) -> Result<Option<StatusRow>, OutboxError> {
        self.0.database.get(rows::status(id))?.map(|row| status_row(&row)).transpose()
    }

    /// What stands at a place of the queue: its id, and as it was signed.
    pub(super) fn queued(&self, sequence: u64) -> Result<Option<(Uuid, Signed)>, OutboxError> {
        let Some(row) = self.0.database.get(rows::numbered(rows::QUEUE, sequence))? else { return Ok(None) };
        let damaged = || OutboxError::Damaged("a contribution in the queue");
        let row = QueueRow::decode(&row[..]).map_err(|_| damaged())?;
        let signed = Signed::decode(&row.signed[..]).map_err(|_| damaged())?;
        Ok(Some((Uuid::from_slice(&row.id).map_err(|_| damaged())?, signed)))
    }

    /// The places that the hub is not known to have, after one, in order.
    pub(super) fn unsent(&self, after: u64) -> impl Iterator<Item = Result<u64, OutboxError>> + '_ {
        let from = rows::numbered(rows::UNSENT, after.saturating_add(1));
        self.table(rows::UNSENT, &from)
            .map(|row| rows::number(&row?.0).ok_or(OutboxError::Damaged("a place in the queue")))
    }

    /// Whether the hub is not known to have what stands at a place.
    pub(super) fn is_unsent(&self, sequence: u64) -> Result<bool, OutboxError> {
        Ok(self.0.database.get(rows::numbered(rows::UNSENT, sequence))?.is_some())
    }

    /// Places that still have what was signed, whether sent or not, in order, from one on.
    pub(super) fn places(&self, from: u64) -> impl Iterator<Item = Result<u64, OutboxError>> + '_ {
        self.table(rows::QUEUE, &rows::numbered(rows::QUEUE, from))
            .map(|row| rows::number(&row?.0).ok_or(OutboxError::Damaged("a place in the queue")))
    }

    /// The rows of a table from a key on.
    pub(super) fn table<'a>(
        &'a self,
        table: u8,
        from: &[u8],
    ) -> impl Iterator<Item = Result<KeyAndRow, OutboxError>> + use<'a> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound([table + 1]);
        let rows = self.0.database.iterator_opt(IteratorMode::From(from, Direction::Forward), options);
        rows.map(|row| row.map_err(OutboxError::from))
    }

    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), OutboxError> {
        Ok(self.0.database.write_opt(batch, &synced())?)
    }
}

pub(super) fn status_row(row: &[u8]) -> Result<StatusRow, OutboxError> {
    StatusRow::decode(row).map_err(|_| OutboxError::Damaged("where a contribution stands"))
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

//! The log of all nodes on disk: a database of its own, so that it grows apart from the registry.

use std::path::Path;

use rocksdb::{DB, DBCompressionType, Direction, IteratorMode, Options, ReadOptions, Snapshot, WriteBatch};
use sha2::{Digest, Sha256};

use super::{
    alarm::Alarm,
    chain::Place,
    tree::{HASH, Hash, Nodes, empty_root},
};
use crate::registry::{CitizenKey, StoreError, store::rocks::Room};

/// Leaves, by their place in the tree.
const LEAF: u8 = 0;
/// Hashes of the tree's nodes.
const NODE: u8 = 1;
/// Leaves by the person whom they concern.
const PERSON: u8 = 2;
/// Leaves by node and number of the record.
const LOG: u8 = 3;
/// Leaves by officer.
const OFFICER: u8 = 4;
/// Where each node's log stands.
const PLACE: u8 = 5;
/// What was wrong.
const ALARM: u8 = 6;
/// Size and root of the tree.
const TREE: &[u8] = &[7];
/// The longest name of a node, bytes.
const NAME: usize = 255;

/// Key and value, if they can be read.
type Row = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

/// The database.
pub(super) struct Rows {
    database: DB,
    room: Room,
}

/// The state at one moment.
pub(super) struct RowsAt<'a> {
    snapshot: Snapshot<'a>,
}

/// What is written in one go.
#[derive(Default)]
pub(super) struct Writes(WriteBatch);

impl Rows {
    /// Opens the rows in a directory. Nothing is written while less than `reserve` bytes are free.
    pub(super) fn open(dir: &Path, reserve: u64) -> Result<Rows, StoreError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_max_background_jobs(2);
        options.set_max_open_files(512);
        options.set_keep_log_file_num(2);
        options.set_write_buffer_size(32 << 20);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        Ok(Rows { database: DB::open(&options, dir)?, room: Room::new(dir.to_owned(), reserve) })
    }

    /// The state as it is now.
    pub(super) fn now(&self) -> RowsAt<'_> {
        RowsAt { snapshot: self.database.snapshot() }
    }

    /// Writes, and returns when it is on the disk.
    pub(super) fn write(&self, writes: Writes) -> Result<(), StoreError> {
        let mut options = rocksdb::WriteOptions::default();
        options.set_sync(true);
        self.room.write(|| Ok(self.database.write_opt(writes.0, &options)?))
    }
}

impl Writes {
    pub(super) fn leaf(&mut self, index: u64, leaf: &[u8]) {
        self.0.put(at(LEAF, index), leaf);
    }

    pub(super) fn node(&mut self, index: u64, hash: &Hash) {
        self.0.put(at(NODE, index), hash);
    }

    pub(super) fn of_log(&mut self, node: &str, sequence: u64, index: u64) {
        self.0.put(log_key(node, sequence), index.to_be_bytes());
    }

    pub(super) fn of_person(&mut self, person: CitizenKey, index: u64) {
        self.0.put([&at(PERSON, person.0)[..], &index.to_be_bytes()].concat(), []);
    }

    pub(super) fn of_officer(&mut self, officer: &str, index: u64) {
        self.0.put([&officer_key(officer)[..], &index.to_be_bytes()].concat(), []);
    }

    pub(super) fn place(&mut self, node: &str, place: Place) {
        let row = [
            &place.sequence.to_be_bytes()[..],
            &place.time_ms.to_be_bytes(),
            &place.ended_ms.to_be_bytes(),
            &place.heard_ms.to_be_bytes(),
            &place.hash,
        ];
        self.0.put([&[PLACE], node.as_bytes()].concat(), row.concat());
    }

    pub(super) fn tree(&mut self, size: u64, root: &Hash) {
        self.0.put(TREE, [&size.to_be_bytes()[..], root].concat());
    }

    pub(super) fn alarm(&mut self, alarm: &Alarm) -> Result<(), StoreError> {
        let row = serde_json::to_vec(alarm).map_err(|_| StoreError::Corrupt("an alarm"))?;
        self.0.put(alarm_key(alarm), row);
        Ok(())
    }
}

impl RowsAt<'_> {
    /// Size and root of the tree.
    pub(super) fn tree(&self) -> Result<(u64, Hash), StoreError> {
        let Some(row) = self.snapshot.get(TREE)? else { return Ok((0, empty_root())) };
        let split = row.split_first_chunk().map(|(size, root)| (u64::from_be_bytes(*size), root));
        let (size, root) = split.ok_or(StoreError::Corrupt("the size of the access log"))?;
        Ok((size, root.try_into().map_err(|_| StoreError::Corrupt("the root of the access log"))?))
    }

    /// Where a node's log stands.
    pub(super) fn place(&self, node: &str) -> Result<Place, StoreError> {
        let Some(row) = self.snapshot.get([&[PLACE], node.as_bytes()].concat())? else {
            return Ok(Place::default());
        };
        place_from(&row).ok_or(StoreError::Corrupt("where a node's log stands"))
    }

    /// A leaf: [`leaf`] says of what it is made.
    pub(super) fn leaf(&self, index: u64) -> Result<Vec<u8>, StoreError> {
        self.snapshot.get(at(LEAF, index))?.ok_or(StoreError::Corrupt("a leaf of the access log"))
    }

    /// The leaf of a node's record.
    pub(super) fn of_log(&self, node: &str, sequence: u64) -> Result<Option<u64>, StoreError> {
        let row = self.snapshot.get(log_key(node, sequence))?;
        row.map(|row| number(&row).ok_or(StoreError::Corrupt("the place of a record"))).transpose()
    }

    /// The leaves of a node's records, in their order, from a record on.
    pub(super) fn of_node(
        &self,
        node: &str,
        from: u64,
    ) -> impl Iterator<Item = Result<u64, StoreError>> + use<'_> {
        let prefix = log_prefix(node);
        let rows = self.from([&prefix[..], &from.to_be_bytes()].concat());
        let within = move |row: &Row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix));
        rows.take_while(within).map(|row| number(&row?.1).ok_or(StoreError::Corrupt("the place of a record")))
    }

    /// The leaves that concern a person, in the order in which they were taken over.
    pub(super) fn of_person(
        &self,
        person: CitizenKey,
    ) -> impl Iterator<Item = Result<u64, StoreError>> + use<'_> {
        self.keyed(at(PERSON, person.0).to_vec())
    }

    /// The leaves of an officer's calls.
    pub(super) fn of_officer(
        &self,
        officer: &str,
    ) -> impl Iterator<Item = Result<u64, StoreError>> + use<'_> {
        self.keyed(officer_key(officer).to_vec())
    }

    /// All alarms.
    pub(super) fn alarms(&self) -> impl Iterator<Item = Result<Alarm, StoreError>> + use<'_> {
        let rows = self.from(vec![ALARM]);
        let within = |row: &Row| row.as_ref().map_or(true, |(key, _)| key.first() == Some(&ALARM));
        let read = |row: Row| serde_json::from_slice(&row?.1).map_err(|_| StoreError::Corrupt("an alarm"));
        rows.take_while(within).map(read)
    }

    /// The same alarm, if it was raised before.
    pub(super) fn alarm(&self, like: &Alarm) -> Result<Option<Alarm>, StoreError> {
        let row = self.snapshot.get(alarm_key(like))?;
        row.map(|row| serde_json::from_slice(&row).map_err(|_| StoreError::Corrupt("an alarm"))).transpose()
    }

    /// Rows whose key ends in the place of a leaf.
    fn keyed(&self, prefix: Vec<u8>) -> impl Iterator<Item = Result<u64, StoreError>> + use<'_> {
        let rows = self.from(prefix.clone());
        let length = prefix.len();
        let within = move |row: &Row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix));
        rows.take_while(within)
            .map(move |row| number(&row?.0[length..]).ok_or(StoreError::Corrupt("the place of a record")))
    }

    fn from(&self, key: Vec<u8>) -> impl Iterator<Item = Row> + use<'_> {
        let mode = IteratorMode::From(&key, Direction::Forward);
        self.snapshot.iterator_opt(mode, ReadOptions::default())
    }
}

impl Nodes for RowsAt<'_> {
    fn node(&self, index: u64) -> Result<Hash, StoreError> {
        let row = self.snapshot.get(at(NODE, index))?;
        let hash = row.and_then(|row| <Hash>::try_from(row).ok());
        hash.ok_or(StoreError::Corrupt("a node of the access log's tree"))
    }
}

/// What stands in the tree: the length of the node's name (2 bytes, big-endian), the name, and the record
/// as the node wrote it.
pub(super) fn leaf(node: &str, record: &[u8]) -> Vec<u8> {
    let name = &node.as_bytes()[..node.len().min(NAME)];
    [&(name.len() as u16).to_be_bytes()[..], name, record].concat()
}

/// The node and the record of a leaf.
#[must_use]
pub fn read_leaf(leaf: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = leaf.split_first_chunk()?;
    let (name, record) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((std::str::from_utf8(name).ok()?, record))
}

fn at(table: u8, number: u64) -> [u8; 9] {
    let mut key = [table; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn log_prefix(node: &str) -> Vec<u8> {
    // Names have no zero byte.
    [&[LOG], node.as_bytes(), &[0]].concat()
}

fn log_key(node: &str, sequence: u64) -> Vec<u8> {
    [&log_prefix(node)[..], &sequence.to_be_bytes()].concat()
}

/// Of one length, whatever the officer is called.
fn officer_key(officer: &str) -> [u8; 17] {
    let mut key = [OFFICER; 17];
    key[1..].copy_from_slice(&Sha256::digest(officer.as_bytes())[..16]);
    key
}

fn alarm_key(alarm: &Alarm) -> Vec<u8> {
    let name = [alarm.node.as_bytes(), &[0], alarm.kind.name().as_bytes()].concat();
    [&[ALARM], &name[..], &[0], &alarm.sequence.to_be_bytes()].concat()
}

fn place_from(row: &[u8]) -> Option<Place> {
    let (sequence, rest) = row.split_first_chunk()?;
    let (time_ms, rest) = rest.split_first_chunk()?;
    let (ended_ms, rest) = rest.split_first_chunk()?;
    let (heard_ms, hash) = rest.split_first_chunk::<8>()?;
    let hash: [u8; HASH] = hash.try_into().ok()?;
    Some(Place {
        sequence: u64::from_be_bytes(*sequence),
        hash,
        time_ms: u64::from_be_bytes(*time_ms),
        ended_ms: u64::from_be_bytes(*ended_ms),
        heard_ms: u64::from_be_bytes(*heard_ms),
    })
}

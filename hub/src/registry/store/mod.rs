//! The interface in front of the database, in the registry's own terms. RocksDB is the embedded
//! default; what only RocksDB can do stays behind this line.

pub mod rocks;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use dancu_proto::{PersonalId, Revision, v1::Date};
use thiserror::Error;
use uuid::Uuid;

use super::{CitizenKey, JournalEntry, ListId, Partition, StoredCitizen};

/// The database refuses.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no registry in the directory.
    #[error("no registry in {0}; `dancu-hub init` makes one")]
    Missing(PathBuf),
    /// There is a registry in the directory already.
    #[error("{0} holds a registry already")]
    Exists(PathBuf),
    /// Another process holds the registry.
    #[error("another process holds the registry; talk to the running hub instead")]
    Locked,
    /// The disk is full.
    #[error("the disk is full: writes have stopped, reads go on; make room, and writes go on by themselves")]
    Full,
    /// What is stored cannot be understood.
    #[error("the registry is damaged: {0} cannot be read")]
    Corrupt(&'static str),
    /// A bulk load into a registry with citizens.
    #[error("a bulk load needs an empty registry")]
    NotEmpty,
    /// Anything else that the database or the file system reports.
    #[error("the registry's database failed: {0}")]
    Database(String),
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> StoreError {
        match error.kind() {
            std::io::ErrorKind::StorageFull => StoreError::Full,
            _ => StoreError::Database(error.to_string()),
        }
    }
}

/// One row to write. A batch of them is applied wholly or not at all.
#[derive(Clone, Debug)]
pub enum Write {
    /// A citizen's row.
    Citizen(CitizenKey, Arc<StoredCitizen>),
    /// A number other than the key that leads to a person.
    Number(PersonalId, CitizenKey),
    /// The number no longer does.
    NoNumber(PersonalId),
    /// A citizen joins a partition's members.
    Join(Partition, CitizenKey),
    /// A citizen leaves a partition's members.
    Leave(Partition, CitizenKey),
    /// A citizen's latest change, in a partition's feed.
    Feed(Partition, Revision, CitizenKey),
    /// The superseded entry.
    Unfeed(Partition, Revision, CitizenKey),
    /// A citizen's birth date, for what depends on the day.
    Birth(Date, CitizenKey),
    /// The date was another.
    Unbirth(Date, CitizenKey),
    /// A revision's journal entry.
    Journal(Revision, Arc<JournalEntry>),
    /// A revision that changed a citizen.
    History(CitizenKey, Revision),
    /// A revision that changed the sharing policy, the day or the administrative order.
    PolicyEvent(Revision),
    /// A contribution that is carried out, other than those that rows of their own tell of.
    Contribution(Uuid, Revision),
    /// An interest list of an agreement and a node.
    List(String, ListId),
    /// Whoever gets a number comes onto a list.
    Await(PersonalId, ListId),
    /// No longer.
    Unawait(PersonalId, ListId),
    /// Where the registry stands.
    Head(Head),
    /// A row of another owner: table and name within it.
    Row(&'static str, Vec<u8>, Vec<u8>),
    /// A row of another owner is no more.
    NoRow(&'static str, Vec<u8>),
}

impl Write {
    /// About where its row lies: rows that lie together are written the faster one after the other.
    fn place(&self) -> [u64; 3] {
        let table = |number: u64| number << 56;
        match self {
            Write::Citizen(key, _) => [table(0), key.0, 0],
            Write::Number(number, _) | Write::NoNumber(number) => [table(1), number.as_u64(), 0],
            Write::Join(partition, key) | Write::Leave(partition, key) => {
                [table(2), partition.as_number(), key.0]
            }
            Write::Feed(partition, at, key) | Write::Unfeed(partition, at, key) => {
                [table(3) | partition.as_number(), at.0, key.0]
            }
            Write::Birth(date, key) | Write::Unbirth(date, key) => [table(4), date.as_number().into(), key.0],
            Write::Journal(at, _) => [table(5), at.0, 0],
            Write::History(key, at) => [table(6), key.0, at.0],
            Write::PolicyEvent(at) => [table(7), at.0, 0],
            Write::Contribution(id, _) => [table(8), ends(id.as_bytes()).0, ends(id.as_bytes()).1],
            Write::List(name, _) => [table(9), ends(name.as_bytes()).0, 0],
            Write::Await(number, list) | Write::Unawait(number, list) => {
                [table(10), number.as_u64(), list.0.into()]
            }
            Write::Head(_) => [table(11), 0, 0],
            Write::Row(of, name, _) | Write::NoRow(of, name) => {
                let (first, last) = ends(name);
                [table(12) | ends(of.as_bytes()).0 >> 8, first, last]
            }
        }
    }

    /// Puts rows in the order in which they lie. Of one row that is written twice the last one stays last, and
    /// what a feed gets and loses by the same writes it does not get at all.
    pub(super) fn in_order(mut writes: Vec<Write>) -> Vec<Write> {
        let mut order: Vec<_> = writes.iter().enumerate().map(|(at, write)| (write.place(), at)).collect();
        order.sort_unstable();
        let mut ordered: Vec<Write> = Vec::with_capacity(writes.len());
        for (_, at) in order {
            let write = std::mem::replace(&mut writes[at], Write::PolicyEvent(Revision::NONE));
            match (ordered.last(), &write) {
                (Some(Write::Feed(partition, at, key)), Write::Unfeed(from, since, whom))
                    if (partition, at, key) == (from, since, whom) =>
                {
                    ordered.pop();
                }
                _ => ordered.push(write),
            }
        }
        ordered
    }
}

/// The first and the last bytes of a name.
fn ends(name: &[u8]) -> (u64, u64) {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    (number(&name[..name.len().min(8)]), number(&name[name.len().saturating_sub(8)..]))
}

/// Where the registry stands: one row, as every reader asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The latest revision.
    pub revision: Revision,
    /// How many citizens there are.
    pub citizens: u64,
    /// The latest revision that changed the sharing policy, the day or the administrative order.
    pub policy: Revision,
    /// The revision of the founding load, if there was one.
    pub founded: Option<Revision>,
    /// How many interest lists there are.
    pub lists: u32,
}

/// A row of another owner: its name and what it holds.
pub type NamedRow = (Vec<u8>, Vec<u8>);

/// A database that can hold a registry.
pub trait Store: Send + Sync + 'static {
    /// The state as of now, for reading. Cheap; hold it for a moment only.
    fn snapshot(&self) -> Box<dyn Snapshot + '_>;

    /// Writes rows atomically, and returns when they are on disk.
    ///
    /// # Errors
    /// If the disk refuses; nothing is written then.
    fn apply(&self, writes: &[Write]) -> Result<(), StoreError>;

    /// A directory on the same file system for the sorted files of a bulk load, emptied.
    ///
    /// # Errors
    /// If the disk refuses.
    fn bulk_dir(&self) -> Result<PathBuf, StoreError>;

    /// A writer of sorted files for a bulk load.
    ///
    /// # Errors
    /// If the disk refuses.
    fn bulk_writer(&self, table: BulkTable, file: &Path) -> Result<Box<dyn BulkWriter + '_>, StoreError>;

    /// Takes in the sorted files of a bulk load, and then the given rows. A crash in between leaves
    /// an empty registry.
    ///
    /// # Errors
    /// If the disk refuses.
    fn ingest(&self, files: &[(BulkTable, PathBuf)], writes: &[Write]) -> Result<(), StoreError>;

    /// All rows of another owner's table.
    ///
    /// # Errors
    /// If the disk refuses.
    fn rows(&self, table: &'static str) -> Result<Vec<NamedRow>, StoreError>;

    /// Bytes on disk.
    fn size_on_disk(&self) -> u64;
}

/// The tables that a bulk load writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkTable {
    /// Citizens, by key.
    Citizens,
    /// Members of partitions.
    Members,
    /// Citizens by birth date.
    Births,
    /// Former numbers.
    Numbers,
}

impl BulkTable {
    /// All of them, in the order in which they are taken in.
    pub const ALL: [BulkTable; 4] =
        [BulkTable::Citizens, BulkTable::Members, BulkTable::Births, BulkTable::Numbers];
}

/// Writes one sorted file.
pub trait BulkWriter: Send {
    /// A citizen; keys ascend.
    ///
    /// # Errors
    /// If keys do not ascend, or the disk refuses.
    fn citizen(&mut self, key: CitizenKey, citizen: &StoredCitizen) -> Result<(), StoreError>;

    /// A member; partitions ascend, and keys within one.
    ///
    /// # Errors
    /// As above.
    fn member(&mut self, partition: Partition, key: CitizenKey) -> Result<(), StoreError>;

    /// A birth; dates ascend, and keys within one.
    ///
    /// # Errors
    /// As above.
    fn birth(&mut self, date: Date, key: CitizenKey) -> Result<(), StoreError>;

    /// A former number that leads to a person; numbers ascend.
    ///
    /// # Errors
    /// As above.
    fn number(&mut self, number: PersonalId, key: CitizenKey) -> Result<(), StoreError>;

    /// Bytes written so far.
    fn size(&self) -> u64;

    /// Ends the file.
    ///
    /// # Errors
    /// If the disk refuses.
    fn finish(self: Box<Self>) -> Result<(), StoreError>;
}

/// Rows in ascending order, or what went wrong.
pub type Rows<'a, T> = Box<dyn Iterator<Item = Result<T, StoreError>> + 'a>;

/// The state at one moment.
pub trait Snapshot {
    /// Identity of the registry.
    ///
    /// # Errors
    /// If the disk refuses; so for all below.
    fn registry_id(&self) -> Result<[u8; 16], StoreError>;

    /// The administrative order that the registry began with, encoded.
    ///
    /// # Errors
    /// See above.
    fn first_order(&self) -> Result<Vec<u8>, StoreError>;

    /// Where the registry stands.
    ///
    /// # Errors
    /// See above.
    fn head(&self) -> Result<Head, StoreError>;

    /// A citizen's row.
    ///
    /// # Errors
    /// See above.
    fn citizen(&self, key: CitizenKey) -> Result<Option<StoredCitizen>, StoreError>;

    /// The person that a number other than their key leads to.
    ///
    /// # Errors
    /// See above.
    fn alias(&self, number: PersonalId) -> Result<Option<CitizenKey>, StoreError>;

    /// Numbers other than keys, after one and up to another, and whom they lead to.
    fn aliases(&self, after: u64, up_to: u64) -> Rows<'_, (PersonalId, CitizenKey)>;

    /// An interest list by its name.
    ///
    /// # Errors
    /// See above.
    fn list(&self, name: &str) -> Result<Option<ListId>, StoreError>;

    /// The lists that await someone with a number.
    fn awaited(&self, number: PersonalId) -> Rows<'_, ListId>;

    /// Every number that is awaited, and the list that does.
    fn all_awaited(&self) -> Rows<'_, (PersonalId, ListId)>;

    /// The revisions that changed a citizen, after one, latest first.
    ///
    /// # Errors
    /// See above.
    fn history(&self, key: CitizenKey, after: Revision) -> Result<Vec<Revision>, StoreError>;

    /// A revision's journal entry.
    ///
    /// # Errors
    /// See above.
    fn journal(&self, revision: Revision) -> Result<Option<JournalEntry>, StoreError>;

    /// The revisions after one that changed the sharing policy, the day or the administrative order, in
    /// order.
    ///
    /// # Errors
    /// See above.
    fn policy_events_after(&self, after: Revision) -> Result<Vec<Revision>, StoreError>;

    /// The revision that carried out a contribution.
    ///
    /// # Errors
    /// See above.
    fn contribution(&self, id: Uuid) -> Result<Option<Revision>, StoreError>;

    /// A partition's feed after a revision: each citizen that changed since, once.
    fn feed_after(&self, partition: Partition, after: Revision) -> Rows<'_, (Revision, CitizenKey)>;

    /// A partition's members after a key.
    fn members_after(&self, partition: Partition, after: Option<CitizenKey>) -> Rows<'_, CitizenKey>;

    /// A row of another owner.
    ///
    /// # Errors
    /// See above.
    fn row(&self, table: &'static str, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Rows of another owner whose names begin with some bytes, after a name or from the first.
    fn rows_after(&self, table: &'static str, prefix: &[u8], after: Option<&[u8]>) -> Rows<'_, NamedRow>;

    /// All citizens after a key.
    fn scan_after(&self, after: Option<CitizenKey>) -> Rows<'_, (CitizenKey, StoredCitizen)>;

    /// Citizens born from one date to another, both included.
    fn births(&self, from: Date, until: Date) -> Rows<'_, (Date, CitizenKey)>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_does_not_get_what_it_loses_by_the_same_writes() {
        let (key, other) = (CitizenKey(1), CitizenKey(2));
        let feed = |at, key| Write::Feed(Partition::Nation, Revision(at), key);
        let unfeed = |at, key| Write::Unfeed(Partition::Nation, Revision(at), key);
        let writes = vec![
            feed(7, key),
            feed(7, other),
            unfeed(3, key),
            unfeed(7, key),
            feed(9, key),
            Write::Head(Head::default()),
        ];
        let shown =
            |writes: &[Write]| writes.iter().map(|one| (one.place(), format!("{one:?}"))).collect::<Vec<_>>();
        let ordered = [unfeed(3, key), feed(7, other), feed(9, key), Write::Head(Head::default())];
        assert_eq!(shown(&Write::in_order(writes)), shown(&ordered));
    }
}

//! The registry on RocksDB: a column family for each table.

mod bulk;
mod keys;
mod options;
#[cfg(test)]
mod retention;
mod room;
mod snapshot;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rocksdb::{ColumnFamily, DBWithThreadMode, IteratorMode, SingleThreaded, WriteBatch, WriteOptions};
use uuid::Uuid;

pub(crate) use self::room::Room;
use super::{BulkTable, BulkWriter, Head, NamedRow, Snapshot, Store, StoreError, Write};

type Db = DBWithThreadMode<SingleThreaded>;

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Citizens,
    Numbers,
    Members,
    Births,
    Feed,
    Journal,
    History,
    Contributions,
    PolicyEvents,
    Lists,
    Awaited,
    Nodes,
    HandedIn,
    Outboxes,
    Reviews,
    Waiting,
    Mail,
    Cases,
    Meta,
}

impl Table {
    const ALL: [Table; 19] = [
        Table::Citizens,
        Table::Numbers,
        Table::Members,
        Table::Births,
        Table::Feed,
        Table::Journal,
        Table::History,
        Table::Contributions,
        Table::PolicyEvents,
        Table::Lists,
        Table::Awaited,
        Table::Nodes,
        Table::HandedIn,
        Table::Outboxes,
        Table::Reviews,
        Table::Waiting,
        Table::Mail,
        Table::Cases,
        Table::Meta,
    ];

    fn name(self) -> &'static str {
        match self {
            Table::Citizens => "citizens",
            Table::Numbers => "numbers",
            Table::Members => "members",
            Table::Births => "births",
            Table::Feed => "feed",
            Table::Journal => "journal",
            Table::History => "history",
            Table::Contributions => "contributions",
            Table::PolicyEvents => "policy_events",
            Table::Lists => "lists",
            Table::Awaited => "awaited",
            Table::Nodes => "nodes",
            Table::HandedIn => "handed_in",
            Table::Outboxes => "outboxes",
            Table::Reviews => "reviews",
            Table::Waiting => "waiting",
            Table::Mail => "mail",
            Table::Cases => "cases",
            Table::Meta => "meta",
        }
    }
}

impl From<BulkTable> for Table {
    fn from(table: BulkTable) -> Table {
        match table {
            BulkTable::Citizens => Table::Citizens,
            BulkTable::Members => Table::Members,
            BulkTable::Births => Table::Births,
            BulkTable::Numbers => Table::Numbers,
        }
    }
}

mod meta {
    pub(super) const REGISTRY_ID: &[u8] = b"registry_id";
    pub(super) const FORMAT: &[u8] = b"format";
    pub(super) const FIRST_ORDER: &[u8] = b"first_order";
    pub(super) const HEAD: &[u8] = b"head";
    pub(super) const INGESTING: &[u8] = b"ingesting";
}

/// Version of the layout; a later one comes with a migration.
const FORMAT: &[u8] = &[7];

/// A registry on RocksDB.
pub struct RocksStore {
    db: Db,
    dir: PathBuf,
    room: Room,
    /// Options of the sorted files of a bulk load, by table.
    bulk: [(BulkTable, rocksdb::Options); 4],
}

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> StoreError {
        let text = error.to_string();
        if text.contains("No space left") {
            StoreError::Full
        } else if text.contains("lock") && error.kind() == rocksdb::ErrorKind::IOError {
            StoreError::Locked
        } else {
            StoreError::Database(text)
        }
    }
}

impl RocksStore {
    /// Makes an empty registry that begins with an administrative order.
    pub(crate) fn create(dir: &Path, order: &[u8]) -> Result<(), StoreError> {
        let path = dir.join("registry");
        if path.exists() {
            return Err(StoreError::Exists(path));
        }
        fs::create_dir_all(dir)?;
        let db = open(&path, true)?;
        let mut batch = WriteBatch::default();
        let meta = handle(&db, Table::Meta)?;
        batch.put_cf(meta, meta::REGISTRY_ID, Uuid::now_v7().into_bytes());
        batch.put_cf(meta, meta::FORMAT, FORMAT);
        batch.put_cf(meta, meta::FIRST_ORDER, order);
        batch.put_cf(meta, meta::HEAD, keys::head(&Head::default()));
        db.write_opt(batch, &synced())?;
        Ok(())
    }

    /// Opens a registry that leaves so many bytes of the disk free; an interrupted bulk load is undone.
    pub(crate) fn open(dir: &Path, reserve: u64) -> Result<RocksStore, StoreError> {
        let path = dir.join("registry");
        if !path.exists() {
            return Err(StoreError::Missing(dir.to_owned()));
        }
        let store = RocksStore {
            db: open(&path, false)?,
            dir: dir.to_owned(),
            room: Room::new(dir.to_owned(), reserve),
            bulk: BulkTable::ALL.map(|table| (table, bulk::options_of(table))),
        };
        let meta = store.table(Table::Meta)?;
        if store.db.get_cf(meta, meta::FORMAT)?.as_deref() != Some(FORMAT) {
            return Err(StoreError::Corrupt("its format version"));
        }
        store.undo_ingest()?;
        Ok(store)
    }

    fn table(&self, table: Table) -> Result<&ColumnFamily, StoreError> {
        handle(&self.db, table)
    }

    fn add(&self, batch: &mut WriteBatch, write: &Write) -> Result<(), StoreError> {
        const NOTHING: &[u8] = &[];
        match write {
            Write::Citizen(key, citizen) => {
                batch.put_cf(self.table(Table::Citizens)?, keys::citizen(*key), citizen.encode());
            }
            Write::Number(number, key) => {
                batch.put_cf(
                    self.table(Table::Numbers)?,
                    keys::citizen((*number).into()),
                    keys::citizen(*key),
                );
            }
            Write::NoNumber(number) => {
                batch.delete_cf(self.table(Table::Numbers)?, keys::citizen((*number).into()));
            }
            Write::Join(partition, key) => {
                batch.put_cf(self.table(Table::Members)?, keys::member(*partition, *key), NOTHING);
            }
            Write::Leave(partition, key) => {
                batch.delete_cf(self.table(Table::Members)?, keys::member(*partition, *key));
            }
            Write::Feed(partition, at, key) => {
                batch.put_cf(self.table(Table::Feed)?, keys::feed(*partition, *at, *key), NOTHING);
            }
            Write::Unfeed(partition, at, key) => {
                batch.delete_cf(self.table(Table::Feed)?, keys::feed(*partition, *at, *key));
            }
            Write::Birth(date, key) => {
                batch.put_cf(self.table(Table::Births)?, keys::birth(date, *key), NOTHING);
            }
            Write::Unbirth(date, key) => {
                batch.delete_cf(self.table(Table::Births)?, keys::birth(date, *key));
            }
            Write::Journal(at, entry) => {
                let row = prost::Message::encode_to_vec(&**entry);
                batch.put_cf(self.table(Table::Journal)?, keys::revision(*at), row);
            }
            Write::History(key, at) => {
                batch.put_cf(self.table(Table::History)?, keys::history(*key, *at), NOTHING);
            }
            Write::PolicyEvent(at) => {
                batch.put_cf(self.table(Table::PolicyEvents)?, keys::revision(*at), NOTHING);
            }
            Write::Contribution(id, at) => {
                batch.put_cf(self.table(Table::Contributions)?, id.as_bytes(), keys::revision(*at));
            }
            Write::List(name, list) => {
                batch.put_cf(self.table(Table::Lists)?, name, list.0.to_be_bytes());
            }
            Write::Await(number, list) => {
                batch.put_cf(self.table(Table::Awaited)?, keys::awaited(*number, *list), NOTHING);
            }
            Write::Unawait(number, list) => {
                batch.delete_cf(self.table(Table::Awaited)?, keys::awaited(*number, *list));
            }
            Write::Head(head) => batch.put_cf(self.table(Table::Meta)?, meta::HEAD, keys::head(head)),
            Write::Row(table, name, row) => batch.put_cf(self.other(table)?, name, row),
            Write::NoRow(table, name) => batch.delete_cf(self.other(table)?, name),
        }
        Ok(())
    }

    fn other(&self, table: &str) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(table).ok_or(StoreError::Corrupt("the list of tables"))
    }
}

impl Store for RocksStore {
    fn snapshot(&self) -> Box<dyn Snapshot + '_> {
        Box::new(snapshot::RocksSnapshot::new(&self.db))
    }

    fn apply(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for write in writes {
            self.add(&mut batch, write)?;
        }
        self.room.write(|| Ok(self.db.write_opt(batch, &synced())?))
    }

    fn bulk_dir(&self) -> Result<PathBuf, StoreError> {
        let dir = self.dir.join("bulk");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    fn bulk_writer(&self, table: BulkTable, file: &Path) -> Result<Box<dyn BulkWriter + '_>, StoreError> {
        let found = self.bulk.iter().find(|(of, _)| *of == table);
        let (_, options) = found.ok_or(StoreError::Corrupt("the list of tables"))?;
        self.room.check()?;
        Ok(Box::new(bulk::SortedFile::create(options, file)?))
    }

    fn ingest(&self, files: &[(BulkTable, PathBuf)], writes: &[Write]) -> Result<(), StoreError> {
        self.room.write(|| self.ingest_files(files, writes))
    }

    fn rows(&self, table: &'static str) -> Result<Vec<NamedRow>, StoreError> {
        let rows = self.db.iterator_cf(self.other(table)?, IteratorMode::Start);
        rows.map(|row| row.map(|(k, v)| (k.into_vec(), v.into_vec())).map_err(StoreError::from)).collect()
    }

    fn size_on_disk(&self) -> u64 {
        Table::ALL
            .iter()
            .filter_map(|t| {
                let cf = self.table(*t).ok()?;
                self.db.property_int_value_cf(cf, "rocksdb.total-sst-files-size").ok()?
            })
            .sum()
    }
}

fn open(path: &Path, create: bool) -> Result<Db, StoreError> {
    let mut database = options::database();
    database.create_if_missing(create);
    let cache = options::cache();
    let tables =
        Table::ALL.iter().map(|t| rocksdb::ColumnFamilyDescriptor::new(t.name(), options::table(*t, &cache)));
    Ok(Db::open_cf_descriptors(&database, path, tables)?)
}

fn handle(db: &Db, table: Table) -> Result<&ColumnFamily, StoreError> {
    db.cf_handle(table.name()).ok_or(StoreError::Corrupt("the list of tables"))
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

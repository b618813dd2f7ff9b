//! The slice's database: its tables and the state row.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use dancu_proto::{Areas, PersonalId};
use prost::bytes::Bytes;
use rocksdb::{
    BottommostLevelCompaction, BoundColumnFamily, Cache, ColumnFamilyDescriptor, CompactOptions,
    DBWithThreadMode, Direction, IngestExternalFileOptions, IteratorMode, MultiThreaded, ReadOptions,
    SnapshotWithThreadMode, SstFileWriter, WriteBatch,
};

use super::{
    SliceError, SliceOptions, SliceState,
    changes::Changes,
    cipher::{Cipher, SliceKey},
    hot::Hot,
    keys::{self, Person},
    load::File,
    options,
    value::Stored,
};

pub(super) type Db = DBWithThreadMode<MultiThreaded>;

/// A table of the database.
pub(super) type Table<'a> = Arc<BoundColumnFamily<'a>>;

/// The database at one moment.
pub(super) type Snapshot<'a> = SnapshotWithThreadMode<'a, Db>;

/// Somebody's row as it is stored.
type PersonRow = (Person, Box<[u8]>);

/// A key and its value.
pub(super) type Row = (Box<[u8]>, Box<[u8]>);

pub(super) struct Store {
    db: Arc<Db>,
    dir: PathBuf,
    options: SliceOptions,
    cache: Cache,
    /// None while the slice is sealed.
    cipher: ArcSwapOption<Cipher>,
    changes: Changes,
    hot: Hot,
}

/// How the database is laid out; one of another layout is loaded anew.
const LAYOUT: u8 = 3;

impl Store {
    /// The state, and the indexes.
    pub(super) const SLICE: &str = "slice";
    /// Records: by themselves, so that the sorted files of a load go to the lowest level.
    pub(super) const RECORDS: &str = "records";
    /// Frames of a delta that is not complete yet.
    const INCOMING: &str = "incoming";
    /// What has changed, for those who follow.
    pub(super) const CHANGES: &str = "changes";

    pub(super) fn open(dir: &Path, of: &SliceOptions) -> Result<Store, SliceError> {
        let cache = options::cache(of);
        let tables = [Store::SLICE, Store::RECORDS, Store::INCOMING, Store::CHANGES]
            .map(|name| ColumnFamilyDescriptor::new(name, options::table(of, &cache)));
        let db = Arc::new(Db::open_cf_descriptors(&options::database(of), dir, tables)?);
        let changes = Changes::new(of.keep_changes, of.clock);
        let cipher = ArcSwapOption::const_empty();
        let hot = Hot::new(of.hot_mb << 20);
        let store = Store { db, dir: dir.to_owned(), options: *of, cache, cipher, changes, hot };
        let layout = store.db.get_cf(&store.slice()?, keys::SEALED_BY)?;
        let layout = layout.and_then(|row| row.first().copied());
        let empty = || Ok::<_, SliceError>(store.db.get_cf(&store.slice()?, keys::STATE)?.is_none());
        if layout != Some(LAYOUT) && !(layout.is_none() && empty()?) {
            return Err(SliceError::Corrupt("its layout, which is of another version,"));
        }
        Ok(store)
    }

    /// What the slice is sealed with.
    pub(super) fn cipher(&self) -> Result<Arc<Cipher>, SliceError> {
        self.cipher.load_full().ok_or(SliceError::Sealed)
    }

    /// Takes a key. What was sealed with another cannot be opened with it: it is erased.
    pub(super) fn unseal(&self, key: &SliceKey) -> Result<(), SliceError> {
        let cipher = Cipher::new(key)?;
        let row = [&[LAYOUT][..], cipher.check()].concat();
        let slice = self.slice()?;
        let sealed_by = self.db.get_cf(&slice, keys::SEALED_BY)?;
        if sealed_by.as_deref() != Some(&row[..]) {
            if sealed_by.is_some() {
                tracing::warn!("the hub has given another key: the slice is loaded anew");
                self.erase()?;
            }
            let mut batch = WriteBatch::default();
            batch.put_cf(&slice, keys::SEALED_BY, row);
            self.write(batch, true)?;
        }
        self.changes.find(self, &cipher)?;
        self.cipher.store(Some(Arc::new(cipher)));
        Ok(())
    }

    /// Whether that key is the one in use.
    pub(super) fn is_unsealed_by(&self, key: &SliceKey) -> Result<bool, SliceError> {
        let check = Cipher::new(key)?;
        Ok(self.cipher.load().as_ref().is_some_and(|cipher| cipher.check() == check.check()))
    }

    /// Removes everything, sealed or not.
    pub(super) fn erase(&self) -> Result<(), SliceError> {
        self.hot.clear();
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(&self.slice()?, keys::STATE, keys::END);
        batch.delete_range_cf(&self.record_table()?, &[][..], keys::AFTER_ALL);
        batch.delete_range_cf(&self.incoming()?, &[][..], keys::AFTER_ALL);
        batch.delete_range_cf(&self.change_table()?, &[][..], keys::AFTER_ALL);
        self.write(batch, true)
    }

    /// Forgets the key.
    pub(super) fn seal(&self) {
        self.cipher.store(None);
        self.hot.clear();
    }

    /// The registry that the slice comes from, which is known of a sealed one too; empty for none.
    pub(super) fn registry(&self) -> Result<Vec<u8>, SliceError> {
        Ok(self.db.get_cf(&self.slice()?, keys::REGISTRY)?.unwrap_or_default())
    }

    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        self.db.snapshot()
    }

    pub(super) fn state_in(&self, snapshot: &Snapshot<'_>) -> Result<SliceState, SliceError> {
        match snapshot.get_cf(&self.slice()?, keys::STATE)? {
            Some(row) => SliceState::decode(&self.cipher()?.open(keys::STATE, &row, "its state")?, None),
            None => Ok(SliceState::empty()),
        }
    }

    pub(super) fn state(&self) -> Result<SliceState, SliceError> {
        match self.db.get_cf(&self.slice()?, keys::STATE)? {
            Some(row) => {
                SliceState::decode(&self.cipher()?.open(keys::STATE, &row, "its state")?, self.areas()?)
            }
            None => Ok(SliceState::empty()),
        }
    }

    fn areas(&self) -> Result<Option<Arc<Areas>>, SliceError> {
        let rows = self.range(&self.slice()?, &keys::area(0), keys::LANDING.to_vec());
        let changes: Vec<Bytes> =
            rows.map(|row| Ok(row?.1.into_vec().into())).collect::<Result<_, SliceError>>()?;
        if changes.is_empty() {
            return Ok(None);
        }
        let areas = Areas::unpack(&changes);
        areas.map(|areas| Some(Arc::new(areas))).map_err(|_| SliceError::Corrupt("its administrative order"))
    }

    pub(super) fn slice(&self) -> Result<Table<'_>, SliceError> {
        Store::table(&self.db, Store::SLICE)
    }

    pub(super) fn record_table(&self) -> Result<Table<'_>, SliceError> {
        Store::table(&self.db, Store::RECORDS)
    }

    pub(super) fn incoming(&self) -> Result<Table<'_>, SliceError> {
        Store::table(&self.db, Store::INCOMING)
    }

    pub(super) fn change_table(&self) -> Result<Table<'_>, SliceError> {
        Store::table(&self.db, Store::CHANGES)
    }

    /// A table of the database.
    pub(super) fn table<'a>(db: &'a Db, name: &str) -> Result<Table<'a>, SliceError> {
        db.cf_handle(name).ok_or(SliceError::Corrupt("the list of tables"))
    }

    /// The database.
    pub(super) fn database(&self) -> &Arc<Db> {
        &self.db
    }

    /// Whom callers asked for lately.
    pub(super) fn hot(&self) -> &Hot {
        &self.hot
    }

    /// What is kept of changes.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// A row of that.
    pub(super) fn change_row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, SliceError> {
        Ok(self.db.get_cf(&self.change_table()?, key)?)
    }

    /// What is kept of changes, from a key on, sealed.
    pub(super) fn change_rows(
        &self,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<Row, SliceError>> + use<'_>, SliceError> {
        Ok(self.range(&self.change_table()?, from, keys::AFTER_ALL.to_vec()))
    }

    /// A citizen as held.
    pub(super) fn record(&self, id: PersonalId) -> Result<Option<Stored>, SliceError> {
        let cipher = self.cipher()?;
        self.record_of(&cipher, &cipher.person(id))
    }

    /// The citizen at a key.
    pub(super) fn record_of(&self, cipher: &Cipher, person: &Person) -> Result<Option<Stored>, SliceError> {
        let row = self.db.get_pinned_cf(&self.record_table()?, person)?;
        row.map(|row| Stored::unsealed(cipher, person, &row)).transpose()
    }

    /// Whether somebody is held.
    pub(super) fn holds(&self, cipher: &Cipher, id: PersonalId) -> Result<bool, SliceError> {
        Ok(self.db.get_pinned_cf(&self.record_table()?, cipher.person(id))?.is_some())
    }

    /// The records in the order of their keys, from one on, now or at one moment, as they are stored.
    pub(super) fn rows<'a>(
        &'a self,
        snapshot: Option<&'a Snapshot<'_>>,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<PersonRow, SliceError>> + use<'a>, SliceError> {
        let mut options = ReadOptions::default();
        // Who reads everything would push out of the cache what callers ask for.
        options.fill_cache(false);
        let mode = IteratorMode::From(from, Direction::Forward);
        let table = self.record_table()?;
        let rows = match snapshot {
            Some(snapshot) => snapshot.iterator_cf_opt(&table, options, mode),
            None => self.db.iterator_cf_opt(&table, options, mode),
        };
        Ok(rows.map(|row| {
            let (key, value) = row?;
            Ok((keys::person(&key).ok_or(SliceError::Corrupt("a key"))?, value))
        }))
    }

    /// A citizen at one moment; nothing of one whose row is damaged.
    pub(super) fn record_in(
        &self,
        snapshot: &Snapshot<'_>,
        cipher: &Cipher,
        id: PersonalId,
    ) -> Result<Option<Stored>, SliceError> {
        let person = cipher.person(id);
        let row = snapshot.get_cf(&self.record_table()?, person)?;
        Ok(row.and_then(|row| Stored::unsealed(cipher, &person, &row).ok()))
    }

    /// The keys of all index entries, now or at one moment.
    pub(super) fn index_keys<'a>(
        &'a self,
        snapshot: Option<&'a Snapshot<'_>>,
    ) -> Result<impl Iterator<Item = Result<Box<[u8]>, SliceError>> + use<'a>, SliceError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let mode = IteratorMode::From(keys::INDEXES, Direction::Forward);
        let table = self.slice()?;
        let rows = match snapshot {
            Some(snapshot) => snapshot.iterator_cf_opt(&table, options, mode),
            None => self.db.iterator_cf_opt(&table, options, mode),
        };
        Ok(rows.map(|row| Ok(row?.0)))
    }

    /// Whether there is such a key.
    pub(super) fn has(&self, key: &[u8]) -> Result<bool, SliceError> {
        Ok(self.db.get_pinned_cf(&self.slice()?, key)?.is_some())
    }

    /// The frames kept aside, in order, sealed.
    pub(super) fn frames(&self) -> Result<impl Iterator<Item = Result<Row, SliceError>>, SliceError> {
        Ok(self.range(&self.incoming()?, &[], keys::AFTER_ALL.to_vec()))
    }

    /// Bytes of the frames kept aside.
    pub(super) fn bytes_aside(&self) -> Result<u64, SliceError> {
        self.frames()?.map(|row| row.map(|(_, frame)| frame.len() as u64)).sum()
    }

    /// The key under which the next frame is kept aside: frames come back in the order they came.
    pub(super) fn next_frame(&self) -> Result<[u8; 8], SliceError> {
        let last = self.db.iterator_cf(&self.incoming()?, IteratorMode::End).next().transpose()?;
        let number = last.and_then(|(key, _)| key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)));
        Ok(number.map_or(0, |number| number + 1).to_be_bytes())
    }

    /// What is left to do of a load.
    pub(super) fn landing(&self) -> Result<Option<Vec<u8>>, SliceError> {
        let row = self.db.get_cf(&self.slice()?, keys::LANDING)?;
        row.map(|row| self.cipher()?.open(keys::LANDING, &row, "a landing")).transpose()
    }

    /// Writes rows, ascending, to a file that can be taken in; one that was there is gone. No file where
    /// there are no rows.
    pub(super) fn write_file(
        &self,
        file: File,
        rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), SliceError> {
        let path = file.path(&self.dir);
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        if path.exists() {
            fs::remove_file(&path)?;
        }
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let options = options::table(&self.options, &self.cache);
        let mut writer = SstFileWriter::create(&options);
        writer.open(&path)?;
        for (key, value) in rows {
            writer.put(key, value)?;
        }
        Ok(writer.finish()?)
    }

    /// Takes in a file, if it was not taken in before.
    pub(super) fn ingest(&self, file: File) -> Result<(), SliceError> {
        let path = file.path(&self.dir);
        if !path.exists() {
            return Ok(());
        }
        let mut options = IngestExternalFileOptions::default();
        // It is gone from its place once it is in.
        options.set_move_files(true);
        let table = match file {
            File::Records => self.record_table()?,
            File::Entries => self.slice()?,
        };
        Ok(self.db.ingest_external_file_cf_opts(&table, &options, vec![path])?)
    }

    fn range<'a>(
        &'a self,
        table: &Table<'_>,
        from: &[u8],
        until: Vec<u8>,
    ) -> impl Iterator<Item = Result<Row, SliceError>> + use<'a> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(until);
        let rows = self.db.iterator_cf_opt(table, options, IteratorMode::From(from, Direction::Forward));
        rows.map(|row| row.map_err(SliceError::from))
    }

    pub(super) fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), SliceError> {
        if sync {
            self.db.write_opt(batch, &options::synced())?
        } else {
            self.db.write(batch)?
        }
        Ok(())
    }

    /// Takes what was deleted off the disk: until then it lies in older files.
    pub(super) fn compact(&self) -> Result<(), SliceError> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for table in [self.slice()?, self.record_table()?, self.incoming()?, self.change_table()?] {
            // Flushed first, so that the log of writes goes too.
            self.db.flush_cf(&table)?;
            self.db.compact_range_cf_opt(&table, None::<&[u8]>, None::<&[u8]>, &options);
        }
        Ok(())
    }

    pub(super) fn size_on_disk(&self) -> u64 {
        let size = |table: Table<'_>| {
            let files = self.db.property_int_value_cf(&table, "rocksdb.total-sst-files-size").ok().flatten();
            let memory =
                self.db.property_int_value_cf(&table, "rocksdb.cur-size-all-mem-tables").ok().flatten();
            files.unwrap_or(0) + memory.unwrap_or(0)
        };
        [self.slice(), self.record_table(), self.incoming(), self.change_table()]
            .into_iter()
            .flatten()
            .map(size)
            .sum()
    }
}

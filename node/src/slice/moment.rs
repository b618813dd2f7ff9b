//! The slice's database at one moment: what readers read. Nobody waits for them and they wait for nobody;
//! what is written while they read, they do not see.

use std::sync::Arc;

use rocksdb::{Direction, IteratorMode, ReadOptions};
use self_cell::self_cell;

use super::{
    SliceError,
    changes::{self, Changed},
    cipher::Cipher,
    keys::{self, Person},
    store::{Db, Row, Snapshot, Store, Table},
    value::Stored,
};

self_cell!(
    struct Cell {
        owner: Arc<Db>,
        #[covariant]
        dependent: Tables,
    }
);

struct Tables<'a> {
    snapshot: Snapshot<'a>,
    slice: Table<'a>,
    records: Table<'a>,
    changes: Table<'a>,
}

/// The database at a moment, and what it is sealed with.
pub(super) struct Moment {
    cell: Cell,
    pub(super) cipher: Arc<Cipher>,
}

impl Moment {
    /// Now.
    pub(super) fn now(store: &Store) -> Result<Moment, SliceError> {
        let cell = Cell::try_new(Arc::clone(store.database()), |db| {
            Ok::<_, SliceError>(Tables {
                snapshot: db.snapshot(),
                slice: Store::table(db, Store::SLICE)?,
                records: Store::table(db, Store::RECORDS)?,
                changes: Store::table(db, Store::CHANGES)?,
            })
        });
        Ok(Moment { cell: cell?, cipher: store.cipher()? })
    }

    /// The citizen at a key.
    pub(super) fn record(&self, person: &Person) -> Result<Option<Stored>, SliceError> {
        let tables = self.cell.borrow_dependent();
        let row = tables.snapshot.get_pinned_cf(&tables.records, person)?;
        row.map(|row| Stored::unsealed(&self.cipher, person, &row)).transpose()
    }

    /// Who is held at a key or, where nobody is, at the next.
    pub(super) fn next(&self, person: &Person) -> Result<Option<Person>, SliceError> {
        let rows = self.range(&self.cell.borrow_dependent().records, person, keys::AFTER_ALL.to_vec());
        { rows }.next().map(|row| keys::person(&row?.0).ok_or(SliceError::Corrupt("a key"))).transpose()
    }

    /// The people that index entries with a prefix lead to.
    pub(super) fn people(&self, prefix: &[u8], limit: usize) -> Result<Vec<Person>, SliceError> {
        let rows = self.range(&self.cell.borrow_dependent().slice, prefix, keys::end_of(prefix)).take(limit);
        rows.map(|row| keys::person(&row?.0).ok_or(SliceError::Corrupt("an index"))).collect()
    }

    /// What has changed, from a number on, at the most so many.
    pub(super) fn changes(&self, from: u64, limit: usize) -> Result<Vec<(u64, Changed)>, SliceError> {
        let table = &self.cell.borrow_dependent().changes;
        let rows = self.range(table, &changes::key(from), keys::AFTER_ALL.to_vec()).take(limit);
        rows.map(|row| row.and_then(|(key, sealed)| changes::open(&self.cipher, &key, &sealed))).collect()
    }

    fn range<'a>(
        &'a self,
        table: &Table<'_>,
        from: &[u8],
        until: Vec<u8>,
    ) -> impl Iterator<Item = Result<Row, SliceError>> + use<'a> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(until);
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self.cell.borrow_dependent().snapshot.iterator_cf_opt(table, options, mode);
        rows.map(|row| row.map_err(SliceError::from))
    }
}

//! Reading the tables at one moment.

use dancu_proto::{PersonalId, Revision, v1::Date};
use prost::Message;
use rocksdb::{Direction, IteratorMode, ReadOptions, SnapshotWithThreadMode};
use uuid::Uuid;

use super::{
    super::{
        super::{CitizenKey, JournalEntry, ListId, Partition, StoredCitizen},
        Head, NamedRow, Rows, Snapshot, StoreError,
    },
    Db, Table, handle, keys, meta,
};

/// A key and its value.
type Row = (Box<[u8]>, Box<[u8]>);

pub(super) struct RocksSnapshot<'a> {
    db: &'a Db,
    snapshot: SnapshotWithThreadMode<'a, Db>,
}

impl<'a> RocksSnapshot<'a> {
    pub(super) fn new(db: &'a Db) -> RocksSnapshot<'a> {
        RocksSnapshot { db, snapshot: db.snapshot() }
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.snapshot.get_cf(handle(self.db, table)?, key)?)
    }

    /// Keys and values from a key up to, not including, another.
    fn range(&self, table: Table, from: &[u8], until: Vec<u8>) -> Rows<'_, Row> {
        let cf = match handle(self.db, table) {
            Ok(cf) => cf,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(until);
        options.set_total_order_seek(true);
        let start = IteratorMode::From(from, Direction::Forward);
        let rows = self.snapshot.iterator_cf_opt(cf, options, start);
        Box::new(rows.map(|row| row.map_err(StoreError::from)))
    }
}

impl Snapshot for RocksSnapshot<'_> {
    fn registry_id(&self) -> Result<[u8; 16], StoreError> {
        let id = self.get(Table::Meta, meta::REGISTRY_ID)?;
        id.and_then(|id| id.try_into().ok()).ok_or(StoreError::Corrupt("its identity"))
    }

    fn first_order(&self) -> Result<Vec<u8>, StoreError> {
        let order = self.get(Table::Meta, meta::FIRST_ORDER)?;
        order.ok_or(StoreError::Corrupt("the administrative order it began with"))
    }

    fn head(&self) -> Result<Head, StoreError> {
        keys::read_head(&self.get(Table::Meta, meta::HEAD)?.unwrap_or_default())
    }

    fn citizen(&self, key: CitizenKey) -> Result<Option<StoredCitizen>, StoreError> {
        let row = self.get(Table::Citizens, &keys::citizen(key))?;
        row.map(|row| StoredCitizen::decode(&row)).transpose()
    }

    fn alias(&self, number: PersonalId) -> Result<Option<CitizenKey>, StoreError> {
        let row = self.get(Table::Numbers, &keys::citizen(number.into()))?;
        row.map(|row| keys::read_citizen(&row)).transpose()
    }

    fn aliases(&self, after: u64, up_to: u64) -> Rows<'_, (PersonalId, CitizenKey)> {
        let from = keys::citizen(CitizenKey(after + 1));
        let rows = self.range(Table::Numbers, &from, keys::citizen(CitizenKey(up_to + 1)).to_vec());
        Box::new(rows.map(|row| {
            let (number, key) = row?;
            let number = PersonalId::from_u64(keys::read_citizen(&number)?.0);
            Ok((number.map_err(|_| StoreError::Corrupt("a number"))?, keys::read_citizen(&key)?))
        }))
    }

    fn list(&self, name: &str) -> Result<Option<ListId>, StoreError> {
        let row = self.get(Table::Lists, name.as_bytes())?;
        row.map(|row| keys::read_list(&row)).transpose()
    }

    fn awaited(&self, number: PersonalId) -> Rows<'_, ListId> {
        let prefix = keys::citizen(number.into());
        let rows = self.range(Table::Awaited, &prefix, keys::end_of(&prefix));
        Box::new(rows.map(|row| Ok(keys::read_awaited(&row?.0)?.1)))
    }

    fn all_awaited(&self) -> Rows<'_, (PersonalId, ListId)> {
        let rows = self.range(Table::Awaited, &[], vec![u8::MAX; 6]);
        Box::new(rows.map(|row| keys::read_awaited(&row?.0)))
    }

    fn history(&self, key: CitizenKey, after: Revision) -> Result<Vec<Revision>, StoreError> {
        let prefix = keys::citizen(key);
        let rows = self.range(Table::History, &keys::history(key, after.next()), keys::end_of(&prefix));
        let mut revisions: Vec<_> = rows.map(|row| keys::read_history(&row?.0)).collect::<Result<_, _>>()?;
        revisions.reverse();
        Ok(revisions)
    }

    fn journal(&self, revision: Revision) -> Result<Option<JournalEntry>, StoreError> {
        let row = self.get(Table::Journal, &keys::revision(revision))?;
        row.map(|row| {
            JournalEntry::decode(row.as_slice()).map_err(|_| StoreError::Corrupt("a journal entry"))
        })
        .transpose()
    }

    fn policy_events_after(&self, after: Revision) -> Result<Vec<Revision>, StoreError> {
        let rows = self.range(Table::PolicyEvents, &keys::revision(after.next()), vec![u8::MAX; 9]);
        rows.map(|row| keys::read_revision(&row?.0)).collect()
    }

    fn contribution(&self, id: Uuid) -> Result<Option<Revision>, StoreError> {
        let row = self.get(Table::Contributions, id.as_bytes())?;
        row.map(|row| keys::read_revision(&row)).transpose()
    }

    fn feed_after(&self, partition: Partition, after: Revision) -> Rows<'_, (Revision, CitizenKey)> {
        let from = keys::feed_from(partition, after.next());
        let rows = self.range(Table::Feed, &from, keys::end_of(&keys::partition(partition)));
        Box::new(rows.map(|row| keys::read_feed(&row?.0)))
    }

    fn members_after(&self, partition: Partition, after: Option<CitizenKey>) -> Rows<'_, CitizenKey> {
        let from = after.map_or(CitizenKey(0), |key| CitizenKey(key.0 + 1));
        let until = keys::end_of(&keys::partition(partition));
        let rows = self.range(Table::Members, &keys::member(partition, from), until);
        Box::new(rows.map(|row| keys::read_member(&row?.0)))
    }

    fn row(&self, table: &'static str, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let cf = self.db.cf_handle(table).ok_or(StoreError::Corrupt("the list of tables"))?;
        Ok(self.snapshot.get_cf(cf, name)?)
    }

    fn rows_after(&self, table: &'static str, prefix: &[u8], after: Option<&[u8]>) -> Rows<'_, NamedRow> {
        let Some(cf) = self.db.cf_handle(table) else {
            return Box::new(std::iter::once(Err(StoreError::Corrupt("the list of tables"))));
        };
        let from = after.map_or_else(|| prefix.to_vec(), |after| [after, &[0]].concat());
        let mut options = ReadOptions::default();
        if !prefix.is_empty() {
            options.set_iterate_upper_bound(keys::end_of(prefix));
        }
        let rows = self.snapshot.iterator_cf_opt(cf, options, IteratorMode::From(&from, Direction::Forward));
        Box::new(rows.map(|row| row.map(|(k, v)| (k.into_vec(), v.into_vec())).map_err(StoreError::from)))
    }

    fn scan_after(&self, after: Option<CitizenKey>) -> Rows<'_, (CitizenKey, StoredCitizen)> {
        let from = after.map_or(CitizenKey(0), |key| CitizenKey(key.0 + 1));
        let rows = self.range(Table::Citizens, &keys::citizen(from), vec![u8::MAX; 6]);
        Box::new(rows.map(|row| {
            let (key, value) = row?;
            Ok((keys::read_citizen(&key)?, StoredCitizen::decode(&value)?))
        }))
    }

    fn births(&self, from: Date, until: Date) -> Rows<'_, (Date, CitizenKey)> {
        let end = keys::end_of(&keys::birth_from(&until));
        let rows = self.range(Table::Births, &keys::birth_from(&from), end);
        Box::new(rows.map(|row| keys::read_birth(&row?.0)))
    }
}

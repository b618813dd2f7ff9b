//! What has changed, for those who follow: entries in the order in which changes took effect, each written
//! with the change itself. They are kept while an agreement allows watching, for a time and up to a number.
//!
//! An entry says what a change touched, not what the values were: those are read when it is told, so that
//! nobody is told what they may no longer know.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::rand;
use dancu_proto::{Field, FieldSet, PersonalId, Record, Revision};
use prost::Message;
use rocksdb::WriteBatch;
use time::OffsetDateTime;

use super::{Mark, SliceError, cipher::Cipher, store::Store, value::Stored};

/// The operation that agreements name.
pub(super) const WATCH: &str = "watch";

/// The most entries that are kept: half a gigabyte of them.
const MOST: u64 = 5_000_000;
/// The most that one write removes: a removal must not hold up a change.
const AT_ONCE: usize = 1024;

/// The row that says where the entries stand.
pub(super) const HEAD: &[u8] = &[0];
/// The row of the purposes whose agreements were others; entries follow it, by number.
const TURNED: &[u8] = &[0, 0];

/// The key of an entry.
pub(super) fn key(number: u64) -> [u8; 9] {
    let mut key = [1; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn number(key: &[u8]) -> Option<u64> {
    key.strip_prefix(&[1])?.try_into().ok().map(u64::from_be_bytes)
}

/// Where the entries stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Which entries these are: others begin when a slice is loaded anew, or watching is agreed anew.
    pub series: u64,
    /// The number of the first that is kept; that of the next, if none is.
    pub first: u64,
    /// The number of the next.
    pub next: u64,
    /// By purpose, the entry that says that its agreements are others: what came before was under those of
    /// before, and is told to nobody.
    pub turned: Arc<BTreeMap<String, u64>>,
}

/// Something that has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// One citizen.
    Citizen(CitizenChanged),
    /// The agreements for some purposes: whom they cover or what they give.
    Agreements(Vec<String>),
    /// The administrative order.
    Areas,
}

/// What a change touched of a citizen.
#[derive(Clone, Debug, PartialEq)]
pub struct CitizenChanged {
    /// Who.
    pub id: PersonalId,
    /// The fields that have another value.
    pub fields: FieldSet,
    /// The fields that came into question, or are no longer.
    pub questioned: FieldSet,
    /// Agreements that covered the citizen before, by handle.
    pub before: Vec<u32>,
    /// Agreements that cover the citizen from then on.
    pub after: Vec<u32>,
    /// A value that one has for life was another before.
    pub corrected: FieldSet,
    /// Death was registered.
    pub died: bool,
    /// Fields that say why the citizen left, where the hub told it.
    pub departure: FieldSet,
}

/// An entry as stored.
#[derive(Clone, PartialEq, Message)]
struct Row {
    /// Seconds since 1970.
    #[prost(uint64, tag = "1")]
    time: u64,
    /// The number in force; 0 for what concerns many.
    #[prost(uint64, tag = "2")]
    id: u64,
    #[prost(uint64, tag = "3")]
    fields: u64,
    #[prost(uint32, repeated, tag = "4")]
    before: Vec<u32>,
    #[prost(uint32, repeated, tag = "5")]
    after: Vec<u32>,
    #[prost(uint64, tag = "6")]
    corrected: u64,
    #[prost(bool, tag = "7")]
    died: bool,
    #[prost(uint64, tag = "8")]
    departure: u64,
    /// The administrative order, where it concerns many.
    #[prost(bool, tag = "9")]
    areas: bool,
    /// The purposes whose agreements are others.
    #[prost(string, repeated, tag = "10")]
    purposes: Vec<String>,
    #[prost(uint64, tag = "11")]
    questioned: u64,
}

/// The row of purposes, sealed.
#[derive(Clone, PartialEq, Message)]
struct Turned {
    #[prost(btree_map = "string, uint64", tag = "1")]
    purposes: BTreeMap<String, u64>,
}

/// The entries of a slice. The rows are in the database; this knows where they stand.
pub(super) struct Changes {
    extent: Mutex<Option<Extent>>,
    keep: Duration,
    clock: fn() -> OffsetDateTime,
}

impl Changes {
    pub(super) fn new(keep: Duration, clock: fn() -> OffsetDateTime) -> Changes {
        Changes { extent: Mutex::new(None), keep, clock }
    }

    /// Where they stand; nothing while nobody may follow.
    pub(super) fn extent(&self) -> Option<Extent> {
        self.lock().clone()
    }

    /// Finds where they stand in the database, once it is unsealed.
    pub(super) fn find(&self, store: &Store, cipher: &Cipher) -> Result<(), SliceError> {
        const WHAT: &str = "the head of its changes";
        let extent = match store.change_row(HEAD)? {
            None => None,
            Some(row) => {
                let numbers: Vec<u64> =
                    row.as_chunks().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
                let [series, first, next] = numbers[..] else { return Err(SliceError::Corrupt(WHAT)) };
                let turned = match store.change_row(TURNED)? {
                    Some(row) => Turned::decode(cipher.open(TURNED, &row, WHAT)?.as_slice()),
                    None => Ok(Turned::default()),
                };
                let turned = Arc::new(turned.map_err(|_| SliceError::Corrupt(WHAT))?.purposes);
                Some(Extent { series, first, next, turned })
            }
        };
        *self.lock() = extent;
        Ok(())
    }

    /// A write has moved them.
    pub(super) fn moved(&self, extent: Option<Extent>) {
        *self.lock() = extent;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Extent>> {
        // It is replaced whole.
        self.extent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry, and its number.
pub(super) fn open(cipher: &Cipher, key: &[u8], sealed: &[u8]) -> Result<(u64, Changed), SliceError> {
    let entry = number(key).zip(entry(cipher, key, sealed));
    entry.map(|(number, row)| (number, row.changed())).ok_or(SliceError::Corrupt("its changes"))
}

fn entry(cipher: &Cipher, key: &[u8], sealed: &[u8]) -> Option<Row> {
    Row::decode(cipher.open(key, sealed, "its changes").ok()?.as_slice()).ok()
}

/// Removes the entries that concern no agreement of some handles: the others are given by nobody any more.
pub(super) fn strip(store: &Store, cipher: &Cipher, kept: &[u32]) -> Result<(), SliceError> {
    let table = store.change_table()?;
    let mut batch = WriteBatch::default();
    for row in store.change_rows(&key(0))? {
        let (key, sealed) = row?;
        let concerns =
            |row: &Row| row.id == 0 || row.before.iter().chain(&row.after).any(|one| kept.contains(one));
        if !entry(cipher, &key, &sealed).is_some_and(|row| concerns(&row)) {
            batch.delete_cf(&table, key);
        }
        if batch.len() >= AT_ONCE {
            store.write(std::mem::take(&mut batch), false)?;
        }
    }
    store.write(batch, false)
}

/// Entries on their way into one write.
pub(super) struct Notes<'a> {
    store: &'a Store,
    cipher: &'a Cipher,
    /// Handles of the agreements that let somebody follow.
    watched: Vec<u32>,
    extent: Extent,
    time: u64,
}

impl<'a> Notes<'a> {
    /// Begins, where somebody may follow; where nobody may, removes what was kept.
    pub(super) fn begin(
        store: &'a Store,
        cipher: &'a Cipher,
        batch: &mut WriteBatch,
        watched: Vec<u32>,
    ) -> Result<Option<Notes<'a>>, SliceError> {
        let extent = match (store.changes().extent(), watched.is_empty()) {
            (None, true) => return Ok(None),
            (Some(_), true) => {
                batch.delete_range_cf(&store.change_table()?, HEAD, &key(u64::MAX)[..]);
                return Ok(None);
            }
            (Some(extent), false) => extent,
            (None, false) => {
                let mut series = [0; 8];
                let refused = |_| SliceError::Database("the cryptography library refuses".into());
                rand::fill(&mut series).map_err(refused)?;
                Extent { series: u64::from_be_bytes(series), first: 1, next: 1, turned: Arc::default() }
            }
        };
        let time = (store.changes().clock)().unix_timestamp().try_into().unwrap_or_default();
        Ok(Some(Notes { store, cipher, watched, extent, time }))
    }

    /// A citizen changes, in a slice whose policy is settled up to a revision.
    pub(super) fn citizen(
        &mut self,
        batch: &mut WriteBatch,
        settled: Revision,
        id: PersonalId,
        (old, new): (Option<&Stored>, Option<&Stored>),
        departure: FieldSet,
    ) -> Result<(), SliceError> {
        let nobody = Stored::default();
        let (before, after) = (old.unwrap_or(&nobody), new.unwrap_or(&nobody));
        let (fields, questioned) = before.record.differences(&after.record);
        let row = Row {
            time: self.time,
            id: id.as_u64(),
            fields: fields.bits(),
            questioned: questioned.bits(),
            before: self.followed(&before.marks, settled),
            after: self.followed(&after.marks, settled),
            corrected: corrected(&before.record, fields).bits(),
            died: died(&before.record, &after.record),
            departure: departure.bits(),
            ..Row::default()
        };
        // Nobody may be told of somebody whom no such agreement covers.
        let of_nobody = row.before.is_empty() && row.after.is_empty();
        let alike = fields.is_empty() && questioned.is_empty() && row.before == row.after;
        if of_nobody || alike { Ok(()) } else { self.put(batch, &row) }
    }

    /// The agreements of an entry: readable ones under which somebody may follow.
    fn followed(&self, marks: &[Mark], settled: Revision) -> Vec<u32> {
        let readable = marks.iter().filter(|mark| mark.pending == Revision::NONE || mark.pending <= settled);
        readable.map(|mark| mark.handle).filter(|handle| self.watched.contains(handle)).collect()
    }

    /// The agreements for some purposes change.
    pub(super) fn agreements(
        &mut self,
        batch: &mut WriteBatch,
        purposes: Vec<String>,
    ) -> Result<(), SliceError> {
        let turned = purposes.iter().map(|purpose| (purpose.clone(), self.extent.next));
        let mut of_all = (*self.extent.turned).clone();
        of_all.extend(turned);
        let row = Turned { purposes: of_all.clone() };
        let row = self.cipher.seal(TURNED, &row.encode_to_vec())?;
        batch.put_cf(&self.store.change_table()?, TURNED, row);
        self.extent.turned = Arc::new(of_all);
        self.put(batch, &Row { time: self.time, purposes, ..Row::default() })
    }

    /// The administrative order changes.
    pub(super) fn areas(&mut self, batch: &mut WriteBatch) -> Result<(), SliceError> {
        self.put(batch, &Row { time: self.time, areas: true, ..Row::default() })
    }

    fn put(&mut self, batch: &mut WriteBatch, row: &Row) -> Result<(), SliceError> {
        let key = key(self.extent.next);
        batch.put_cf(&self.store.change_table()?, key, self.cipher.seal(&key, &row.encode_to_vec())?);
        self.extent.next += 1;
        Ok(())
    }

    /// Removes what is too old, and says where the entries stand then.
    pub(super) fn finish(mut self, batch: &mut WriteBatch) -> Result<Extent, SliceError> {
        let table = self.store.change_table()?;
        let keep = self.store.changes().keep.as_secs();
        for row in self.store.change_rows(&key(self.extent.first))?.take(AT_ONCE) {
            let (key, sealed) = row?;
            let too_many = self.extent.next - self.extent.first > MOST;
            // One that cannot be opened is as good as gone.
            let time = entry(self.cipher, &key, &sealed).map_or(0, |row| row.time);
            if !too_many && time.saturating_add(keep) >= self.time {
                break;
            }
            self.extent.first = number(&key).map_or(self.extent.first, |number| number + 1);
            batch.delete_cf(&table, key);
        }
        let Extent { series, first, next, .. } = self.extent;
        batch.put_cf(&table, HEAD, [series, first, next].map(u64::to_be_bytes).concat());
        Ok(self.extent)
    }
}

impl Row {
    fn changed(self) -> Changed {
        match PersonalId::from_u64(self.id) {
            Ok(id) => Changed::Citizen(CitizenChanged {
                id,
                departure: FieldSet::from_bits(self.departure),
                fields: FieldSet::from_bits(self.fields),
                questioned: FieldSet::from_bits(self.questioned),
                before: self.before,
                after: self.after,
                corrected: FieldSet::from_bits(self.corrected),
                died: self.died,
            }),
            Err(_) if self.areas => Changed::Areas,
            Err(_) => Changed::Agreements(self.purposes),
        }
    }
}

/// What a person has once and for life: where there was another value, it was wrong.
const FOR_LIFE: [Field; 7] = [
    Field::DateOfBirth,
    Field::PlaceOfBirth,
    Field::PlaceOfBirthRegistration,
    Field::PlaceOfOrigin,
    Field::BloodType,
    Field::OldIdNumber,
    Field::DateOfDeath,
];

fn corrected(before: &Record, changed: FieldSet) -> FieldSet {
    FOR_LIFE.into_iter().filter(|field| changed.contains(*field) && before.value(*field).is_some()).collect()
}

fn died(before: &Record, after: &Record) -> bool {
    before.value(Field::DateOfDeath).is_none() && after.value(Field::DateOfDeath).is_some()
}

#[cfg(test)]
mod tests;

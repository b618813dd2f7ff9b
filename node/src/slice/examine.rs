//! Examining the slice: its digests at one moment, its indexes, and the repair of what differs.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use dancu_proto::{Digest, PersonalId, Revision, hub::v1::Repair};

use super::{
    Slice, SliceError, SliceState,
    apply::changes,
    batch::Batch,
    cipher::Cipher,
    index,
    keys::{self, Person},
    store,
    value::Stored,
};

/// The settled slice at one moment, whatever is applied meanwhile. Hold it for a proof only: while it
/// lives, the database keeps what it shows.
pub struct Examination<'a> {
    store: &'a store::Store,
    snapshot: store::Snapshot<'a>,
    cipher: Arc<Cipher>,
    state: SliceState,
    found: Arc<Examined>,
}

/// Whom an examination found. Rows lie in the order of their hashes, ranges are of numbers: as long as this
/// is held, a repair knows who is in its range without looking at everyone.
#[derive(Debug, Default)]
pub struct Examined {
    /// Their numbers, ascending.
    numbers: Vec<u64>,
    /// Rows that cannot be opened.
    unreadable: Vec<Person>,
}

impl Examined {
    /// The numbers after one and up to another.
    fn between(&self, after: u64, up_to: u64) -> &[u64] {
        let from = self.numbers.partition_point(|number| *number <= after);
        let until = self.numbers.partition_point(|number| *number <= up_to);
        &self.numbers[from..until.max(from)]
    }
}

/// A range of numbers and its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeOfSlice {
    /// It begins after this number.
    pub after: u64,
    /// Its last number.
    pub up_to: u64,
    /// What is held in it.
    pub digest: Digest,
}

/// What a repair found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Who was missing.
    pub missing: Vec<PersonalId>,
    /// Whose record was another.
    pub different: Vec<PersonalId>,
    /// Who should not have been there.
    pub foreign: Vec<PersonalId>,
    /// The last number of the range that was repaired.
    pub up_to: u64,
}

impl Slice {
    /// The slice as of now, if it is settled.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn examine(&self) -> Result<Option<Examination<'_>>, SliceError> {
        let (store, cipher) = (&self.0.store, self.0.store.cipher()?);
        let snapshot = store.snapshot();
        let state = store.state_in(&snapshot)?;
        if !state.is_settled() || state.narrowing.is_some() || state.applying {
            return Ok(None);
        }
        let mut found = Examined::default();
        for row in store.rows(Some(&snapshot), &[])? {
            let (person, row) = row?;
            match Stored::with_number(&cipher, &person, &row) {
                Ok((id, _)) => found.numbers.push(id.as_u64()),
                Err(_) => found.unreadable.push(person),
            }
        }
        found.numbers.sort_unstable();
        let found = Arc::new(found);
        *self.0.examined.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&found);
        Ok(Some(Examination { store, snapshot, cipher, state, found }))
    }

    /// The numbers of those who are held, after one and up to another.
    fn numbers_between(&self, after: u64, up_to: u64) -> Result<Vec<u64>, SliceError> {
        let examined = self.0.examined.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(examined) = examined {
            return Ok(examined.between(after, up_to).to_vec());
        }
        let cipher = self.0.store.cipher()?;
        let mut numbers = Vec::new();
        for row in self.0.store.rows(None, &[])? {
            let (person, row) = row?;
            if let Ok((id, _)) = Stored::with_number(&cipher, &person, &row)
                && id.as_u64() > after
                && id.as_u64() <= up_to
            {
                numbers.push(id.as_u64());
            }
        }
        Ok(numbers)
    }

    /// Puts a range right: everyone the hub names is held as it says, and no one else.
    ///
    /// # Errors
    /// If the disk refuses, or what came cannot be understood.
    pub fn apply_repair(&self, repair: &Repair) -> Result<Findings, SliceError> {
        let _applying = self.lock();
        self.0.room.check(0)?;
        let state = (*self.state()).clone();
        let range = repair.range.ok_or(SliceError::Corrupt("a repair without a range"))?;
        let mut should: BTreeMap<PersonalId, Stored> = BTreeMap::new();
        for change in changes(repair.changes.as_ref())?.changes {
            let (id, stored) = Stored::whole(change)?;
            should.insert(id, stored);
        }
        let store = &self.0.store;
        let mut batch = Batch::of_changes(store);
        let mut findings = Findings { up_to: range.up_to, ..Findings::default() };
        for number in self.numbers_between(range.after, range.up_to)? {
            let Ok(id) = PersonalId::from_u64(number) else { continue };
            if should.contains_key(&id) {
                continue;
            }
            if let Some(held) = store.record(id).ok().flatten() {
                findings.foreign.push(id);
                batch.replace(id, held, None);
            }
        }
        let cipher = store.cipher()?;
        for (id, right) in should {
            // What cannot be opened differs.
            match store.record(id).ok().flatten() {
                Some(held) if held.is_like(&right) => {}
                Some(held) => {
                    findings.different.push(id);
                    batch.replace(id, held, Some(right));
                }
                None => {
                    let damaged = store.holds(&cipher, id)?;
                    if damaged { &mut findings.different } else { &mut findings.missing }.push(id);
                    batch.add(id, right);
                }
            }
        }
        self.store(batch, state, true)?;
        Ok(findings)
    }

    /// Puts the indexes right: every entry leads to a record that has it, every record has its entries, and
    /// rows that cannot be opened are nobody's and go. Gives how many were wrong.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn repair_indexes(&self) -> Result<u64, SliceError> {
        let _applying = self.lock();
        let store = &self.0.store;
        let (slice, cipher) = (store.slice()?, store.cipher()?);
        let mut wrong = 0;
        let mut batch = Batch::new(store);
        for key in store.index_keys(None)? {
            let key = key?;
            let leads_to = keys::person(&key);
            let right = leads_to.is_some_and(|person| {
                let stored = store.record_of(&cipher, &person).ok().flatten();
                stored.is_some_and(|stored| {
                    index::entries(&cipher, &person, &stored.record).iter().any(|entry| **entry == *key)
                })
            });
            if !right {
                wrong += 1;
                batch.raw().delete_cf(&slice, &key);
            }
        }
        for row in store.rows(None, &[])? {
            let (person, row) = row?;
            let Ok(stored) = Stored::unsealed(&cipher, &person, &row) else {
                // Nobody's: whoever should be held is, since the ranges were repaired.
                wrong += 1;
                batch.raw().delete_cf(&store.record_table()?, person);
                continue;
            };
            for entry in index::entries(&cipher, &person, &stored.record) {
                if !store.has(&entry)? {
                    wrong += 1;
                    batch.raw().put_cf(&slice, &entry, []);
                }
            }
        }
        if wrong > 0 {
            self.store(batch, (*self.state()).clone(), true)?;
        }
        Ok(wrong)
    }

    /// Counts the citizens again: the count that is kept was of what was damaged.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn recount(&self) -> Result<(), SliceError> {
        let _applying = self.lock();
        let mut state = (*self.state()).clone();
        let mut citizens = 0;
        for row in self.0.store.rows(None, &[])? {
            row?;
            citizens += 1;
        }
        state.citizens = citizens;
        self.store(Batch::new(&self.0.store), state, true)
    }
}

impl Examination<'_> {
    /// Where the slice stood.
    #[must_use]
    pub fn state(&self) -> &SliceState {
        &self.state
    }

    /// The revision.
    #[must_use]
    pub fn cursor(&self) -> Revision {
        self.state.cursor
    }

    /// Whom it found; to be held as long as what differs is repaired.
    #[must_use]
    pub fn found(&self) -> Arc<Examined> {
        Arc::clone(&self.found)
    }

    /// The digests of ranges that follow each other, have so many citizens each, and are the whole slice.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn ranges(&self, citizens: usize) -> Result<Vec<RangeOfSlice>, SliceError> {
        let mut ranges = cut(&self.found.numbers, 0, PersonalId::MAX, citizens);
        for row in self.store.rows(Some(&self.snapshot), &[])? {
            let (person, row) = row?;
            // One that is damaged is missing in its range, which therefore differs.
            let Ok((id, stored)) = Stored::with_number(&self.cipher, &person, &row) else { continue };
            let at = ranges.partition_point(|range| range.up_to < id.as_u64());
            if let Some(range) = ranges.get_mut(at) {
                fold(&mut range.digest, id, &stored);
            }
        }
        Ok(ranges)
    }

    /// The digests of the ranges with so many citizens each that one range has in it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn within(&self, range: &RangeOfSlice, citizens: usize) -> Result<Vec<RangeOfSlice>, SliceError> {
        let numbers = self.found.between(range.after, range.up_to);
        let mut parts = cut(numbers, range.after, range.up_to, citizens);
        for part in &mut parts {
            for number in self.found.between(part.after, part.up_to) {
                let Ok(id) = PersonalId::from_u64(*number) else { continue };
                if let Some(stored) = self.store.record_in(&self.snapshot, &self.cipher, id)? {
                    fold(&mut part.digest, id, &stored);
                }
            }
        }
        Ok(parts)
    }

    /// Whether the index entries are those of the records, and no others: by a sum over both, in one
    /// pass each.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn indexes_agree(&self) -> Result<bool, SliceError> {
        let add = |sum: u128, key: &[u8]| {
            let hash = blake3::hash(key);
            let (low, _) = hash.as_bytes().split_at(16);
            sum.wrapping_add(u128::from_be_bytes(low.try_into().unwrap_or_default()))
        };
        let mut of_records = 0;
        for row in self.store.rows(Some(&self.snapshot), &[])? {
            let (person, row) = row?;
            let Ok(stored) = Stored::unsealed(&self.cipher, &person, &row) else { return Ok(false) };
            for entry in index::entries(&self.cipher, &person, &stored.record) {
                of_records = add(of_records, &entry);
            }
        }
        let mut of_entries = 0;
        for key in self.store.index_keys(Some(&self.snapshot))? {
            of_entries = add(of_entries, &key?);
        }
        Ok(of_records == of_entries)
    }
}

fn fold(digest: &mut Digest, id: PersonalId, stored: &Stored) {
    let handles: Vec<u32> = stored.marks.iter().map(|mark| mark.handle).collect();
    digest.add(id, &handles, &stored.record);
}

/// Ranges of so many numbers each, from one number to another; at least one.
fn cut(numbers: &[u64], after: u64, up_to: u64, citizens: usize) -> Vec<RangeOfSlice> {
    let mut ranges: Vec<RangeOfSlice> = Vec::with_capacity(numbers.len() / citizens + 1);
    for part in numbers.chunks(citizens) {
        let after = ranges.last().map_or(after, |range| range.up_to);
        let last = part.last().copied().unwrap_or(up_to);
        ranges.push(RangeOfSlice { after, up_to: last, digest: Digest::default() });
    }
    match ranges.last_mut() {
        Some(range) => range.up_to = up_to,
        None => ranges.push(RangeOfSlice { after, up_to, digest: Digest::default() }),
    }
    ranges
}

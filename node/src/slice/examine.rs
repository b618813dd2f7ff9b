//! Examining the slice: its digests at one moment, its indexes, and the repair of what differs.

use std::collections::BTreeMap;

use dancu_proto::{Digest, PersonalId, Revision, hub::v1::Repair};

use super::{Slice, SliceError, SliceState, apply::changes, batch::Batch, index, keys, store, value::Stored};

/// The settled slice at one moment, whatever is applied meanwhile. Hold it for a proof only: while it
/// lives, the database keeps what it shows.
pub struct Examination<'a> {
    store: &'a store::Store,
    snapshot: store::Snapshot<'a>,
    state: SliceState,
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
        let store = &self.0.store;
        let snapshot = store.snapshot();
        let state = store.state_in(&snapshot)?;
        let whole = state.is_settled() && state.narrowing.is_none() && !state.applying;
        Ok(whole.then_some(Examination { store, snapshot, state }))
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
        let mut batch = Batch::new(store);
        let mut findings = Findings { up_to: range.up_to, ..Findings::default() };
        for row in store.keys_between(range.after, range.up_to)? {
            let id = row?;
            // What cannot be decoded differs.
            let held = store.record(id).ok().flatten();
            match should.remove(&id) {
                Some(right) if held.as_ref().is_some_and(|held| held.is_like(&right)) => {}
                Some(right) => {
                    findings.different.push(id);
                    batch.replace(id, held.unwrap_or_default(), Some(right));
                }
                None => {
                    findings.foreign.push(id);
                    batch.replace(id, held.unwrap_or_default(), None);
                }
            }
        }
        for (id, right) in should {
            findings.missing.push(id);
            batch.add(id, right);
        }
        self.store(batch, state, true)?;
        Ok(findings)
    }

    /// Puts the indexes right: every entry leads to a record that has it, and every record has its
    /// entries. Gives how many were wrong.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn repair_indexes(&self) -> Result<u64, SliceError> {
        let _applying = self.lock();
        let store = &self.0.store;
        let slice = store.slice()?;
        let mut wrong = 0;
        let mut batch = Batch::new(store);
        for key in store.index_keys(None)? {
            let key = key?;
            let record = match keys::person(&key) {
                Some(id) => Some((id, store.record(id)?)),
                None => None,
            };
            let right = record.is_some_and(|(id, stored)| {
                stored.is_some_and(|stored| {
                    index::entries(id, &stored.record).iter().any(|entry| **entry == *key)
                })
            });
            if !right {
                wrong += 1;
                batch.raw().delete_cf(&slice, &key);
            }
        }
        for row in store.records(&keys::records().0)? {
            let (id, stored) = row?;
            for entry in index::entries(id, &stored.record) {
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
        for id in self.0.store.keys_between(0, PersonalId::MAX)? {
            id?;
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

    /// The digests of ranges that follow each other and have so many citizens each, from a number to
    /// another. The last one ends there. At most so many of them.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn ranges(
        &self,
        after: u64,
        up_to: u64,
        citizens: u64,
        at_most: usize,
    ) -> Result<Vec<RangeOfSlice>, SliceError> {
        let mut ranges = Vec::new();
        let mut range = RangeOfSlice { after, up_to, digest: Digest::default() };
        let mut last = after;
        for row in self.store.rows_between(&self.snapshot, after, up_to)? {
            let (id, row) = row?;
            if range.digest.citizens == citizens {
                ranges.push(RangeOfSlice { up_to: last, ..range });
                if ranges.len() == at_most {
                    return Ok(ranges);
                }
                range = RangeOfSlice { after: last, up_to, digest: Digest::default() };
            }
            match Stored::decode(&row) {
                Ok(stored) => {
                    let handles: Vec<u32> = stored.marks.iter().map(|mark| mark.handle).collect();
                    range.digest.add(id, &handles, &stored.record);
                }
                // Damaged: it counts, and matches nothing.
                Err(_) => range.digest.citizens += 1,
            }
            last = id.as_u64();
        }
        ranges.push(range);
        Ok(ranges)
    }

    /// Whether the index entries are those of the records, and no others: by a sum over both, in one
    /// pass each.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn indexes_agree(&self) -> Result<bool, SliceError> {
        let fold = |sum: u128, key: &[u8]| {
            let hash = blake3::hash(key);
            let (low, _) = hash.as_bytes().split_at(16);
            sum.wrapping_add(u128::from_be_bytes(low.try_into().unwrap_or_default()))
        };
        let mut of_records = 0;
        for row in self.store.rows_between(&self.snapshot, 0, PersonalId::MAX)? {
            let (id, row) = row?;
            let Ok(stored) = Stored::decode(&row) else { continue };
            for entry in index::entries(id, &stored.record) {
                of_records = fold(of_records, &entry);
            }
        }
        let mut of_entries = 0;
        for key in self.store.index_keys(Some(&self.snapshot))? {
            of_entries = fold(of_entries, &key?);
        }
        Ok(of_records == of_entries)
    }
}

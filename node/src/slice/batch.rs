//! Changes on their way into one atomic write, with the state they lead to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dancu_proto::{
    Areas, Delta, FieldSet, PersonalId, Record,
    hub::v1::{Change, ChangeList},
};
use rocksdb::WriteBatch;

use super::{
    SliceError, SliceState,
    changes::{Extent, Notes},
    index, keys,
    store::Store,
    value::{self, Stored},
};

pub(super) struct Batch<'a> {
    store: &'a Store,
    /// What is stored now, of those that change.
    before: HashMap<PersonalId, Option<Stored>>,
    /// What they become.
    after: BTreeMap<PersonalId, Option<Stored>>,
    /// Why somebody leaves, where the hub told it.
    departures: HashMap<PersonalId, FieldSet>,
    telling: Telling,
    batch: WriteBatch,
}

/// What those who follow the slice are told of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Telling {
    /// Each citizen who changes. Not of a load, which brings millions: its end is told.
    pub(super) citizens: bool,
    /// The agreements for these purposes are others.
    pub(super) agreements: BTreeSet<String>,
    /// The administrative order is another.
    pub(super) areas: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(store: &'a Store) -> Batch<'a> {
        Batch {
            store,
            before: HashMap::new(),
            after: BTreeMap::new(),
            departures: HashMap::new(),
            telling: Telling::default(),
            batch: WriteBatch::default(),
        }
    }

    /// A batch of changes that those who follow the slice are told one by one.
    pub(super) fn of_changes(store: &'a Store) -> Batch<'a> {
        Batch { telling: Telling { citizens: true, ..Telling::default() }, ..Batch::new(store) }
    }

    /// Those who follow the slice are told that the agreements are others for some purposes.
    pub(super) fn tell_agreements(&mut self, purposes: impl IntoIterator<Item = String>) {
        self.telling.agreements.extend(purposes);
    }

    pub(super) fn raw(&mut self) -> &mut WriteBatch {
        &mut self.batch
    }

    /// Replaces the administrative orders.
    pub(super) fn areas(&mut self, areas: Option<&Areas>) -> Result<(), SliceError> {
        let slice = self.store.slice()?;
        self.telling.areas = true;
        // Addresses are known by the order in force.
        self.store.hot().change_all();
        self.batch.delete_range_cf(&slice, &keys::area(0)[..], keys::LANDING);
        for (number, change) in areas.iter().flat_map(|areas| areas.changes()).enumerate() {
            self.batch.put_cf(&slice, keys::area(number), change);
        }
        Ok(())
    }

    /// Applies changes as the hub sent them.
    pub(super) fn apply(&mut self, list: &ChangeList) -> Result<(), SliceError> {
        for change in &list.changes {
            let id = PersonalId::from_u64(change.personal_id)
                .map_err(|_| SliceError::Corrupt("a number in what the hub sent"))?;
            let new = if change.drop { None } else { Some(changed(self.current(id)?, change)?) };
            self.departures.insert(id, FieldSet::from_bits(change.departure));
            self.after.insert(id, new);
        }
        Ok(())
    }

    /// Replaces a record that was read by the caller.
    pub(super) fn replace(&mut self, id: PersonalId, old: Stored, new: Option<Stored>) {
        self.before.insert(id, Some(old));
        self.after.insert(id, new);
    }

    /// Adds a citizen who is not held.
    pub(super) fn add(&mut self, id: PersonalId, new: Stored) {
        self.before.insert(id, None);
        self.after.insert(id, Some(new));
    }

    fn current(&mut self, id: PersonalId) -> Result<Option<Stored>, SliceError> {
        if let Some(after) = self.after.get(&id) {
            return Ok(after.clone());
        }
        let stored = self.store.record(id)?;
        self.before.insert(id, stored.clone());
        Ok(stored)
    }

    fn tell_of_many(&mut self, mut notes: Notes<'_>) -> Result<Extent, SliceError> {
        let purposes = std::mem::take(&mut self.telling.agreements);
        if !purposes.is_empty() {
            notes.agreements(&mut self.batch, purposes.into_iter().collect())?;
        }
        if self.telling.areas {
            notes.areas(&mut self.batch)?;
        }
        notes.finish(&mut self.batch)
    }

    /// Writes what was put in raw, and no state.
    pub(super) fn write_alone(self, sync: bool) -> Result<(), SliceError> {
        self.store.write(self.batch, sync)
    }

    /// Writes the changes together with a state, whose count of citizens is brought up to date.
    pub(super) fn write(mut self, state: &mut SliceState, sync: bool) -> Result<(), SliceError> {
        let (slice, records) = (self.store.slice()?, self.store.record_table()?);
        let cipher = self.store.cipher()?;
        let mut notes = Notes::begin(self.store, &cipher, &mut self.batch, state.watched())?;
        for (id, new) in &self.after {
            let old = match self.before.get(id) {
                Some(old) => old.clone(),
                None => self.store.record(*id)?,
            };
            let person = cipher.person(*id);
            self.store.hot().change(&person);
            let entries = |stored: &Option<Stored>| {
                let entries = stored.as_ref().map(|stored| index::entries(&cipher, &person, &stored.record));
                entries.unwrap_or_default()
            };
            let (entries_before, entries_after) = (entries(&old), entries(new));
            for entry in entries_before.iter().filter(|entry| !entries_after.contains(entry)) {
                self.batch.delete_cf(&slice, entry);
            }
            for entry in entries_after.iter().filter(|entry| !entries_before.contains(entry)) {
                self.batch.put_cf(&slice, entry, []);
            }
            match new {
                Some(stored) => self.batch.put_cf(&records, person, stored.sealed(&cipher, *id, &person)?),
                None if old.is_some() => self.batch.delete_cf(&records, person),
                None => {}
            }
            let change = (old.as_ref(), new.as_ref());
            match notes.as_mut() {
                Some(notes) if self.telling.citizens => {
                    let departure = self.departures.get(id).copied().unwrap_or_default();
                    notes.citizen(&mut self.batch, state.settled, *id, change, departure)?;
                    // Under these they are told of when everything is settled.
                    let marks = new.iter().flat_map(|stored| &stored.marks);
                    let pending = marks.filter(|mark| mark.pending > state.settled);
                    state.untold.extend(pending.map(|mark| mark.handle));
                }
                Some(_) => state.untold.extend(state.touched(change.0, change.1)),
                // Whoever follows later begins with a series of their own.
                None => {}
            }
            match (old.is_some(), new.is_some()) {
                (false, true) => state.citizens += 1,
                (true, false) => state.citizens = state.citizens.saturating_sub(1),
                _ => {}
            }
        }
        self.telling.agreements.extend(state.tell_untold());
        self.batch.put_cf(&slice, keys::REGISTRY, &state.registry_id);
        self.batch.put_cf(&slice, keys::STATE, cipher.seal(keys::STATE, &state.encode())?);
        let extent = notes.map(|notes| self.tell_of_many(notes)).transpose()?;
        self.store.write(self.batch, sync)?;
        self.store.changes().moved(extent);
        Ok(())
    }
}

fn changed(base: Option<Stored>, change: &Change) -> Result<Stored, SliceError> {
    let unknown = || SliceError::Corrupt("a change of a citizen who is not held");
    let (marks, record) = match (base, &change.grants) {
        (base, Some(list)) => (value::marks(list), base.map(|base| base.record).unwrap_or_default()),
        (Some(base), None) => (base.marks, base.record),
        (None, None) => return Err(unknown()),
    };
    let delta = Delta { set: change.set.clone(), cleared: FieldSet::from_bits(change.cleared) };
    let record: Record = record.apply(&delta).map_err(|_| SliceError::Corrupt("what the hub sent"))?;
    Ok(Stored { marks, record })
}

//! Reading the slice.

use std::sync::{Arc, RwLockReadGuard};

use dancu_proto::{PersonalId, Record, v1::Date};

use super::{
    Changed, Extent, Mark, Shared, SliceError, SliceState, cipher::Cipher, keys, store::Store, value::Stored,
};

/// A reader: while it lives, state and records agree.
pub struct SliceReader<'a> {
    store: &'a Store,
    cipher: Arc<Cipher>,
    shared: RwLockReadGuard<'a, Shared>,
}

/// A citizen as held.
#[derive(Clone, Debug)]
pub struct Held {
    /// The record: the union of what the covering agreements give.
    pub record: Record,
    /// The agreements that cover the citizen.
    pub marks: Vec<Mark>,
    /// The citizen was found by a number that is no longer in force.
    pub former_number: bool,
}

impl<'a> SliceReader<'a> {
    pub(super) fn new(
        store: &'a Store,
        shared: RwLockReadGuard<'a, Shared>,
    ) -> Result<SliceReader<'a>, SliceError> {
        Ok(SliceReader { store, cipher: store.cipher()?, shared })
    }

    /// Where the slice stands.
    #[must_use]
    pub fn state(&self) -> &SliceState {
        &self.shared.state
    }

    /// The citizen with a number, in force or former.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn get(&self, id: PersonalId) -> Result<Option<Held>, SliceError> {
        if let Some(stored) = self.store.record_of(&self.cipher, &self.cipher.person(id))? {
            return Ok(Some(held(stored, false)));
        }
        let people = self.store.people(&keys::former_prefix(&self.cipher, id), 1)?;
        let Some(person) = people.first() else { return Ok(None) };
        Ok(self.store.record_of(&self.cipher, person)?.map(|stored| held(stored, true)))
    }

    /// The citizen with a number in force.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn get_in_force(&self, id: PersonalId) -> Result<Option<Held>, SliceError> {
        let stored = self.store.record_of(&self.cipher, &self.cipher.person(id))?;
        Ok(stored.map(|stored| held(stored, false)))
    }

    /// Where that stands which is kept of changes; nothing where no agreement lets anybody follow.
    #[must_use]
    pub fn changes(&self) -> Option<Extent> {
        self.store.changes().extent()
    }

    /// What has changed, from a number on, at the most so many.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn changes_from(&self, number: u64, limit: usize) -> Result<Vec<(u64, Changed)>, SliceError> {
        self.store.changes().from(self.store, &self.cipher, number, limit)
    }

    /// Citizens with a name, folded, and a date of birth: a year alone finds everyone of that year,
    /// and a whole date also those of whom less is known.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn find_by_name(&self, full_name: &str, birth: &Date, limit: usize) -> Result<Vec<Held>, SliceError> {
        let mut found = Vec::new();
        let prefix = keys::name_prefix(&self.cipher, full_name, birth.year);
        for person in self.store.people(&prefix, usize::MAX)? {
            let Some(stored) = self.store.record_of(&self.cipher, &person)? else { continue };
            let born = stored.record.decode().ok().and_then(|citizen| citizen.date_of_birth);
            if born.is_some_and(|born| agrees(&born, birth)) {
                found.push(held(stored, false));
                if found.len() == limit {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Citizens with an old number of nine digits.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn find_by_old_number(&self, number: &str) -> Result<Vec<Held>, SliceError> {
        let mut found = Vec::new();
        for person in self.store.people(&keys::old_number_prefix(&self.cipher, number), usize::MAX)? {
            found.extend(self.store.record_of(&self.cipher, &person)?.map(|stored| held(stored, false)));
        }
        Ok(found)
    }
}

fn held(stored: Stored, former_number: bool) -> Held {
    Held { record: stored.record, marks: stored.marks, former_number }
}

/// Whether two dates can be the same, as far as both are known.
fn agrees(a: &Date, b: &Date) -> bool {
    let part = |x: u32, y: u32| x == 0 || y == 0 || x == y;
    a.year == b.year && part(a.month, b.month) && part(a.day, b.day)
}

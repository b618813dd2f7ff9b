//! Reading the slice.

use std::sync::RwLockReadGuard;

use dancu_proto::{PersonalId, Record, v1::Date};

use super::{Mark, Shared, SliceError, SliceState, keys, store::Store, value::Stored};

/// A reader: while it lives, state and records agree.
pub struct SliceReader<'a> {
    store: &'a Store,
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
    pub(super) fn new(store: &'a Store, shared: RwLockReadGuard<'a, Shared>) -> SliceReader<'a> {
        SliceReader { store, shared }
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
        if let Some(stored) = self.store.record(id)? {
            return Ok(Some(held(stored, false)));
        }
        let people = self.store.people(&keys::former_prefix(id), 1)?;
        let Some(person) = people.first() else { return Ok(None) };
        Ok(self.store.record(*person)?.map(|stored| held(stored, true)))
    }

    /// Citizens with a name, folded, and a date of birth: a year alone finds everyone of that year,
    /// and a whole date also those of whom less is known.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn find_by_name(&self, full_name: &str, birth: &Date, limit: usize) -> Result<Vec<Held>, SliceError> {
        let mut found = Vec::new();
        for id in self.store.people(&keys::name_prefix(full_name, birth.year), usize::MAX)? {
            let Some(stored) = self.store.record(id)? else { continue };
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
        let Some(prefix) = keys::old_number_prefix(number) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for id in self.store.people(&prefix, usize::MAX)? {
            found.extend(self.store.record(id)?.map(|stored| held(stored, false)));
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

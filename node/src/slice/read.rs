//! Reading the slice.

use std::{ops::Deref, sync::Arc};

use dancu_proto::{PersonalId, v1::Date};

use super::{
    Changed, Cipher, Extent, Known, Open, SliceError, SliceState,
    cipher::HASH,
    hot::Hot,
    keys::{self, Person},
};

/// A key that nobody's number has.
const NOBODY: Person = [u8::MAX; HASH];

/// A reader: state and records are of one moment.
pub struct SliceReader<'a> {
    hot: &'a Hot,
    state: Arc<SliceState>,
    open: Arc<Open>,
}

/// A citizen as held, and how they were found.
#[derive(Clone, Debug)]
pub struct Held {
    known: Arc<Known>,
    /// The citizen was found by a number that is no longer in force.
    pub former_number: bool,
}

impl Held {
    /// A citizen who was found by a number that is in force, or by one that is not.
    #[must_use]
    pub fn new(known: Arc<Known>, former_number: bool) -> Held {
        Held { known, former_number }
    }
}

impl Deref for Held {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.known
    }
}

impl<'a> SliceReader<'a> {
    pub(super) fn new(hot: &'a Hot, state: Arc<SliceState>, open: Arc<Open>) -> SliceReader<'a> {
        SliceReader { hot, state, open }
    }

    /// Where the slice stands.
    #[must_use]
    pub fn state(&self) -> &SliceState {
        &self.state
    }

    /// The citizen with a number, in force or former.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn get(&self, id: PersonalId) -> Result<Option<Held>, SliceError> {
        Ok(self.see(id, |_| Some(()))?.map(|(held, ())| held))
    }

    /// The citizen with a number, in force or former, and what `seen` makes of them; nobody where it makes
    /// nothing of them. To be held and not seen takes the same reads as not to be here, for the time that
    /// an answer takes must not tell what the answer does not.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn see<T>(
        &self,
        id: PersonalId,
        seen: impl Fn(&Held) -> Option<T>,
    ) -> Result<Option<(Held, T)>, SliceError> {
        let see = |known, former| {
            let held = Held::new(known, former);
            seen(&held).map(|made| (held, made))
        };
        let moment = &self.open.moment;
        let key = moment.cipher.person(id);
        let known = self.known(&key)?;
        let here = known.is_some();
        if let Some(seen) = known.and_then(|known| see(known, false)) {
            return Ok(Some(seen));
        }
        let next = moment.next(&key)?;
        let former = moment.people(&keys::former_prefix(&moment.cipher, id), 1)?.first().copied();
        // One read finds somebody and one does not, in whichever order.
        let other = if here { None } else { former.or(next) };
        let other = self.known(&other.unwrap_or(NOBODY))?;
        Ok(other.filter(|_| !here && former.is_some()).and_then(|known| see(known, true)))
    }

    /// The citizen with a number in force.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn get_in_force(&self, id: PersonalId) -> Result<Option<Held>, SliceError> {
        let known = self.known(&self.open.moment.cipher.person(id))?;
        Ok(known.map(|known| Held::new(known, false)))
    }

    /// What the slice is sealed with.
    pub(crate) fn cipher(&self) -> &Cipher {
        &self.open.moment.cipher
    }

    /// Where that stands which is kept of changes; nothing where no agreement lets anybody follow.
    #[must_use]
    pub fn changes(&self) -> Option<&Extent> {
        self.open.changes.as_ref()
    }

    /// What has changed, from a number on, at the most so many.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn changes_from(&self, number: u64, limit: usize) -> Result<Vec<(u64, Changed)>, SliceError> {
        self.open.moment.changes(number, limit)
    }

    /// Citizens with a name, folded, and a date of birth: a year alone finds everyone of that year,
    /// and a whole date also those of whom less is known.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn find_by_name(&self, full_name: &str, birth: &Date, limit: usize) -> Result<Vec<Held>, SliceError> {
        let mut found = Vec::new();
        let moment = &self.open.moment;
        let prefix = keys::name_prefix(&moment.cipher, full_name, birth.year);
        for person in moment.people(&prefix, usize::MAX)? {
            let Some(known) = self.known(&person)? else { continue };
            let born = known.record.decode().ok().and_then(|citizen| citizen.date_of_birth);
            if born.is_some_and(|born| agrees(&born, birth)) {
                found.push(Held::new(known, false));
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
        let moment = &self.open.moment;
        for person in moment.people(&keys::old_number_prefix(&moment.cipher, number), usize::MAX)? {
            found.extend(self.known(&person)?.map(|known| Held::new(known, false)));
        }
        Ok(found)
    }

    /// How many index entries have a prefix.
    #[cfg(test)]
    pub(super) fn entries_with(&self, prefix: &[u8]) -> usize {
        self.open.moment.people(prefix, usize::MAX).unwrap().len()
    }

    fn known(&self, person: &Person) -> Result<Option<Arc<Known>>, SliceError> {
        let number = self.open.number;
        if let Some(known) = self.hot.get(person, number) {
            return Ok(Some(known));
        }
        let Some(stored) = self.open.moment.record(person)? else { return Ok(None) };
        let known = Arc::new(stored.known(self.state.areas())?);
        self.hot.remember(*person, number, Arc::clone(&known));
        Ok(Some(known))
    }
}

/// Whether two dates can be the same, as far as both are known.
fn agrees(a: &Date, b: &Date) -> bool {
    let part = |x: u32, y: u32| x == 0 || y == 0 || x == y;
    a.year == b.year && part(a.month, b.month) && part(a.day, b.day)
}

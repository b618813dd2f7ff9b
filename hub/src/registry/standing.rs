//! The registry as the commits before one leave it: what is on disk, and on top of it what the group that is
//! being made will write.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use dancu_proto::{PersonalId, Record, Revision};
use time::OffsetDateTime;

use super::{
    CitizenKey, JournalEntry, Store, StoreError, StoredCitizen,
    group::Group,
    store::{NamedRow, Rows, Snapshot},
};

/// Entries of the journal that change more citizens, as those of imports do, are read anew each time.
const KEPT: usize = 16;

/// The registry as it is on disk when a group begins, and what of it the group has read: commits of a group ask for
/// the same things again and again. Nobody else writes what commits ask for; the roll of nodes, which others write, is
/// none of it.
pub(super) struct Before<'a> {
    snapshot: Box<dyn Snapshot + 'a>,
    citizens: RefCell<HashMap<CitizenKey, Option<StoredCitizen>>>,
    entries: RefCell<HashMap<Revision, Arc<JournalEntry>>>,
}

impl<'a> Before<'a> {
    pub(super) fn new(store: &'a dyn Store) -> Before<'a> {
        Before { snapshot: store.snapshot(), citizens: RefCell::default(), entries: RefCell::default() }
    }
}

/// The registry when it is a commit's turn.
pub struct Standing<'a> {
    before: &'a Before<'a>,
    group: &'a Group,
    now: OffsetDateTime,
}

impl<'a> Standing<'a> {
    pub(super) fn new(before: &'a Before<'a>, group: &'a Group, now: OffsetDateTime) -> Standing<'a> {
        Standing { before, group, now }
    }

    /// The revision that the commit will have.
    #[must_use]
    pub fn at(&self) -> Revision {
        self.group.head.revision.next()
    }

    /// The time that the commit will have.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// The latest revision that changed the sharing policy or the day.
    #[must_use]
    pub fn policy_revision(&self) -> Revision {
        self.group.head.policy
    }

    /// The person with a number, in force or former.
    ///
    /// # Errors
    /// If the disk refuses; so for all below.
    pub fn resolve(&self, number: PersonalId) -> Result<Option<(CitizenKey, StoredCitizen)>, StoreError> {
        let key = CitizenKey::from(number);
        if let Some(citizen) = self.row_of(key)?
            && !citizen.has_left()
        {
            return Ok(Some((key, citizen)));
        }
        let Some(key) = self.alias(number)? else { return Ok(None) };
        Ok(self.citizen(key)?.map(|citizen| (key, citizen)))
    }

    /// The person with a key.
    ///
    /// # Errors
    /// See above.
    pub fn citizen(&self, key: CitizenKey) -> Result<Option<StoredCitizen>, StoreError> {
        Ok(self.row_of(key)?.filter(|citizen| !citizen.has_left()))
    }

    /// Whether anybody has or had a number.
    ///
    /// # Errors
    /// See above.
    pub fn is_used(&self, number: PersonalId) -> Result<bool, StoreError> {
        Ok(self.row_of(number.into())?.is_some() || self.alias(number)?.is_some())
    }

    /// The revisions that changed a citizen, or were claimed to, oldest first.
    ///
    /// # Errors
    /// See above.
    pub fn history(&self, key: CitizenKey) -> Result<Vec<Revision>, StoreError> {
        let mut revisions = self.before.snapshot.history(key, Revision::NONE)?;
        revisions.reverse();
        revisions.extend(self.group.history.get(&key).into_iter().flatten());
        Ok(revisions)
    }

    /// A revision's journal entry.
    ///
    /// # Errors
    /// See above.
    pub fn journal(&self, revision: Revision) -> Result<Arc<JournalEntry>, StoreError> {
        if let Some(entry) = self.group.entries.get(&revision) {
            return Ok(Arc::clone(entry));
        }
        if let Some(entry) = self.before.entries.borrow().get(&revision) {
            return Ok(Arc::clone(entry));
        }
        let entry = self.before.snapshot.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
        let entry = Arc::new(entry);
        if entry.citizens() <= KEPT {
            self.before.entries.borrow_mut().insert(revision, Arc::clone(&entry));
        }
        Ok(entry)
    }

    /// A row of another owner.
    ///
    /// # Errors
    /// See above.
    pub fn row(&self, table: &'static str, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(row) = self.group.rows.get(&(table, name.to_vec())) {
            return Ok(row.clone());
        }
        self.before.snapshot.row(table, name)
    }

    /// Rows of another owner by the beginning of their names: as on the disk, so only for a commit that is
    /// alone.
    pub fn rows(&self, table: &'static str, prefix: &[u8]) -> Rows<'_, NamedRow> {
        self.before.snapshot.rows_after(table, prefix, None)
    }

    fn row_of(&self, key: CitizenKey) -> Result<Option<StoredCitizen>, StoreError> {
        if let Some(citizen) = self.group.changed.get(&key) {
            return Ok(Some(citizen.clone()));
        }
        if let Some(citizen) = self.before.citizens.borrow().get(&key) {
            return Ok(citizen.clone());
        }
        let citizen = self.before.snapshot.citizen(key)?;
        self.before.citizens.borrow_mut().insert(key, citizen.clone());
        Ok(citizen)
    }

    fn alias(&self, number: PersonalId) -> Result<Option<CitizenKey>, StoreError> {
        match self.group.numbers.get(&number) {
            Some(key) => Ok(*key),
            None => self.before.snapshot.alias(number),
        }
    }

    /// The numbers that were in force for a person before.
    pub(super) fn once_in_force(&self, key: CitizenKey) -> Result<Vec<PersonalId>, StoreError> {
        // What this group has claimed is not in the journal yet; it counts.
        let claimed = self.group.numbers.iter().filter(|(_, owner)| **owner == Some(key));
        let mut numbers: Vec<_> = claimed.map(|(number, _)| *number).collect();
        numbers.extend(PersonalId::from_u64(key.0));
        for at in self.history(key)? {
            let entry = self.journal(at)?;
            let change = entry.change_of(key).ok_or(StoreError::Corrupt("the journal"))?;
            numbers.extend(Record::trusted(change.before.clone()).personal_id());
        }
        Ok(numbers)
    }

    /// The lists that await someone with a number.
    pub(super) fn awaited(&self, number: PersonalId) -> Rows<'_, super::ListId> {
        self.before.snapshot.awaited(number)
    }
}

//! The registry as the commits before one leave it: what is on disk, on top of it what the group that is under way
//! to the disk changed, and on top of that the group that is being made.

use std::{cell::RefCell, sync::Arc};

use dancu_proto::{PersonalId, Record, Revision};
use foldhash::HashMap;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    CitizenKey, JournalEntry, Store, StoreError, StoredCitizen,
    group::Group,
    known::Known,
    store::{NamedRow, Rows, Snapshot},
};

/// By table and name.
type RowsRead = HashMap<&'static str, HashMap<Vec<u8>, Vec<u8>>>;

/// The registry as it is when a group begins, and what of it the group has read: commits of a group ask for the same
/// things again and again. Nobody else writes what commits ask for; the roll of nodes, which others write, is none of
/// it.
pub(super) struct Before<'a> {
    pub(super) snapshot: Box<dyn Snapshot + 'a>,
    /// The group before, which the snapshot may have or not.
    under_way: Option<Arc<Group>>,
    known: &'a Known,
    /// Rows of other owners that there are, by table.
    rows: RefCell<RowsRead>,
}

impl<'a> Before<'a> {
    pub(super) fn new(store: &'a dyn Store, known: &'a Known, under_way: Option<Arc<Group>>) -> Before<'a> {
        Before { snapshot: store.snapshot(), under_way, known, rows: RefCell::default() }
    }

    /// Whether a row of another owner was read that is there.
    fn has(&self, table: &'static str, name: &[u8]) -> bool {
        self.rows.borrow().get(table).is_some_and(|rows| rows.contains_key(name))
    }

    /// The revision that carried out a contribution; the latest one where the group before did.
    pub(super) fn contribution(&self, id: Uuid) -> Result<Option<Revision>, StoreError> {
        match &self.under_way {
            Some(group) if group.contributions.contains(&id) => Ok(Some(group.head.revision)),
            _ => self.snapshot.contribution(id),
        }
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
    pub fn resolve(
        &self,
        number: PersonalId,
    ) -> Result<Option<(CitizenKey, Arc<StoredCitizen>)>, StoreError> {
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
    pub fn citizen(&self, key: CitizenKey) -> Result<Option<Arc<StoredCitizen>>, StoreError> {
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
        let last = revisions.last().copied().unwrap_or(Revision::NONE);
        for group in self.groups() {
            let more = group.history.get(&key).into_iter().flatten().copied();
            revisions.extend(more.filter(|at| *at > last));
        }
        Ok(revisions)
    }

    /// A revision's journal entry.
    ///
    /// # Errors
    /// See above.
    pub fn journal(&self, revision: Revision) -> Result<Arc<JournalEntry>, StoreError> {
        if let Some(entry) = self.groups().find_map(|group| group.entries.get(&revision)) {
            return Ok(Arc::clone(entry));
        }
        if let Some(entry) = self.before.known.entry(revision) {
            return Ok(entry);
        }
        let entry = self.before.snapshot.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
        let entry = Arc::new(entry);
        self.before.known.learn_entry(revision, &entry);
        Ok(entry)
    }

    /// A row of another owner.
    ///
    /// # Errors
    /// See above.
    pub fn row(&self, table: &'static str, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(row) = self.latest(|group| group.rows.get(table)?.get(name)) {
            return Ok(row.clone());
        }
        if let Some(row) = self.before.rows.borrow().get(table).and_then(|rows| rows.get(name)) {
            return Ok(Some(row.clone()));
        }
        let row = self.before.snapshot.row(table, name)?;
        if let Some(row) = &row {
            self.before.rows.borrow_mut().entry(table).or_default().insert(name.to_vec(), row.clone());
        }
        Ok(row)
    }

    /// Whether there is a row of another owner.
    ///
    /// # Errors
    /// See above.
    pub fn has(&self, table: &'static str, name: &[u8]) -> Result<bool, StoreError> {
        match self.latest(|group| group.rows.get(table)?.get(name)) {
            Some(row) => Ok(row.is_some()),
            None if self.before.has(table, name) => Ok(true),
            None => Ok(self.row(table, name)?.is_some()),
        }
    }

    /// Rows of another owner by the beginning of their names: as on the disk, so only for a commit that is
    /// alone.
    pub fn rows(&self, table: &'static str, prefix: &[u8]) -> Rows<'_, NamedRow> {
        self.before.snapshot.rows_after(table, prefix, None)
    }

    /// The group before, and the one that is being made.
    fn groups(&self) -> impl DoubleEndedIterator<Item = &'a Group> {
        self.before.under_way.as_deref().into_iter().chain([self.group])
    }

    /// What the latest group has that has it.
    fn latest<T>(&self, look: impl Fn(&'a Group) -> Option<T>) -> Option<T> {
        self.groups().rev().find_map(look)
    }

    fn row_of(&self, key: CitizenKey) -> Result<Option<Arc<StoredCitizen>>, StoreError> {
        if let Some(citizen) = self.latest(|group| group.changed.get(&key)) {
            return Ok(Some(Arc::clone(citizen)));
        }
        if let Some(citizen) = self.before.known.citizen(key) {
            return Ok(Some(citizen));
        }
        let citizen = self.before.snapshot.citizen(key)?.map(Arc::new);
        if let Some(citizen) = &citizen {
            self.before.known.learn(key, citizen);
        }
        Ok(citizen)
    }

    fn alias(&self, number: PersonalId) -> Result<Option<CitizenKey>, StoreError> {
        match self.latest(|group| group.numbers.get(&number)) {
            Some(key) => Ok(*key),
            None => self.before.snapshot.alias(number),
        }
    }

    /// The numbers that were in force for a person before.
    pub(super) fn once_in_force(&self, key: CitizenKey) -> Result<Vec<PersonalId>, StoreError> {
        // What this group has claimed is not in the journal yet; it counts.
        let claimed = self.groups().flat_map(|group| &group.numbers);
        let claimed = claimed.filter(|(_, owner)| **owner == Some(key));
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
        let awaits = move |list: &Result<super::ListId, StoreError>| {
            let found = |list| self.groups().any(|group| group.found.contains(&(number, list)));
            !list.as_ref().is_ok_and(|list| found(*list))
        };
        Box::new(self.before.snapshot.awaited(number).filter(awaits))
    }
}

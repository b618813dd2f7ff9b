//! The registry as of one revision.

use std::{cell::OnceCell, cmp::Reverse, collections::BinaryHeap};

use dancu_proto::{PersonalId, Record, Revision};

use super::{
    CitizenAt, CitizenKey, JournalEntry, Partition, StoreError, StoredCitizen,
    store::{Head, Rows, Snapshot},
};

/// More partitions than this are read by a scan of everyone rather than by a merge of indexes.
pub const MERGED: usize = 1024;

/// The registry as of its latest revision when the view was taken; as-of reads go further back.
/// Hold it for a moment only: while it lives, the database keeps what it shows.
pub struct View<'a> {
    snapshot: Box<dyn Snapshot + 'a>,
    head: OnceCell<Head>,
}

impl<'a> View<'a> {
    pub(super) fn new(snapshot: Box<dyn Snapshot + 'a>) -> View<'a> {
        View { snapshot, head: OnceCell::new() }
    }

    fn head(&self) -> Result<Head, StoreError> {
        if let Some(head) = self.head.get() {
            return Ok(*head);
        }
        let head = self.snapshot.head()?;
        Ok(*self.head.get_or_init(|| head))
    }

    /// The revision this view shows.
    ///
    /// # Errors
    /// If the disk refuses; so for all below.
    pub fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.head()?.revision)
    }

    /// How many citizens there are.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn citizens(&self) -> Result<u64, StoreError> {
        Ok(self.head()?.citizens)
    }

    /// The person with a number, in force or former.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn resolve(&self, number: PersonalId) -> Result<Option<(CitizenKey, StoredCitizen)>, StoreError> {
        let key = CitizenKey::from(number);
        if let Some(citizen) = self.snapshot.citizen(key)?
            && !citizen.has_left()
        {
            return Ok(Some((key, citizen)));
        }
        let Some(key) = self.snapshot.alias(number)? else { return Ok(None) };
        let citizen = self.snapshot.citizen(key)?.filter(|citizen| !citizen.has_left());
        Ok(citizen.map(|citizen| (key, citizen)))
    }

    /// Whether a number was somebody's who has left the registry, or leads to one: nobody gets it any more.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn was_somebodys(&self, number: PersonalId) -> Result<bool, StoreError> {
        let row = self.snapshot.citizen(number.into())?;
        Ok(row.is_some_and(|citizen| citizen.has_left()) || self.snapshot.alias(number)?.is_some())
    }

    /// The place of a number in the order of keys, whether or not anyone has it.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn key_of(&self, number: u64) -> Result<CitizenKey, StoreError> {
        match PersonalId::from_u64(number) {
            // Of somebody whose record went into another it is still the key.
            Ok(id) => match self.snapshot.alias(id)? {
                Some(key) if self.snapshot.citizen(id.into())?.is_none() => Ok(key),
                _ => Ok(CitizenKey(number)),
            },
            Err(_) => Ok(CitizenKey(number)),
        }
    }

    /// A citizen, as of this view.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn citizen(&self, key: CitizenKey) -> Result<Option<StoredCitizen>, StoreError> {
        self.snapshot.citizen(key)
    }

    /// A citizen's record as of an earlier revision: the current one with later changes undone,
    /// usually none or one.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn record_at(
        &self,
        key: CitizenKey,
        citizen: &StoredCitizen,
        at: Revision,
    ) -> Result<Option<Record>, StoreError> {
        let entered = match citizen.entered {
            Some(revision) => revision,
            None => self.founded()?.unwrap_or(Revision::NONE),
        };
        if entered > at {
            return Ok(None);
        }
        if citizen.feed.iter().all(|(_, revision)| *revision <= at) {
            return Ok(Some(citizen.record.clone()));
        }
        let mut record = citizen.record.clone();
        for revision in self.snapshot.history(key, at)? {
            let entry = self.snapshot.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
            let change = entry.change_of(key).ok_or(StoreError::Corrupt("the journal"))?;
            record = record.apply(&change.undo()).map_err(|_| StoreError::Corrupt("the journal"))?;
        }
        Ok(Some(record))
    }

    /// A citizen as of a revision, as far as scopes ask.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn citizen_at(
        &self,
        key: CitizenKey,
        citizen: &StoredCitizen,
        at: Revision,
    ) -> Result<Option<CitizenAt>, StoreError> {
        let record = self.record_at(key, citizen, at)?;
        Ok(record.map(|record| CitizenAt { record, lists: citizen.lists_at(at) }))
    }

    /// The revisions that changed a citizen, after one, latest first.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn history(&self, key: CitizenKey, after: Revision) -> Result<Vec<Revision>, StoreError> {
        self.snapshot.history(key, after)
    }

    /// A revision's journal entry.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn journal(&self, revision: Revision) -> Result<Option<JournalEntry>, StoreError> {
        self.snapshot.journal(revision)
    }

    /// The revision of the founding load.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn founded(&self) -> Result<Option<Revision>, StoreError> {
        Ok(self.head()?.founded)
    }

    /// The latest revision that changed the sharing policy or the day.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn policy_revision(&self) -> Result<Revision, StoreError> {
        Ok(self.head()?.policy)
    }

    /// A row of another owner.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn row(&self, table: &'static str, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot.row(table, name)
    }

    /// Rows of another owner whose names begin with some bytes, after a name or from the first.
    pub fn rows_after(
        &self,
        table: &'static str,
        prefix: &[u8],
        after: Option<&[u8]>,
    ) -> Rows<'_, super::store::NamedRow> {
        self.snapshot.rows_after(table, prefix, after)
    }

    /// The entries after a revision that changed the sharing policy or the day, in order.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn policy_events_after(&self, after: Revision) -> Result<Vec<(Revision, JournalEntry)>, StoreError> {
        let revisions = self.snapshot.policy_events_after(after)?.into_iter();
        revisions
            .map(|at| Ok((at, self.snapshot.journal(at)?.ok_or(StoreError::Corrupt("the journal"))?)))
            .collect()
    }

    /// The last revision up to a time.
    ///
    /// # Errors
    /// See [`View::revision`].
    pub fn revision_at(&self, time: time::OffsetDateTime) -> Result<Revision, StoreError> {
        // Journal times never go back, so bisection finds the last entry at or before the time.
        let (mut low, mut high) = (0, self.revision()?.0);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let entry = self.snapshot.journal(Revision(middle))?.ok_or(StoreError::Corrupt("the journal"))?;
            if entry.time() <= time { low = middle } else { high = middle - 1 }
        }
        Ok(Revision(low))
    }

    /// Who changed after a revision in any of some partitions, by revision; a citizen whose entries
    /// lie at several revisions comes at each of them.
    pub fn feed_after(&self, partitions: &[Partition], after: Revision) -> Merge<'_, (Revision, CitizenKey)> {
        Merge::new(partitions.iter().map(|p| self.snapshot.feed_after(*p, after)))
    }

    /// The members of some partitions after a key, in the order of keys, each once.
    pub fn members_after(
        &self,
        partitions: &[Partition],
        after: Option<CitizenKey>,
    ) -> Merge<'_, CitizenKey> {
        Merge::new(partitions.iter().map(|p| self.snapshot.members_after(*p, after)))
    }

    /// The members of some partitions after a key, with their rows, in the order of keys.
    pub fn citizens_after(
        &self,
        partitions: &[Partition],
        after: Option<CitizenKey>,
    ) -> Rows<'_, (CitizenKey, StoredCitizen)> {
        if partitions.contains(&Partition::Nation) || partitions.len() > MERGED {
            return self.scan_after(after);
        }
        Box::new(self.members_after(partitions, after).filter_map(|key| match key {
            Ok(key) => self.citizen(key).map(|citizen| citizen.map(|citizen| (key, citizen))).transpose(),
            Err(error) => Some(Err(error)),
        }))
    }

    /// Numbers other than keys, after one and up to another, and whom they lead to.
    pub fn aliases(&self, after: u64, up_to: u64) -> Rows<'_, (PersonalId, CitizenKey)> {
        self.snapshot.aliases(after, up_to)
    }

    /// All citizens after a key.
    pub fn scan_after(&self, after: Option<CitizenKey>) -> Rows<'_, (CitizenKey, StoredCitizen)> {
        self.snapshot.scan_after(after)
    }
}

/// Several ascending rows merged into one, each row once.
pub struct Merge<'a, T: Ord + Copy> {
    sources: Vec<Rows<'a, T>>,
    next: BinaryHeap<Reverse<(T, usize)>>,
    last: Option<T>,
    failed: Option<StoreError>,
}

impl<'a, T: Ord + Copy> Merge<'a, T> {
    fn new(sources: impl Iterator<Item = Rows<'a, T>>) -> Merge<'a, T> {
        let sources: Vec<_> = sources.collect();
        let mut merge =
            Merge { next: BinaryHeap::with_capacity(sources.len()), sources, last: None, failed: None };
        (0..merge.sources.len()).for_each(|source| merge.pull(source));
        merge
    }

    fn pull(&mut self, source: usize) {
        match self.sources[source].next() {
            Some(Ok(row)) => self.next.push(Reverse((row, source))),
            Some(Err(error)) => self.failed = Some(error),
            None => {}
        }
    }
}

impl<T: Ord + Copy> Iterator for Merge<'_, T> {
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.failed.take() {
                self.next.clear();
                return Some(Err(error));
            }
            let Reverse((row, source)) = self.next.pop()?;
            self.pull(source);
            if self.last != Some(row) {
                self.last = Some(row);
                return Some(Ok(row));
            }
        }
    }
}

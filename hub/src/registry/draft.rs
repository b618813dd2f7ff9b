//! One commit's changes of citizens, before they are certain: a commit that is refused leaves the
//! group as it was.

use dancu_proto::{Delta, Field, FieldSet, PersonalId, Record, Revision};

use super::{
    CitizenKey, CitizenUpdate, CommitError, ListId, Partition, Person, Store, StoreError, StoredCitizen,
    citizen::{former_numbers, with_former_numbers},
    group::Group,
    journal::{CitizenChange, CitizenChanges},
    store::Write,
};

pub(super) struct Draft {
    at: Revision,
    changes: Vec<CitizenChange>,
    staged: Vec<Staged>,
}

/// A citizen's next state.
struct Staged {
    key: CitizenKey,
    old: Option<StoredCitizen>,
    new: StoredCitizen,
    /// Numbers that from now on lead to the person.
    claimed: Vec<PersonalId>,
    /// Numbers that no longer do.
    released: Vec<PersonalId>,
    /// Lists that awaited one of the numbers.
    joined: Vec<(PersonalId, ListId)>,
}

impl Draft {
    /// What updates come to, on top of a group.
    pub(super) fn of(
        store: &dyn Store,
        group: &Group,
        at: Revision,
        updates: Vec<CitizenUpdate>,
    ) -> Result<Draft, CommitError> {
        let mut draft = Draft { at, changes: Vec::new(), staged: Vec::new() };
        let before = Before { store, group };
        for update in updates {
            draft.update(&before, update)?;
        }
        Ok(draft)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many citizens are entered, and how many changed.
    pub(super) fn counts(&self) -> (u64, u64) {
        let added = self.changes.iter().filter(|change| change.entered).count() as u64;
        (added, self.changes.len() as u64 - added)
    }

    /// Enters the changes in the group.
    pub(super) fn enter(self, group: &mut Group) -> CitizenChanges {
        for Staged { key, old, new, claimed, released, joined } in self.staged {
            for (number, list) in joined {
                group.writes.push(Write::Unawait(number, list));
                group.writes.push(Write::Join(Partition::List(list), key));
            }
            group.citizen(key, old.as_ref(), new, self.at);
            claimed.into_iter().for_each(|number| group.number(number, Some(key)));
            released.into_iter().for_each(|number| group.number(number, None));
        }
        CitizenChanges { changes: self.changes }
    }

    fn update(&mut self, before: &Before<'_>, update: CitizenUpdate) -> Result<(), CommitError> {
        let (number, may_enter) = match update.person {
            Person::Known(number) => (number, false),
            Person::KnownOrNew(number) => (number, true),
        };
        let (key, old) = match before.find(number)? {
            Some((key, citizen)) => (key, Some(citizen)),
            None if may_enter => (CitizenKey::from(number), None),
            None => return Err(CommitError::NoSuchCitizen),
        };
        if self.staged.iter().any(|staged| staged.key == key) {
            // Two updates of one person in one commit: the intake never makes such a commit.
            return Err(CommitError::Store(StoreError::Corrupt("a commit that names a person twice")));
        }
        let base = old.as_ref().map(|citizen| citizen.record.clone()).unwrap_or_default();
        let given = Delta { set: update.set.into_bytes(), cleared: update.clear };
        let record = base.apply(&given).map_err(|_| StoreError::Corrupt("a commit's values"))?;
        let number = record.personal_id().ok_or(CommitError::NoNumber)?;
        let numbers: FieldSet = [Field::PersonalId, Field::FormerPersonalIds].into_iter().collect();
        let record = if given.fields().intersection(numbers).is_empty() {
            record
        } else {
            before.keep_numbers(key, &base, number, record)?
        };
        let delta = base.delta_to(&record);
        if delta.is_empty() {
            return Ok(());
        }
        let (claimed, released) = self.numbers(before, key, &base, &record)?;
        let touched = delta.fields();
        let replaced = base.project(touched).into_record();
        self.changes.push(CitizenChange {
            key: key.0,
            entered: old.is_none(),
            cleared: delta.cleared.bits(),
            set: delta.set,
            absent_before: touched.difference(replaced.fields()).bits(),
            before: replaced.into_bytes(),
        });
        let mut new = StoredCitizen {
            record,
            entered: old.as_ref().map_or(Some(self.at), |citizen| citizen.entered),
            sources: old.as_ref().map(|citizen| citizen.sources.clone()).unwrap_or_default(),
            feed: old.as_ref().map(|citizen| citizen.feed.clone()).unwrap_or_default(),
            interests: old.as_ref().map(|citizen| citizen.interests.clone()).unwrap_or_default(),
        };
        let joined = self.awaited(before, old.is_none().then_some(number), &claimed, &mut new)?;
        if old.is_some() {
            new.set_source(touched, self.at);
        }
        self.staged.push(Staged { key, old, new, claimed, released, joined });
        Ok(())
    }

    /// Lists that awaited someone with one of these numbers have found them.
    fn awaited(
        &self,
        before: &Before<'_>,
        entered: Option<PersonalId>,
        claimed: &[PersonalId],
        new: &mut StoredCitizen,
    ) -> Result<Vec<(PersonalId, ListId)>, StoreError> {
        let snapshot = before.store.snapshot();
        let mut joined = Vec::new();
        for number in entered.iter().chain(claimed) {
            for list in snapshot.awaited(*number) {
                let list = list?;
                new.join(list, self.at);
                joined.push((*number, list));
            }
        }
        Ok(joined)
    }

    /// Which numbers a change claims and which it releases. Numbers are never reused (DOMAIN): one
    /// that belongs or belonged to another person cannot be claimed.
    fn numbers(
        &self,
        before: &Before<'_>,
        key: CitizenKey,
        old: &Record,
        new: &Record,
    ) -> Result<(Vec<PersonalId>, Vec<PersonalId>), CommitError> {
        let (had, has) = (all_numbers(old), all_numbers(new));
        let other_than = |list: &[PersonalId], number: &PersonalId| {
            CitizenKey::from(*number) != key && !list.contains(number)
        };
        let claimed: Vec<_> = has.iter().filter(|number| other_than(&had, number)).copied().collect();
        let released = had.iter().filter(|number| other_than(&has, number)).copied().collect();
        for number in &claimed {
            let staged = self
                .staged
                .iter()
                .any(|other| other.key == CitizenKey::from(*number) || other.claimed.contains(number));
            if staged || before.find(*number)?.is_some_and(|(owner, _)| owner != key) {
                return Err(CommitError::NumberTaken);
            }
        }
        // A person who enters under a number that an earlier update of this commit has claimed.
        if self.staged.iter().any(|other| has.iter().any(|number| other.claimed.contains(number))) {
            return Err(CommitError::NumberTaken);
        }
        Ok((claimed, released))
    }
}

fn all_numbers(record: &Record) -> Vec<PersonalId> {
    let mut numbers = former_numbers(record);
    numbers.extend(record.personal_id());
    numbers
}

/// The registry as the earlier commits of the group leave it.
pub(super) struct Before<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) group: &'a Group,
}

impl Before<'_> {
    pub(super) fn find(&self, number: PersonalId) -> Result<Option<(CitizenKey, StoredCitizen)>, StoreError> {
        let snapshot = self.store.snapshot();
        let at = |key: CitizenKey| match self.group.changed.get(&key) {
            Some(citizen) => Ok(Some((key, citizen.clone()))),
            None => Ok(snapshot.citizen(key)?.map(|citizen| (key, citizen))),
        };
        if let Some(found) = at(number.into())? {
            return Ok(Some(found));
        }
        let key = match self.group.numbers.get(&number) {
            Some(key) => *key,
            None => snapshot.alias(number)?,
        };
        key.map_or(Ok(None), at)
    }

    /// The record with every number the person has had: the one that was in force becomes a former
    /// one, the one in force is none, and no number that was ever in force leaves the list. Numbers
    /// that were only listed can be taken off it again.
    fn keep_numbers(
        &self,
        key: CitizenKey,
        old: &Record,
        number: PersonalId,
        record: Record,
    ) -> Result<Record, StoreError> {
        let mut former = former_numbers(&record);
        let listed_before = former_numbers(old);
        let mut lost = listed_before.into_iter().filter(|lost| !former.contains(lost)).collect::<Vec<_>>();
        if !lost.is_empty() {
            let in_force = self.once_in_force(key)?;
            lost.retain(|lost| in_force.contains(lost));
        }
        former.extend(lost);
        former.extend(old.personal_id());
        former.retain(|former| *former != number);
        former.sort_unstable();
        former.dedup();
        Ok(with_former_numbers(&record, &former))
    }

    /// The numbers that were in force for a person before.
    fn once_in_force(&self, key: CitizenKey) -> Result<Vec<PersonalId>, StoreError> {
        let snapshot = self.store.snapshot();
        // What this group has claimed is not in the journal yet; it counts.
        let claimed = self.group.numbers.iter().filter(|(_, owner)| **owner == Some(key));
        let mut numbers: Vec<_> = claimed.map(|(number, _)| *number).collect();
        numbers.extend(PersonalId::from_u64(key.0));
        for at in snapshot.history(key, Revision::NONE)? {
            let entry = snapshot.journal(at)?.ok_or(StoreError::Corrupt("the journal"))?;
            let change = entry.change_of(key).ok_or(StoreError::Corrupt("the journal"))?;
            numbers.extend(Record::trusted(change.before.clone()).personal_id());
        }
        Ok(numbers)
    }
}

//! One commit's changes of citizens, before they are certain: a commit that is refused leaves the
//! group as it was.

use std::sync::Arc;

use dancu_proto::{Change, Delta, Field, FieldSet, PersonalId, Record, Revision};

use super::{
    CitizenKey, CitizenUpdate, CommitError, Leaving, ListId, Partition, Person, Standing, StoreError,
    StoredCitizen,
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
    old: Option<Arc<StoredCitizen>>,
    new: StoredCitizen,
    /// Fields that have another value then, or none.
    touched: FieldSet,
    /// Numbers that from now on lead to the person.
    claimed: Vec<PersonalId>,
    /// Numbers that no longer do.
    released: Vec<PersonalId>,
    /// Numbers that lead to somebody else from now on, whose record this one goes into.
    leads_to: Vec<(PersonalId, CitizenKey)>,
    /// Lists that awaited one of the numbers.
    joined: Vec<(PersonalId, ListId)>,
}

impl Draft {
    /// What updates come to, on top of a group.
    pub(super) fn of(before: &Standing<'_>, updates: Vec<CitizenUpdate>) -> Result<Draft, CommitError> {
        let mut draft = Draft { at: before.at(), changes: Vec::new(), staged: Vec::new() };
        for update in updates {
            draft.update(before, update)?;
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

    /// How many citizens leave the registry.
    pub(super) fn left(&self) -> u64 {
        self.staged.iter().filter(|staged| staged.new.has_left()).count() as u64
    }

    /// Enters the changes in the group.
    pub(super) fn enter(self, group: &mut Group) -> CitizenChanges {
        for Staged { key, old, new, touched, claimed, released, leads_to, joined } in self.staged {
            for (number, list) in joined {
                group.found(number, list);
                group.writes.push(Write::Join(Partition::List(list), key));
            }
            if old.as_ref().is_some_and(|old| old.record == new.record) {
                group.claimed(key, new, self.at);
            } else {
                group.citizen(key, old.as_deref(), new, touched, self.at);
            }
            leads_to.into_iter().for_each(|(number, other)| group.number(number, Some(other)));
            claimed.into_iter().for_each(|number| group.number(number, Some(key)));
            released.into_iter().for_each(|number| group.number(number, None));
        }
        CitizenChanges { changes: self.changes }
    }

    fn update(&mut self, before: &Standing<'_>, update: CitizenUpdate) -> Result<(), CommitError> {
        let (number, may_enter) = match update.person {
            Person::Known(number) => (number, false),
            Person::KnownOrNew(number) => (number, true),
        };
        let (key, old) = match before.resolve(number)? {
            Some((key, citizen)) => (key, Some(citizen)),
            None if may_enter && before.is_used(number)? => return Err(CommitError::NumberTaken),
            None if may_enter => (CitizenKey::from(number), None),
            None => return Err(CommitError::NoSuchCitizen),
        };
        if self.staged.iter().any(|staged| staged.key == key) {
            // Two updates of one person in one commit: the intake never makes such a commit.
            return Err(CommitError::Store(StoreError::Corrupt("a commit that names a person twice")));
        }
        let nobody = Record::default();
        let base = old.as_ref().map_or(&nobody, |citizen| &citizen.record);
        let given = Delta { set: update.set.into_bytes(), cleared: update.clear };
        let Change { record, delta, undo } = match update.leaves {
            Some(_) => Change::between(base, Record::default()),
            None => self.with_numbers(before, key, base, &given)?,
        };
        if delta.is_empty() && update.claims.is_empty() && update.sources.is_empty() {
            return Ok(());
        }
        let (claimed, released) = match update.leaves {
            Some(_) => (Vec::new(), Vec::new()),
            None => self.numbers(before, key, base, &record)?,
        };
        let touched = delta.fields();
        self.changes.push(CitizenChange {
            key: key.0,
            entered: old.is_none(),
            cleared: delta.cleared.bits(),
            set: delta.set,
            absent_before: undo.cleared.bits(),
            before: undo.set,
            claimed: update.claims.set.into_bytes(),
            claimed_cleared: update.claims.cleared.bits(),
            added: update.claims.added.into_bytes(),
        });
        let mut new = StoredCitizen {
            record,
            entered: old.as_ref().map_or(Some(self.at), |citizen| citizen.entered),
            sources: old.as_ref().map(|citizen| citizen.sources.clone()).unwrap_or_default(),
            feed: old.as_ref().map(|citizen| citizen.feed.clone()).unwrap_or_default(),
            interests: old.as_ref().map(|citizen| citizen.interests.clone()).unwrap_or_default(),
        };
        let entered = old.is_none().then_some(number);
        let joined = self.awaited(before, entered, &claimed, &mut new)?;
        if old.is_some() {
            new.set_source(touched, self.at);
        }
        for (fields, source) in update.sources {
            match source {
                Some(revision) => new.set_source(fields, revision),
                None => new.no_source(fields),
            }
        }
        let leads_to = match update.leaves {
            Some(Leaving::Into(other)) => {
                all_numbers(base).into_iter().map(|number| (number, other)).collect()
            }
            _ => Vec::new(),
        };
        self.staged.push(Staged { key, old, new, touched, claimed, released, leads_to, joined });
        Ok(())
    }

    /// What is given as a change after which the record has every number that the person has had.
    fn with_numbers(
        &self,
        before: &Standing<'_>,
        key: CitizenKey,
        base: &Record,
        given: &Delta,
    ) -> Result<Change, CommitError> {
        let change = base.change(given).map_err(|_| StoreError::Corrupt("a commit's values"))?;
        let number = change.record.personal_id().ok_or(CommitError::NoNumber)?;
        let numbers: FieldSet = [Field::PersonalId, Field::FormerPersonalIds].into_iter().collect();
        if given.fields().intersection(numbers).is_empty() {
            return Ok(change);
        }
        Ok(Change::between(base, keep_numbers(before, key, base, number, change.record)?))
    }

    /// Lists that awaited someone with one of these numbers have found them.
    fn awaited(
        &self,
        before: &Standing<'_>,
        entered: Option<PersonalId>,
        claimed: &[PersonalId],
        new: &mut StoredCitizen,
    ) -> Result<Vec<(PersonalId, ListId)>, StoreError> {
        let mut joined = Vec::new();
        for number in entered.iter().chain(claimed) {
            for list in before.awaited(*number) {
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
        before: &Standing<'_>,
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
            let leads_here = |other: &Staged| other.leads_to.contains(&(*number, key));
            if self.staged.iter().any(leads_here) {
                // Of somebody whose record goes into this one.
                continue;
            }
            let staged = self
                .staged
                .iter()
                .any(|other| other.key == CitizenKey::from(*number) || other.claimed.contains(number));
            let owner = before.resolve(*number)?.map(|(owner, _)| owner);
            if staged
                || owner.is_some_and(|owner| owner != key)
                || owner.is_none() && before.is_used(*number)?
            {
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

/// The record with every number the person has had: the one that was in force becomes a former
/// one, the one in force is none, and no number that was ever in force leaves the list. Numbers
/// that were only listed can be taken off it again.
fn keep_numbers(
    before: &Standing<'_>,
    key: CitizenKey,
    old: &Record,
    number: PersonalId,
    record: Record,
) -> Result<Record, StoreError> {
    let mut former = former_numbers(&record);
    let listed_before = former_numbers(old);
    let mut lost = listed_before.into_iter().filter(|lost| !former.contains(lost)).collect::<Vec<_>>();
    if !lost.is_empty() {
        let in_force = before.once_in_force(key)?;
        lost.retain(|lost| in_force.contains(lost));
    }
    former.extend(lost);
    former.extend(old.personal_id());
    former.retain(|former| *former != number);
    former.sort_unstable();
    former.dedup();
    Ok(with_former_numbers(&record, &former))
}

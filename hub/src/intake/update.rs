//! Import into a registry that has citizens: what differs becomes ordinary commits.

use std::{collections::HashSet, sync::atomic::Ordering};

use dancu_proto::{Field, FieldSet, PersonalId, Record, v1::Citizen};

use super::{
    import::{Import, ImportError, Summary},
    rows::RowError,
};
use crate::registry::{
    CitizenKey, CitizenUpdate, Commit, Content, Person, StoreError, StoredCitizen, former_numbers,
};

/// Citizens in a commit of an import into a registry that has some.
const COMMIT: usize = 500;

/// Rows that differ from the registry, on their way into a commit.
#[derive(Default)]
pub(super) struct Batch {
    updates: Vec<CitizenUpdate>,
    people: HashSet<CitizenKey>,
    /// Numbers that the rows name as theirs: a row that names one again waits for the commit.
    numbers: HashSet<PersonalId>,
    pub(super) summary: Summary,
}

impl Batch {
    /// Takes a row, if it brings anything new.
    pub(super) fn add(
        &mut self,
        import: &Import,
        id: PersonalId,
        line: u64,
        citizen: &Citizen,
    ) -> Result<(), ImportError> {
        let mut set = Record::encode(citizen);
        let found = import.registry.view().resolve(id)?;
        let key = match &found {
            Some((key, stored)) if stored.record.personal_id() == Some(id) => *key,
            Some(_) => {
                let reason = "is a former number of a person in the registry; use the number in force";
                let error = RowError { field: "personal_id".into(), reason: reason.into() };
                import.reject(line, error, as_json(citizen));
                return Ok(());
            }
            None if import.registry.view().was_somebodys(id)? => {
                let reason = "was cancelled: nobody gets this number any more";
                let error = RowError { field: "personal_id".into(), reason: reason.into() };
                import.reject(line, error, as_json(citizen));
                return Ok(());
            }
            None => CitizenKey::from(id),
        };
        if let Some((_, stored)) = &found {
            set = set.values(set.fields().difference(claimed(import, stored, &set)?));
        }
        let former = former_numbers(&set);
        let mentioned = former.iter().any(|number| self.numbers.contains(number));
        if self.people.contains(&key) || self.numbers.contains(&id) || mentioned {
            self.commit(import)?;
            return self.add(import, id, line, citizen);
        }
        for number in &former {
            let view = import.registry.view();
            let of_another = match view.resolve(*number)? {
                Some((owner, _)) => owner != key,
                None => view.was_somebodys(*number)?,
            };
            drop(view);
            if of_another {
                let reason = "has a number that belongs or belonged to another person in the registry";
                let error = RowError { field: Field::FormerPersonalIds.name().into(), reason: reason.into() };
                import.reject(line, error, as_json(citizen));
                return Ok(());
            }
        }
        if let Some((_, stored)) = &found
            && stored.record.values(set.fields()) == set
        {
            self.summary.unchanged += 1;
            return Ok(());
        }
        let update = CitizenUpdate::plain(Person::KnownOrNew(id), set, FieldSet::EMPTY);
        self.updates.push(update);
        self.people.insert(key);
        self.numbers.extend(former);
        self.numbers.insert(id);
        if self.updates.len() >= COMMIT { self.commit(import) } else { Ok(()) }
    }

    /// Commits what has been taken.
    pub(super) fn commit(&mut self, import: &Import) -> Result<(), ImportError> {
        if self.updates.is_empty() {
            return Ok(());
        }
        let updates = std::mem::take(&mut self.updates);
        self.people.clear();
        self.numbers.clear();
        let content = Content::Citizens(updates);
        let commit = Commit { origin: import.origin(), content };
        let committed = import.runtime.block_on(import.registry.commit(commit))?;
        self.summary.added += committed.added;
        self.summary.changed += committed.changed;
        let written = committed.added + committed.changed;
        import.progress.written.fetch_add(written, Ordering::Relaxed);
        Ok(())
    }
}

/// The fields in which a file says otherwise than an agency or an operator, whose word is greater.
fn claimed(import: &Import, stored: &StoredCitizen, set: &Record) -> Result<FieldSet, StoreError> {
    let view = import.registry.view();
    let mut claimed = FieldSet::EMPTY;
    for field in set.fields().iter().filter(|field| stored.record.value(*field) != set.value(*field)) {
        let Some(source) = stored.source_of(field) else { continue };
        let entry = view.journal(source)?.ok_or(StoreError::Corrupt("the journal"))?;
        if !entry.role.is_empty() {
            claimed.insert(field);
        }
    }
    Ok(claimed)
}

fn as_json(citizen: &Citizen) -> Vec<u8> {
    serde_json::to_vec(citizen).unwrap_or_default()
}

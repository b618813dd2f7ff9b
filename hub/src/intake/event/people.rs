//! Whom an event concerns, as they are when it is the event's turn, and what the event makes of them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use dancu_proto::{
    Delta, Field, FieldSet, PersonalId, Record, Revision,
    v1::{Citizen, Date, PersonRef, RejectionReason, Relative, person_ref::By},
};
use uuid::Uuid;

use super::Judgement;
use crate::{
    intake::handover::handed_in,
    registry::{
        CitizenKey, CitizenUpdate, Claims, CommitError, Leaving, Person, Standing, StoreError, StoredCitizen,
        date_of,
    },
};

/// A person of the registry, and what becomes of them.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// Their key; that of the new number for somebody who enters.
    pub(super) key: CitizenKey,
    /// The number in force.
    pub(super) number: PersonalId,
    /// As they are; none for somebody who enters.
    pub(super) before: Option<Arc<StoredCitizen>>,
    /// As they will be.
    pub(super) record: Record,
    /// What is claimed of them.
    pub(super) claims: Claims,
    /// From which revision a value in force will be, where that changes; none for the founding load.
    pub(super) sources: BTreeMap<Field, Option<Revision>>,
    /// They leave.
    pub(super) leaves: Option<Leaving>,
}

impl Subject {
    pub(super) fn of(key: CitizenKey, stored: Arc<StoredCitizen>) -> Result<Subject, StoreError> {
        let number = stored.record.personal_id().ok_or(StoreError::Corrupt("a citizen's number"))?;
        Ok(Subject {
            key,
            number,
            record: stored.record.clone(),
            before: Some(stored),
            claims: Claims::default(),
            sources: BTreeMap::new(),
            leaves: None,
        })
    }

    pub(super) fn new(number: PersonalId) -> Subject {
        Subject {
            key: number.into(),
            number,
            before: None,
            record: Record::encode(&Citizen { personal_id: number.to_string(), ..Citizen::default() }),
            claims: Claims::default(),
            sources: BTreeMap::new(),
            leaves: None,
        }
    }

    pub(super) fn citizen(&self) -> Result<Citizen, StoreError> {
        self.record.decode().map_err(|_| StoreError::Corrupt("a citizen's record"))
    }

    /// What is registered of some fields.
    pub(super) fn only(&self, fields: &[Field]) -> Result<Citizen, StoreError> {
        let values = self.record.values(fields.iter().copied().collect());
        values.decode().map_err(|_| StoreError::Corrupt("a citizen's record"))
    }

    /// The date that is registered in a field.
    pub(super) fn date(&self, field: Field) -> Option<Date> {
        date_of(&self.record, field)
    }

    /// Gives the fields of a set the values that they have in a record, and those that have none there none.
    pub(super) fn put(&mut self, values: &Record, fields: FieldSet) -> Result<(), StoreError> {
        let set = values.values(fields);
        let cleared = fields.difference(set.fields());
        let delta = Delta { set: set.into_bytes(), cleared };
        self.record = self.record.apply(&delta).map_err(|_| StoreError::Corrupt("the values of an event"))?;
        Ok(())
    }

    /// The person as other records name them.
    pub(super) fn relative(&self) -> Result<Relative, StoreError> {
        let citizen = self.only(&[Field::FullName, Field::OldIdNumber, Field::Nationality])?;
        Ok(Relative {
            name: citizen.full_name,
            personal_id: self.number.to_string(),
            old_id_number: citizen.old_id_number,
            nationality: citizen.nationality.map(|list| list.values).unwrap_or_default(),
            relation: String::new(),
        })
    }

    /// Whether anything becomes of them.
    pub(super) fn is_touched(&self) -> bool {
        let same = self.before.as_ref().is_some_and(|before| before.record == self.record);
        !same || !self.claims.is_empty() || !self.sources.is_empty() || self.leaves.is_some()
    }

    /// What the registry is to do.
    pub(super) fn update(self) -> CitizenUpdate {
        let nobody = Record::default();
        let base = self.before.as_ref().map_or(&nobody, |before| &before.record);
        let delta = base.delta_to(&self.record);
        let person = match &self.before {
            Some(before) => Person::Known(before.record.personal_id().unwrap_or(self.number)),
            None => Person::KnownOrNew(self.number),
        };
        let one = |field: Field| FieldSet::from_iter([field]);
        CitizenUpdate {
            person,
            set: Record::trusted(delta.set),
            clear: delta.cleared,
            claims: self.claims,
            sources: self.sources.into_iter().map(|(field, source)| (one(field), source)).collect(),
            leaves: self.leaves,
        }
    }
}

/// Somebody named by an event.
pub(super) enum Named {
    /// In the registry.
    Known(CitizenKey),
    /// Not.
    Other(Relative),
}

/// All whom an event concerns.
pub(super) struct People<'a> {
    pub(super) standing: &'a Standing<'a>,
    /// A child whose birth is taken back, in case another one is registered instead.
    pub(super) reborn: Option<CitizenKey>,
    subjects: BTreeMap<CitizenKey, Subject>,
}

impl<'a> People<'a> {
    pub(super) fn new(standing: &'a Standing<'a>) -> People<'a> {
        People { standing, reborn: None, subjects: BTreeMap::new() }
    }

    /// Takes in somebody by key.
    pub(super) fn take(&mut self, key: CitizenKey, stored: Arc<StoredCitizen>) -> Result<(), StoreError> {
        if let Entry::Vacant(place) = self.subjects.entry(key) {
            place.insert(Subject::of(key, stored)?);
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, subject: Subject) -> CitizenKey {
        let key = subject.key;
        self.subjects.insert(key, subject);
        key
    }

    /// Somebody who was taken in.
    pub(super) fn get(&self, key: CitizenKey) -> Result<&Subject, StoreError> {
        self.subjects.get(&key).ok_or(StoreError::Corrupt("the people of an event"))
    }

    pub(super) fn get_mut(&mut self, key: CitizenKey) -> Result<&mut Subject, StoreError> {
        self.subjects.get_mut(&key).ok_or(StoreError::Corrupt("the people of an event"))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subject> {
        self.subjects.values()
    }

    pub(super) fn into_subjects(self) -> impl Iterator<Item = Subject> {
        self.subjects.into_values()
    }

    /// Finds whom a reference names.
    pub(super) fn find(&mut self, field: &str, of: Option<&PersonRef>) -> Result<Named, Judgement> {
        let Some(by) = of.and_then(|of| of.by.as_ref()) else {
            return Err(Judgement::rejected(RejectionReason::Invalid, "nobody is named", field));
        };
        let number = match by {
            By::Unregistered(relative) => return Ok(Named::Other(relative.clone())),
            By::PersonalId(number) => number
                .parse()
                .map_err(|error| Judgement::rejected(RejectionReason::Invalid, format!("{error}"), field))?,
            By::BornBy(id) => self.born_by(field, id)?,
        };
        if let Some(known) = self.subjects.get(&number.into())
            && known.before.is_some()
        {
            // Found before: a number that is a key leads to nobody else while its person is there.
            return Ok(Named::Known(known.key));
        }
        let unknown = || {
            let message = "no citizen has this number; check it, or register the birth first";
            Judgement::rejected(RejectionReason::UnknownPerson, message, field)
        };
        let (key, stored) = self.standing.resolve(number)?.ok_or_else(unknown)?;
        self.take(key, stored)?;
        Ok(Named::Known(key))
    }

    /// Finds somebody who must be in the registry.
    pub(super) fn known(&mut self, field: &str, of: Option<&PersonRef>) -> Result<CitizenKey, Judgement> {
        match self.find(field, of)? {
            Named::Known(key) => Ok(key),
            Named::Other(_) => {
                let message = "must be somebody in the registry: name a personal number";
                Err(Judgement::rejected(RejectionReason::Invalid, message, field))
            }
        }
    }

    /// As other records name somebody.
    pub(super) fn relative(&self, named: &Named) -> Result<Relative, StoreError> {
        match named {
            Named::Known(key) => self.get(*key)?.relative(),
            Named::Other(relative) => Ok(relative.clone()),
        }
    }

    /// The number that a birth got.
    fn born_by(&self, field: &str, id: &str) -> Result<PersonalId, Judgement> {
        let id: Uuid =
            id.parse().map_err(|_| Judgement::rejected(RejectionReason::Invalid, "is not a UUID", field))?;
        let born = handed_in::by_id(self.standing, id)?;
        let rejected = || {
            let message = "the birth that names this person was rejected";
            Judgement::rejected(RejectionReason::BirthRejected, message, field)
        };
        match born {
            Some(birth) if birth.is_accepted() => match PersonalId::from_u64(birth.personal_id) {
                Ok(number) if birth.personal_id != 0 => Ok(number),
                _ => Err(Judgement::rejected(
                    RejectionReason::Invalid,
                    "that contribution is not a birth",
                    field,
                )),
            },
            Some(birth) if birth.is_rejected() => Err(rejected()),
            _ => Err(Judgement::waits(id, field)),
        }
    }
}

impl From<StoreError> for Judgement {
    fn from(error: StoreError) -> Judgement {
        Judgement::Failed(CommitError::Store(error))
    }
}

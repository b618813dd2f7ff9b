//! What leaves the node of a citizen: the fields the agreements give, and of these the ones wanted.

use dancu_proto::{CitizenBytes, Field, FieldSet, PersonalId, personal_id::PersonalIdError};

use crate::slice::Held;

/// One citizen as a caller may see them.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The citizen.
    pub(super) citizen: CitizenBytes,
    /// The fields authorised for this answer.
    pub(super) authorised: FieldSet,
    /// Asked for by a former number.
    pub(super) former_number: bool,
}

impl Answer {
    /// The number in force, which is part of every projection.
    pub(super) fn personal_id(&self) -> Result<PersonalId, PersonalIdError> {
        let number =
            self.citizen.value(Field::PersonalId).and_then(|number| std::str::from_utf8(number).ok());
        number.unwrap_or_default().parse()
    }

    /// As messages list fields.
    pub(super) fn authorised(&self) -> Vec<i32> {
        listed(self.authorised)
    }
}

/// Fields as messages list them.
pub(super) fn listed(fields: FieldSet) -> Vec<i32> {
    fields.iter().map(|field| dancu_proto::v1::Field::from(field).into()).collect()
}

/// Projects a held citizen on what of the given fields is wanted. Given is what
/// [`Permit::fields_for`](super::authorise::Permit::fields_for) says of this citizen.
pub(super) fn project(held: &Held, given: FieldSet, wanted: FieldSet) -> Answer {
    let mut authorised = given.intersection(wanted);
    authorised.insert(Field::PersonalId);
    let citizen = held.record.project(authorised).into();
    Answer { citizen, authorised, former_number: held.former_number }
}

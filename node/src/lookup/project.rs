//! What leaves the node of a citizen: the fields the agreements give, and of these the ones wanted.

use dancu_proto::{Field, FieldSet, PersonalId, personal_id::PersonalIdError, v1::Citizen};

use super::{authorise::Permit, refusal::Refusal};
use crate::slice::Held;

/// One citizen as a caller may see them.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The citizen.
    pub(super) citizen: Citizen,
    /// The fields authorised for this answer.
    pub(super) authorised: FieldSet,
    /// Asked for by a former number.
    pub(super) former_number: bool,
}

impl Answer {
    /// The number in force, which is part of every projection.
    pub(super) fn personal_id(&self) -> Result<PersonalId, PersonalIdError> {
        self.citizen.personal_id.parse()
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

/// Projects a held citizen; none where the permit does not cover them.
pub(super) fn project(held: &Held, permit: &Permit, wanted: FieldSet) -> Result<Option<Answer>, Refusal> {
    let Some(fields) = permit.fields_for(held) else { return Ok(None) };
    let mut authorised = fields.intersection(wanted);
    authorised.insert(Field::PersonalId);
    let citizen = held.record.project(authorised).record().decode()?;
    Ok(Some(Answer { citizen, authorised, former_number: held.former_number }))
}

//! One citizen by number.

use dancu_proto::{FieldSet, PersonalId};

use super::{
    authorise::Permit,
    project::{Answer, project},
    refusal::{Fault, Refusal},
};
use crate::slice::SliceReader;

/// The personal number of a request.
pub(super) fn personal_id(text: &str) -> Result<PersonalId, Refusal> {
    let id = text.trim().parse();
    id.map_err(|error: dancu_proto::personal_id::PersonalIdError| {
        Refusal::Invalid(vec![Fault::new("personal_id", error.to_string())])
    })
}

/// The citizen of a number, in force or former.
pub(super) fn get(
    reader: &SliceReader<'_>,
    permit: &Permit,
    id: PersonalId,
    wanted: FieldSet,
) -> Result<Option<Answer>, Refusal> {
    let held = reader.see(id, |held| permit.fields_for(held))?;
    Ok(held.map(|(held, given)| project(&held, given, wanted)))
}

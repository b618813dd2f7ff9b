//! Corrections of single citizens, by an operator.

use dancu_proto::{
    Areas, Field, FieldSet, PersonalId, Record, Violation, hub::v1::ChangeCitizenRequest, validate,
};
use thiserror::Error;
use uuid::Uuid;

use crate::registry::{CitizenUpdate, Commit, Content, Origin, Person};

/// A correction that cannot be.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// A value.
    #[error("{}: {}", .0.field, .0.reason)]
    Violation(Violation),
}

fn violation(field: &str, reason: impl Into<String>) -> ChangeError {
    ChangeError::Violation(Violation { field: field.to_owned(), reason: reason.into() })
}

/// A correction as a commit; areas are named by the administrative order in force.
///
/// # Errors
/// If a value is missing or cannot be.
pub fn correction(request: ChangeCitizenRequest, areas: &Areas) -> Result<Commit, ChangeError> {
    let number: PersonalId =
        request.personal_id.parse().map_err(|error| violation("personal_id", format!("{error}")))?;
    let mut set = request.set.unwrap_or_default();
    validate(&mut set, false, areas).map_err(|violations| {
        let first = violations.into_iter().next();
        first.map_or_else(|| violation("set", "is not valid"), ChangeError::Violation)
    })?;
    let mut clear = FieldSet::EMPTY;
    for number in request.clear {
        let field = Field::try_from(number).map_err(|_| violation("clear", "names an unknown field"))?;
        if [Field::PersonalId, Field::FullName, Field::DateOfBirth].contains(&field) {
            return Err(violation("clear", format!("{field} cannot be empty; give it a new value")));
        }
        clear.insert(field);
    }
    let set = Record::encode(&set);
    if set.fields().is_empty() && clear.is_empty() {
        return Err(violation("set", "name at least one field to change"));
    }
    if let Some(field) = set.fields().intersection(clear).iter().next() {
        return Err(violation("clear", format!("{field} is both set and cleared")));
    }
    if request.reason.trim().is_empty() {
        return Err(violation("reason", "is missing: say why the record changes"));
    }
    if request.document_number.trim().is_empty() {
        return Err(violation("document_number", "is missing: name the document that orders the change"));
    }
    let effective_date = request
        .effective_date
        .ok_or_else(|| violation("effective_date", "is missing: say from which day the new values hold"))?;
    effective_date.check().map_err(|error| violation("effective_date", error.to_string()))?;
    let contribution = match request.contribution_id.as_str() {
        "" => None,
        text => Some(text.parse::<Uuid>().map_err(|_| violation("contribution_id", "is not a UUID"))?),
    };
    let origin = Origin {
        source: "operator".into(),
        contribution,
        reason: request.reason,
        document_number: request.document_number,
        effective_date: Some(effective_date),
        role: "operator".into(),
        decided: true,
        ..Origin::default()
    };
    let update = CitizenUpdate::plain(Person::Known(number), set, clear);
    Ok(Commit { origin, content: Content::Citizens(vec![update]) })
}

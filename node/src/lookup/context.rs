//! Why a call is made: purpose, case and officer. A call without all three is not looked at further.

use dancu_proto::{Field, FieldSet, v1::AccessContext};

use super::refusal::{Fault, Refusal};
use crate::callers::Caller;

/// The longest purpose, case number or officer code, characters.
const MAX_LENGTH: usize = 64;

/// What a call is made for, and whether its officer is listed for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The purpose.
    pub(crate) purpose: String,
    /// The officer is on the node's list for the purpose, today.
    pub(crate) listed: bool,
}

/// Checks the context of a call, and that the caller is bound to its purpose.
pub(crate) fn check<'a>(context: Option<&'a AccessContext>, caller: &Caller) -> Result<&'a str, Refusal> {
    let missing = AccessContext::default();
    let context_or_missing = context.unwrap_or(&missing);
    let faults: Vec<_> = [
        ("context.purpose", &context_or_missing.purpose),
        ("context.case_number", &context_or_missing.case_number),
        ("context.officer", &context_or_missing.officer),
    ]
    .into_iter()
    .filter_map(|(field, text)| Some(Fault::new(field, fault(text)?)))
    .collect();
    match context {
        Some(context) if faults.is_empty() => {
            if caller.purposes.contain(&context.purpose) {
                Ok(&context.purpose)
            } else {
                Err(Refusal::PurposeNotAgreed(
                    "this caller is not bound to that purpose; its node's operator may add it to the caller with `dancu-node client set`, or in the node's configuration",
                ))
            }
        }
        _ => Err(Refusal::Invalid(faults)),
    }
}

fn fault(text: &str) -> Option<String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Some("is missing".into())
    } else if length > MAX_LENGTH {
        Some(format!("has {length} characters; at most {MAX_LENGTH} are allowed"))
    } else if text.chars().any(char::is_control) {
        Some("has control characters".into())
    } else {
        None
    }
}

/// The fields a request wants: all where it names none.
pub(super) fn wanted(fields: &[i32]) -> Result<FieldSet, Refusal> {
    if fields.is_empty() {
        return Ok(FieldSet::all());
    }
    let mut faults = Vec::new();
    let mut wanted = FieldSet::EMPTY;
    for (position, number) in fields.iter().enumerate() {
        match Field::try_from(*number) {
            Ok(field) => wanted.insert(field),
            Err(_) => faults
                .push(Fault::new(format!("fields[{position}]"), format!("no field has number {number}"))),
        }
    }
    if faults.is_empty() { Ok(wanted) } else { Err(Refusal::Invalid(faults)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        callers::{KnownBy, Purposes},
        quota::Quota,
    };

    fn caller() -> Caller {
        let purposes = Purposes::Listed(vec!["1.001193".into()]);
        let quota = Quota::default();
        Caller { name: "portal".into(), known_by: KnownBy::User(1), purposes, quota }
    }

    fn context(purpose: &str, case_number: &str, officer: &str) -> AccessContext {
        AccessContext { purpose: purpose.into(), case_number: case_number.into(), officer: officer.into() }
    }

    fn named(result: Result<&str, Refusal>) -> Vec<String> {
        match result {
            Err(Refusal::Invalid(faults)) => faults.into_iter().map(|fault| fault.field).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_missing_is_named() {
        let all = ["context.purpose", "context.case_number", "context.officer"];
        assert_eq!(named(check(None, &caller())), all);
        assert_eq!(named(check(Some(&context("", " ", "\t")), &caller())), all);
        assert_eq!(named(check(Some(&context("1.001193", "", "an")), &caller())), all[1..2]);
    }

    #[test]
    fn sixty_four_characters_are_enough() {
        let long = "Đ".repeat(64);
        let ok = context("1.001193", &long, &long);
        assert_eq!(check(Some(&ok), &caller()).unwrap(), "1.001193");
        let longer = "Đ".repeat(65);
        assert_eq!(named(check(Some(&context("1.001193", &longer, "a\nb")), &caller())).len(), 2);
    }

    #[test]
    fn a_purpose_is_one_the_caller_is_bound_to() {
        let other = context("2.000001", "c", "o");
        let refused = check(Some(&other), &caller());
        assert!(matches!(refused, Err(Refusal::PurposeNotAgreed(_))));
    }

    #[test]
    fn fields_are_wanted_by_number() {
        assert_eq!(wanted(&[]).unwrap(), FieldSet::all());
        assert_eq!(wanted(&[6, 6]).unwrap().iter().collect::<Vec<_>>(), [Field::Sex]);
        for unknown in [0, -1, 35] {
            assert!(
                matches!(wanted(&[6, unknown]), Err(Refusal::Invalid(faults)) if faults[0].field == "fields[1]")
            );
        }
    }
}

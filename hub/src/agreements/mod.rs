//! Sharing agreements: policy as a table, not a program.
//!
//! - [`Agreement`]: parsed once, trusted inside.
//! - [`parse`]: a TOML document, checked; every problem names its line and what to do.
//! - [`differences`]: what a new version changes, in words.

mod agreement;
mod differences;
mod document;

pub(crate) use self::document::{is_purpose, unknown, with_nearest_key};
pub use self::{
    agreement::{
        AgencyId, Agreement, AgreementId, AreaScope, Conditions, Officers, Operation, Purpose, Quota,
        ResidenceKinds, Scope, Withhold,
    },
    differences::{differences, scope_in_words},
    document::{DocumentErrors, Problem, parse},
};

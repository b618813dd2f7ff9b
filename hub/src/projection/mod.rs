//! Projection: what a policy lets a node hold of a citizen.
//!
//! - [`Ledger`]: the agreements as of any revision.
//! - [`Policy`]: what the agreements in force at a revision give one node; the [`Policy::meet`] of
//!   two is what both give.
//! - [`hold`]: the citizen's record under a policy, or nothing; [`difference`]: what leads from one
//!   holding to another.

mod holding;
mod ledger;
mod policy;
mod scope;

pub use self::{
    holding::{Held, difference, hold},
    ledger::{AgreementState, Ledger},
    policy::{Grant, Policy},
};

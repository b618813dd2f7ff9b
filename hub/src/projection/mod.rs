//! Projection: what a policy lets a node hold of a citizen.
//!
//! - [`Ledger`]: the agreements as of any revision.
//! - [`Policy`]: what the agreements in force at a revision give one node; the [`Policy::meet`] of
//!   two is what both give.
//! - [`Day`]: the day as of a revision; [`day_begins`]: whom a new day moves.
//! - [`hold`]: the citizen's record under a policy, or nothing; [`difference`]: what leads from one
//!   holding to another.

mod day;
mod holding;
mod ledger;
mod policy;
mod scope;
mod turning;

pub use self::{
    day::Day,
    holding::{Held, difference, hold},
    ledger::{AgreementState, Ledger},
    policy::{Grant, Policy},
    turning::day_begins,
};

//! Projection: what a policy lets a node hold of a citizen.
//!
//! - [`Ledger`]: the agreements as of any revision.
//! - [`Policy`]: what the agreements in force at a revision give one node; the [`Policy::meet`] of
//!   two is what both give.
//! - [`SliceAt`]: a slice as of any revision, and its digests; [`RangeReader`]: who is held in a range
//!   of numbers.
//! - [`Day`]: the day as of a revision; [`day_begins`]: whom a new day moves.
//! - [`hold`]: the citizen's record under a policy, or nothing; [`difference`]: what leads from one
//!   holding to another.
//! - [`partitions_named`]: the partitions that an agreement's areas come to.

mod day;
mod holding;
mod ledger;
mod policy;
mod range;
mod scope;
mod turning;

pub use self::{
    day::Day,
    holding::{Held, departure, difference, difference_in_load, hold},
    ledger::{AgreementState, Ledger},
    policy::{Grant, Policy, PolicyKey},
    range::{RangeReader, SliceAt},
    scope::{Place, Reach, partitions_named},
    turning::day_begins,
};

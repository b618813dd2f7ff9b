//! The access log of all nodes: what they recorded of each call, taken over record by record, so that
//! nobody can alter it without being noticed.
//!
//! - [`IntakeServer`]: nodes hand in their logs; `chain` says whether a batch goes on where the last ended.
//! - [`AuditLog`]: takes over, in one Merkle tree (`tree`, RFC 6962) over all nodes, and finds again.
//! - `store`: the rows; `recipient`: the key that numbers in records are sealed for.
//! - [`Alarm`]: what was wrong.

mod alarm;
mod chain;
mod intake;
mod log;
mod recipient;
mod store;
mod tree;

pub use self::{
    alarm::{Alarm, AlarmKind, Fault},
    intake::IntakeServer,
    log::{AuditError, AuditLog},
};

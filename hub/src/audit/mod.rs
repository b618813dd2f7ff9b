//! The access log of all nodes: what they recorded of each call, taken over record by record, so that
//! nobody can alter it without being noticed.
//!
//! - [`AccessLogIntake`]: nodes hand in their logs; `chain` says whether a batch goes on where the last ended.
//! - [`AuditLog`]: takes over, in one Merkle tree (`tree`, RFC 6962) over all nodes, and finds again.
//! - `store`: the rows; `recipient`: the key that numbers in records are sealed for.
//! - [`Alarm`]: what was wrong; [`Withheld`] looks for nodes that hand nothing in.
//! - [`NoticeServer`]: what citizens are shown of it.
//! - [`AuditServer`]: answers operators: `query` finds records and proves them, `patterns` what is odd.
//! - [`Gap`]: who was answered before something that holds from an earlier day was known.

mod alarm;
mod chain;
mod gap;
mod intake;
mod log;
mod notice;
mod patterns;
mod query;
mod recipient;
mod service;
mod store;
mod tree;
mod withheld;

pub use self::{
    alarm::{Alarm, AlarmKind, Fault},
    chain::Place,
    gap::{Answered, Deciding, Gap, Unaware},
    intake::AccessLogIntake,
    log::{AuditError, AuditLog},
    notice::NoticeServer,
    patterns::Thresholds,
    service::AuditServer,
    store::read_leaf,
    tree::{extends, includes},
    withheld::Withheld,
};

//! What each fuzz target does with its input. The targets of `cargo fuzz` call it, and so does the test
//! that replays the corpora (`replay.rs`), which is why it is plain code: a property that does not hold
//! is a panic.

#![allow(unreachable_pub, reason = "a library to cargo fuzz, a module to the test suite")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what does not hold is found by its panic")]

mod access_log;
mod agreement;
mod contribution;
mod frame;
mod import_rows;
mod input;
mod name;
mod node_services;
mod personal_id;
mod reconcile_rows;

pub use self::{
    access_log::access_log, agreement::agreement, contribution::contribution, frame::frame,
    import_rows::import_rows, name::name, node_services::node_services, personal_id::personal_id,
    reconcile_rows::reconcile_rows,
};

/// A target: what it does with an input.
pub type Target = fn(&[u8]);

/// Every target, by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("access_log", access_log),
    ("agreement", agreement),
    ("contribution", contribution),
    ("frame", frame),
    ("import_rows", import_rows),
    ("name", name),
    ("node_services", node_services),
    ("personal_id", personal_id),
    ("reconcile_rows", reconcile_rows),
];

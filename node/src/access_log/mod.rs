//! The access log: every call is recorded before its answer leaves, in a chain that the hub takes over.
//!
//! - [`Entry`]: what is recorded of a call; [`AccessLog`]: where services hand it in.
//! - `chain`: from entries to records, each with the hash of the one before, and numbers sealed for
//!   the hub.
//! - `store`: the records on disk; `writer`: the task that writes them.
//! - [`upload`]: tells the hub.

mod chain;
mod entry;
mod seal;
mod store;
pub mod upload;
mod writer;

#[cfg(test)]
mod tests;

pub use chain::Head;
pub use entry::{Entry, Subject};
pub use store::{LogError, LogStore};
pub use upload::Uploader;
pub use writer::{AccessLog, Sync, start};

//! Sync: keeps each node's slice equal to what its policy gives it. `docs/protocol.md` states the
//! protocol and its invariants.
//!
//! - `zones`: a node's holding as a staircase of zones, each under the meet of some policies.
//! - `session`: one node's session: what to send next, as steps over a view of the registry.
//! - `steps`: the steps that read many citizens: deltas, loads, removals.
//! - `shared`: deltas that several streams would send alike, made once.
//! - `stream`: the task that runs a session: wakes, sends under flow control, beats its heart.
//! - `interest`: people whom a node names.
//! - [`SliceKeys`]: what slices are sealed with.
//! - `proof`: what the digests of a slice should be.
//! - `service`: the gRPC service.

mod interest;
mod lease;
mod proof;
mod service;
mod session;
mod shared;
mod steps;
mod stream;
mod zones;

pub(crate) use self::session::timestamp;
pub use self::shared::SharedDeltas;
pub use self::{lease::SliceKeys, service::SyncServer};

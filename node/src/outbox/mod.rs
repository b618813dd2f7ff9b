//! What the agency hands in, from the moment the node says "queued" until the hub has said what became of it.
//!
//! - [`Outbox`]: contributions on disk, sealed for the hub's key: in order, without a gap, and readable by
//!   nobody here. It takes them in while the slice is sealed and the hub out of reach.
//! - `store`, `draft`, `rows`: the disk; `handover`, `told`: what the hub says, and what callers are told;
//!   `queue`: what comes at the same time shares one write; `signing`: what is signed anew.
//! - [`Protocol`]: what is said to the hub and what its answers change, without a line; [`Deliverer`]: the
//!   task with the line.
//! - `agreed`: for which purposes the agency may hand in, kept for while the slice is sealed.
//! - [`Contributions`]: the service for back-ends; [`OutboxDesk`]: the one for the operator.

mod agreed;
mod deliver;
mod draft;
mod foreign;
mod handover;
mod operator;
mod protocol;
mod queue;
mod rows;
mod service;
mod signing;
mod store;
#[cfg(test)]
mod tests;
mod told;

pub use agreed::{Agreed, follow};
pub use deliver::{Deliverer, keep_for};
pub use foreign::Brought;
pub use operator::OutboxDesk;
pub use protocol::{Discarded, Input, MailError, MailSink, Protocol, ProtocolError};
pub use queue::Submission;
pub use service::Contributions;
pub use store::{Check, Gather, Outbox, OutboxError, Setup, Sign, Standing, Tally};
pub use told::Told;

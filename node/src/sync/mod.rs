//! Keeps the slice in step with the hub.
//!
//! - [`Contact`]: the line to the hub: whether it stands, when the hub was last heard, why it refuses.
//! - [`Prover`]: compares the slice with what the hub says it should be, and has differences repaired.
//! - [`run`]: the loop that opens a stream, applies what comes, and opens it again when it breaks.

mod client;
mod contact;
mod proof;

pub use self::{
    client::{ConnectFuture, InStep, jittered, run},
    contact::{Contact, ContactState, Refusal},
    proof::{ProofError, Prover, RepairDesk},
};

//! An independent, naive model of what contributions do to the registry, written from
//! docs/contributions.md alone: it shares no code with the hub, keeps every claim for ever, and looks
//! through all of them whenever it is asked for a value.
//!
//! - [`authority`]: who may say what; [`claims`]: what an event says; [`register`]: what becomes of it;
//!   [`number`]: which numbers a birth may get.
//! - [`outcomes`]: what must be true of outcomes and receipts, whatever was handed in.

pub mod authority;
mod claims;
mod number;
pub mod outcomes;
pub mod register;

pub use self::{
    authority::Authority,
    register::{Accepted, Register, Told},
};

#[cfg(test)]
pub(crate) mod tests;

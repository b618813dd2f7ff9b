//! Procedures that run across agencies, at the node: the tasks of this agency, how cases stand, and forms.
//!
//! - [`Desk`] keeps what came in the hub's mail, sealed like the slice; what came is there without the hub.
//! - `keeping`: until when, and that nothing is left where the slice is erased; `shown`: what of a task a
//!   purpose gives.
//! - [`Procedures`] serves `dancu.node.v1.ProcedureService`; what it hands in goes through [`HandsIn`].

mod keeping;
mod service;
mod shown;
mod store;

pub use self::{
    keeping::keep,
    service::{HandsIn, Procedures},
    store::{Desk, DeskError},
};

//! Procedures that run across agencies, at the node: the tasks of this agency, how cases stand, and forms.
//!
//! - [`Desk`] keeps what came in the hub's mail, sealed like the slice; what came is there without the hub.
//! - [`Procedures`] serves `dancu.node.v1.ProcedureService`; what it hands in goes through [`HandsIn`].

mod service;
mod store;

pub use self::{
    service::{HandsIn, Procedures},
    store::{Desk, DeskError},
};

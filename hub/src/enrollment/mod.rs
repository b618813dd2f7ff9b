//! Enrolment: the hub's authority, one-time tokens, the roll of nodes.
//!
//! [`authority`] signs certificates, the hub's own among them ([`certificate`]); [`roll`] knows every
//! node ([`entry`]) and decides whether it may speak; [`service`] is what nodes call.

pub mod authority;
pub mod certificate;
pub mod entry;
pub mod error;
mod members;
pub mod roll;
pub mod rows;
pub mod service;
#[cfg(test)]
mod tests;

pub use authority::{Authority, AuthorityError, Issued};
pub use certificate::HubCertificate;
pub use entry::{CertificateRecord, NodeEntry, NodeState};
pub use error::EnrollmentError;
pub use members::NodeHandle;
pub use roll::{NodeRoll, RollError, RollStore};
pub use rows::RollRows;
pub use service::Enrollment;

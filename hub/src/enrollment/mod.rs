//! Enrolment: the hub's authority, one-time tokens, the roll of nodes.
//!
//! [`authority`] signs certificates, the hub's own among them ([`certificate`]); [`roll`] knows every
//! node ([`entry`]) and decides whether it may speak; [`service`] is what nodes call.

pub mod authority;
pub mod certificate;
pub mod entry;
pub mod error;
pub mod roll;
pub mod service;
#[cfg(test)]
mod tests;

pub use authority::{Authority, AuthorityError, Issued};
pub use certificate::HubCertificate;
pub use entry::{CertificateRecord, NodeEntry, NodeState};
pub use error::EnrollmentError;
pub use roll::{NodeHandle, NodeRoll, RollError, RollStore};
pub use service::Enrollment;

//! Why a node is not enrolled, not renewed, or not let in.

use std::time::Duration;

use dancu_proto::Reason;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tonic::Status;

use super::{authority::AuthorityError, roll::RollError};

/// Why a node is not enrolled, not renewed, or not let in.
#[derive(Debug, thiserror::Error)]
pub enum EnrollmentError {
    /// The name cannot name a node.
    #[error("{0:?} cannot be a node's name: use 2 to 40 lower-case letters, digits and hyphens")]
    NameInvalid(String),
    /// The agency is missing.
    #[error("the agency that the node serves is missing")]
    AgencyMissing,
    /// Why a node is suspended or revoked is missing.
    #[error("the reason is missing; it is shown to the node's own operator")]
    ReasonMissing,
    /// A node of that name exists.
    #[error("there is a node {0} already; make a token to rejoin with, or take another name")]
    AlreadyExists(String),
    /// No node of that name.
    #[error("there is no node {0}")]
    NotFound(String),
    /// What is asked does not fit the node's state.
    #[error("node {name} {message}")]
    Conflict {
        /// The node.
        name: String,
        /// What stands in the way, and what to do.
        message: &'static str,
    },
    /// No token has this secret.
    #[error("the hub does not know this token; ask its operator for a new one")]
    TokenUnknown,
    /// The token was used.
    #[error("the token for node {0} was used already; ask the hub's operator for a new one")]
    TokenUsed(String),
    /// The token is too old.
    #[error("the token for node {name} expired at {}; ask the hub's operator for a new one", text(*.expired))]
    TokenExpired {
        /// The node.
        name: String,
        /// When.
        expired: OffsetDateTime,
    },
    /// Too many tokens were tried that do not exist.
    #[error("too many tokens were refused lately; try again in {} s", .0.as_secs().max(1))]
    TooManyAttempts(Duration),
    /// The caller shows no node's certificate.
    #[error("this is for nodes: show the certificate that the node was enrolled with")]
    NotANode,
    /// The hub's roll does not have the node.
    #[error("the hub does not know node {0}; join again with a new token")]
    NodeUnknown(String),
    /// The certificate is not the node's current one.
    #[error(
        "this certificate of node {0} was replaced by a newer one; use that, or join again with a new token"
    )]
    CertificateSuperseded(String),
    /// The certificate expired while the connection lived.
    #[error("the certificate of node {0} expired; connect again with the current one")]
    CertificateExpired(String),
    /// The node is suspended.
    #[error("node {name} is suspended by the hub's operator: {reason}")]
    Suspended {
        /// The node.
        name: String,
        /// What the operator says.
        reason: String,
    },
    /// The node is revoked.
    #[error("node {name} is revoked by the hub's operator: {reason}")]
    Revoked {
        /// The node.
        name: String,
        /// What the operator says.
        reason: String,
    },
    /// The certificate cannot be signed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The roll cannot be kept.
    #[error("the roll of nodes cannot be kept: {0}")]
    Roll(#[from] RollError),
}

fn text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

impl EnrollmentError {
    /// As callers see it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            EnrollmentError::NameInvalid(_)
            | EnrollmentError::AgencyMissing
            | EnrollmentError::ReasonMissing => Reason::InvalidRequest,
            EnrollmentError::AlreadyExists(_) => Reason::AlreadyExists,
            EnrollmentError::NotFound(_) => Reason::NotFound,
            EnrollmentError::Conflict { .. } => Reason::Conflict,
            EnrollmentError::TokenUnknown => Reason::TokenUnknown,
            EnrollmentError::TokenUsed(_) => Reason::TokenUsed,
            EnrollmentError::TokenExpired { .. } => Reason::TokenExpired,
            EnrollmentError::TooManyAttempts(_) => Reason::Overloaded,
            EnrollmentError::NotANode
            | EnrollmentError::NodeUnknown(_)
            | EnrollmentError::CertificateExpired(_) => Reason::CallerUnknown,
            EnrollmentError::CertificateSuperseded(_) => Reason::CertificateSuperseded,
            EnrollmentError::Suspended { .. } => Reason::NodeSuspended,
            EnrollmentError::Revoked { .. } => Reason::NodeRevoked,
            EnrollmentError::Authority(AuthorityError::Request(_)) => Reason::SigningRequestRefused,
            EnrollmentError::Authority(_) => Reason::Internal,
            EnrollmentError::Roll(_) => Reason::Storage,
        }
    }
}

impl From<EnrollmentError> for Status {
    fn from(error: EnrollmentError) -> Status {
        let reason = error.reason();
        match error {
            EnrollmentError::NameInvalid(_) => reason.field("name", error.to_string()),
            EnrollmentError::AgencyMissing => reason.field("agency", error.to_string()),
            EnrollmentError::ReasonMissing => reason.field("reason", error.to_string()),
            EnrollmentError::TooManyAttempts(after) => reason.retry(error.to_string(), after),
            // What went wrong inside is for the log, not for a peer.
            EnrollmentError::Roll(_) => {
                tracing::error!(%error, "an enrolment failed");
                reason.status("the hub cannot store this now; try again later")
            }
            EnrollmentError::Authority(_) if reason == Reason::Internal => {
                tracing::error!(%error, "a certificate cannot be made");
                reason.status("the hub cannot make a certificate; its log says why")
            }
            _ => reason.status(error.to_string()),
        }
    }
}

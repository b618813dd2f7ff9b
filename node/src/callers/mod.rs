//! Who may call: the agency's own back-ends, each known by a certificate or a Unix user and bound to
//! the purposes it works for.

pub mod authority;
mod entry;
mod roster;

use dancu_proto::channel::Peer;

use crate::quota::Quota;

pub use entry::{Entry, EntryError};
pub use roster::{CallersFile, Revoked, Roster, RosterError};

/// A back-end that may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name, as the operator gave it.
    pub name: String,
    /// What it is known by.
    pub known_by: KnownBy,
    /// The purposes it is bound to.
    pub purposes: Purposes,
    /// How many people it may ask about.
    pub quota: Quota,
}

/// What a caller is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// SHA-256 of its certificate.
    Certificate([u8; 32]),
    /// Common name in a certificate of a trusted authority.
    Subject(String),
    /// User of the process at the other end of the Unix socket, as the kernel vouches for it.
    User(u32),
}

impl KnownBy {
    fn is(&self, peer: &Peer) -> bool {
        let certificate = peer.certificate.as_deref();
        match self {
            KnownBy::Certificate(sha256) => certificate.is_some_and(|shown| shown.sha256 == *sha256),
            KnownBy::Subject(name) => {
                certificate.is_some_and(|shown| shown.common_name.as_ref() == Some(name))
            }
            KnownBy::User(uid) => peer.unix.is_some_and(|process| process.uid == *uid),
        }
    }
}

/// The purposes a caller is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purposes {
    /// Every purpose the node's agreements have.
    All,
    /// These.
    Listed(Vec<String>),
}

impl Purposes {
    /// Whether a purpose is among them.
    #[must_use]
    pub fn contain(&self, purpose: &str) -> bool {
        match self {
            Purposes::All => true,
            Purposes::Listed(purposes) => purposes.iter().any(|listed| listed == purpose),
        }
    }
}

/// Nobody of that description may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownCaller {
    /// A certificate that is not listed.
    #[error(
        "this certificate belongs to no caller of this node; add it with `dancu-node client add`, or to [[callers]] in its configuration"
    )]
    Certificate,
    /// A certificate that was taken out of use.
    #[error("this certificate was revoked by the node's operator; ask for another")]
    Revoked,
    /// A certificate that was valid when the connection was made.
    #[error("this certificate has expired; make another with `dancu-node client add`")]
    Expired,
    /// A Unix user that is not listed.
    #[error(
        "user {0} is no caller of this node; add it to [[callers]] in its configuration with unix_uid = {0}"
    )]
    User(u32),
    /// Neither certificate nor Unix user.
    #[error("the connection shows no certificate; connect with the certificate of a caller")]
    Nobody,
}

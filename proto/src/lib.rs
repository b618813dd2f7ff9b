//! The contract between hub and node: what both must agree on and neither could do alone.
//!
//! - [`v1`], [`node`], [`hub`]: the generated messages and services.
//! - [`PersonalId`], [`Field`], [`FieldSet`], [`Revision`]: the vocabulary, each with its rules.
//! - [`record`]: the canonical encoding of a citizen, and projection and deltas on its bytes.
//! - [`area`]: provinces and communes, how they changed, and addresses by the order in force.
//! - [`contribution`]: what is handed in: its kinds, its JSON, what it must obey, and how it is sealed.
//! - [`validate`]: what a citizen's values must obey.
//! - [`signed`]: statements that can be checked later and elsewhere.
//! - [`Reason`]: every way a call can be refused, as callers see it.
//! - [`words`]: values as people read them, for terminals.
//! - [`channel`]: the TLS that hub and node speak.

pub mod area;
pub mod channel;
pub mod codes;
pub mod contribution;
pub mod date;
pub mod digest;
pub mod field;
pub mod field_path;
pub mod frame;
mod json;
pub mod name;
pub mod personal_id;
pub mod reason;
pub mod record;
pub mod revision;
pub mod signed;
pub mod validate;
pub mod words;

pub use area::{Areas, CommuneCode, CommuneKey, ProvinceCode, ProvinceKey};
pub use digest::Digest;
pub use field::{Field, FieldSet};
pub use field_path::{FieldPath, FieldPathError};
pub use personal_id::PersonalId;
pub use reason::Reason;
pub use record::{Change, CitizenBytes, Delta, Projected, Record};
pub use revision::Revision;
pub use validate::{Violation, validate};

/// `dancu.v1`: messages that hub, node and agencies share.
#[allow(missing_docs, clippy::all, reason = "generated; documented in the .proto files")]
pub mod v1 {
    tonic::include_proto!("dancu.v1");
}

/// `dancu.node.v1`: what agency back-ends call.
#[allow(missing_docs, clippy::all, reason = "generated; documented in the .proto files")]
pub mod node {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("dancu.node.v1");
    }

    /// `CitizenService` as a node serves it: the messages that have a citizen in them have
    /// [`CitizenBytes`](crate::CitizenBytes) there. On the line they are those of [`v1`].
    pub mod served {
        include!(concat!(env!("OUT_DIR"), "/served/dancu.node.v1.rs"));
    }
}

/// `dancu.hub.v1`: what nodes and operators call.
#[allow(missing_docs, clippy::all, reason = "generated; documented in the .proto files")]
pub mod hub {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("dancu.hub.v1");
    }
}

/// The descriptors of all services, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

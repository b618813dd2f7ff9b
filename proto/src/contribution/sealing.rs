//! A contribution in the outbox of a node: sealed for the hub's public key by HPKE (RFC 9180), bound to its
//! place in the outbox.

use aws_lc_rs::digest::{SHA256, digest};
use prost::Message;
use prost_types::Timestamp;
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use thiserror::Error;
use uuid::Uuid;

use crate::v1::{Contribution, QueuedContribution};

/// What contributions are sealed for, before the node's name.
const INFO: &[u8] = b"dancu.v1.QueuedContribution\0";

/// A place in an outbox.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The node.
    pub node: &'a str,
    /// Identity of the registry.
    pub registry_id: &'a [u8],
    /// Identity of the outbox.
    pub outbox: &'a [u8; 16],
    /// Place in it, from 1 on.
    pub sequence: u64,
    /// When it is queued.
    pub time: Timestamp,
}

/// A contribution cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// Its id is none.
    #[error("the id of a contribution is a UUID")]
    Id,
    /// The key, or the cryptography library, refuses.
    #[error("a contribution cannot be sealed for the hub's key")]
    Sealing,
}

/// A sealed contribution cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// It is sealed for another key.
    #[error("the contribution is sealed for another key than the hub has")]
    Recipient,
    /// It was altered, or moved to another place.
    #[error("the contribution cannot be opened: it was altered, or is of another place")]
    Sealed,
    /// It is not a contribution.
    #[error("what was sealed is not a contribution")]
    Content,
    /// It has another id than its place says.
    #[error("the contribution has another id than its place in the outbox says")]
    Id,
}

/// Seals a contribution for its place and the hub's public key.
///
/// # Errors
/// If its id is none, or the key is.
pub fn seal(
    contribution: &Contribution,
    place: &Place<'_>,
    recipient: &[u8],
) -> Result<QueuedContribution, SealError> {
    let id = Uuid::try_parse(&contribution.id).map_err(|_| SealError::Id)?;
    let info = info(place.node);
    let bound = bound(place.outbox, place.sequence, id);
    let (encapsulated, sealed) = DH_KEM_X25519_HKDF_SHA256_AES_256
        .seal(&info, &bound, &contribution.encode_to_vec(), &HpkePublicKey(recipient.to_vec()))
        .map_err(|_| SealError::Sealing)?;
    Ok(QueuedContribution {
        node: place.node.to_owned(),
        registry_id: place.registry_id.to_vec(),
        outbox: place.outbox.to_vec(),
        sequence: place.sequence,
        contribution_id: id.to_string(),
        time: Some(place.time),
        encapsulated: encapsulated.0,
        sealed,
        recipient: digest(&SHA256, recipient).as_ref().to_vec(),
    })
}

/// Opens a sealed contribution with the hub's key pair.
///
/// # Errors
/// If it is not for this key, or not what was sealed.
pub fn open(
    queued: &QueuedContribution,
    public: &[u8],
    secret: &HpkePrivateKey,
) -> Result<Contribution, OpenError> {
    if queued.recipient != digest(&SHA256, public).as_ref() {
        return Err(OpenError::Recipient);
    }
    let id = Uuid::try_parse(&queued.contribution_id).map_err(|_| OpenError::Id)?;
    let outbox = queued.outbox.as_slice().try_into().map_err(|_| OpenError::Sealed)?;
    let bound = bound(&outbox, queued.sequence, id);
    let encapsulated = EncapsulatedSecret(queued.encapsulated.clone());
    let opened = DH_KEM_X25519_HKDF_SHA256_AES_256
        .open(&encapsulated, &info(&queued.node), &bound, &queued.sealed, secret)
        .map_err(|_| OpenError::Sealed)?;
    let contribution = Contribution::decode(opened.as_slice()).map_err(|_| OpenError::Content)?;
    if Uuid::try_parse(&contribution.id) == Ok(id) { Ok(contribution) } else { Err(OpenError::Id) }
}

fn info(node: &str) -> Vec<u8> {
    [INFO, node.as_bytes()].concat()
}

/// The additional data: where it stands, and what it is.
fn bound(outbox: &[u8; 16], sequence: u64, id: Uuid) -> Vec<u8> {
    [&outbox[..], &sequence.to_be_bytes(), id.as_bytes()].concat()
}

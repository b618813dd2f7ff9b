//! A contribution in the outbox of a node: sealed with a data key, and bound to its place in the outbox. The data
//! key is the node's, and sealed for the hub's public key by HPKE (RFC 9180).

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    rand,
};
use prost::Message;
use prost_types::Timestamp;
use quick_cache::sync::Cache;
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey},
};
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    channel::pin::sha256,
    v1::{Contribution, DataKey, QueuedContribution},
};

/// What contributions are sealed for, before the node's name.
const INFO: &[u8] = b"dancu.v1.QueuedContribution\0";

/// Bytes of a data key.
const KEY: usize = 32;
/// A data key seals for this long: who gets hold of a node's memory can open what it queued since then.
const SEALS_FOR: Duration = Duration::from_secs(3600);
/// And so many contributions: their nonces are random (NIST SP 800-38D, 8.3, allows 2^32).
const SEALS: u32 = 1 << 16;
/// Data keys that the hub holds open.
const OPEN: usize = 4096;

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

/// Seals contributions. Making a data key costs what a handshake does, and opening it too: one seals all that is
/// queued for a while.
#[derive(Default)]
pub struct Sealer(Mutex<Option<Sealing>>);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// The data key that a node seals with at the time.
struct Sealing {
    key: RandomizedNonceKey,
    told: DataKey,
    node: String,
    since: Instant,
    sealed: u32,
}

impl Sealing {
    fn new(node: &str, recipient: &[u8]) -> Result<Sealing, SealError> {
        let mut secret = Zeroizing::new([0; KEY]);
        rand::fill(secret.as_mut()).map_err(|_| SealError::Sealing)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, secret.as_ref()).map_err(|_| SealError::Sealing)?;
        let (encapsulated, sealed) = DH_KEM_X25519_HKDF_SHA256_AES_256
            .seal(&info(node), &[], secret.as_ref(), &HpkePublicKey(recipient.to_vec()))
            .map_err(|_| SealError::Sealing)?;
        let told = DataKey { encapsulated: encapsulated.0, sealed, recipient: sha256(recipient).to_vec() };
        Ok(Sealing { key, told, node: node.to_owned(), since: Instant::now(), sealed: 0 })
    }

    fn is_fresh(&self) -> bool {
        self.since.elapsed() < SEALS_FOR && self.sealed < SEALS
    }

    fn serves(&self, node: &str, recipient: &[u8]) -> bool {
        self.node == node && self.told.recipient == sha256(recipient) && self.is_fresh()
    }
}

impl Sealer {
    /// Forgets the data key if its time is over: to be called now and then, so that it does not stay where nothing
    /// more is queued.
    pub fn expire(&self) {
        let mut sealing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sealing.as_ref().is_some_and(|sealing| !sealing.is_fresh()) {
            *sealing = None;
        }
    }

    /// Seals a contribution for its place and the hub's public key.
    ///
    /// # Errors
    /// If its id is none, or the key is.
    pub fn seal(
        &self,
        contribution: &Contribution,
        place: &Place<'_>,
        recipient: &[u8],
    ) -> Result<QueuedContribution, SealError> {
        let id = Uuid::try_parse(&contribution.id).map_err(|_| SealError::Id)?;
        let mut sealing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !sealing.as_ref().is_some_and(|sealing| sealing.serves(place.node, recipient)) {
            *sealing = Some(Sealing::new(place.node, recipient)?);
        }
        let sealing = sealing.as_mut().ok_or(SealError::Sealing)?;
        sealing.sealed += 1;
        let bound = Aad::from(bound(place.outbox, place.sequence, id));
        let mut sealed = contribution.encode_to_vec();
        let nonce = sealing.key.seal_in_place_append_tag(bound, &mut sealed);
        let nonce = nonce.map_err(|_| SealError::Sealing)?;
        Ok(QueuedContribution {
            node: place.node.to_owned(),
            registry_id: place.registry_id.to_vec(),
            outbox: place.outbox.to_vec(),
            sequence: place.sequence,
            contribution_id: id.to_string(),
            time: Some(place.time),
            key: Some(sealing.told.clone()),
            sealed,
            nonce: nonce.as_ref().to_vec(),
        })
    }
}

/// Opens what is sealed for the hub's key pair.
pub struct Opener {
    recipient: [u8; 32],
    secret: HpkePrivateKey,
    /// Data keys that were opened, by the hash of their node and of what they were sealed as.
    open: Cache<[u8; 32], Arc<RandomizedNonceKey>>,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

impl Opener {
    /// For a key pair.
    #[must_use]
    pub fn new(public: &[u8], secret: HpkePrivateKey) -> Opener {
        Opener { recipient: sha256(public), secret, open: Cache::new(OPEN) }
    }

    /// Opens a sealed contribution.
    ///
    /// # Errors
    /// If it is not for this key, or not what was sealed.
    pub fn open(&self, queued: &QueuedContribution) -> Result<Contribution, OpenError> {
        let key = queued.key.as_ref().ok_or(OpenError::Sealed)?;
        if key.recipient != self.recipient {
            return Err(OpenError::Recipient);
        }
        let id = Uuid::try_parse(&queued.contribution_id).map_err(|_| OpenError::Id)?;
        let outbox = queued.outbox.as_slice().try_into().map_err(|_| OpenError::Sealed)?;
        let nonce: [u8; 12] = queued.nonce.as_slice().try_into().map_err(|_| OpenError::Sealed)?;
        let key = self.key(&queued.node, key)?;
        let mut opened = queued.sealed.clone();
        let bound = Aad::from(bound(&outbox, queued.sequence, id));
        let opened = key
            .open_in_place(Nonce::assume_unique_for_key(nonce), bound, &mut opened)
            .map_err(|_| OpenError::Sealed)?;
        let contribution = Contribution::decode(&*opened).map_err(|_| OpenError::Content)?;
        if Uuid::try_parse(&contribution.id) == Ok(id) { Ok(contribution) } else { Err(OpenError::Id) }
    }

    fn key(&self, node: &str, key: &DataKey) -> Result<Arc<RandomizedNonceKey>, OpenError> {
        let DataKey { encapsulated, sealed, .. } = key;
        let name = sha256(&[&sha256(encapsulated)[..], &sha256(sealed), node.as_bytes()].concat());
        if let Some(open) = self.open.get(&name) {
            return Ok(open);
        }
        let opened = DH_KEM_X25519_HKDF_SHA256_AES_256
            .open(&EncapsulatedSecret(encapsulated.clone()), &info(node), &[], sealed, &self.secret)
            .map_err(|_| OpenError::Sealed)?;
        let secret = Zeroizing::new(opened);
        let key = RandomizedNonceKey::new(&AES_256_GCM, &secret).map_err(|_| OpenError::Sealed)?;
        let key = Arc::new(key);
        self.open.insert(name, Arc::clone(&key));
        Ok(key)
    }
}

fn info(node: &str) -> Vec<u8> {
    [INFO, node.as_bytes()].concat()
}

/// The additional data: where it stands, and what it is.
fn bound(outbox: &[u8; 16], sequence: u64, id: Uuid) -> Vec<u8> {
    [&outbox[..], &sequence.to_be_bytes(), id.as_bytes()].concat()
}

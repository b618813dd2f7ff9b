//! Numbers in the log are sealed for the hub. The node makes a key when it starts, which lives in memory
//! alone, and the log has it sealed under the hub's public key: whoever has the disk, or the node, has
//! not the numbers of an earlier run.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand,
};
use dancu_proto::{PersonalId, v1::LogKey};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{Hpke, HpkePublicKey},
};
use zeroize::Zeroizing;

use super::store::LogError;

/// Bytes of the keyed hash of a number.
const SUBJECT: usize = 16;
/// Bytes of a key.
const KEY: usize = 32;
/// What keys are sealed for, before the node's name.
const INFO: &[u8] = b"dancu.v1.LogKey\0";

/// What hashes of numbers are keyed with, made of the key of the run.
const SUBJECTS: &str = "dancu node access log 2026 subjects";

/// The key of this run.
pub(super) struct Sealer {
    number: u64,
    key: LessSafeKey,
    /// Numbers are few enough to try them all: what hashes them is as secret as what seals them.
    subjects: Zeroizing<[u8; KEY]>,
}

impl Sealer {
    /// A new key, under the number of the record that tells it to the hub.
    pub(super) fn new(number: u64, node: &str, recipient: &[u8]) -> Result<(Sealer, LogKey), LogError> {
        let mut secret = Zeroizing::new([0; KEY]);
        rand::fill(secret.as_mut()).map_err(|_| LogError::Sealing)?;
        let key = UnboundKey::new(&AES_256_GCM, secret.as_ref()).map_err(|_| LogError::Sealing)?;
        let info = [INFO, node.as_bytes()].concat();
        let (encapsulated, sealed) = DH_KEM_X25519_HKDF_SHA256_AES_256
            .seal(&info, &[], secret.as_ref(), &HpkePublicKey(recipient.to_vec()))
            .map_err(|_| LogError::Sealing)?;
        let told = LogKey {
            key: number,
            encapsulated: encapsulated.0,
            sealed,
            recipient: super::chain::sha256(recipient).to_vec(),
        };
        let subjects = Zeroizing::new(blake3::derive_key(SUBJECTS, secret.as_ref()));
        Ok((Sealer { number, key: LessSafeKey::new(key), subjects }, told))
    }

    /// The number of the key.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The hash of a number, which is the same for the whole run.
    pub(super) fn hash(&self, id: PersonalId) -> Vec<u8> {
        blake3::keyed_hash(&self.subjects, &id.as_u64().to_be_bytes()).as_bytes()[..SUBJECT].to_vec()
    }

    /// A number, sealed for its place in a record. A place is taken once, so the nonce is used once.
    pub(super) fn seal(&self, id: PersonalId, sequence: u64, place: u32) -> Result<Vec<u8>, LogError> {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&sequence.to_be_bytes());
        nonce[8..].copy_from_slice(&place.to_be_bytes());
        let mut sealed = Vec::with_capacity(size_of::<u64>() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&id.as_u64().to_be_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| LogError::Sealing)?;
        Ok(sealed)
    }
}

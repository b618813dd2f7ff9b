//! The slice at rest. Values are sealed with AES-256-GCM (NIST SP 800-38D), keys are keyed hashes
//! (BLAKE3): without the slice key a disk shows neither who is held nor what of them.
//!
//! The slice key comes from the hub with the lease and is kept in memory. What is derived from it for one
//! end serves no other.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand,
};
use dancu_proto::PersonalId;
use zeroize::Zeroizing;

use super::SliceError;

/// Bytes of a slice key.
const KEY: usize = 32;
/// Bytes of a nonce: those of this opening of the slice, then a count.
const NONCE: usize = 12;
const OPENING: usize = 6;
/// Bytes of a keyed hash in a key.
pub(crate) const HASH: usize = 16;

const VALUES: &str = "dancu node slice 2026 values";
const KEYS: &str = "dancu node slice 2026 keys";
const TOKENS: &str = "dancu node slice 2026 tokens";
const CHECK: &str = "dancu node slice 2026 check";

/// What a slice is sealed with, as the hub gives it.
#[derive(Clone)]
pub struct SliceKey(Zeroizing<[u8; KEY]>);

impl fmt::Debug for SliceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SliceKey")
    }
}

impl SliceKey {
    /// From 32 bytes; none of another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<SliceKey> {
        Some(SliceKey(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    fn derived(&self, end: &str) -> SliceKey {
        SliceKey(Zeroizing::new(blake3::derive_key(end, self.0.as_ref())))
    }
}

/// Seals and opens.
pub(crate) struct Cipher {
    values: LessSafeKey,
    tokens: LessSafeKey,
    keys: SliceKey,
    check: [u8; HASH],
    opening: [u8; OPENING],
    count: AtomicU64,
}

impl Cipher {
    /// With a slice key.
    ///
    /// # Errors
    /// If there is no randomness.
    pub(crate) fn new(key: &SliceKey) -> Result<Cipher, SliceError> {
        let refused = |_| SliceError::Database("the cryptography library refuses".into());
        let derived = |end| UnboundKey::new(&AES_256_GCM, key.derived(end).as_bytes()).map(LessSafeKey::new);
        let (values, tokens) = (derived(VALUES).map_err(refused)?, derived(TOKENS).map_err(refused)?);
        let mut opening = [0; OPENING];
        rand::fill(&mut opening).map_err(refused)?;
        let [check @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *key.derived(CHECK).as_bytes();
        Ok(Cipher { values, tokens, keys: key.derived(KEYS), check, opening, count: AtomicU64::new(0) })
    }

    /// Seals what somebody else keeps, so that two of them tell nothing of each other. Nonces are random:
    /// good for 2^32 of them (SP 800-38D, 8.3).
    ///
    /// # Errors
    /// If there is no randomness, or the cryptography library refuses.
    pub(crate) fn seal_token(&self, value: &[u8]) -> Result<Vec<u8>, SliceError> {
        let refused = |_| SliceError::Database("the cryptography library refuses".into());
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce).map_err(refused)?;
        let mut sealed = value.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.tokens.seal_in_place_append_tag(unique, Aad::empty(), &mut sealed).map_err(refused)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// What was sealed so, if it was sealed with this key.
    #[must_use]
    pub(crate) fn open_token(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let mut value = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.tokens.open_in_place(nonce, Aad::empty(), &mut value).ok()?.len();
        value.truncate(length);
        Some(value)
    }

    /// Tells this key from others, and nothing else of it.
    #[must_use]
    pub(crate) fn check(&self) -> &[u8] {
        &self.check
    }

    /// Seals a value for its place: it opens nowhere else.
    ///
    /// # Errors
    /// If the cryptography library refuses.
    pub(crate) fn seal(&self, place: &[u8], value: &[u8]) -> Result<Vec<u8>, SliceError> {
        // Random by opening and counted within: no nonce comes twice (SP 800-38D, 8.2.1).
        let mut nonce = [0; NONCE];
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        nonce[..OPENING].copy_from_slice(&self.opening);
        nonce[OPENING..].copy_from_slice(&count.to_be_bytes()[2..]);
        let mut sealed = Vec::with_capacity(NONCE + value.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.values.seal_in_place_separate_tag(nonce, Aad::from(place), &mut sealed[NONCE..]);
        let tag = tag.map_err(|_| SliceError::Database("the cryptography library refuses".into()))?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens a value that was sealed for a place.
    ///
    /// # Errors
    /// It was not, or is damaged.
    pub(crate) fn open(
        &self,
        place: &[u8],
        sealed: &[u8],
        what: &'static str,
    ) -> Result<Vec<u8>, SliceError> {
        let damaged = || SliceError::Corrupt(what);
        let (nonce, value) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
        let mut value = value.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.values.open_in_place(nonce, Aad::from(place), &mut value);
        let length = opened.map_err(|_| damaged())?.len();
        value.truncate(length);
        Ok(value)
    }

    /// The keyed hash of something of a kind.
    pub(crate) fn hash(&self, kind: u8, parts: &[&[u8]]) -> [u8; HASH] {
        let mut hasher = blake3::Hasher::new_keyed(self.keys.as_bytes());
        hasher.update(&[kind]);
        for part in parts {
            hasher.update(part);
        }
        let mut hash = [0; HASH];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..HASH]);
        hash
    }

    /// The keyed hash of a person.
    pub(crate) fn person(&self, id: PersonalId) -> [u8; HASH] {
        self.hash(0, &[&id.as_u64().to_be_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(byte: u8) -> Cipher {
        Cipher::new(&SliceKey::from_bytes(&[byte; KEY]).unwrap()).unwrap()
    }

    #[test]
    fn a_value_opens_in_its_place_with_its_key_and_whole() {
        let cipher = cipher(1);
        let sealed = cipher.seal(b"place", b"value").unwrap();
        assert_eq!(cipher.open(b"place", &sealed, "a value").unwrap(), b"value");
        assert!(cipher.open(b"other", &sealed, "a value").is_err());
        assert!(self::cipher(2).open(b"place", &sealed, "a value").is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(cipher.open(b"place", &damaged, "a value").is_err(), "byte {at}");
            assert!(cipher.open(b"place", &sealed[..at], "a value").is_err(), "{at} bytes");
        }
    }

    #[test]
    fn the_same_value_never_looks_the_same_and_a_person_always_does() {
        let (a, b) = (cipher(1), cipher(1));
        let sealed = [&a, &a, &b].map(|cipher| cipher.seal(b"place", b"value").unwrap());
        assert!(sealed[0] != sealed[1] && sealed[1] != sealed[2] && sealed[0] != sealed[2]);
        let id = "001185001234".parse().unwrap();
        assert_eq!(a.person(id), b.person(id));
        assert_ne!(a.person(id), cipher(2).person(id));
        assert_eq!((a.check() == b.check(), a.check() == cipher(2).check()), (true, false));
    }
}

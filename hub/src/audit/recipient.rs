//! The hub's key pair, which nodes seal the numbers in their logs for, and what it opens.

use std::{collections::HashMap, fs, io, path::Path};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest::{SHA256, digest},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use dancu_proto::{
    PersonalId,
    channel::file,
    contribution::{OpenError, Opener},
    v1::{Contribution, LogKey, QueuedContribution},
};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey},
};
use zeroize::Zeroizing;

/// What keys are sealed for, before the node's name.
const INFO: &[u8] = b"dancu.v1.LogKey\0";
/// Keys that are held open.
const OPEN: usize = 4096;

/// The key pair cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RecipientError {
    /// The files.
    #[error("the key of the access log: {0}")]
    File(#[from] io::Error),
    /// What is in them.
    #[error("the key of the access log cannot be read")]
    Damaged,
    /// The system gives none.
    #[error("a key of the access log cannot be made")]
    Making,
}

/// The key pair.
pub(super) struct Recipient {
    public: Vec<u8>,
    secret: HpkePrivateKey,
    contributions: Opener,
}

impl Recipient {
    /// The pair in a directory, made if there is none.
    pub(super) fn open(dir: &Path) -> Result<Recipient, RecipientError> {
        let (public, secret) = (dir.join("audit.pub"), dir.join("audit.key"));
        if !secret.try_exists()? {
            fs::create_dir_all(dir)?;
            let made = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair();
            let made = made.map_err(|_| RecipientError::Making)?;
            // The secret half last: with it the pair exists.
            file::replace(&public, STANDARD.encode(&made.0.0).as_bytes(), file::PUBLIC)?;
            let text = Zeroizing::new(STANDARD.encode(made.1.secret_bytes()));
            file::replace(&secret, text.as_bytes(), file::SECRET)?;
        }
        let read = |path: &Path| {
            let text = Zeroizing::new(fs::read_to_string(path)?);
            STANDARD.decode(text.trim()).map_err(|_| RecipientError::Damaged)
        };
        let (public, secret): (_, HpkePrivateKey) = (read(&public)?, read(&secret)?.into());
        let contributions = Opener::new(&public, secret.secret_bytes().to_vec().into());
        Ok(Recipient { public, secret, contributions })
    }

    /// What is sealed in a contribution.
    pub(super) fn open_contribution(&self, queued: &QueuedContribution) -> Result<Contribution, OpenError> {
        self.contributions.open(queued)
    }

    /// The public half.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The key that a node sealed, if it is for this pair.
    pub(super) fn open_key(&self, node: &str, key: &LogKey) -> Option<OpenKey> {
        if key.recipient != digest(&SHA256, &self.public).as_ref() {
            return None;
        }
        let info = [INFO, node.as_bytes()].concat();
        let encapsulated = EncapsulatedSecret(key.encapsulated.clone());
        let opened = DH_KEM_X25519_HKDF_SHA256_AES_256;
        let opened = opened.open(&encapsulated, &info, &[], &key.sealed, &self.secret).ok()?;
        let opened = Zeroizing::new(opened);
        UnboundKey::new(&AES_256_GCM, &opened).ok().map(|key| OpenKey(LessSafeKey::new(key)))
    }
}

/// A node's key, open.
pub(super) struct OpenKey(LessSafeKey);

impl OpenKey {
    /// The number at a place of a record.
    pub(super) fn number(&self, sequence: u64, place: u32, sealed: &[u8]) -> Option<PersonalId> {
        let mut nonce = [0; 12];
        nonce[..8].copy_from_slice(&sequence.to_be_bytes());
        nonce[8..].copy_from_slice(&place.to_be_bytes());
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let number = self.0.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        PersonalId::from_u64(u64::from_be_bytes((&*number).try_into().ok()?)).ok()
    }
}

/// Keys of nodes, by node and number: those that were needed of late. Others are read again.
#[derive(Default)]
pub(super) struct Keys(HashMap<(String, u64), Option<OpenKey>>);

impl Keys {
    /// A key that a record tells of.
    pub(super) fn put(&mut self, node: &str, number: u64, key: &LogKey, recipient: &Recipient) {
        self.insert((node.to_owned(), number), recipient.open_key(node, key));
    }

    fn insert(&mut self, name: (String, u64), key: Option<OpenKey>) {
        // What is in use comes back with one reading each.
        if self.0.len() >= OPEN {
            self.0.clear();
        }
        self.0.insert(name, key);
    }

    /// A key; `read` finds the record of one that is not held.
    pub(super) fn get<E>(
        &mut self,
        node: &str,
        number: u64,
        recipient: &Recipient,
        read: impl FnOnce() -> Result<Option<LogKey>, E>,
    ) -> Result<Option<&OpenKey>, E> {
        let name = (node.to_owned(), number);
        if !self.0.contains_key(&name) {
            let key = read()?.and_then(|key| recipient.open_key(node, &key));
            self.insert(name.clone(), key);
        }
        Ok(self.0.get(&name).and_then(Option::as_ref))
    }
}

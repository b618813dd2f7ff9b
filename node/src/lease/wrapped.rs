//! The key of the slice as it is kept for restarts without the hub: sealed under a key of the operator's,
//! from a file or a credential of systemd, which can sit in a TPM.

use std::{env, fs, io, path::PathBuf, time::Duration};

use dancu_proto::channel::file;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::slice::{Cipher, SliceError, SliceKey};

/// What the operator's key is used for.
const WRAPPING: &str = "dancu node lease 2026 wrapping";
/// The least bytes of an operator's key.
const LEAST: usize = 32;
/// Bytes of a slice key.
const KEY: usize = 32;

/// How the key of the slice is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// In memory alone: a node that restarts needs the hub before it answers.
    #[default]
    Memory,
    /// Wrapped with the key in this file.
    File(PathBuf),
    /// Wrapped with the credential of this name (systemd, `LoadCredentialEncrypted=`).
    Credential(String),
}

/// The operator's key cannot be used.
#[derive(Debug, Error)]
pub enum WrapError {
    /// There is no such file.
    #[error("the wrapping key in {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is guessed too easily.
    #[error("the wrapping key in {} has fewer than {LEAST} bytes; make one with: head -c 32 /dev/urandom", .0.display())]
    Short(PathBuf),
    /// The node was not started by systemd, or the unit has no credential.
    #[error(
        "there is no credential {0}: the unit of the node needs LoadCredential= or LoadCredentialEncrypted="
    )]
    NoCredential(String),
    /// The cryptography library refuses.
    #[error(transparent)]
    Cipher(#[from] SliceError),
}

/// The operator's key, ready for use; none where nothing is kept.
pub(super) struct Wrapping(Option<Cipher>);

impl Wrapping {
    pub(super) fn read(keep: &Keep) -> Result<Wrapping, WrapError> {
        let path = match keep {
            Keep::Memory => return Ok(Wrapping(None)),
            Keep::File(path) => path.clone(),
            Keep::Credential(name) => match env::var_os("CREDENTIALS_DIRECTORY") {
                Some(directory) => PathBuf::from(directory).join(name),
                None => return Err(WrapError::NoCredential(name.clone())),
            },
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(source) => return Err(WrapError::File { path, source }),
        };
        if bytes.len() < LEAST {
            return Err(WrapError::Short(path));
        }
        let key = Zeroizing::new(blake3::derive_key(WRAPPING, &bytes));
        // Of that length it is one.
        Ok(Wrapping(SliceKey::from_bytes(key.as_ref()).map(|key| Cipher::new(&key)).transpose()?))
    }
}

/// The file with the wrapped key and its term.
pub(super) struct Wrapped {
    path: PathBuf,
    cipher: Cipher,
    place: Vec<u8>,
}

impl Wrapped {
    pub(super) fn at(path: PathBuf, node: &str, wrapping: Wrapping) -> Option<Wrapped> {
        let place = [b"lease of ", node.as_bytes()].concat();
        wrapping.0.map(|cipher| Wrapped { path, cipher, place })
    }

    /// The key and its term; none where none was kept, or it was wrapped otherwise.
    pub(super) fn read(&self) -> Option<(SliceKey, Duration)> {
        let sealed = fs::read(&self.path).ok()?;
        let opened = match self.cipher.open(&self.place, &sealed, "the wrapped key") {
            Ok(opened) => Zeroizing::new(opened),
            Err(_) => {
                tracing::warn!("the key that was kept is wrapped otherwise; the hub has it");
                return None;
            }
        };
        let (key, term) = opened.split_first_chunk::<KEY>()?;
        let term = Duration::from_secs(u64::from_be_bytes(term.try_into().ok()?));
        Some((SliceKey::from_bytes(key)?, term))
    }

    pub(super) fn write(&self, key: &SliceKey, term: Duration) -> io::Result<()> {
        let content = Zeroizing::new([&key.as_bytes()[..], &term.as_secs().to_be_bytes()].concat());
        let sealed = self.cipher.seal(&self.place, &content).map_err(io::Error::other)?;
        file::replace(&self.path, &sealed, file::SECRET)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

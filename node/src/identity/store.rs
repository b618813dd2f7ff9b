//! Where the identity is kept: `<data>/identity/`, key and certificate in PEM.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use dancu_proto::channel::{IdentityError, file, identity::certificates_from_pem};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

const KEY: &str = "node.key";
/// While a renewal is being stored: the key that the next certificate is for.
const NEXT_KEY: &str = "node.key.next";
const CERTIFICATE: &str = "node.crt";
const AUTHORITY: &str = "authority.crt";
const SETTINGS: &str = "identity.toml";

/// The files of the identity fail.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The node has not joined yet.
    #[error("this node has no identity yet in {0}; join the hub with the token its operator gave")]
    NotJoined(PathBuf),
    /// The node has joined already.
    #[error("this node is {name} already; to give it a new identity, join with --force")]
    Joined {
        /// Its name.
        name: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is damaged.
    #[error("{path} is damaged: {message}; join again with a new token")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        message: String,
    },
}

/// `identity.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The node's name.
    pub name: String,
    /// The agency it serves.
    pub agency: String,
    /// Address of the hub it joined.
    pub hub: String,
}

/// What is kept.
pub struct Stored {
    /// Names and address.
    pub settings: Settings,
    /// Private key, PEM.
    pub key: String,
    /// Certificate, PEM.
    pub certificate: String,
    /// Authorities that may vouch for the hub.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// The directory of the identity.
#[derive(Clone, Debug)]
pub struct IdentityStore(PathBuf);

impl IdentityStore {
    /// In a node's data directory.
    #[must_use]
    pub fn of(data: &Path) -> IdentityStore {
        IdentityStore(data.join("identity"))
    }

    /// The file with the certificate of the hub's authority, or of several.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.path(AUTHORITY)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The name of the node, if it has joined.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn joined(&self) -> Result<Option<String>, StoreError> {
        match self.settings() {
            Ok(settings) => Ok(Some(settings.name)),
            Err(StoreError::NotJoined(_)) => Ok(None),
            // Something is there, and only force may put another in its place.
            Err(StoreError::Damaged { .. }) => Ok(Some("(damaged)".to_owned())),
            Err(error) => Err(error),
        }
    }

    fn settings(&self) -> Result<Settings, StoreError> {
        let path = self.path(SETTINGS);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| damaged(path, error.message())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::NotJoined(self.0.clone()))
            }
            Err(source) => Err(StoreError::File { path, source }),
        }
    }

    /// Reads the identity, and finishes a renewal that a crash cut short.
    ///
    /// # Errors
    /// The node has not joined; a file is missing or damaged.
    pub fn load(&self) -> Result<Stored, StoreError> {
        let settings = self.settings()?;
        let authority = self.authority();
        let authorities = certificates_from_pem(&self.read(AUTHORITY)?.into_bytes())
            .map_err(|error| damaged(authority, &error.to_string()))?;
        let certificate = self.read(CERTIFICATE)?;
        let mut key = self.read(KEY)?;
        if let Ok(next) = self.read(NEXT_KEY)
            && fits(&certificate, &next)
        {
            self.promote()?;
            key = next;
        }
        Ok(Stored { settings, key, certificate, authorities })
    }

    /// Keeps a first identity. The settings come last: with them the node has joined.
    ///
    /// # Errors
    /// The disk fails.
    pub fn create(&self, stored: &Stored) -> Result<(), StoreError> {
        fs::create_dir_all(&self.0).map_err(|source| StoreError::File { path: self.0.clone(), source })?;
        let settings = toml::to_string(&stored.settings)
            .map_err(|error| damaged(self.path(SETTINGS), &error.to_string()))?;
        // With force there may be another identity: nothing of it must be paired with this one.
        self.remove(SETTINGS)?;
        self.remove(NEXT_KEY)?;
        self.write(KEY, stored.key.as_bytes(), file::SECRET)?;
        self.write(AUTHORITY, pem(&stored.authorities).as_bytes(), file::PUBLIC)?;
        self.write(CERTIFICATE, stored.certificate.as_bytes(), file::PUBLIC)?;
        self.write(SETTINGS, settings.as_bytes(), file::PUBLIC)
    }

    /// Keeps a renewed certificate and its key. Two files cannot be replaced at once: the new key is
    /// laid beside the old, then the certificate decides which of them is the key.
    ///
    /// # Errors
    /// The disk fails; then the former pair is still whole.
    pub fn renew(
        &self,
        key: &str,
        certificate: &CertificateDer<'static>,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), StoreError> {
        self.write(AUTHORITY, pem(authorities).as_bytes(), file::PUBLIC)?;
        self.write(NEXT_KEY, key.as_bytes(), file::SECRET)?;
        self.write(CERTIFICATE, pem(std::slice::from_ref(certificate)).as_bytes(), file::PUBLIC)?;
        self.promote()
    }

    fn promote(&self) -> Result<(), StoreError> {
        let (next, path) = (self.path(NEXT_KEY), self.path(KEY));
        fs::rename(next, &path).map_err(|source| StoreError::File { path, source })
    }

    fn read(&self, name: &str) -> Result<String, StoreError> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(|source| StoreError::File { path, source })
    }

    fn write(&self, name: &str, content: &[u8], mode: u32) -> Result<(), StoreError> {
        let path = self.path(name);
        file::replace(&path, content, mode).map_err(|source| StoreError::File { path, source })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::File { path, source }),
            _ => Ok(()),
        }
    }
}

fn damaged(path: PathBuf, message: &str) -> StoreError {
    StoreError::Damaged { path, message: message.to_owned() }
}

fn fits(certificate: &str, key: &str) -> bool {
    dancu_proto::channel::SwappableIdentity::from_pem(certificate.as_bytes(), key.as_bytes())
        .map_err(|error: IdentityError| tracing::debug!(%error, "a key laid aside is not the certificate's"))
        .is_ok()
}

/// Certificates as PEM.
#[must_use]
pub fn pem(certificates: &[CertificateDer<'static>]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let body = STANDARD.encode(certificate);
        for start in (0..body.len()).step_by(64) {
            text.push_str(&body[start..body.len().min(start + 64)]);
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

//! The certificate that back-ends see, and the authorities whose certificates they may show.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dancu_proto::channel::{
    IdentityError, SwappableIdentity,
    identity::{certificates_from_pem, key_from_pem, roots},
};
use rustls::RootCertStore;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    callers::authority::{Authority, AuthorityError},
    config::Config,
    state::Clock,
};

/// How long a certificate of the agency authority is valid for the serving side. It is made anew at
/// every start and kept in memory only.
const LIFETIME: time::Duration = time::Duration::days(90);

/// How often it is looked whether another is due.
const LOOK: Duration = Duration::from_secs(3600);

/// The serving side's certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// A file that the configuration names.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in such a file.
    #[error("{}: {source}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// The agency's authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The certificate made for the serving side.
    #[error("the node's own certificate: {0}")]
    Identity(#[from] IdentityError),
}

enum Source {
    /// Files that the agency keeps.
    Files { certificate: PathBuf, key: PathBuf },
    /// The agency authority.
    Agency { names: Vec<String> },
}

/// What the serving side shows and trusts.
pub struct ServingCertificate {
    source: Source,
    shown: Arc<SwappableIdentity>,
    authority: Authority,
    client_authorities: Vec<PathBuf>,
}

impl ServingCertificate {
    /// As the configuration says; the agency authority is made if there is none.
    ///
    /// # Errors
    /// A file is not readable, or a certificate not usable.
    pub fn open(config: &Config, now: OffsetDateTime) -> Result<Arc<ServingCertificate>, ServingError> {
        let authority = Authority::open_or_create(&config.agency_dir(), now)?;
        let source = match (&config.tls.certificate, &config.tls.key) {
            (Some(certificate), Some(key)) => {
                Source::Files { certificate: certificate.clone(), key: key.clone() }
            }
            _ => Source::Agency { names: names(&config.tls.names) },
        };
        let shown = match &source {
            Source::Files { certificate, key } => {
                let (chain, key_bytes) = (read(certificate)?, read(key)?);
                SwappableIdentity::from_pem(&chain, &key_bytes)
                    .map_err(|source| ServingError::Content { path: certificate.clone(), source })?
            }
            Source::Agency { names } => {
                let issued = authority.server(names, now, LIFETIME)?;
                SwappableIdentity::new(vec![issued.certificate.clone()], issued.key())?
            }
        };
        let client_authorities = config.tls.client_authorities.clone();
        Ok(Arc::new(ServingCertificate { source, shown, authority, client_authorities }))
    }

    /// What handshakes show.
    #[must_use]
    pub fn shown(&self) -> Arc<SwappableIdentity> {
        Arc::clone(&self.shown)
    }

    /// The authorities whose certificates callers may show.
    ///
    /// # Errors
    /// A file is not readable, or a certificate not usable.
    pub fn client_roots(&self) -> Result<RootCertStore, ServingError> {
        let mut authorities = certificates_from_pem(self.authority.certificate_pem().as_bytes())?;
        for path in &self.client_authorities {
            let found = certificates_from_pem(&read(path)?);
            authorities.extend(found.map_err(|source| ServingError::Content { path: path.clone(), source })?);
        }
        Ok(roots(&authorities)?)
    }

    /// Shows a new certificate from the next handshake on: the files read again, or another of the
    /// agency authority.
    ///
    /// # Errors
    /// There is none to be had; then the one before stays.
    pub fn renew(&self, now: OffsetDateTime) -> Result<(), ServingError> {
        let (chain, key) = match &self.source {
            Source::Files { certificate, key } => {
                let content = |path: &PathBuf| {
                    let path = path.clone();
                    move |source| ServingError::Content { path, source }
                };
                let chain = certificates_from_pem(&read(certificate)?).map_err(content(certificate))?;
                (chain, key_from_pem(&read(key)?).map_err(content(key))?)
            }
            Source::Agency { names } => {
                let issued = self.authority.server(names, now, LIFETIME)?;
                (vec![issued.certificate.clone()], issued.key())
            }
        };
        Ok(self.shown.replace(chain, key)?)
    }

    /// Renews in good time until cancelled. Files are the agency's to renew (then SIGHUP).
    pub async fn keep(self: Arc<ServingCertificate>, clock: Clock, cancel: CancellationToken) {
        if matches!(self.source, Source::Files { .. }) {
            return;
        }
        let mut made = clock();
        while cancel.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let now = clock();
            if now - made < LIFETIME / 3 * 2 {
                continue;
            }
            match self.renew(now) {
                Ok(()) => made = now,
                Err(error) => tracing::error!(%error, "the serving certificate could not be renewed"),
            }
        }
    }
}

fn names(configured: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    names.push(host.trim().to_owned());
    names.extend(configured.iter().cloned());
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

fn read(path: &Path) -> Result<Vec<u8>, ServingError> {
    fs::read(path).map_err(|source| ServingError::File { path: path.to_owned(), source })
}

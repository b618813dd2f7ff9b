//! What both sides insist on: TLS 1.3, HTTP/2, no resumption.

use std::sync::Arc;

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig,
    client::{
        ResolvesClientCert, Resumption, WantsClientCert, WebPkiServerVerifier, danger::ServerCertVerifier,
    },
    crypto::{CryptoProvider, aws_lc_rs},
    server::{NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier},
    version::TLS13,
};

use super::{ALPN, pin::PinnedAuthority};

/// Whether a caller must show a certificate to be connected at all.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// Every caller shows a certificate of one of these authorities.
    Required(RootCertStore),
    /// A caller may come without one, as a node does that enrols; if it shows one, it is of these
    /// authorities. Each service then says what it asks for.
    Optional(RootCertStore),
}

/// A configuration cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no authority to trust.
    #[error("no authority to verify the other side with: {0}")]
    Verifier(#[from] VerifierBuilderError),
    /// The TLS library refuses it.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// The cryptography in use. X25519MLKEM768 comes first in its key exchange groups.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The serving side.
///
/// # Errors
/// No authority is given.
pub fn server_config(
    identity: Arc<dyn ResolvesServerCert>,
    clients: ClientAuth,
) -> Result<Arc<ServerConfig>, ConfigError> {
    let provider = provider();
    let verifier = match clients {
        ClientAuth::Required(roots) => {
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?
        }
        ClientAuth::Optional(roots) => {
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .allow_unauthenticated()
                .build()?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would vouch for the certificate of an earlier one, which may be superseded.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// The calling side, trusting `roots`; with `identity` for servers that ask who calls.
///
/// # Errors
/// No authority is given.
pub fn client_config(
    roots: RootCertStore,
    identity: Option<Arc<dyn ResolvesClientCert>>,
) -> Result<Arc<ClientConfig>, ConfigError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()?;
    calling(verifier, identity)
}

/// The calling side of an enrolment: the authority is known by its fingerprint only, and the caller
/// has no certificate yet.
///
/// # Errors
/// The TLS library refuses it.
pub fn pinned_client_config(authority: PinnedAuthority) -> Result<Arc<ClientConfig>, ConfigError> {
    calling(Arc::new(authority), None)
}

fn calling(
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Arc<dyn ResolvesClientCert>>,
) -> Result<Arc<ClientConfig>, ConfigError> {
    // "Dangerous" is rustls' word for any verifier that it did not choose itself.
    let builder: ConfigBuilder<ClientConfig, WantsClientCert> =
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

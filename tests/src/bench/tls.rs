//! TLS for the servers that Dancu is measured beside: certificates that sign themselves, TLS 1.3, and
//! the calling side that Dancu's own callers have.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context;
use dancu_proto::channel::{
    SwappableIdentity, client_config,
    identity::{certificates_from_pem, roots},
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Whom the certificates are for.
pub const NAME: &str = "localhost";

/// Writes `NAME.crt` and `NAME.key` to a directory.
///
/// # Errors
/// If the disk refuses.
pub fn write(dir: &Path, name: &str) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    fs::write(dir.join(name).with_extension("crt"), made.cert.pem())?;
    let key = dir.join(name).with_extension("key");
    fs::write(&key, made.signing_key.serialize_pem())?;
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}

/// Trust in a certificate, and in no other.
///
/// # Errors
/// If it is not there.
pub fn trust(certificate: &Path) -> anyhow::Result<RootCertStore> {
    let pem = fs::read(certificate).with_context(|| certificate.display().to_string())?;
    Ok(roots(&certificates_from_pem(&pem)?)?)
}

/// What a side shows: `NAME.crt` with `NAME.key`.
///
/// # Errors
/// If either is not there.
pub fn identity(dir: &Path, name: &str) -> anyhow::Result<Arc<SwappableIdentity>> {
    let read = |ending| fs::read(dir.join(name).with_extension(ending));
    Ok(SwappableIdentity::from_pem(&read("crt")?, &read("key")?)?)
}

/// The calling side of mutual TLS, which shows `client` and trusts an authority.
///
/// # Errors
/// If a file is not there.
pub fn mutual(dir: &Path, authority: &str) -> anyhow::Result<Arc<ClientConfig>> {
    Ok(client_config(trust(&dir.join(authority))?, Some(identity(dir, "client")?))?)
}

/// A connection to a port of this machine, over TLS once `greet` has said what comes before it.
///
/// # Errors
/// If the server refuses.
pub async fn connect<F>(
    port: u16,
    certificate: &Path,
    greet: impl FnOnce(TcpStream) -> F,
) -> anyhow::Result<TlsStream<TcpStream>>
where
    F: Future<Output = anyhow::Result<TcpStream>>,
{
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let stream = greet(stream).await?;
    let connector = TlsConnector::from(client_config(trust(certificate)?, None)?);
    Ok(connector.connect(ServerName::try_from(NAME)?, stream).await?)
}

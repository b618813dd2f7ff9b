//! Connections going out: to a hub or node over TLS, or over a Unix socket.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, CertificateError, ClientConfig, pki_types::ServerName};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use super::pin::WrongAuthority;

pub(super) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
pub(super) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Large enough that a load fills a line of 100 Mbit/s over 200 ms; the bound on what a slow reader
/// makes us hold.
pub(super) const STREAM_WINDOW: u32 = 4 << 20;
pub(super) const CONNECTION_WINDOW: u32 = 8 << 20;

/// How long a connection may take, and how it is kept alive.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Address look-up, TCP and TLS together.
    pub connect: Duration,
    /// Between HTTP/2 pings.
    pub keep_alive_interval: Duration,
    /// For the answer to a ping.
    pub keep_alive_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            keep_alive_interval: KEEP_ALIVE_INTERVAL,
            keep_alive_timeout: KEEP_ALIVE_TIMEOUT,
        }
    }
}

/// No connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not `https://host:port`.
    #[error("{0} is not an address; write it as https://host:port")]
    Address(String),
    /// The other side's certificate is not of the authority that is trusted.
    #[error("the server is not of the expected authority")]
    WrongAuthority,
    /// The other side's certificate is of the authority, and still not acceptable.
    #[error("the server's certificate is not acceptable: {0}")]
    Certificate(CertificateError),
    /// The other side does not accept our certificate.
    #[error("the server does not accept this certificate: {0:?}")]
    Refused(AlertDescription),
    /// TLS failed in another way; an old version of it is the most likely.
    #[error("no TLS 1.3 connection: {0}")]
    Tls(rustls::Error),
    /// Nobody answers there, or not in time.
    #[error("no connection: {0}")]
    Unreachable(String),
}

/// What a server answers to a certificate that it does not accept.
const REFUSALS: &[AlertDescription] = &[
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::CertificateRequired,
    AlertDescription::UnknownCA,
    AlertDescription::DecryptError,
    AlertDescription::AccessDenied,
];

impl ConnectError {
    /// Why a call failed, where the connection is the cause. A server refuses a certificate only
    /// after the caller's part of the handshake, so that the refusal comes with the first call.
    #[must_use]
    pub fn of(status: &Status) -> Option<ConnectError> {
        status.source().map(ConnectError::from_chain)
    }

    fn from_chain(error: &(dyn Error + 'static)) -> ConnectError {
        let mut cause = Some(error);
        let mut last = error.to_string();
        while let Some(error) = cause {
            if error.is::<WrongAuthority>() {
                return ConnectError::WrongAuthority;
            }
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return ConnectError::from_tls(error);
            }
            last = error.to_string();
            // An io::Error made from another error shows that one's source as its own, so the error
            // itself has to be taken from inside.
            cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        // HTTP/2 keeps only the text of an error that comes once the handshake is over.
        let alert = last.split_once("received fatal alert: ").map(|(_, name)| name);
        match REFUSALS.iter().find(|refusal| alert == Some(format!("{refusal:?}").as_str())) {
            Some(refusal) => ConnectError::Refused(*refusal),
            None => ConnectError::Unreachable(last),
        }
    }

    fn from_tls(error: &rustls::Error) -> ConnectError {
        match error {
            rustls::Error::Other(other) if other.0.is::<WrongAuthority>() => ConnectError::WrongAuthority,
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => ConnectError::WrongAuthority,
            rustls::Error::InvalidCertificate(error) => ConnectError::Certificate(error.clone()),
            rustls::Error::AlertReceived(alert) if REFUSALS.contains(alert) => ConnectError::Refused(*alert),
            error => ConnectError::Tls(error.clone()),
        }
    }
}

/// Where to connect to.
struct Target {
    host: String,
    port: u16,
}

impl Target {
    fn parse(url: &str) -> Result<Target, ConnectError> {
        let address = || ConnectError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| address())?;
        let (Some("https"), Some(host), Some(port), "/" | "") =
            (uri.scheme_str(), uri.host(), uri.port_u16(), uri.path())
        else {
            return Err(address());
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Target { host, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Connects to `https://host:port` and checks that the certificate is for `server_name`. The channel
/// connects again by itself when the connection breaks, with the identity that is current then.
///
/// # Errors
/// The address is malformed, nobody answers there, or TLS refuses.
pub async fn connect(
    url: &str,
    config: Arc<ClientConfig>,
    server_name: &str,
    timeouts: &Timeouts,
) -> Result<Channel, ConnectError> {
    let connector = service_fn(dial(url, config, server_name)?);
    let endpoint = endpoint(server_name, timeouts)?;
    endpoint.connect_with_connector(connector).await.map_err(|error| ConnectError::from_chain(&error))
}

/// As [`connect`], but the connection is made by the first call.
///
/// # Errors
/// The address is malformed.
pub fn connect_lazy(
    url: &str,
    config: Arc<ClientConfig>,
    server_name: &str,
    timeouts: &Timeouts,
) -> Result<Channel, ConnectError> {
    let connector = service_fn(dial(url, config, server_name)?);
    Ok(endpoint(server_name, timeouts)?.connect_with_connector_lazy(connector))
}

/// Connects to a Unix socket.
///
/// # Errors
/// Nobody listens there.
pub async fn connect_unix(path: &Path, timeouts: &Timeouts) -> Result<Channel, ConnectError> {
    let path: Arc<PathBuf> = Arc::new(path.to_owned());
    let connector = service_fn(move |_: Uri| {
        let path = path.clone();
        async move {
            let stream = UnixStream::connect(path.as_path())
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = endpoint("localhost", timeouts)?;
    endpoint.connect_with_connector(connector).await.map_err(|error| ConnectError::from_chain(&error))
}

/// The endpoint's URI says only what the requests carry as authority; the connector knows the way.
fn endpoint(server_name: &str, timeouts: &Timeouts) -> Result<Endpoint, ConnectError> {
    Ok(Endpoint::from_shared(format!("https://{server_name}"))
        .map_err(|_| ConnectError::Address(server_name.to_owned()))?
        .connect_timeout(timeouts.connect)
        .http2_keep_alive_interval(timeouts.keep_alive_interval)
        .keep_alive_timeout(timeouts.keep_alive_timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

/// A connection being made.
type Dialing = Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

fn dial(
    url: &str,
    config: Arc<ClientConfig>,
    server_name: &str,
) -> Result<impl Fn(Uri) -> Dialing + Clone + Send + 'static, ConnectError> {
    let target = Arc::new(Target::parse(url)?);
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|_| ConnectError::Address(server_name.to_owned()))?;
    let tls = TlsConnector::from(config);
    Ok(move |_: Uri| -> Dialing {
        let (target, name, tls) = (target.clone(), name.clone(), tls.clone());
        Box::pin(async move {
            let stream = TcpStream::connect((target.host.as_str(), target.port))
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("{target}: {error}")))?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(tls.connect(name, stream).await?))
        })
    })
}

//! Connections coming in over TLS: handshakes run side by side, bounded in number and time, and one
//! that fails is only its own loss.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::transport::{
    Server,
    server::{Connected, TcpIncoming},
};

use super::{
    connector::{CONNECTION_WINDOW, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_TIMEOUT, STREAM_WINDOW},
    peer::{Peer, PeerCertificate},
};

/// How long to wait before accepting again when the process is out of file descriptors or the like.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are ready and not yet taken.
const READY: usize = 16;

/// What a listener takes on at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Handshakes under way; more wait in the kernel's queue.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// Live connections; more are closed at once.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { handshakes: 256, handshake_timeout: Duration::from_secs(10), connections: 10_000 }
    }
}

/// A connection whose peer is known.
#[derive(Debug)]
pub struct PeerIo<S> {
    stream: S,
    peer: Peer,
    _place: OwnedSemaphorePermit,
}

/// A TLS connection.
pub type TlsIo = PeerIo<TlsStream<TcpStream>>;

impl<S> PeerIo<S> {
    pub(super) fn new(stream: S, peer: Peer, place: OwnedSemaphorePermit) -> PeerIo<S> {
        PeerIo { stream, peer, _place: place }
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S> Connected for PeerIo<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PeerIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PeerIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Connections coming in, for `serve_with_incoming`. Ends when cancelled; dropping it stops listening
/// and gives up handshakes under way.
#[derive(Debug)]
pub struct Incoming<S> {
    ready: mpsc::Receiver<PeerIo<S>>,
    // A set of one, because a set ends its tasks when dropped.
    _accepting: JoinSet<()>,
}

impl<S> Incoming<S> {
    pub(super) fn run<F>(accept: impl FnOnce(mpsc::Sender<PeerIo<S>>) -> F) -> Incoming<S>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, ready) = mpsc::channel(READY);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(sender));
        Incoming { ready, _accepting: accepting }
    }
}

impl<S> Stream for Incoming<S> {
    type Item = io::Result<PeerIo<S>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

impl Incoming<TlsStream<TcpStream>> {
    /// Serves TLS on a listener. Must be called within a runtime.
    #[must_use]
    pub fn tls(
        listener: TcpListener,
        config: Arc<ServerConfig>,
        limits: Limits,
        cancel: CancellationToken,
    ) -> Incoming<TlsStream<TcpStream>> {
        let incoming = TcpIncoming::from(listener)
            .with_nodelay(Some(true))
            .with_keepalive(Some(KEEP_ALIVE_INTERVAL))
            .with_keepalive_interval(Some(KEEP_ALIVE_INTERVAL));
        Incoming::run(|ready| accept_tls(incoming, config.into(), limits, ready, cancel))
    }
}

async fn accept_tls(
    mut incoming: TcpIncoming,
    acceptor: TlsAcceptor,
    limits: Limits,
    ready: mpsc::Sender<TlsIo>,
    cancel: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut handshakes = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            () = ready.closed() => return,
            Some(_) = handshakes.join_next(), if !handshakes.is_empty() => continue,
            accepted = incoming.next(), if handshakes.len() < limits.handshakes => accepted,
        };
        match accepted {
            None => return,
            Some(Err(error)) => pause(&error, &cancel).await,
            Some(Ok(stream)) => match places.clone().try_acquire_owned() {
                Ok(place) => {
                    let handshake = handshake(stream, acceptor.clone(), place, ready.clone());
                    handshakes.spawn(timeout(limits.handshake_timeout, handshake));
                }
                Err(_) => tracing::warn!(limit = limits.connections, "too many connections, one was closed"),
            },
        }
    }
}

async fn handshake(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    place: OwnedSemaphorePermit,
    ready: mpsc::Sender<TlsIo>,
) {
    let address = stream.peer_addr().ok();
    match acceptor.accept(stream).await {
        Ok(stream) => match peer(&stream, address) {
            Ok(peer) => {
                // Nobody takes it any more when the listener is being dropped.
                let _ = ready.send(PeerIo::new(stream, peer, place)).await;
            }
            Err(error) => tracing::info!(%error, "a connection was refused"),
        },
        Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
    }
}

fn peer(
    stream: &TlsStream<TcpStream>,
    address: Option<SocketAddr>,
) -> Result<Peer, super::peer::CertificateError> {
    let certificate = match stream.get_ref().1.peer_certificates() {
        Some(chain) => {
            let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
            Some(Arc::new(PeerCertificate::read(chain)?))
        }
        None => None,
    };
    Ok(Peer { certificate, address, unix: None })
}

/// Waits a little after an error of accepting, which most often is a want of file descriptors.
pub(super) async fn pause(error: &io::Error, cancel: &CancellationToken) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::select! {
        () = cancel.cancelled() => {}
        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
    }
}

/// A gRPC server set up as both sides expect: windows, keep-alive, bounds.
#[must_use]
pub fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .http2_max_header_list_size(16 * 1024)
        .max_concurrent_streams(1024)
}

//! Connections coming in over a Unix socket, each with the process at its other end.

use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    os::unix::{fs::FileTypeExt, fs::PermissionsExt, net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    listener::{Incoming, Limits, PeerIo, pause},
    peer::{Peer, UnixPeer},
};

/// A connection over a Unix socket.
pub type UnixIo = PeerIo<UnixStream>;

/// A socket in the file system, removed when no longer listened on.
struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    fn bind(path: &Path, mode: u32) -> io::Result<Socket> {
        match fs::symlink_metadata(path) {
            Ok(file) if !file.file_type().is_socket() => {
                return Err(io::Error::new(
                    ErrorKind::AlreadyExists,
                    format!("{} exists and is not a socket; remove it or name another path", path.display()),
                ));
            }
            Ok(_) if StdUnixStream::connect(path).is_ok() => {
                return Err(io::Error::new(
                    ErrorKind::AddrInUse,
                    format!("another process listens on {}; stop it first", path.display()),
                ));
            }
            Ok(_) | Err(_) => {}
        }
        // Bound under another name and moved into place: whoever finds the socket finds it with its
        // final mode, and a stale one is replaced without a moment of absence.
        let mut new: OsString = path.into();
        new.push(".new");
        let new = PathBuf::from(new);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
        fs::rename(&new, path)?;
        Ok(Socket { listener, path: path.to_owned() })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Before the listener closes, so that a successor's socket is never the one removed.
        let _ = fs::remove_file(&self.path);
    }
}

impl Incoming<UnixStream> {
    /// Listens on a Unix socket with the given mode (0o600 for the owner alone, 0o660 for its group
    /// too). A socket left behind by a process that died is replaced. Must be called within a runtime.
    ///
    /// # Errors
    /// The path cannot be bound, is something other than a socket, or another process listens on it.
    pub fn unix(
        path: &Path,
        mode: u32,
        limits: Limits,
        cancel: CancellationToken,
    ) -> io::Result<Incoming<UnixStream>> {
        let socket = Socket::bind(path, mode)?;
        Ok(Incoming::run(|ready| accept(socket, limits, ready, cancel)))
    }
}

async fn accept(socket: Socket, limits: Limits, ready: mpsc::Sender<UnixIo>, cancel: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            () = ready.closed() => return,
            accepted = socket.listener.accept() => accepted,
        };
        let (stream, process) = match accepted.and_then(|(stream, _)| Ok((stream.peer_cred()?, stream))) {
            Ok((process, stream)) => (stream, process),
            Err(error) => {
                pause(&error, &cancel).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(limit = limits.connections, "too many connections, one was closed");
            continue;
        };
        let unix = UnixPeer { uid: process.uid(), gid: process.gid(), pid: process.pid() };
        let peer = Peer { unix: Some(unix), ..Peer::default() };
        if ready.send(PeerIo::new(stream, peer, place)).await.is_err() {
            return;
        }
    }
}

//! The TLS that hub and node speak: mutual, version 1.3, with post-quantum key exchange preferred.
//!
//! - [`config`]: what both sides insist on; [`identity`]: the certificate a side shows, replaced
//!   while in use; [`pin`]: trust in an authority known only by its fingerprint.
//! - [`listener`], [`unix`]: connections coming in; [`connector`]: connections going out.
//! - [`peer`]: who is at the other end; [`token`]: what a node joins with; [`request`]: how it asks for
//!   a certificate.

pub mod config;
pub mod connector;
pub mod file;
pub mod identity;
pub mod listener;
pub mod peer;
pub mod pin;
pub mod request;
#[cfg(test)]
mod tests;
pub mod token;
pub mod unix;

pub use config::{ClientAuth, client_config, pinned_client_config, server_config};
pub use connector::{ConnectError, Timeouts, connect, connect_lazy, connect_unix};
pub use identity::{IdentityError, SwappableIdentity};
pub use listener::{Incoming, Limits, TlsIo, server};
pub use peer::{Peer, PeerCertificate, PeerIdentity, UnixPeer};
pub use pin::{Fingerprint, PinnedAuthority, WrongAuthority};
pub use request::{RequestError, SigningRequest};
pub use token::{Token, TokenError};
pub use unix::UnixIo;

/// The name every hub answers to, whatever its address: the authority is private and signs one kind
/// of server, so a node that moves to another address of the hub has nothing to change.
pub const HUB_SERVER_NAME: &str = "hub.dancu";

/// gRPC runs on HTTP/2 and nothing else.
const ALPN: &[u8] = b"h2";

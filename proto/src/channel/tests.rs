//! TLS on real sockets.

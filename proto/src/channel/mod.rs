//! The TLS that hub and node speak: mutual, version 1.3, with post-quantum key exchange preferred.

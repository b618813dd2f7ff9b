//! The command line of `dancu-node`.

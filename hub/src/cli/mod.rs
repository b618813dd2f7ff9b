//! The command line of `dancu-hub`.

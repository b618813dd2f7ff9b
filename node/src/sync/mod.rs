//! Keeps the slice in step with the hub.

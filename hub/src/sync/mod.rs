//! Sync: keeps each node's slice equal to what its policy gives it.

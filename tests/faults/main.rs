//! Processes killed and lines cut at the worst moment.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod disk_full;
mod herd;
mod kill;
mod million;
mod outbox_full;
mod proof;
mod slow_readers;

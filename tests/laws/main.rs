//! The laws of the design, over real processes and real sockets.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod audit;
mod contributions;
mod cost;
mod exact;
mod merger;
mod midway;
mod offline;
mod purpose;
mod questions;
mod sealed;
mod simulation;
mod source;
mod time;

//! The hub: owns the population registry and decides what each node may hold.
//!
//! A change goes one way through the house:
//! [`intake`] → [`registry`] (record, journal, feed: one atomic commit) → [`router`] →
//! [`projection`] by agreement → [`sync`] stream to the node.

pub mod admin;
pub mod agreements;
pub mod audit;
pub mod calendar;
pub mod cli;
pub mod config;
pub mod enrollment;
pub mod fleet;
pub mod intake;
pub mod lifecycle;
pub mod mail;
pub mod metrics;
pub mod procedures;
pub mod projection;
pub mod registry;
pub mod remote;
pub mod review;
pub mod router;
pub mod status;
pub mod sync;

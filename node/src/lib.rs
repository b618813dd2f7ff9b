//! The node: caches an agency's slice, answers from it, works offline.
//!
//! A change comes in by [`sync`] and is stored in the [`slice`]; a call comes in by [`serve`], is
//! checked against [`callers`] and answered by [`lookup`]; whom the agency serves is named by [`interest`].

pub mod callers;
pub mod cli;
pub mod config;
pub mod identity;
pub mod interest;
pub mod lifecycle;
pub mod lookup;
pub mod metrics;
pub mod serve;
pub mod slice;
pub mod state;
pub mod status;
pub mod sync;

//! The node: caches an agency's slice, answers from it, works offline.
//!
//! A change comes in by [`sync`] and is stored in the [`slice`], sealed with a key that the [`lease`]
//! brings; a call comes in by [`serve`], is
//! checked against [`callers`], answered by [`lookup`] and recorded in the [`access_log`] before the
//! answer leaves; whom the agency serves is named by [`interest`], and what it registers goes to the
//! hub by the [`outbox`].

pub mod access_log;
pub mod callers;
pub mod cli;
pub mod config;
pub mod identity;
pub mod interest;
pub mod lease;
pub mod lifecycle;
pub mod lookup;
pub mod metrics;
pub mod officers;
pub mod outbox;
pub mod procedures;
pub mod quota;
pub mod serve;
pub mod slice;
pub mod state;
pub mod status;
pub mod sync;

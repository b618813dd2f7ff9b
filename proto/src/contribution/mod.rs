//! What node and hub must agree on about contributions: docs/contributions.md has the rule.
//!
//! - [`event_name`], [`EVENTS`], [`persons`]: the kinds of events, and whom one names.
//! - [`validate`]: all that can be checked without the registry.
//! - [`write_file`], [`read_file`]: an outbox in a file.
//! - [`Sealer`], [`Opener`]: a contribution in an outbox, readable by the hub alone.
//!
//! A contribution is written as JSON as its message is: `{"event":{"death":{…}}}`, dates and names as
//! texts.

mod check;
mod event;
mod file;
mod sealing;

#[cfg(test)]
mod tests;

pub use check::{MOST_BYTES, MOST_PERSONS, validate};
pub use event::{EVENTS, event_name, event_title, persons};
pub use file::{read_file, write_file};
pub use sealing::{OpenError, Opener, Place, SealError, Sealer};

//! Alarms: what is wrong with the access log of a node, once for each place.

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum AlarmKind { $($(#[$doc])* $kind,)* }

        impl AlarmKind {
            /// Every kind.
            pub const ALL: &[AlarmKind] = &[$(AlarmKind::$kind),*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(AlarmKind::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// A record is not the one that its successor was written after.
    Edited = "EDITED",
    /// Records are missing.
    Dropped = "DROPPED",
    /// Records are not in the order in which they were written.
    Reordered = "REORDERED",
    /// The node has another record than the one that the hub took over.
    Forked = "FORKED",
    /// A record is older than a moment at which the node said that it had none.
    BackDated = "BACK_DATED",
    /// A head is not signed by the node, or is not of what was handed in.
    Signature = "SIGNATURE",
    /// A node in service does not hand in its log, or less of it than it had signed.
    Withheld = "WITHHELD",
    /// A node's log begins anew: what it had not handed in is lost.
    Restarted = "RESTARTED",
    /// Numbers in a record cannot be opened.
    Unreadable = "UNREADABLE",
}

/// Something wrong with a node's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What.
    pub kind: AlarmKind,
    /// Whose log.
    pub node: String,
    /// The record.
    pub sequence: u64,
    /// What was seen, in words.
    pub text: String,
    /// When it was first seen, ms since 1970.
    pub first_ms: u64,
    /// When it was last seen.
    pub last_ms: u64,
    /// How often.
    pub count: u64,
}

/// What is wrong with a batch, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: record {sequence}: {text}", .kind.name())]
pub struct Fault {
    /// What.
    pub kind: AlarmKind,
    /// The record.
    pub sequence: u64,
    /// In words.
    pub text: String,
}

impl Fault {
    pub(super) fn new(kind: AlarmKind, sequence: u64, text: impl Into<String>) -> Fault {
        Fault { kind, sequence, text: text.into() }
    }
}

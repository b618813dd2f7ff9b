//! Answers about citizens from the slice: who asks and why is checked first ([`context`]), then what
//! the agreements give for that purpose ([`authorise`]), and only those fields leave ([`project`]).

mod authorise;
mod batch;
mod context;
mod cursor;
mod find;
mod freshness;
mod get;
mod notice;
mod prefill;
mod project;
mod reconcile;
mod refusal;
mod remote;
mod service;
#[cfg(test)]
pub(crate) mod tests;
mod verify;
mod watch;

pub(crate) use context::check as purpose;
pub(crate) use freshness::timestamp;
pub use notice::Notices;
pub(crate) use prefill::Filled;
pub use refusal::{Fault, Refusal};
pub use remote::Remote;
pub use service::Lookup;
pub use verify::name::{Comparison, Likeness, compare as compare_names};

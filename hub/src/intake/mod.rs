//! Intake: how values come into the registry. Everything is checked here, at the edge, and trusted
//! inside.

mod blocks;
mod change;
pub mod event;
pub mod handover;
mod import;
mod rows;
mod update;

pub use self::{
    change::{ChangeError, correction},
    import::{Import, ImportError, ImportFormat, Progress, Reject, Summary},
    rows::{Columns, RowError, from_json},
};

//! The officers of the agency, and what each may act for: a list that the node's operator keeps. An
//! agreement may instead take a back-end's word for its officers.

mod list;
mod rule;

pub use self::{
    list::{OfficerError, Officers, OfficersFile},
    rule::{Officer, RowError},
};

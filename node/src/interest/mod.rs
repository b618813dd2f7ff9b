//! Interest lists: the agency names the people it serves, and the node holds those.
//!
//! - [`Interests`] keeps what was named, and what of it the hub does not know yet; on disk before a
//!   call is answered.
//! - [`tell`] tells the hub, now or when it is back.
//! - [`InterestLists`] serves `dancu.node.v1.InterestService`.

mod service;
mod store;
mod tell;
#[cfg(test)]
mod tests;

pub use self::{
    service::InterestLists,
    store::{Interests, InterestsError},
    tell::tell,
};

//! Look-ups over real sockets, from a real slice.

mod answers;
pub(crate) mod fixture;
mod grants;
mod limits;
mod reconcile;
mod records;
mod refusals;
mod remote;
mod tls;
mod watch;

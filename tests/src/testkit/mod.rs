//! Starts real hubs and nodes, so that a test reads like the sentence it proves:
//!
//! ```ignore
//! let hub = Hub::start().await;
//! let node = hub.enroll("ha-giang", "tuyen-quang").await;
//! ```

mod hub;
mod line;
mod node;
mod process;

pub use self::{
    hub::{Agreement, Hub},
    line::Line,
    node::Node,
};

use std::{future::Future, time::Duration};

/// Waits until something holds.
///
/// # Panics
/// If it does not within half a minute.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within half a minute");
}

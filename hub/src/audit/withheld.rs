//! Looks for nodes that are connected and do not hand in their access logs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{
    alarm::{AlarmKind, Fault},
    log::AuditLog,
};
use crate::{
    enrollment::NodeRoll,
    fleet::Fleet,
    registry::{Clock, StoreError},
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);

/// Who is looked after.
pub struct Withheld {
    /// The log.
    pub log: Arc<AuditLog>,
    /// Who is connected.
    pub fleet: Arc<Fleet>,
    /// All nodes.
    pub roll: Arc<NodeRoll>,
    /// The time.
    pub clock: Clock,
    /// How long a connected node may go without signing the head of its log.
    pub after: Duration,
}

impl Withheld {
    /// Runs until cancelled.
    pub async fn watch(self, cancel: CancellationToken) {
        // Since when each has been connected without a word of its log.
        let mut silent: HashMap<String, OffsetDateTime> = HashMap::new();
        let look = LOOK.min(self.after / 2).max(Duration::from_millis(100));
        while cancel.run_until_cancelled(tokio::time::sleep(look)).await.is_some() {
            if let Err(error) = self.look(&mut silent) {
                tracing::error!(%error, "the access logs of nodes cannot be looked at");
            }
        }
    }

    fn look(&self, silent: &mut HashMap<String, OffsetDateTime>) -> Result<(), StoreError> {
        let now = (self.clock)();
        let now_ms = (now.unix_timestamp_nanos() / 1_000_000).max(0) as u64;
        for node in self.roll.list() {
            let name = node.name.to_string();
            if !self.fleet.presence(&name).is_some_and(|presence| presence.connected) {
                silent.remove(&name);
                continue;
            }
            let place = self.log.place(&name)?;
            let since = *silent.entry(name.clone()).or_insert(now);
            let since_ms = (since.unix_timestamp_nanos() / 1_000_000).max(0) as u64;
            let quiet = now_ms.saturating_sub(place.heard_ms.max(since_ms));
            if u128::from(quiet) > self.after.as_millis() {
                let minutes = self.after.as_secs() / 60;
                let text =
                    format!("the node is connected, and has not handed in its log for {minutes} minutes");
                self.log.raise(&name, &Fault::new(AlarmKind::Withheld, place.sequence, text), now_ms)?;
                // Said again after as long.
                silent.insert(name, now);
            }
        }
        Ok(())
    }
}

//! The nodes that are connected, and how far they are: what operators see. Kept in memory; a node
//! says it again when it connects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use dancu_proto::Revision;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// What is known of a node's stream.
#[derive(Clone, Debug)]
pub struct Presence {
    /// It has a live stream.
    pub connected: bool,
    /// Its cursor, as last acknowledged.
    pub cursor: Revision,
    /// Citizens it holds, as last acknowledged.
    pub citizens: u64,
    /// Version of its software.
    pub software: String,
    /// When it was last heard.
    pub last_seen: OffsetDateTime,
    /// A load that is under way.
    pub loading: Option<Loading>,
}

/// How far a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loading {
    /// Citizens looked at.
    pub done: u64,
    /// Citizens still to be looked at, by an estimate.
    pub to_come: u64,
    /// When it began.
    pub since: Instant,
}

impl Loading {
    /// How many are looked at in a second; 0 while that is not known.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        let seconds = self.since.elapsed().as_secs_f64();
        if seconds < 0.2 { 0 } else { (self.done as f64 / seconds) as u64 }
    }
}

/// All nodes that were heard since the hub started.
#[derive(Debug, Default)]
pub struct Fleet {
    nodes: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug)]
struct Entry {
    presence: Presence,
    stream: u64,
    replaced: CancellationToken,
}

/// A node's live stream; dropping it says the node is gone.
#[derive(Debug)]
pub struct Connection {
    fleet: Arc<Fleet>,
    node: String,
    stream: u64,
    replaced: CancellationToken,
}

impl Fleet {
    /// A stream opens; an older one of the same node is told that it is replaced.
    #[must_use]
    pub fn connect(
        self: &Arc<Fleet>,
        node: &str,
        software: &str,
        cursor: Revision,
        now: OffsetDateTime,
    ) -> Connection {
        let mut nodes = self.lock();
        let replaced = CancellationToken::new();
        let old = nodes.get(node);
        if let Some(old) = old {
            old.replaced.cancel();
        }
        let stream = old.map_or(0, |entry| entry.stream + 1);
        let citizens = old.map_or(0, |entry| entry.presence.citizens);
        let presence = Presence {
            connected: true,
            cursor,
            citizens,
            software: software.to_owned(),
            last_seen: now,
            loading: None,
        };
        nodes.insert(node.to_owned(), Entry { presence, stream, replaced: replaced.clone() });
        Connection { fleet: Arc::clone(self), node: node.to_owned(), stream, replaced }
    }

    /// What is known of a node.
    #[must_use]
    pub fn presence(&self, node: &str) -> Option<Presence> {
        self.lock().get(node).map(|entry| entry.presence.clone())
    }

    /// How many nodes have a live stream.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.lock().values().filter(|entry| entry.presence.connected).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Ends when a newer stream of the same node takes over.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }

    /// The node has stored everything up to a cursor.
    pub fn acknowledge(&self, cursor: Revision, citizens: u64, now: OffsetDateTime) {
        self.update(|presence| {
            presence.cursor = cursor;
            presence.citizens = citizens;
            presence.last_seen = now;
        });
    }

    /// A load has looked at so many, and has so many before it; none where none is under way.
    pub fn loads(&self, progress: Option<(u64, u64)>) {
        self.update(|presence| {
            let since = presence.loading.map_or_else(Instant::now, |loading| loading.since);
            presence.loading = progress.map(|(done, to_come)| Loading { done, to_come, since });
        });
    }

    fn update(&self, change: impl FnOnce(&mut Presence)) {
        if let Some(entry) = self.fleet.lock().get_mut(&self.node)
            && entry.stream == self.stream
        {
            change(&mut entry.presence);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.update(|presence| {
            presence.connected = false;
            presence.loading = None;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_stream_replaces_the_older() {
        let fleet = Arc::new(Fleet::default());
        let now = OffsetDateTime::UNIX_EPOCH;
        let first = fleet.connect("ha-giang", "0.1.0", Revision(1), now);
        let second = fleet.connect("ha-giang", "0.1.0", Revision(2), now);
        first.replaced().await;
        first.acknowledge(Revision(9), 9, now);
        drop(first);
        let presence = fleet.presence("ha-giang").unwrap();
        assert!(presence.connected);
        assert_eq!(presence.cursor, Revision(2));
        drop(second);
        assert_eq!(fleet.connected(), 0);
    }
}

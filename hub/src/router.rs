//! Wakes the streams that a commit touches, and no others (law 6): the cost of a commit grows with
//! the streams that read its partitions, never with those that exist.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::Notify;

use crate::registry::Partition;

/// What a group of commits touched.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// The partitions with new feed entries.
    pub partitions: HashSet<Partition>,
    /// The sharing policy or the day.
    pub policy: bool,
}

/// The streams that wait, by partition.
#[derive(Debug, Default)]
pub struct Router {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    by_partition: HashMap<Partition, Vec<Weak<Notify>>>,
    all: Vec<Weak<Notify>>,
}

/// A stream's place at the router; dropping it gives the place up.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Waits until something this stream reads was touched since the last wait.
    pub async fn wait(&self) {
        self.0.notified().await;
    }

    /// Wakes this stream.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

impl Router {
    /// Registers a stream, which is woken by every change of policy.
    #[must_use]
    pub fn register(&self) -> Wake {
        let wake = Wake::default();
        self.lock().all.push(Arc::downgrade(&wake.0));
        wake
    }

    /// Says which partitions a stream reads, instead of those it read before.
    pub fn follow(&self, wake: &Wake, partitions: &[Partition]) {
        let mut waiting = self.lock();
        let this = Arc::downgrade(&wake.0);
        for streams in waiting.by_partition.values_mut() {
            streams.retain(|other| !other.ptr_eq(&this) && other.strong_count() > 0);
        }
        for partition in partitions {
            waiting.by_partition.entry(*partition).or_default().push(Weak::clone(&this));
        }
        waiting.by_partition.retain(|_, streams| !streams.is_empty());
    }

    /// Wakes the streams that a group of commits touches.
    pub fn wake(&self, touched: &Touched) {
        let mut waiting = self.lock();
        if touched.policy {
            waiting.all.retain(notify);
            return;
        }
        for partition in &touched.partitions {
            if let Some(streams) = waiting.by_partition.get_mut(partition) {
                streams.retain(notify);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a stream; false if it is gone.
fn notify(stream: &Weak<Notify>) -> bool {
    stream.upgrade().is_some_and(|stream| {
        stream.notify_one();
        true
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dancu_proto::ProvinceCode;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn only_streams_that_read_the_partition_wake() {
        let router = Router::default();
        let (a, b) = (router.register(), router.register());
        let (p, q) = (Partition::Province(ProvinceCode(1)), Partition::Province(ProvinceCode(8)));
        router.follow(&a, &[p]);
        router.follow(&b, &[q]);
        router.wake(&Touched { partitions: [p].into(), policy: false });
        let short = Duration::from_millis(20);
        assert!(timeout(short, a.wait()).await.is_ok());
        assert!(timeout(short, b.wait()).await.is_err());
        router.follow(&a, &[]);
        router.wake(&Touched { partitions: [p].into(), policy: false });
        assert!(timeout(short, a.wait()).await.is_err());
        router.wake(&Touched { policy: true, ..Touched::default() });
        assert!(timeout(short, a.wait()).await.is_ok());
        assert!(timeout(short, b.wait()).await.is_ok());
        drop(a);
        router.wake(&Touched { policy: true, ..Touched::default() });
        assert_eq!(router.lock().all.len(), 1);
    }
}

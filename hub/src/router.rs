//! Wakes the streams that a commit touches, and no others (law 6): the cost of a commit grows with
//! the streams that read its partitions, never with those that exist.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::registry::Partition;

/// What a group of commits touched.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    /// The partitions with new feed entries.
    pub partitions: HashSet<Partition>,
    /// The agencies whose sharing policy changed.
    pub agencies: HashSet<String>,
    /// Everything: the founding load, or a change of the administrative order.
    pub everything: bool,
}

/// The streams that wait, by what they follow.
#[derive(Debug, Default)]
pub struct Router {
    waiting: Mutex<Waiting>,
}

/// A stream among those that are registered.
type StreamId = u64;

#[derive(Debug, Default)]
struct Waiting {
    last: StreamId,
    streams: HashMap<StreamId, Arc<Notify>>,
    by_partition: HashMap<Partition, HashSet<StreamId>>,
    by_agency: HashMap<String, HashSet<StreamId>>,
}

/// A stream's place at the router; dropping it gives the place up.
#[derive(Debug)]
pub struct Place {
    router: Arc<Router>,
    id: StreamId,
    agency: String,
    partitions: Vec<Partition>,
    touched: Arc<Notify>,
}

impl Router {
    /// Registers the stream of a node of an agency: it is woken when the agency's policy changes,
    /// and by the partitions that it follows.
    #[must_use]
    pub fn register(self: &Arc<Router>, agency: &str) -> Place {
        let touched = Arc::new(Notify::new());
        let mut waiting = self.lock();
        waiting.last += 1;
        let id = waiting.last;
        waiting.streams.insert(id, Arc::clone(&touched));
        waiting.by_agency.entry(agency.to_owned()).or_default().insert(id);
        drop(waiting);
        Place { router: Arc::clone(self), id, agency: agency.to_owned(), partitions: Vec::new(), touched }
    }

    /// Wakes the streams that a group of commits touches.
    pub fn wake(&self, touched: &Touched) {
        let waiting = self.lock();
        if touched.everything {
            waiting.streams.values().for_each(|stream| stream.notify_one());
            return;
        }
        let by_partition = touched.partitions.iter().filter_map(|of| waiting.by_partition.get(of));
        let by_agency = touched.agencies.iter().filter_map(|of| waiting.by_agency.get(of));
        for id in by_partition.chain(by_agency).flatten() {
            if let Some(stream) = waiting.streams.get(id) {
                stream.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Says which partitions the stream reads, instead of those it read before.
    pub fn follow(&mut self, partitions: Vec<Partition>) {
        let mut waiting = self.router.lock();
        for partition in &self.partitions {
            leave(&mut waiting.by_partition, partition, self.id);
        }
        for partition in &partitions {
            waiting.by_partition.entry(*partition).or_default().insert(self.id);
        }
        drop(waiting);
        self.partitions = partitions;
    }

    /// What the stream follows.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// Waits until something the stream follows was touched since the last wait.
    pub async fn touched(&self) {
        self.touched.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.router.lock();
        waiting.streams.remove(&self.id);
        leave(&mut waiting.by_agency, &self.agency, self.id);
        for partition in &self.partitions {
            leave(&mut waiting.by_partition, partition, self.id);
        }
    }
}

fn leave<K: Eq + Hash>(streams: &mut HashMap<K, HashSet<StreamId>>, key: &K, id: StreamId) {
    if let Some(of) = streams.get_mut(key) {
        of.remove(&id);
        if of.is_empty() {
            streams.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dancu_proto::ProvinceKey;
    use tokio::time::timeout;

    use super::*;

    async fn woken(place: &Place) -> bool {
        timeout(Duration::from_millis(20), place.touched()).await.is_ok()
    }

    #[tokio::test]
    async fn only_streams_that_follow_what_is_touched_wake() {
        let router = Arc::new(Router::default());
        let (mut a, mut b) = (router.register("police"), router.register("justice"));
        let (p, q) = (Partition::Province(ProvinceKey(1)), Partition::Province(ProvinceKey(8)));
        a.follow(vec![p]);
        b.follow(vec![q]);
        let of_p = Touched { partitions: [p].into(), ..Touched::default() };
        router.wake(&of_p);
        assert!(woken(&a).await && !woken(&b).await);
        a.follow(Vec::new());
        router.wake(&of_p);
        assert!(!woken(&a).await);
        router.wake(&Touched { agencies: ["justice".to_owned()].into(), ..Touched::default() });
        assert!(!woken(&a).await && woken(&b).await);
        router.wake(&Touched { everything: true, ..Touched::default() });
        assert!(woken(&a).await && woken(&b).await);
        drop((a, b));
        let waiting = router.lock();
        assert!(
            waiting.streams.is_empty() && waiting.by_partition.is_empty() && waiting.by_agency.is_empty()
        );
    }
}

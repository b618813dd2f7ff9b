//! Deltas that several streams would send alike are made once: nodes under the same policy see the
//! same changes as the same bytes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use dancu_proto::{Revision, hub::v1::ChangeFrame};

use crate::projection::PolicyKey;

/// Deltas kept, and their bytes: for streams that are a moment behind the first.
const KEPT: usize = 4_096;
const BYTES: usize = 32 << 20;

/// The latest deltas, by policy and by the revision that they lead from. That is not the cursor of the
/// stream that made one but its base, the last revision at which something in its partitions changed:
/// streams that stand at several cursors with nothing in between come from the same.
#[derive(Debug, Default)]
pub struct SharedDeltas {
    kept: Mutex<Kept>,
}

type Key = (Arc<PolicyKey>, Revision);

#[derive(Debug, Default)]
struct Kept {
    deltas: HashMap<Key, SharedDelta>,
    order: VecDeque<Key>,
    bytes: usize,
}

/// A delta of one frame.
#[derive(Clone, Debug)]
pub(super) struct SharedDelta {
    /// The revision it leads to.
    pub(super) target: Revision,
    /// The changes; none where nothing is to be seen.
    pub(super) changes: Option<ChangeFrame>,
}

impl SharedDeltas {
    /// The delta of a policy from a base.
    pub(super) fn find(&self, policy: &Arc<PolicyKey>, base: Revision) -> Option<SharedDelta> {
        self.lock().deltas.get(&(Arc::clone(policy), base)).cloned()
    }

    /// Keeps a delta for streams that come to it later.
    pub(super) fn keep(&self, policy: &Arc<PolicyKey>, base: Revision, delta: SharedDelta) {
        let size = |delta: &SharedDelta| delta.changes.as_ref().map_or(0, |changes| changes.payload.len());
        let mut kept = self.lock();
        let key = (Arc::clone(policy), base);
        kept.bytes += size(&delta);
        match kept.deltas.insert(key.clone(), delta) {
            Some(replaced) => kept.bytes -= size(&replaced),
            None => kept.order.push_back(key),
        }
        while kept.order.len() > KEPT || kept.bytes > BYTES {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(gone) = kept.deltas.remove(&oldest) {
                kept.bytes -= size(&gone);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_too_large_ones() {
        let shared = SharedDeltas::default();
        let policy = Arc::new(PolicyKey::default());
        let delta = |bytes: usize| SharedDelta {
            target: Revision(9),
            changes: Some(ChangeFrame { payload: vec![0; bytes].into(), ..ChangeFrame::default() }),
        };
        for base in 1..=KEPT as u64 + 1 {
            shared.keep(&policy, Revision(base), delta(1));
        }
        assert!(shared.find(&policy, Revision(1)).is_none());
        assert!(shared.find(&policy, Revision(2)).is_some());
        shared.keep(&policy, Revision(2), delta(BYTES));
        assert!(shared.lock().bytes <= BYTES + KEPT);
        shared.keep(&policy, Revision(KEPT as u64 + 9), delta(BYTES - 1));
        let kept = shared.lock();
        // One of a byte has room beside it.
        assert_eq!((kept.deltas.len(), kept.order.len(), kept.bytes), (2, 2, BYTES));
    }
}

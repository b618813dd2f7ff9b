//! What the writer remembers of the registry. It alone changes citizens and the journal, so it knows what it wrote;
//! events of one family come close to each other, and each asks for its people many times.

use std::{cell::RefCell, hash::Hash, sync::Arc};

use dancu_proto::Revision;
use foldhash::fast::RandomState;
use quick_cache::{
    UnitWeighter,
    unsync::{Cache, DefaultLifecycle},
};

use super::{CitizenKey, JournalEntry, StoredCitizen, group::Group};

/// Citizens, and entries of the journal, that the writer remembers: some 40 MB.
pub(super) const REMEMBERED: usize = 32_768;
/// Entries that change more citizens, as those of imports do, are read anew each time.
const MANY: usize = 16;

type Remembered<K, V> = RefCell<Cache<K, Arc<V>, UnitWeighter, RandomState, DefaultLifecycle<K, Arc<V>>>>;

/// Citizens and entries of the journal, as the registry has them with all that was handed over to the disk.
pub(super) struct Known {
    citizens: Remembered<CitizenKey, StoredCitizen>,
    entries: Remembered<Revision, JournalEntry>,
}

fn remembered<K: Eq + Hash, V>(at_most: usize) -> Remembered<K, V> {
    let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
    RefCell::new(Cache::with(at_most, at_most as u64, UnitWeighter, hasher, lifecycle))
}

impl Known {
    /// Room for so many citizens, and as many entries.
    pub(super) fn with_room(at_most: usize) -> Known {
        Known { citizens: remembered(at_most), entries: remembered(at_most) }
    }

    pub(super) fn citizen(&self, key: CitizenKey) -> Option<Arc<StoredCitizen>> {
        self.citizens.borrow().get(&key).cloned()
    }

    /// Somebody was read.
    pub(super) fn learn(&self, key: CitizenKey, citizen: &Arc<StoredCitizen>) {
        self.citizens.borrow_mut().insert(key, Arc::clone(citizen));
    }

    pub(super) fn entry(&self, revision: Revision) -> Option<Arc<JournalEntry>> {
        self.entries.borrow().get(&revision).cloned()
    }

    /// An entry was read.
    pub(super) fn learn_entry(&self, revision: Revision, entry: &Arc<JournalEntry>) {
        if entry.citizens() <= MANY {
            self.entries.borrow_mut().insert(revision, Arc::clone(entry));
        }
    }

    /// A group is handed over.
    pub(super) fn learn_group(&self, group: &Group) {
        group.changed.iter().for_each(|(key, citizen)| self.learn(*key, citizen));
        group.entries.iter().for_each(|(revision, entry)| self.learn_entry(*revision, entry));
    }

    /// What was handed over did not come to the disk, or the registry was changed by other ways.
    pub(super) fn forget(&self) {
        self.citizens.borrow_mut().clear();
        self.entries.borrow_mut().clear();
    }
}

//! What the writer remembers of the registry. It alone changes citizens and the journal, so it knows what it wrote;
//! events of one family come close to each other, and each asks for its people many times.

use std::{cell::RefCell, hash::Hash, sync::Arc};

use dancu_proto::Revision;
use foldhash::fast::RandomState;
use quick_cache::{
    Weighter,
    unsync::{Cache, DefaultLifecycle},
};

use super::{CitizenChange, CitizenKey, JournalEntry, StoredCitizen, group::Group, journal::Content};

/// Bytes of citizens that the writer remembers, and of entries of the journal.
pub(super) const REMEMBERED: u64 = 32 << 20;
/// Entries that change more citizens, as those of imports do, are read anew each time.
const MANY: usize = 16;
/// Bytes that a citizen or an entry takes beside its values, about.
const ROOM: usize = 400;

type Remembered<K, V> = RefCell<Cache<K, Arc<V>, Bytes, RandomState, DefaultLifecycle<K, Arc<V>>>>;

/// How many bytes something takes.
#[derive(Clone)]
struct Bytes;

impl Weighter<CitizenKey, Arc<StoredCitizen>> for Bytes {
    fn weight(&self, _: &CitizenKey, citizen: &Arc<StoredCitizen>) -> u64 {
        (ROOM + citizen.record.as_bytes().len()) as u64
    }
}

impl Weighter<Revision, Arc<JournalEntry>> for Bytes {
    fn weight(&self, _: &Revision, entry: &Arc<JournalEntry>) -> u64 {
        let values: usize = match &entry.content {
            Some(Content::Citizens(changes)) => changes.changes.iter().map(values_of).sum(),
            _ => 0,
        };
        (ROOM + values) as u64
    }
}

fn values_of(change: &CitizenChange) -> usize {
    size_of_val(change)
        + [&change.set, &change.before, &change.claimed, &change.added]
            .map(|values| values.len())
            .iter()
            .sum::<usize>()
}

/// Citizens and entries of the journal, as the registry has them with all that was handed over to the disk.
pub(super) struct Known {
    citizens: Remembered<CitizenKey, StoredCitizen>,
    entries: Remembered<Revision, JournalEntry>,
}

fn remembered<K: Eq + Hash, V>(bytes: u64) -> Remembered<K, V>
where
    Bytes: Weighter<K, Arc<V>>,
{
    let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
    let about = usize::try_from(bytes).unwrap_or(usize::MAX) / (3 * ROOM);
    RefCell::new(Cache::with(about, bytes, Bytes, hasher, lifecycle))
}

impl Known {
    /// Room for so many bytes of citizens, and as many of entries.
    pub(super) fn with_room(bytes: u64) -> Known {
        Known { citizens: remembered(bytes), entries: remembered(bytes) }
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
        // Others are not asked for by what is judged.
        if matches!(entry.content, Some(Content::Citizens(_) | Content::Founding(_)))
            && entry.citizens() <= MANY
        {
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

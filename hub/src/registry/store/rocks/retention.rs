//! However often citizens change, the feed stays as large as if each had changed once: in entries, in
//! bytes on disk once compaction has come to rest, and in the time that reading it takes.

use std::time::{Duration, Instant};

use dancu_proto::{CommuneKey, ProvinceKey, Revision};
use rocksdb::WaitForCompactOptions;

use super::{
    super::super::{CitizenKey, Partition},
    RocksStore, Store, Table, Write,
};

/// Changes that share a write.
const GROUP: u64 = 1_000;
/// Partitions that a citizen is in: the nation, a province, a commune.
const PARTITIONS: u64 = 3;

/// A registry's feed, written as commits of one citizen each write it.
struct Feed {
    store: RocksStore,
    /// The revision of each citizen's latest change.
    latest: Vec<u64>,
    revision: u64,
    _dir: tempfile::TempDir,
}

/// What is on disk.
#[derive(Debug)]
struct Size {
    entries: u64,
    bytes: u64,
}

fn key(citizen: u64) -> CitizenKey {
    CitizenKey(1_000_000_000 + citizen * 104_729)
}

fn partitions(citizen: u64) -> [Partition; PARTITIONS as usize] {
    let (province, commune) = ((citizen % 34) as u32, (citizen % 3_321) as u32);
    [Partition::Nation, Partition::Province(ProvinceKey(province)), Partition::Commune(CommuneKey(commune))]
}

impl Feed {
    fn of(citizens: u64) -> Feed {
        let dir = tempfile::tempdir().unwrap();
        RocksStore::create(dir.path(), &[]).unwrap();
        let store = RocksStore::open(dir.path(), 0).unwrap();
        Feed { store, latest: vec![0; citizens as usize], revision: 0, _dir: dir }
    }

    /// Changes citizens, each as one revision. `flush_every` so many changes what is in memory is
    /// written to a file, as the log of writes makes it when it has grown enough.
    fn change(&mut self, citizens: impl Iterator<Item = u64>, flush_every: u64) {
        let mut writes = Vec::new();
        for citizen in citizens {
            self.revision += 1;
            let latest = &mut self.latest[citizen as usize];
            for partition in partitions(citizen) {
                if *latest > 0 {
                    writes.push(Write::Unfeed(partition, Revision(*latest), key(citizen)));
                }
                writes.push(Write::Feed(partition, Revision(self.revision), key(citizen)));
            }
            *latest = self.revision;
            if self.revision.is_multiple_of(GROUP) {
                self.store.apply(&std::mem::take(&mut writes)).unwrap();
            }
            if self.revision.is_multiple_of(flush_every) {
                self.store.db.flush_cf(self.store.table(Table::Feed).unwrap()).unwrap();
            }
        }
        self.store.apply(&writes).unwrap();
    }

    /// Waits until compaction has come to rest by itself, and measures.
    fn at_rest(&self) -> Size {
        let mut options = WaitForCompactOptions::default();
        options.set_flush(true);
        self.store.db.wait_for_compact(&options).unwrap();
        self.size()
    }

    /// Compacts everything, and measures: the least that it can be.
    fn at_least(&self) -> Size {
        let table = self.store.table(Table::Feed).unwrap();
        self.store.db.flush_cf(table).unwrap();
        self.store.db.compact_range_cf(table, None::<&[u8]>, None::<&[u8]>);
        self.size()
    }

    fn size(&self) -> Size {
        let table = self.store.table(Table::Feed).unwrap();
        let bytes = self.store.db.property_int_value_cf(table, "rocksdb.total-sst-files-size").unwrap();
        let snapshot = self.store.snapshot();
        let all: std::collections::BTreeSet<Partition> =
            (0..self.latest.len() as u64).flat_map(partitions).collect();
        let entries = all.iter().map(|p| snapshot.feed_after(*p, Revision::NONE).count() as u64).sum();
        Size { entries, bytes: bytes.unwrap() }
    }

    /// How long it takes to read the feed of the nation after a revision.
    fn read_after(&self, revision: u64) -> (usize, Duration) {
        let started = Instant::now();
        let snapshot = self.store.snapshot();
        let rows = snapshot.feed_after(Partition::Nation, Revision(revision)).count();
        (rows, started.elapsed())
    }
}

/// Many changes of citizens drawn at random, each at least once, beside one change each.
fn stays_as_small(citizens: u64, changes: u64, flush_every: u64) {
    let mut once = Feed::of(citizens);
    once.change(0..citizens, flush_every);
    let once_size = once.at_least();
    let mut often = Feed::of(citizens);
    let started = Instant::now();
    let mut random = 7_u64;
    let drawn = (0..changes - citizens).map(|_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % citizens
    });
    often.change((0..citizens).chain(drawn), flush_every);
    eprintln!("{changes} changes of {citizens} citizens in {:?}", started.elapsed());
    let busy = (often.read_after(0), often.read_after(often.revision - 100));
    let often_size = often.at_rest();
    let rested = (often.read_after(0), often.read_after(often.revision - 100));
    eprintln!("once {once_size:?}, often {often_size:?}");
    eprintln!("all of the nation's feed, and its last hundred: {busy:?} before rest, {rested:?} after");
    eprintln!("beside it: {:?}", (once.read_after(0), once.read_after(once.revision - 100)));

    assert_eq!((once_size.entries, often_size.entries), (PARTITIONS * citizens, PARTITIONS * citizens));
    // Revisions drawn at random take a little more room than those in a row.
    let most = once_size.bytes * 3 / 2;
    assert!(often_size.bytes <= most, "{} bytes where {} would do", often_size.bytes, once_size.bytes);
    assert!(busy.1.1 < Duration::from_millis(100), "who is nearly there reads what is new, and no more");
}

#[test]
fn a_feed_stays_as_small_as_its_citizens() {
    // The last files are too few to be compacted for their number: it is their deletions that do it.
    stays_as_small(10_000, 113_000, 5_000);
}

#[test]
#[ignore = "slow: some minutes; part of `make test-slow`"]
fn ten_million_changes_leave_a_feed_the_size_of_a_million_citizens() {
    // A commit writes about a kilobyte, most of it to other tables: the log of writes has grown to
    // where it makes the feed be written out after some 250,000.
    stays_as_small(1_000_000, 10_000_000, 250_000);
}

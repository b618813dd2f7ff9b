//! Access logs as nodes hand them in: the hub takes over what follows from what it has, record by record,
//! and nothing of anything else.

use std::{cell::RefCell, sync::Arc};

use dancu_hub::{
    audit::{AuditLog, Place},
    registry::{Registry, system_clock},
};
use dancu_proto::{
    area::files,
    hub::v1::UploadAccessLogRequest,
    v1::{LogHead, LogRecord, Signed},
};
use prost::Message;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::input::Input;

/// When the hub gets it, ms.
const NOW_MS: u64 = 1_795_000_000_000;
/// Logs that a hub has before another takes its place, so that it does not grow for ever.
const LOGS: u64 = 20_000;

thread_local! {
    static HUB: RefCell<Option<Hub>> = const { RefCell::new(None) };
}

/// What is done with the records before they are handed in, and an encoded `UploadAccessLogRequest`.
pub fn access_log(data: &[u8]) {
    let mut input = Input::new(data);
    let (how, place) = (input.byte(), input.byte());
    let Ok(request) = UploadAccessLogRequest::decode(input.rest()) else { return };
    let UploadAccessLogRequest { mut records, head } = request;
    let head = head.unwrap_or_default();
    assert_eq!(Signed::from_text(&head.to_text()).ok().as_ref(), Some(&head));
    if how & 1 != 0 {
        chain(&mut records, how & 2 != 0);
    }
    let signed = match LogHead::decode(head.content.as_slice()) {
        Ok(signed) if how & 4 == 0 => signed,
        _ => head_of(&records),
    };
    HUB.with_borrow_mut(|kept| {
        if kept.as_ref().is_some_and(|hub| hub.logs >= LOGS) {
            *kept = None;
        }
        kept.get_or_insert_with(Hub::start).is_handed(&records, &signed, place);
    });
}

/// Makes a chain of records, as a node does: libFuzzer does not find hashes.
fn chain(records: &mut [Vec<u8>], in_time: bool) {
    let (mut previous, mut latest) = (vec![0; 32], 0);
    for (sequence, bytes) in (1..).zip(records.iter_mut()) {
        if let Ok(mut record) = LogRecord::decode(bytes.as_slice()) {
            (record.sequence, record.previous) = (sequence, previous);
            if in_time {
                record.time_ms = record.time_ms.max(latest);
            }
            latest = record.time_ms;
            *bytes = record.encode_to_vec();
        }
        previous = leaf_hash(bytes).to_vec();
    }
}

fn head_of(records: &[Vec<u8>]) -> LogHead {
    let hash = records.last().map_or([0; 32], |record| leaf_hash(record)).to_vec();
    LogHead { sequence: records.len() as u64, hash, ..LogHead::default() }
}

/// RFC 6962, 2.1.
fn leaf_hash(record: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(record).finalize().into()
}

/// Whether records are a whole log, and a head is theirs.
fn is_whole(records: &[Vec<u8>], head: &LogHead) -> bool {
    let (mut previous, mut latest) = (vec![0; 32], 0);
    let follows = (1..).zip(records).all(|(sequence, bytes)| {
        let Ok(record) = LogRecord::decode(bytes.as_slice()) else { return false };
        let follows = record.sequence == sequence
            && record.previous == previous
            && record.time_ms >= latest
            && record.body.is_some();
        (previous, latest) = (leaf_hash(bytes).to_vec(), record.time_ms);
        follows
    });
    follows && head.sequence == records.len() as u64 && head.hash == previous
}

struct Hub {
    log: AuditLog,
    logs: u64,
    _directory: TempDir,
}

impl Hub {
    fn start() -> Hub {
        let directory = tempfile::tempdir().unwrap();
        Registry::create(directory.path(), &files::shipped()).unwrap();
        let registry = Registry::open(directory.path(), 0, Arc::default(), system_clock()).unwrap();
        let log = AuditLog::open(directory.path(), 0, Arc::new(registry)).unwrap();
        Hub { log, logs: 0, _directory: directory }
    }

    /// The name of a node that has handed in nothing.
    fn node(&mut self) -> String {
        self.logs += 1;
        format!("node-{}", self.logs)
    }

    fn is_handed(&mut self, records: &[Vec<u8>], head: &LogHead, place: u8) {
        let node = self.node();
        let taken = self.log.take_over(&node, records, head, NOW_MS).unwrap();
        let stands = self.log.place(&node).unwrap();
        let Ok(at) = taken else {
            assert!(!is_whole(records, head), "a whole log is refused");
            assert_eq!(stands, Place::default(), "something of a refused batch is kept");
            return;
        };
        assert!(is_whole(records, head), "what is no whole log is taken over");
        assert_eq!(stands, at);
        assert_eq!((at.sequence, at.hash.to_vec()), (head.sequence, head.hash.clone()));
        assert_eq!(self.log.meet(&node, head).unwrap().as_ref(), Ok(&at));
        if !records.is_empty() {
            assert!(self.log.take_over(&node, records, head, NOW_MS).unwrap().is_err(), "taken over twice");
            assert_eq!(self.log.place(&node).unwrap(), at);
            self.in_parts(records, head, at, usize::from(place));
            self.altered(records, head, usize::from(place));
        }
    }

    /// In two batches it is the same log.
    fn in_parts(&mut self, records: &[Vec<u8>], head: &LogHead, whole: Place, place: usize) {
        let node = self.node();
        let (first, second) = records.split_at(place % records.len());
        // Signed at no time, so that nothing of the second is older.
        let half = self.log.take_over(&node, first, &head_of(first), NOW_MS).unwrap();
        assert!(half.is_ok(), "the beginning of a log is refused");
        assert_eq!(self.log.take_over(&node, second, head, NOW_MS).unwrap(), Ok(whole));
    }

    /// With one bit changed, or a record left out, it is none.
    fn altered(&mut self, records: &[Vec<u8>], head: &LogHead, place: usize) {
        let at = place % records.len();
        let mut without = records.to_vec();
        without.remove(at);
        let mut other = records.to_vec();
        let byte = place * 31 % other[at].len();
        other[at][byte] ^= 1 << (place % 8);
        for records in [without, other] {
            let node = self.node();
            assert!(
                self.log.take_over(&node, &records, head, NOW_MS).unwrap().is_err(),
                "taken over altered"
            );
        }
    }
}

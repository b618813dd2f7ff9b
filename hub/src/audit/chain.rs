//! Whether what a node hands in goes on where its log stood at the hub.

use dancu_proto::v1::{LogHead, LogRecord, log_record::Body};
use prost::Message;

use super::{
    alarm::{AlarmKind, Fault},
    tree::{Hash, leaf_hash},
};

/// Clocks are set back by a little now and then; more than this is no accident.
const TOLERANCE_MS: u64 = 5 * 60 * 1000;

/// Where a node's log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The last record; 0 for none.
    pub sequence: u64,
    /// Its hash.
    pub hash: Hash,
    /// When it was written, ms.
    pub time_ms: u64,
    /// When the node last signed that this record is its last, ms; 0 if it did not.
    pub ended_ms: u64,
    /// When the hub last heard of it, ms by its own clock.
    pub heard_ms: u64,
}

/// A record that was read.
pub(super) struct Read {
    pub(super) sequence: u64,
    pub(super) body: Body,
}

/// The records of a batch, if they follow a place, and the place they lead to. `known` says what the hub
/// has under a number.
///
/// A record may be much older than the moment at which the hub took over the one before: that is how a
/// node catches up after days offline. It may not be older than a moment for which the node signed that
/// there was no such record; and times never descend.
pub(super) fn follow<E>(
    from: Place,
    records: &[Vec<u8>],
    known: impl Fn(u64) -> Result<Option<Hash>, E>,
) -> Result<Result<(Vec<Read>, Place), Fault>, E> {
    let mut at = from;
    let mut read = Vec::with_capacity(records.len());
    for (place, bytes) in records.iter().enumerate() {
        let wanted = at.sequence + 1;
        let record = match LogRecord::decode(bytes.as_slice()) {
            Ok(LogRecord { sequence, previous, time_ms, body: Some(body) }) if sequence > 0 => {
                (sequence, previous, time_ms, body)
            }
            _ => return Ok(Err(Fault::new(AlarmKind::Edited, wanted, "the record cannot be read"))),
        };
        let (sequence, previous, time_ms, body) = record;
        if sequence != wanted {
            let later = &records[place..];
            return Ok(Err(out_of_order(from, wanted, sequence, bytes, later, known)?));
        }
        if previous != at.hash {
            let text = "it was written after another record than the one before it";
            return Ok(Err(Fault::new(AlarmKind::Edited, sequence, text)));
        }
        if time_ms < at.time_ms {
            let text = "it is older than the record before it";
            return Ok(Err(Fault::new(AlarmKind::BackDated, sequence, text)));
        }
        if time_ms.saturating_add(TOLERANCE_MS) < at.ended_ms {
            let text = "it is older than the moment for which the node signed that there was no such record";
            return Ok(Err(Fault::new(AlarmKind::BackDated, sequence, text)));
        }
        at = Place { sequence, hash: leaf_hash(bytes), time_ms, ended_ms: 0, heard_ms: 0 };
        read.push(Read { sequence, body });
    }
    Ok(Ok((read, at)))
}

/// A record has another number than the next.
fn out_of_order<E>(
    from: Place,
    wanted: u64,
    found: u64,
    record: &[u8],
    later: &[Vec<u8>],
    known: impl Fn(u64) -> Result<Option<Hash>, E>,
) -> Result<Fault, E> {
    if found > wanted {
        let comes_later = later.iter().any(|record| sequence_of(record) == Some(wanted));
        return Ok(if comes_later {
            Fault::new(AlarmKind::Reordered, found, format!("it comes before record {wanted}"))
        } else {
            Fault::new(AlarmKind::Dropped, wanted, format!("it is missing; what follows is {found}"))
        });
    }
    if found <= from.sequence && known(found)?.is_some_and(|has| has != leaf_hash(record)) {
        let text = "it is another one than the hub took over under this number";
        return Ok(Fault::new(AlarmKind::Forked, found, text));
    }
    Ok(Fault::new(AlarmKind::Reordered, found, format!("it comes again where record {wanted} is due")))
}

fn sequence_of(record: &[u8]) -> Option<u64> {
    LogRecord::decode(record).ok().map(|record| record.sequence)
}

/// Whether a head that a node signed is that of a place. `known` as above.
pub(super) fn at_head<E>(
    head: &LogHead,
    at: Place,
    known: impl Fn(u64) -> Result<Option<Hash>, E>,
) -> Result<Result<(), Fault>, E> {
    let sequence = head.sequence;
    if sequence > at.sequence {
        let text = "the node signed more of its log than it handed in";
        return Ok(Err(Fault::new(AlarmKind::Withheld, sequence, text)));
    }
    let has = if sequence == at.sequence { Some(at.hash) } else { known(sequence)? };
    if has.is_some_and(|has| head.hash != has) {
        let text = "the node signed another record than the hub has under this number";
        return Ok(Err(Fault::new(AlarmKind::Forked, sequence, text)));
    }
    if sequence < at.sequence {
        let text = format!("the node's log ends here, and record {} was signed before", at.sequence);
        return Ok(Err(Fault::new(AlarmKind::Withheld, sequence, text)));
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::HashMap, convert::Infallible};

    use dancu_proto::v1::AccessEntry;

    use super::*;

    const HOUR: u64 = 3_600_000;
    const MORNING: u64 = 1_795_000_000_000;

    /// A node's log, and what the hub has of it.
    #[derive(Default)]
    struct Bench {
        at: Place,
        has: RefCell<HashMap<u64, Hash>>,
    }

    fn record(sequence: u64, previous: Hash, time_ms: u64, officer: &str) -> Vec<u8> {
        let entry = AccessEntry { officer: officer.into(), ..AccessEntry::default() };
        let body = Some(Body::Access(entry));
        LogRecord { sequence, previous: previous.to_vec(), time_ms, body }.encode_to_vec()
    }

    /// Records that follow a place, a second apart.
    fn written(from: Place, count: u64, time_ms: u64) -> Vec<Vec<u8>> {
        let mut previous = from.hash;
        let one = |number: u64| {
            let record = record(from.sequence + number, previous, time_ms + number * 1000, "CB-7");
            previous = leaf_hash(&record);
            record
        };
        (1..=count).map(one).collect()
    }

    impl Bench {
        fn known(&self, sequence: u64) -> Result<Option<Hash>, Infallible> {
            Ok(self.has.borrow().get(&sequence).copied())
        }

        /// Takes over a batch whose head the node signed at a time.
        fn take(&mut self, records: &[Vec<u8>], head: Option<LogHead>, signed_ms: u64) -> Result<(), Fault> {
            let Ok(followed) = follow(self.at, records, |sequence| self.known(sequence));
            let (_, mut at) = followed?;
            let head = head.unwrap_or_else(|| head_of(at));
            let Ok(same) = at_head(&head, at, |sequence| self.known(sequence));
            same?;
            at.ended_ms = signed_ms;
            self.at = at;
            for record in records {
                let sequence = sequence_of(record).unwrap();
                self.has.borrow_mut().insert(sequence, leaf_hash(record));
            }
            Ok(())
        }

        fn fault(&mut self, records: &[Vec<u8>]) -> (AlarmKind, u64) {
            let fault = self.take(records, None, MORNING + 10 * HOUR).unwrap_err();
            (fault.kind, fault.sequence)
        }
    }

    fn head_of(at: Place) -> LogHead {
        LogHead { sequence: at.sequence, hash: at.hash.to_vec(), ..LogHead::default() }
    }

    fn begun() -> Bench {
        let mut bench = Bench::default();
        bench.take(&written(Place::default(), 10, MORNING), None, MORNING + HOUR).unwrap();
        bench
    }

    #[test]
    fn a_log_goes_on_where_it_ended() {
        let mut bench = begun();
        bench.take(&[], None, MORNING + 2 * HOUR).unwrap();
        let more = written(bench.at, 5, MORNING + 3 * HOUR);
        bench.take(&more, None, MORNING + 4 * HOUR).unwrap();
        assert_eq!(bench.at.sequence, 15);
    }

    #[test]
    fn days_offline_are_not_held_against_a_node() {
        let mut bench = begun();
        // The node said nothing for a day, and had recorded all the time.
        let more = written(bench.at, 5, MORNING + HOUR + 1);
        bench.take(&more, None, MORNING + 24 * HOUR).unwrap();
    }

    #[test]
    fn an_edited_record_is_named() {
        let mut bench = begun();
        let mut more = written(bench.at, 5, MORNING + 3 * HOUR);
        let second = LogRecord::decode(&more[1][..]).unwrap();
        more[1] = record(12, second.previous.try_into().unwrap(), second.time_ms, "CB-8");
        // It reads well itself; the next was written after another.
        assert_eq!(bench.fault(&more), (AlarmKind::Edited, 13));
        assert_eq!(bench.fault(&[b"no record".to_vec()]), (AlarmKind::Edited, 11));
    }

    #[test]
    fn a_dropped_record_is_named() {
        let mut bench = begun();
        let mut more = written(bench.at, 5, MORNING + 3 * HOUR);
        more.remove(2);
        assert_eq!(bench.fault(&more), (AlarmKind::Dropped, 13));
        assert_eq!(bench.fault(&more[2..]), (AlarmKind::Dropped, 11));
    }

    #[test]
    fn reordered_records_are_named() {
        let mut bench = begun();
        let mut more = written(bench.at, 5, MORNING + 3 * HOUR);
        more.swap(1, 3);
        assert_eq!(bench.fault(&more), (AlarmKind::Reordered, 14));
    }

    #[test]
    fn a_fork_is_named() {
        let mut bench = begun();
        let before = Place::default();
        // Other records under numbers that the hub has.
        let others = written(before, 10, MORNING + 1);
        assert_eq!(bench.fault(&others[4..]), (AlarmKind::Forked, 5));
        // Others after the same place, told by their head alone.
        let head = LogHead { sequence: 10, hash: leaf_hash(&others[9]).to_vec(), ..LogHead::default() };
        let fault = bench.take(&[], Some(head), MORNING + 2 * HOUR).unwrap_err();
        assert_eq!((fault.kind, fault.sequence), (AlarmKind::Forked, 10));
    }

    #[test]
    fn a_back_dated_record_is_named() {
        let mut bench = begun();
        // The node had signed an hour later that there was nothing more.
        let late = written(bench.at, 1, MORNING + HOUR / 2);
        assert_eq!(bench.fault(&late), (AlarmKind::BackDated, 11));
        let mut descending = written(bench.at, 2, MORNING + 3 * HOUR);
        descending[1] = record(12, leaf_hash(&descending[0]), MORNING + 2 * HOUR, "CB-7");
        assert_eq!(bench.fault(&descending), (AlarmKind::BackDated, 12));
    }

    #[test]
    fn what_was_signed_and_is_not_handed_in_is_named() {
        let mut bench = begun();
        let more = written(bench.at, 5, MORNING + 3 * HOUR);
        let signed = LogHead { sequence: 15, hash: leaf_hash(&more[4]).to_vec(), ..LogHead::default() };
        let fault = bench.take(&more[..3], Some(signed), MORNING + 4 * HOUR).unwrap_err();
        assert_eq!(fault.kind, AlarmKind::Withheld);
        // A log that was put back to an older copy.
        let older = written(Place::default(), 10, MORNING);
        let head = LogHead { sequence: 4, hash: leaf_hash(&older[3]).to_vec(), ..LogHead::default() };
        let fault = bench.take(&[], Some(head), MORNING + 4 * HOUR).unwrap_err();
        assert_eq!((fault.kind, fault.sequence), (AlarmKind::Withheld, 4));
    }
}

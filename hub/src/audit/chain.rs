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
pub(super) struct Place {
    /// The last record; 0 for none.
    pub(super) sequence: u64,
    /// Its hash.
    pub(super) hash: Hash,
    /// When it was written, ms.
    pub(super) time_ms: u64,
    /// When the node last signed that this record is its last, ms; 0 if it did not.
    pub(super) ended_ms: u64,
    /// When the hub last heard of it, ms by its own clock.
    pub(super) heard_ms: u64,
}

/// A record that was read.
pub(super) struct Read {
    pub(super) sequence: u64,
    pub(super) time_ms: u64,
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
        read.push(Read { sequence, time_ms, body });
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

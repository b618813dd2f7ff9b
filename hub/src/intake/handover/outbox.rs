//! Where the hub stands with each outbox: what it has, what never came, and which outbox was lost. Rows of
//! the table `outboxes`.

use dancu_proto::hub::v1::{HubStanding, Outbox, SequenceRange};
use prost::Message;
use time::OffsetDateTime;

use crate::{
    calendar::milliseconds,
    registry::{Rows, StoreError, View},
    sync::timestamp,
};

/// The table.
const OUTBOXES: &str = "outboxes";
const OUTBOX: u8 = b'o';
const NODE: u8 = b'n';
/// So many gaps of one outbox are told apart.
const GAPS: usize = 10_000;

/// An outbox.
#[derive(Clone, PartialEq, Message)]
pub struct Row {
    /// The node.
    #[prost(string, tag = "1")]
    node: String,
    /// The last sequence that the node said it had queued.
    #[prost(uint64, tag = "2")]
    queued: u64,
    /// The last sequence that the hub has.
    #[prost(uint64, tag = "3")]
    taken: u64,
    /// Below it, what never came: first and last, in turn.
    #[prost(uint64, repeated, tag = "4")]
    missing: Vec<u64>,
    /// When anything came last, milliseconds since 1970.
    #[prost(int64, tag = "5")]
    last_ms: i64,
    /// The node has another one since.
    #[prost(bool, tag = "6")]
    lost: bool,
    /// Its identity.
    #[prost(bytes = "vec", tag = "7")]
    outbox: Vec<u8>,
}

/// An outbox is its node's: what another node says under the same identity is of another outbox.
fn name(node: &str, outbox: &[u8]) -> Vec<u8> {
    [&[OUTBOX][..], node.as_bytes(), &[0], outbox].concat()
}

fn ranges(missing: &[u64]) -> Vec<SequenceRange> {
    missing.chunks_exact(2).map(|pair| SequenceRange { from: pair[0], until: pair[1] }).collect()
}

/// An outbox, as everything before leaves it.
///
/// # Errors
/// If the disk refuses, or a row is damaged; so for all below.
pub fn of(rows: &Rows<'_>, node: &str, outbox: &[u8]) -> Result<Row, StoreError> {
    let new = || Row { node: node.to_owned(), outbox: outbox.to_vec(), ..Row::default() };
    Ok(rows.message(OUTBOXES, &name(node, outbox))?.unwrap_or_else(new))
}

/// A node says how far its outbox goes. An earlier outbox of it is lost then: what of that did not come, will
/// not come by itself.
///
/// # Errors
/// See above.
pub fn begins(
    rows: &mut Rows<'_>,
    node: &str,
    outbox: &[u8],
    queued: u64,
) -> Result<Option<Row>, StoreError> {
    let of_node = [&[NODE][..], node.as_bytes()].concat();
    let before = rows.get(OUTBOXES, &of_node)?;
    let mut lost = None;
    if let Some(before) = before.filter(|before| before != outbox)
        && let Some(mut row) = rows.message::<Row>(OUTBOXES, &name(node, &before))?
    {
        row.lost = true;
        rows.put(OUTBOXES, name(node, &before), row.encode_to_vec());
        lost = Some(row);
    }
    rows.put(OUTBOXES, of_node, outbox.to_vec());
    let mut row = of(rows, node, outbox)?;
    row.queued = row.queued.max(queued);
    // An outbox that comes back was not lost.
    row.lost = false;
    rows.put(OUTBOXES, name(node, outbox), row.encode_to_vec());
    Ok(lost)
}

impl Row {
    /// Whether a place lies beyond all that came.
    #[must_use]
    pub fn is_beyond(&self, sequence: u64) -> bool {
        sequence > self.taken
    }

    /// A contribution came.
    pub fn came(mut self, rows: &mut Rows<'_>, sequence: u64) {
        if self.is_beyond(sequence) {
            if sequence > self.taken + 1 {
                self.misses(self.taken + 1, sequence - 1);
            }
            self.taken = sequence;
        } else {
            self.missing = without(&self.missing, sequence);
        }
        self.queued = self.queued.max(sequence);
        self.last_ms = milliseconds(rows.standing().now());
        rows.put(OUTBOXES, name(&self.node, &self.outbox), self.encode_to_vec());
    }

    /// What lies between two places that came never did. Beyond so many gaps the last one grows: what it takes in
    /// that did come is known when it comes again.
    fn misses(&mut self, from: u64, until: u64) {
        if self.missing.len() < 2 * GAPS {
            self.missing.extend([from, until]);
        } else if let Some(last) = self.missing.last_mut() {
            *last = until;
        }
    }

    /// How many contributions of it never came.
    #[must_use]
    pub fn never_came(&self) -> u64 {
        let below: u64 = self.missing.chunks_exact(2).map(|pair| pair[1] - pair[0] + 1).sum();
        below + self.queued.saturating_sub(self.taken)
    }

    fn shown(&self) -> Outbox {
        let mut missing = self.missing.clone();
        if self.lost && self.queued > self.taken {
            missing.extend([self.taken + 1, self.queued]);
        }
        let last = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.last_ms) * 1_000_000).ok();
        Outbox {
            node: self.node.clone(),
            outbox: self.outbox.clone(),
            queued: self.queued,
            taken: self.taken,
            missing: ranges(&missing),
            lost: self.lost,
            last_taken: last.filter(|_| self.last_ms != 0).map(timestamp),
        }
    }
}

/// Where the hub stands with an outbox.
///
/// # Errors
/// See above.
pub fn standing(
    view: &View<'_>,
    node: &str,
    outbox: &[u8],
    recipient: &[u8],
) -> Result<HubStanding, StoreError> {
    let row = view.row(OUTBOXES, &name(node, outbox))?;
    let row = row.map(|row| Row::decode(row.as_slice()).map_err(|_| StoreError::Corrupt("an outbox")));
    let row = row.transpose()?.unwrap_or_default();
    let missing = ranges(&row.missing);
    Ok(HubStanding { last_sequence: row.taken, missing, recipient: recipient.to_vec(), last_mail: None })
}

/// All outboxes, by node.
///
/// # Errors
/// See above.
pub fn all(view: &View<'_>) -> Result<Vec<Outbox>, StoreError> {
    let mut found = Vec::new();
    for row in view.rows_after(OUTBOXES, &[OUTBOX], None) {
        let row = Row::decode(row?.1.as_slice()).map_err(|_| StoreError::Corrupt("an outbox"))?;
        found.push(row.shown());
    }
    found.sort_by(|a, b| (&a.node, !a.lost, &a.outbox).cmp(&(&b.node, !b.lost, &b.outbox)));
    Ok(found)
}

fn without(missing: &[u64], sequence: u64) -> Vec<u64> {
    let mut left = Vec::with_capacity(missing.len() + 2);
    for pair in missing.chunks_exact(2) {
        let (from, until) = (pair[0], pair[1]);
        if !(from..=until).contains(&sequence) {
            left.extend([from, until]);
            continue;
        }
        if from < sequence {
            left.extend([from, sequence - 1]);
        }
        if sequence < until {
            left.extend([sequence + 1, until]);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_shrinks_as_it_comes() {
        let missing = vec![2, 5, 9, 9];
        assert_eq!(without(&missing, 3), [2, 2, 4, 5, 9, 9]);
        assert_eq!(without(&missing, 9), [2, 5]);
        assert_eq!(without(&missing, 2), [3, 5, 9, 9]);
        assert_eq!(without(&missing, 7), missing);
    }

    #[test]
    fn beyond_so_many_gaps_the_last_one_grows() {
        let mut row = Row::default();
        for gap in 0..GAPS as u64 + 5 {
            row.misses(2 * gap + 1, 2 * gap + 1);
        }
        assert_eq!(row.missing.len(), 2 * GAPS);
        assert_eq!(row.missing.last(), Some(&(2 * (GAPS as u64 + 4) + 1)));
        assert_eq!(row.never_came(), GAPS as u64 - 1 + 11);
    }
}

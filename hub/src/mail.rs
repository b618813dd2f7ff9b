//! What the hub has for each node: outcomes, tasks, cases, forms, in the order in which they came up. Each
//! thing is in a node's mail at most once, as it stands now, so that a node that was away for long gets
//! little. Rows of the table `mail`.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use dancu_proto::hub::v1::mail::Content;
use prost::Message;
use tokio::sync::watch;

use crate::registry::{Rows, StoreError, View};

/// The table.
const MAIL: &str = "mail";
/// Kinds of rows, after a node's name.
const NUMBERED: u8 = b'n';
const PLACE: u8 = b'p';
const LAST: u8 = b'l';

/// One thing in a node's mail.
#[allow(clippy::large_enum_variant, reason = "few are alive at once")]
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// What became of a contribution: the name of its row. What it says is made when it is sent.
    Outcome(Vec<u8>),
    /// Anything else.
    Other(Content),
}

/// The row as stored.
#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(bytes = "vec", tag = "1")]
    outcome: Vec<u8>,
    #[prost(message, tag = "2")]
    other: Option<dancu_proto::hub::v1::Mail>,
}

/// Puts something into a node's mail, under a name; an earlier state of the same thing is taken out.
///
/// # Errors
/// If the disk refuses.
pub fn put(rows: &mut Rows<'_>, node: &str, name: &str, content: Content) -> Result<(), StoreError> {
    let place = [&of(node, PLACE)[..], name.as_bytes()].concat();
    let before = rows.number(MAIL, &place)?;
    let other = Some(dancu_proto::hub::v1::Mail { number: 0, content: Some(content) });
    let number = put_row(rows, node, before, &Row { outcome: Vec::new(), other })?;
    rows.put(MAIL, place, number.to_be_bytes().to_vec());
    Ok(())
}

/// Puts what became of a contribution into a node's mail, by the name of its row, which keeps the number that
/// this returns. What was told of it under an earlier number, if that is not 0, is taken out.
///
/// # Errors
/// If the disk refuses.
pub fn put_outcome(
    rows: &mut Rows<'_>,
    node: &str,
    outcome: Vec<u8>,
    before: u64,
) -> Result<u64, StoreError> {
    put_row(rows, node, before, &Row { outcome, other: None })
}

fn put_row(rows: &mut Rows<'_>, node: &str, before: u64, row: &Row) -> Result<u64, StoreError> {
    let number = rows.next(MAIL, &last(node))?;
    if before != 0 {
        rows.remove(MAIL, numbered(node, before));
    }
    rows.put(MAIL, numbered(node, number), row.encode_to_vec());
    Ok(number)
}

/// The number of the last mail that there ever was for a node; 0 for none.
///
/// # Errors
/// If the disk refuses, or the mail is damaged.
pub fn latest(view: &View<'_>, node: &str) -> Result<u64, StoreError> {
    let row = view.row(MAIL, &last(node))?.unwrap_or_else(|| vec![0; 8]);
    row.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Corrupt("the mail of a node"))
}

/// What is in a node's mail after a number, at most so much.
///
/// # Errors
/// If the disk refuses, or the mail is damaged.
pub fn after(
    view: &View<'_>,
    node: &str,
    after: u64,
    at_most: usize,
) -> Result<Vec<(u64, Item)>, StoreError> {
    let damaged = || StoreError::Corrupt("the mail of a node");
    let prefix = of(node, NUMBERED);
    let rows = view.rows_after(MAIL, &prefix, Some(&numbered(node, after))).take(at_most);
    rows.map(|row| {
        let (name, row) = row?;
        let number =
            name.get(prefix.len()..).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
        let row = Row::decode(row.as_slice()).map_err(|_| damaged())?;
        let item = match row.other.and_then(|mail| mail.content) {
            Some(content) => Item::Other(content),
            None => Item::Outcome(row.outcome),
        };
        Ok((number.ok_or_else(damaged)?, item))
    })
    .collect()
}

fn of(node: &str, kind: u8) -> Vec<u8> {
    [node.as_bytes(), &[0, kind]].concat()
}

fn last(node: &str) -> Vec<u8> {
    of(node, LAST)
}

fn numbered(node: &str, number: u64) -> Vec<u8> {
    [&of(node, NUMBERED)[..], &number.to_be_bytes()].concat()
}

/// What the stream of a node hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bell {
    /// How often it rang for mail.
    rung: u64,
    /// How many streams the node has had: only the newest goes on.
    streams: u64,
}

/// Tells the streams of nodes that there is mail: only those whose it is.
#[derive(Debug, Default)]
pub struct Bells(Mutex<HashMap<String, watch::Sender<Bell>>>);

/// One stream's ear.
#[derive(Debug)]
pub struct Ear {
    bell: watch::Receiver<Bell>,
    stream: u64,
}

impl Bells {
    /// A node has a new stream. One that it had before, on a line that may be dead, hears of that.
    #[must_use]
    pub fn stream(&self, node: &str) -> Ear {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bell = bells.entry(node.to_owned()).or_default();
        bell.send_modify(|bell| bell.streams += 1);
        let bell = bell.subscribe();
        let stream = bell.borrow().streams;
        Ear { bell, stream }
    }

    /// There is mail for a node.
    pub fn ring(&self, node: &str) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(node) {
            bell.send_modify(|bell| bell.rung += 1);
        }
    }
}

impl Ear {
    /// Waits until there may be mail: whether the stream still is the newest of its node. What rang since the last
    /// time counts.
    pub async fn hears(&mut self) -> bool {
        // The bells are never taken down while there is a stream.
        let _ = self.bell.changed().await;
        self.bell.borrow_and_update().streams == self.stream
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_newest_stream_hears_of_mail_and_ends_the_one_before() {
        let bells = Bells::default();
        let mut old = bells.stream("node");
        bells.ring("node");
        let mut new = bells.stream("node");
        assert_eq!(new.hears().now_or_never(), None);
        bells.ring("other");
        assert_eq!(new.hears().now_or_never(), None);
        bells.ring("node");
        assert_eq!(old.hears().now_or_never(), Some(false));
        assert_eq!(new.hears().now_or_never(), Some(true));
        assert_eq!(new.hears().now_or_never(), None);
    }
}

//! Contributions of other nodes' outboxes, which came in a file: sent on as they are, and dropped once the hub
//! has them.

use std::collections::BTreeSet;

use dancu_proto::v1::Signed;
use prost::Message;
use rocksdb::WriteBatch;

use super::{
    rows,
    store::{Outbox, OutboxError},
};

/// What came in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Kept, to be sent on.
    pub kept: u64,
    /// This outbox's own, which are here anyhow.
    pub own: u64,
}

impl Outbox {
    /// Keeps contributions of another outbox.
    ///
    /// # Errors
    /// One is not a contribution in an outbox of this registry; or there is no room, or the disk refuses.
    /// Then none is kept.
    pub fn bring(&self, contributions: &[Signed]) -> Result<Brought, OutboxError> {
        self.check_room()?;
        let registry = self.0.setup.slice.state().registry_id.clone();
        let (mut batch, mut brought) = (WriteBatch::default(), Brought::default());
        for signed in contributions {
            let queued = (self.0.setup.check)(signed);
            let queued = queued.map_err(|error| OutboxError::Foreign(error.to_string()))?;
            if queued.outbox.len() != 16 || queued.sequence == 0 {
                return Err(OutboxError::Foreign("it has no place in an outbox".into()));
            }
            if !registry.is_empty() && queued.registry_id != registry {
                return Err(OutboxError::Foreign("it is for another registry".into()));
            }
            if queued.outbox == self.0.outbox {
                brought.own += 1;
                continue;
            }
            batch.put(rows::foreign(&queued.node, &queued.outbox, queued.sequence), signed.encode_to_vec());
            brought.kept += 1;
        }
        self.write(batch)?;
        self.notify();
        Ok(brought)
    }

    /// Contributions of one other outbox in their order, with their keys: so many at most, in so many bytes,
    /// and none of those that the hub refused.
    pub(super) fn foreign(
        &self,
        many: usize,
        bytes: usize,
        refused: &BTreeSet<Vec<u8>>,
    ) -> Result<(Vec<Vec<u8>>, Vec<Signed>), OutboxError> {
        let (mut keys, mut found, mut size) = (Vec::new(), Vec::new(), 0);
        let mut outbox: Option<Vec<u8>> = None;
        for row in self.table(rows::FOREIGN, &[rows::FOREIGN]) {
            let (key, value) = row?;
            if refused.contains(&key[..]) {
                continue;
            }
            let of = key[..key.len().saturating_sub(8)].to_vec();
            let other = outbox.get_or_insert_with(|| of.clone()) != &of;
            if other || found.len() >= many || (size + value.len() > bytes && !found.is_empty()) {
                break;
            }
            size += value.len();
            keys.push(key.into_vec());
            let signed = Signed::decode(&value[..]);
            found.push(signed.map_err(|_| OutboxError::Damaged("a contribution that was brought"))?);
        }
        Ok((keys, found))
    }

    /// How many of other outboxes wait.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn brought(&self) -> Result<u64, OutboxError> {
        self.table(rows::FOREIGN, &[rows::FOREIGN]).try_fold(0, |count, row| row.map(|_| count + 1))
    }

    /// The hub has them.
    pub(super) fn foreign_taken(&self, keys: &[Vec<u8>]) -> Result<(), OutboxError> {
        let mut batch = WriteBatch::default();
        keys.iter().for_each(|key| batch.delete(key));
        self.write(batch)
    }
}

//! One change of the outbox: everything in it is on the disk at once, or nothing.

use std::collections::HashMap;

use dancu_proto::v1::ContributionState;
use prost::Message;
use rocksdb::WriteBatch;
use uuid::Uuid;

use super::{
    rows::{self, StandingRow, StatusRow},
    store::{Outbox, OutboxError, Tally},
};

/// A change that is being put together.
pub(super) struct Draft<'a> {
    outbox: &'a Outbox,
    pub(super) batch: WriteBatch,
    pub(super) standing: StandingRow,
    pub(super) tally: Tally,
    rows: HashMap<Uuid, StatusRow>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(outbox: &'a Outbox, standing: StandingRow, tally: Tally) -> Draft<'a> {
        Draft { outbox, batch: WriteBatch::default(), standing, tally, rows: HashMap::new() }
    }

    /// Where a contribution stands, with what this changes.
    pub(super) fn row(&self, id: Uuid) -> Result<Option<StatusRow>, OutboxError> {
        match self.rows.get(&id) {
            Some(row) => Ok(Some(row.clone())),
            None => self.outbox.row(id),
        }
    }

    /// A contribution stands otherwise: that is its latest change.
    pub(super) fn put(&mut self, id: Uuid, mut row: StatusRow) -> Result<StatusRow, OutboxError> {
        if let Some(before) = self.row(id)? {
            self.tally.count(before.state(), -1);
            self.batch.delete(rows::numbered(rows::CHANGES, before.change));
        }
        self.tally.count(row.state(), 1);
        self.standing.last_change += 1;
        row.change = self.standing.last_change;
        self.batch.put(rows::numbered(rows::CHANGES, row.change), id.as_bytes());
        self.batch.put(rows::status(id), row.encode_to_vec());
        self.rows.insert(id, row.clone());
        Ok(row)
    }

    /// The hub has what stands at a place.
    pub(super) fn handed_over(&mut self, sequence: u64) -> Result<(), OutboxError> {
        self.batch.delete(rows::numbered(rows::UNSENT, sequence));
        let Some((id, _)) = self.outbox.queued(sequence)? else { return Ok(()) };
        let Some(row) = self.row(id)? else { return Ok(()) };
        if row.state() == ContributionState::Queued {
            let state = ContributionState::HandedOver.into();
            self.put(id, StatusRow { state, ..row })?;
        }
        Ok(())
    }

    /// The hub has not what stands at a place: it is to be sent, and whatever was said of it does not hold.
    pub(super) fn missing(&mut self, sequence: u64) -> Result<(), OutboxError> {
        let Some((id, _)) = self.outbox.queued(sequence)? else { return Ok(()) };
        self.batch.put(rows::numbered(rows::UNSENT, sequence), []);
        if let Some(row) = self.row(id)?
            && matches!(row.state(), ContributionState::HandedOver | ContributionState::InReview)
        {
            self.put(id, StatusRow { state: ContributionState::Queued.into(), outcome: None, ..row })?;
        }
        Ok(())
    }

    /// Whether it is this contribution that stands at a place.
    pub(super) fn stands_at(&self, id: Uuid, sequence: u64) -> Result<bool, OutboxError> {
        Ok(self.outbox.queued(sequence)?.is_some_and(|(there, _)| there == id))
    }
}

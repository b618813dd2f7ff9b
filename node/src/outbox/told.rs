//! What callers are told of their contributions, and for how long.

use std::collections::HashMap;

use dancu_proto::{
    PersonalId,
    node::v1::ContributionStatus,
    v1::{AccessContext, ContributionState},
};
use prost_types::Timestamp;
use uuid::Uuid;

use super::{
    rows::{self, StatusRow},
    store::{Outbox, OutboxError, TOGETHER, status_row},
};

/// Where a contribution stands, and under which purpose, in which case and by whom it was handed in.
pub type Told = (ContributionStatus, Option<AccessContext>);

impl Outbox {
    /// Where a caller's contribution stands, and under which purpose it was handed in.
    ///
    /// # Errors
    /// The caller has none of that id, or the disk refuses.
    pub fn status(&self, id: Uuid, caller: &str) -> Result<Told, OutboxError> {
        let row = self.row(id)?.filter(|row| row.caller == caller).ok_or(OutboxError::Unknown)?;
        let context = row.context.clone();
        Ok((self.told(id, row)?, context))
    }

    /// Those of some contributions that are not concluded, whoever handed them in, and where they stand. What
    /// cannot be read is left out.
    #[must_use]
    pub fn open_ones(&self, ids: Vec<String>) -> HashMap<String, ContributionState> {
        let open = ids.into_iter().filter_map(|id| {
            let row = self.row(Uuid::try_parse(&id).ok()?).ok()??;
            (!row.is_final()).then(|| (id, row.state()))
        });
        open.collect()
    }

    /// A caller's contributions that changed after a number, at most so many; and up to where was looked.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn changed(&self, after: u64, caller: &str, at_most: usize) -> Result<(Vec<Told>, u64), OutboxError> {
        let (mut found, mut looked) = (Vec::new(), after);
        let from = rows::numbered(rows::CHANGES, after.saturating_add(1));
        for row in self.table(rows::CHANGES, &from) {
            let (key, id) = row?;
            let damaged = || OutboxError::Damaged("a change");
            let change = rows::number(&key).ok_or_else(damaged)?;
            let id = Uuid::from_slice(&id).map_err(|_| damaged())?;
            looked = change;
            // One that changes meanwhile comes again.
            if let Some(row) = self.row(id)?.filter(|row| row.caller == caller && row.change == change) {
                let context = row.context.clone();
                found.push((self.told(id, row)?, context));
            }
            if found.len() >= at_most {
                break;
            }
        }
        Ok((found, looked))
    }

    /// As a caller is told. Without the number that somebody got while the slice is sealed, or where that was
    /// sealed with a key of before: it comes again.
    pub(super) fn told(&self, id: Uuid, row: StatusRow) -> Result<ContributionStatus, OutboxError> {
        let mut outcome = row.outcome;
        if let Some(outcome) = outcome.as_mut().filter(|_| !row.number.is_empty())
            && let Ok(cipher) = self.0.setup.slice.cipher()
            && let Ok(opened) = cipher.open(&rows::status(id), &row.number, "a number that somebody got")
        {
            let number = opened.try_into().map(u64::from_be_bytes);
            let number = number.ok().and_then(|number| PersonalId::from_u64(number).ok());
            let damaged = OutboxError::Damaged("a number that somebody got");
            outcome.personal_id = number.ok_or(damaged)?.to_string();
        }
        Ok(ContributionStatus {
            contribution_id: id.to_string(),
            sequence: row.sequence,
            queued_at: Some(Timestamp { seconds: row.queued, nanos: 0 }),
            state: row.state,
            outcome,
            change: row.change,
            told_at: (row.concluded != 0).then_some(Timestamp { seconds: row.concluded, nanos: 0 }),
        })
    }

    /// Forgets contributions of which nothing more is expected since before a time.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn prune(&self, before: i64) -> Result<u64, OutboxError> {
        let mut old = Vec::new();
        for row in self.table(rows::STATUS, &[rows::STATUS]) {
            let (key, row) = row?;
            let row = status_row(&row)?;
            if row.is_final() && row.concluded.max(row.queued) < before {
                old.push(Uuid::from_slice(&key[1..]).map_err(|_| OutboxError::Damaged("a contribution"))?);
            }
        }
        for ids in old.chunks(TOGETHER) {
            self.change(|draft| {
                for id in ids {
                    let Some(row) = draft.row(*id)?.filter(StatusRow::is_final) else { continue };
                    draft.tally.count(row.state(), -1);
                    draft.batch.delete(rows::numbered(rows::CHANGES, row.change));
                    draft.batch.delete(rows::status(*id));
                }
                Ok(())
            })?;
        }
        Ok(old.len() as u64)
    }
}

//! What the hub says changes the outbox: how far it is, what it took over, and what became of it.

use dancu_proto::{PersonalId, hub::v1::HubStanding, v1::ContributionOutcome};
use uuid::Uuid;

use super::{
    rows::{self, StatusRow},
    store::{Outbox, OutboxError, TOGETHER},
};

impl Outbox {
    /// The hub has said how far it is.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn hub_stands(&self, hub: &HubStanding) -> Result<(), OutboxError> {
        let own = self.standing().last_sequence;
        if hub.last_sequence > own {
            // Which of the contributions here are those that the hub has at their places is not known: it is
            // asked for all, and takes each once.
            tracing::error!(
                here = own,
                hub = hub.last_sequence,
                "the hub has more contributions of this outbox than are here: it was restored from an older copy"
            );
            return self.change(|draft| {
                draft.standing.last_sequence = hub.last_sequence;
                Ok(())
            });
        }
        let missing =
            |sequence: u64| hub.missing.iter().any(|range| (range.from..=range.until).contains(&sequence));
        let mut has = Vec::new();
        for place in self.unsent(0) {
            let place = place?;
            if place > hub.last_sequence {
                break;
            }
            if !missing(place) {
                has.push(place);
            }
        }
        for places in has.chunks(TOGETHER) {
            self.change(|draft| places.iter().try_for_each(|place| draft.handed_over(*place)))?;
        }
        for range in &hub.missing {
            let mut first = range.from.max(1);
            let last = range.until.min(own);
            while first <= last {
                let until = last.min(first + TOGETHER as u64 - 1);
                let gone = self.change(|draft| {
                    let mut gone = 0;
                    for place in first..=until {
                        gone += u64::from(!draft.missing(place)?);
                    }
                    Ok(gone)
                })?;
                if gone > 0 {
                    tracing::error!(gone, "the hub has lost contributions that it had said the outcome of");
                }
                first = until + 1;
            }
        }
        let now = (self.0.setup.clock)().unix_timestamp();
        let none_left = self.unsent(0).next().is_none();
        self.change(|draft| {
            draft.standing.hub_sequence = hub.last_sequence;
            if none_left {
                draft.standing.delivered = now;
            }
            Ok(())
        })
    }

    /// The hub has taken over what stood at these places.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn taken(&self, places: &[u64]) -> Result<(), OutboxError> {
        let now = (self.0.setup.clock)().unix_timestamp();
        self.change(|draft| {
            places.iter().try_for_each(|place| draft.handed_over(*place))?;
            let last = places.last().copied().unwrap_or_default();
            draft.standing.hub_sequence = draft.standing.hub_sequence.max(last);
            draft.standing.delivered = now;
            Ok(())
        })
    }

    /// What became of contributions, and up to which number the mail has come: both or neither.
    ///
    /// # Errors
    /// The slice is sealed, or the disk refuses.
    pub fn mail(&self, outcomes: Vec<ContributionOutcome>, number: u64) -> Result<(), OutboxError> {
        let cipher = self.0.setup.slice.cipher()?;
        self.change(|draft| {
            for mut outcome in outcomes {
                let Ok(id) = Uuid::try_parse(&outcome.contribution_id) else { continue };
                let row = draft.row(id)?;
                let own = outcome.outbox == self.0.outbox;
                // Of an outbox that was lost nothing else is known.
                let row =
                    row.unwrap_or_else(|| StatusRow { sequence: outcome.sequence, ..StatusRow::default() });
                let given = std::mem::take(&mut outcome.personal_id);
                let number = match given.parse::<PersonalId>() {
                    Ok(id_given) => cipher.seal(&rows::status(id), &id_given.as_u64().to_be_bytes())?,
                    Err(_) => Vec::new(),
                };
                let row = StatusRow { state: outcome.state, outcome: Some(outcome), number, ..row };
                if own && row.is_final() {
                    draft.batch.delete(rows::numbered(rows::QUEUE, row.sequence));
                }
                if own {
                    draft.batch.delete(rows::numbered(rows::UNSENT, row.sequence));
                }
                draft.put(id, row)?;
            }
            draft.standing.mail = number;
            Ok(())
        })
    }
}

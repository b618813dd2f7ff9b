//! What the hub says changes the outbox: how far it is, what it took over, and what became of it.

use dancu_proto::{
    PersonalId,
    hub::v1::{HubStanding, SequenceRange},
    v1::ContributionOutcome,
};
use uuid::Uuid;

use super::{
    rows::{self, StatusRow},
    store::{Outbox, OutboxError, TOGETHER},
};

impl Outbox {
    /// The hub has said how far it is. What it has not, and is still here, is sent again.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn hub_stands(&self, hub: &HubStanding) -> Result<(), OutboxError> {
        let own = self.standing().last_sequence;
        if hub.last_sequence > own {
            // Which of the contributions here are those that the hub has at their places is not known, and
            // need not be: it takes each once.
            tracing::error!(
                here = own,
                hub = hub.last_sequence,
                "the hub has more contributions of this outbox than are here: it was restored from an older copy"
            );
        }
        let beyond = SequenceRange { from: hub.last_sequence.saturating_add(1), until: own };
        for range in hub.missing.iter().chain([&beyond]) {
            self.send_again(range.from.max(1), range.until.min(own))?;
        }
        let now = (self.0.setup.clock)().unix_timestamp();
        let none_left = self.unsent(0).next().is_none();
        self.change(|draft| {
            draft.standing.last_sequence = draft.standing.last_sequence.max(hub.last_sequence);
            draft.standing.hub_sequence = hub.last_sequence;
            if none_left {
                draft.standing.delivered = now;
            }
            Ok(())
        })
    }

    /// The hub has not what stands at these places.
    fn send_again(&self, from: u64, until: u64) -> Result<(), OutboxError> {
        let (mut here, mut sent) = (0, Vec::new());
        for place in self.places(from) {
            let place = place?;
            if place > until {
                break;
            }
            here += 1;
            if !self.is_unsent(place)? {
                sent.push(place);
            }
        }
        for places in sent.chunks(TOGETHER) {
            self.change(|draft| places.iter().try_for_each(|place| draft.missing(*place)))?;
        }
        let gone = until.saturating_add(1).saturating_sub(from).saturating_sub(here);
        if gone > 0 {
            tracing::error!(gone, "the hub has lost contributions that it had said the outcome of");
        }
        Ok(())
    }

    /// Mail begins anew: all of it comes again, as it stands then.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn mail_begins_anew(&self) -> Result<(), OutboxError> {
        self.change(|draft| {
            draft.standing.mail = 0;
            Ok(())
        })
    }

    /// The hub has taken over what stood at these places.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn taken(&self, places: &[u64]) -> Result<(), OutboxError> {
        let Some(last) = places.last() else { return Ok(()) };
        let now = (self.0.setup.clock)().unix_timestamp();
        self.change(|draft| {
            places.iter().try_for_each(|place| draft.handed_over(*place))?;
            draft.standing.hub_sequence = draft.standing.hub_sequence.max(*last);
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
        let now = (self.0.setup.clock)().unix_timestamp();
        self.change(|draft| {
            for mut outcome in outcomes {
                let Ok(id) = Uuid::try_parse(&outcome.contribution_id) else { continue };
                // An outbox that was put back may have given the place again.
                let here = outcome.outbox == self.0.outbox && draft.stands_at(id, outcome.sequence)?;
                let sequence = outcome.sequence;
                // Of an outbox that was lost nothing else is known.
                let row = draft.row(id)?.unwrap_or_else(|| StatusRow { sequence, ..StatusRow::default() });
                let given = std::mem::take(&mut outcome.personal_id);
                let number = match given.parse::<PersonalId>() {
                    Ok(id_given) => cipher.seal(&rows::status(id), &id_given.as_u64().to_be_bytes())?,
                    Err(_) => Vec::new(),
                };
                // What is told once more was concluded when it was told first.
                let concluded = if row.is_final() { row.concluded } else { now };
                let row =
                    StatusRow { state: outcome.state, outcome: Some(outcome), number, concluded, ..row };
                if here {
                    draft.batch.delete(rows::numbered(rows::UNSENT, sequence));
                    if row.is_final() {
                        draft.batch.delete(rows::numbered(rows::QUEUE, sequence));
                    }
                }
                draft.put(id, row)?;
            }
            draft.standing.mail = number;
            Ok(())
        })
    }
}

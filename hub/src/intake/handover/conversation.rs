//! What the hub says to a node that hands in, and what the node's answers change: without a line and without
//! time, so that tests drive it through everything that a line does. `service` is the line.

use std::sync::{Arc, Mutex, PoisonError};

use dancu_proto::{
    Reason,
    hub::v1::{
        BatchTaken, HubStanding, Mail, MailBatch, OutboxStanding, mail::Content as Letter,
        submit_contributions_response::Response as Answer,
    },
    v1::SignedBatch,
};
use tonic::Status;

use super::{Barred, Handover, handed_in, outbox};
use crate::{
    mail::{self, Item},
    registry::{Commit, CommitError, Content, Decide, Decision, Origin, Rows, Standing},
};

/// Contributions of one batch.
const BATCH: usize = 1_000;

/// How much mail goes at once.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Mail of one message.
    pub together: usize,
    /// Mail that is under way to a node; more waits until the node has that.
    pub under_way: u64,
}

/// One connection with a node, from its first word on.
#[derive(Clone, Debug)]
pub struct Conversation {
    node: String,
    outbox: Vec<u8>,
    window: Window,
    /// No mail is wanted.
    off: bool,
    /// The last number sent, and the last that the node has.
    sent: u64,
    received: u64,
}

impl Conversation {
    /// A node says where its outbox stands, and is told where the hub does. How far the outbox goes is noted
    /// first, and that an earlier one of the node was lost.
    ///
    /// # Errors
    /// It says what cannot be, or the disk refuses.
    pub async fn begin(
        handover: &Handover,
        node: &str,
        begin: OutboxStanding,
        window: Window,
    ) -> Result<(Conversation, Answer), Status> {
        if begin.outbox.len() != 16 {
            return Err(Reason::InvalidRequest.field("begin.outbox", "has 16 bytes"));
        }
        let (name, outbox, queued) = (node.to_owned(), begin.outbox.clone(), begin.last_sequence);
        let lost = Arc::new(Mutex::new(0));
        let noted = Arc::clone(&lost);
        let by = Arc::new(move |standing: &Standing<'_>| -> Result<Decision, CommitError> {
            let mut rows = Rows::new(standing);
            let before = outbox::begins(&mut rows, &name, &outbox, queued)?;
            let never_came = before.map_or(0, |before| before.never_came());
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = never_came;
            Ok(Decision { rows: rows.into_writes(), ..Decision::default() })
        });
        let content = Content::Decided(Decide { alone: false, by });
        handover.registry.commit(Commit { origin: Origin::default(), content }).await?;
        let never_came = *lost.lock().unwrap_or_else(PoisonError::into_inner);
        if never_came > 0 {
            tracing::error!(
                %node,
                contributions = never_came,
                "the node has a new outbox, and what it had queued in the one before never came; \
                 `dancu-hub contribution outboxes` names the sequences"
            );
        }
        let view = handover.registry.view();
        let last_mail = mail::latest(&view, node)?;
        let hub = outbox::standing(&view, node, &begin.outbox, handover.log.recipient())?;
        drop(view);
        let OutboxStanding { outbox, no_mail: off, mail_after, .. } = begin;
        let node = node.to_owned();
        // A node that has more than the hub ever sent begins anew, with a line of its own.
        let conversation = Conversation { node, outbox, window, off, sent: mail_after, received: mail_after };
        Ok((conversation, Answer::Standing(HubStanding { last_mail: Some(last_mail), ..hub })))
    }

    /// A node hands in; it is told when that is on the disk.
    ///
    /// # Errors
    /// There is more than belongs in a batch, or the disk refuses.
    pub async fn batch(&self, handover: &Handover, contributions: SignedBatch) -> Result<Answer, Status> {
        if contributions.len() > BATCH {
            return Err(Reason::InvalidRequest.field("contributions", format!("at most {BATCH} in a batch")));
        }
        let refused = handover.take(contributions, Barred::Refused).await?.refused;
        for one in &refused {
            let (node, why) = (&self.node, &one.message);
            tracing::error!(%node, why, "a contribution is not taken over; the node keeps it");
        }
        let standing = outbox::standing(&handover.registry.view(), &self.node, &self.outbox, &[])?;
        Ok(Answer::Taken(BatchTaken { last_sequence: standing.last_sequence, refused }))
    }

    /// The node has mail up to a number.
    pub fn received(&mut self, number: u64) {
        self.received = self.received.max(number);
    }

    /// The next mail for the node, as far as the window goes.
    ///
    /// # Errors
    /// If the disk refuses, or the key does.
    pub fn mail(&mut self, handover: &Handover) -> Result<Option<Answer>, Status> {
        if self.off || self.sent.saturating_sub(self.received) >= self.window.under_way {
            return Ok(None);
        }
        let view = handover.registry.view();
        let (mut letters, mut places, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for (number, item) in mail::after(&view, &self.node, self.sent, self.window.together)? {
            let content = match item {
                Item::Outcome(name) => {
                    if let Some(row) = handed_in::outcome_by_name(&view, &name)? {
                        places.push(letters.len());
                        rows.push(row);
                    }
                    None
                }
                Item::Other(content) => Some(content),
            };
            letters.push(Mail { number, content });
        }
        drop(view);
        let (outcomes, receipts) = handover.receipts(&rows)?;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            letters[place].content = Some(Letter::Outcome(outcome));
        }
        let Some(last) = letters.last() else { return Ok(None) };
        self.sent = last.number;
        Ok(Some(Answer::Mail(MailBatch { mail: letters, receipts: Some(receipts) })))
    }
}

//! Taking over what nodes hand in: each contribution once, in the order of its outbox, by whichever way it
//! comes; and the mail that tells nodes what became of it.
//!
//! [`Handover::take`] prepares a batch (signature, seal, values, agreement) and has each contribution decided
//! on in the registry's one order ([`settle`]); [`Conversation`] is what is said with a node, and `service` the
//! stream around it.

mod cases;
mod conversation;
pub mod evidence;
pub mod handed_in;
pub mod outbox;
mod prepare;
mod service;
mod settle;
mod shared;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use dancu_proto::{
    Areas, Reason,
    channel::SwappableIdentity,
    hub::v1::RefusedContribution,
    signed::{self, Verifier},
    v1::{ContributionOutcome, ContributionReceipt, Date, RejectionReason, SignedBatch},
};
use time::OffsetDateTime;
use tokio::task::spawn_blocking;
use tonic::Status;
use uuid::Uuid;

use self::handed_in::HandedIn;
pub use self::{
    conversation::{Conversation, Window},
    service::IntakeServer,
    settle::{Fault, News, Prepared, Told, conclude, judge, mark, settle},
    shared::Shared,
};
use crate::{
    audit::AuditLog,
    calendar::today,
    enrollment::NodeRoll,
    intake::event::Authority,
    mail::Bells,
    procedures::Office,
    projection::Ledger,
    registry::{Clock, Commit, CommitError, Content, Decide, Decision, Origin, Registry, Rows, Standing},
};

/// Takes over contributions.
#[derive(Clone)]
pub struct Handover {
    /// Where they count.
    pub registry: Arc<Registry>,
    /// What is agreed.
    pub ledger: Arc<Ledger>,
    /// Who hands in.
    pub roll: Arc<NodeRoll>,
    /// Who may supply what.
    pub authority: Arc<Authority>,
    /// The cases that contributions open and carry on.
    pub office: Arc<Office>,
    /// Checks what nodes signed.
    pub verifier: Arc<Verifier>,
    /// Has the key that contributions are sealed for.
    pub log: Arc<AuditLog>,
    /// Signs receipts.
    pub identity: Arc<SwappableIdentity>,
    /// Tells the streams of nodes.
    pub bells: Arc<Bells>,
    /// The time.
    pub clock: Clock,
}

/// What is done with contributions of nodes that are suspended or revoked, whoever brings them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// Not taken over: whoever has the key of a node that was stolen signs as the node does.
    Refused,
    /// Taken over: an operator of the hub knows whose they are.
    TakenOver,
}

/// The order of a batch: once agreements or the roll have changed before somebody's turn, those after wait too.
#[derive(Clone, Debug, Default)]
struct Order(Arc<AtomicBool>);

impl Order {
    fn keep<T>(&self, turn: impl FnOnce() -> Result<T, CommitError>) -> Result<T, CommitError> {
        if self.0.load(Ordering::Acquire) {
            return Err(CommitError::Stale);
        }
        let done = turn();
        self.0.fetch_or(matches!(done, Err(CommitError::Stale)), Ordering::AcqRel);
        done
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Taken over now.
    pub new: u64,
    /// Had come before.
    pub known: u64,
    /// Not taken over: nothing proves whose they are, so that nothing can be written of them.
    pub refused: Vec<RefusedContribution>,
}

impl Handover {
    /// Takes over signed contributions, in their order. All are on the disk when this returns, but those that
    /// are not signed by a node of this registry: that is the fault of each, and no other waits for it.
    ///
    /// # Errors
    /// If the disk refuses; those before it may be taken over.
    pub async fn take(&self, contributions: SignedBatch, barred: Barred) -> Result<Taken, Status> {
        let preparing = self.clone();
        let prepared = spawn_blocking(move || preparing.prepare(contributions, barred)).await;
        let (prepared, refused) = prepared.map_err(|_| Reason::Internal.status("the batch broke off"))??;
        let prepared: Vec<_> = prepared.into_iter().map(Arc::new).collect();
        let (mut taken, mut awaited) = (Taken { refused, ..Taken::default() }, Vec::new());
        let mut left = &prepared[..];
        while !left.is_empty() {
            let order = Order::default();
            let (commits, told): (Vec<_>, Vec<_>) = left.iter().map(|one| self.turn(one, &order)).unzip();
            let outcomes = self.registry.commit_all(commits).await?;
            let mut done = 0;
            for ((outcome, told), one) in outcomes.into_iter().zip(told).zip(left) {
                let news = match outcome {
                    Ok(_) => told.news(),
                    Err(CommitError::Stale) => break,
                    Err(error @ (CommitError::Store(_) | CommitError::Closed)) => return Err(error.into()),
                    // What the registry refuses is this one's fault, and no other waits for it.
                    Err(error) => self.refuse(one, &error).await?,
                };
                done += 1;
                if news.known {
                    taken.known += 1
                } else {
                    taken.new += 1
                }
                news.mail_for.iter().for_each(|node| self.bells.ring(node));
                awaited.extend(Some(one.id).filter(|_| news.awaited));
            }
            left = &left[done..];
            if !left.is_empty() {
                self.office.lookout().refresh(&self.registry.view()).map_err(CommitError::from)?;
            }
        }
        self.look_again_after(awaited).await?;
        Ok(taken)
    }

    /// A contribution's turn, and what is told of it then.
    fn turn(&self, one: &Arc<Prepared>, order: &Order) -> (Commit, Arc<Told>) {
        let told = Arc::new(Told::default());
        let (heard, authority, prepared) = (Arc::clone(&told), Arc::clone(&self.authority), Arc::clone(one));
        let (office, order) = (Arc::clone(&self.office), order.clone());
        let origin = Origin { source: one.agency.clone(), ..Origin::default() };
        let by = Arc::new(move |standing: &Standing<'_>| {
            order.keep(|| settle(standing, &authority, &office, &prepared, &heard))
        });
        (Commit { origin, content: Content::Decided(Decide { alone: false, by }) }, told)
    }

    /// Commits what goes by agreements and the roll as they are now; again where they changed before its turn.
    ///
    /// # Errors
    /// It is refused, or the disk refuses.
    pub async fn decided(&self, commit: impl Fn() -> (Commit, Arc<Told>)) -> Result<News, CommitError> {
        loop {
            self.office.lookout().refresh(&self.registry.view())?;
            let (commit, told) = commit();
            match self.registry.commit(commit).await {
                Err(CommitError::Stale) => {}
                done => return done.map(|_| told.news()),
            }
        }
    }

    /// Rejects one that the registry refused.
    async fn refuse(&self, one: &Prepared, error: &CommitError) -> Result<News, CommitError> {
        let fault = Fault {
            reason: RejectionReason::Implausible,
            message: error.to_string(),
            fields: vec!["event".into()],
            said: one.contribution.clone().ok(),
        };
        let refused = Arc::new(Prepared { contribution: Err(fault), ..one.clone() });
        let (commit, told) = self.turn(&refused, &Order::default());
        self.registry.commit(commit).await?;
        Ok(told.news())
    }

    /// Judges those anew whose birth is certain by now, as a hub does when it starts.
    ///
    /// # Errors
    /// If the disk refuses.
    pub async fn look_again(&self) -> Result<u32, CommitError> {
        let mut births = Vec::new();
        {
            let view = self.registry.view();
            for (birth, _) in waiting::all(&view)? {
                let certain = handed_in::in_view(&view, birth)?.is_some_and(|birth| !birth.is_in_review());
                if certain && births.last() != Some(&birth) {
                    births.push(birth);
                }
            }
        }
        self.look_again_after(births).await
    }

    /// Judges those anew that waited for births that are certain now. Each comes out of waiting for that birth,
    /// and if it waits for another one, that is not certain.
    async fn look_again_after(&self, mut births: Vec<Uuid>) -> Result<u32, CommitError> {
        let mut looked_at = 0;
        while let Some(birth) = births.pop() {
            let waiting = waiting::of(&self.registry.view(), birth)?;
            for name in waiting {
                let areas = self.areas()?;
                let news = self.decided(|| self.judged_anew(&name, &areas)).await?;
                news.mail_for.iter().for_each(|node| self.bells.ring(node));
                births.extend(news.row.filter(|_| news.awaited).map(|row| row.uuid()));
                looked_at += 1;
            }
        }
        Ok(looked_at)
    }

    /// The turn of one that waited.
    fn judged_anew(&self, name: &[u8], areas: &Arc<Areas>) -> (Commit, Arc<Told>) {
        let told = Arc::new(Told::default());
        let (heard, authority) = (Arc::clone(&told), Arc::clone(&self.authority));
        let (office, areas, name) = (Arc::clone(&self.office), Arc::clone(areas), name.to_owned());
        let by = Arc::new(move |standing: &Standing<'_>| {
            let rows = Rows::new(standing);
            let row = handed_in::by_name_in(&rows, &name)?;
            let Some(row) = row.filter(|row| row.reason() == RejectionReason::Waits) else {
                return Ok(Decision::default());
            };
            let said = row.contribution.clone().unwrap_or_default();
            let judged = judge(standing, &authority, &row, &said, &areas, false);
            conclude(rows, row, judged, &office, None, &heard)
        });
        let content = Content::Decided(Decide { alone: false, by });
        (Commit { origin: Origin::default(), content }, told)
    }

    /// The administrative orders as of now.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn areas(&self) -> Result<Arc<Areas>, CommitError> {
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        Ok(self.ledger.areas(view.revision()?))
    }

    /// The day, Asia/Ho_Chi_Minh.
    #[must_use]
    pub fn today(&self) -> Date {
        today(&self.clock).date().unwrap_or_default()
    }

    /// The outcome of a row, with a receipt of now.
    ///
    /// # Errors
    /// If the key refuses.
    pub fn with_receipt(&self, row: &HandedIn) -> Result<ContributionOutcome, Status> {
        let (mut outcomes, receipts) = self.receipts(std::slice::from_ref(row))?;
        let outcome = outcomes.pop().ok_or_else(|| Reason::Internal.status("no receipt"))?;
        Ok(ContributionOutcome { receipt: receipts.into_signed().pop(), ..outcome })
    }

    /// The outcomes of rows, in their order, and beside them the receipts of now, under one signature.
    ///
    /// # Errors
    /// If the key refuses.
    pub fn receipts(&self, rows: &[HandedIn]) -> Result<(Vec<ContributionOutcome>, SignedBatch), Status> {
        let time = Some(crate::sync::timestamp((self.clock)()));
        let outcomes: Vec<_> = rows.iter().map(HandedIn::outcome).collect();
        let receipt = |(outcome, row): (&ContributionOutcome, &HandedIn)| ContributionReceipt {
            registry_id: self.registry.id().to_vec(),
            contribution_id: outcome.contribution_id.clone(),
            node: outcome.node.clone(),
            outbox: outcome.outbox.clone(),
            sequence: outcome.sequence,
            hash: row.hash.clone(),
            state: outcome.state,
            revision: outcome.revision,
            reason: outcome.reason,
            time,
        };
        let receipts: Vec<_> = outcomes.iter().zip(rows).map(receipt).collect();
        let signed = signed::sign_together(&receipts, &self.identity);
        Ok((outcomes, signed.map_err(|_| Reason::Internal.status("the hub's key does not sign"))?))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        (self.clock)()
    }
}

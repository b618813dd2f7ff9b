//! The sending side of a node, simulated: the real protocol over mutual TLS, with real seals and
//! signatures, and nothing on a disk.

use std::time::SystemTime;

use anyhow::{Context, bail};

use dancu_proto::{
    contribution::{Place, Sealer},
    hub::v1::{
        ContributionBatch, OutboxStanding, SubmitContributionsRequest, SubmitContributionsResponse,
        intake_service_client::IntakeServiceClient, mail, submit_contributions_request::Request,
        submit_contributions_response::Response,
    },
    v1::{Contribution, ContributionOutcome, ContributionState, QueuedContribution, SignedBatch},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::Simulated;

/// Contributions of a batch.
const BATCH: usize = 200;

/// A simulated node that hands in.
pub struct Sender {
    node: Simulated,
    outbox: [u8; 16],
    sequence: u64,
    recipient: Vec<u8>,
    sealer: Sealer,
    to_hub: mpsc::Sender<SubmitContributionsRequest>,
    from_hub: Streaming<SubmitContributionsResponse>,
}

/// How many contributions became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Became {
    /// Accepted.
    pub accepted: u64,
    /// Rejected.
    pub rejected: u64,
    /// In review.
    pub in_review: u64,
}

impl Sender {
    /// Opens the stream of a node; its number makes the identity of its outbox.
    ///
    /// # Errors
    /// If the hub refuses.
    pub async fn open(node: Simulated, number: usize) -> anyhow::Result<Sender> {
        let outbox = [number as u8 + 1; 16];
        let (to_hub, requests) = mpsc::channel(4);
        let begin = OutboxStanding { outbox: outbox.to_vec(), ..OutboxStanding::default() };
        to_hub.send(request(Request::Begin(begin))).await?;
        let mut client = IntakeServiceClient::new(node.channel().await);
        let mut from_hub = client.submit_contributions(ReceiverStream::new(requests)).await?.into_inner();
        let first = from_hub.message().await?.and_then(|answer| answer.response);
        let Some(Response::Standing(standing)) = first else { bail!("the hub does not say where it stands") };
        Ok(Sender {
            node,
            outbox,
            sequence: 0,
            recipient: standing.recipient,
            sealer: Sealer::default(),
            to_hub,
            from_hub,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.node.name()
    }

    /// The last place in its outbox.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Seals as a node does when something is queued, and signs what travels together, as it does then.
    ///
    /// # Errors
    /// If a contribution has no id, or the key refuses.
    pub fn queue(&mut self, work: &[Contribution]) -> anyhow::Result<Vec<ContributionBatch>> {
        let mut queued = Vec::with_capacity(work.len());
        let registry_id = self.node.holding().registry;
        for contribution in work {
            self.sequence += 1;
            let place = Place {
                node: self.node.name(),
                registry_id: &registry_id,
                outbox: &self.outbox,
                sequence: self.sequence,
                time: SystemTime::from(time::OffsetDateTime::now_utc()).into(),
            };
            queued.push(self.sealer.seal(contribution, &place, &self.recipient)?);
        }
        let last_sequence = self.sequence;
        let batch = |queued: &[QueuedContribution]| -> anyhow::Result<ContributionBatch> {
            Ok(ContributionBatch { contributions: Some(self.node.sign_together(queued)?), last_sequence })
        };
        queued.chunks(BATCH).map(batch).collect()
    }

    /// Hands in batch by batch, and takes mail until it has an outcome of each.
    ///
    /// # Errors
    /// If the hub refuses, or says what is not due.
    pub async fn hand_in(&mut self, batches: Vec<ContributionBatch>) -> anyhow::Result<Became> {
        let due: u64 =
            batches.iter().map(|batch| batch.contributions.as_ref().map_or(0, SignedBatch::len) as u64).sum();
        let after = batches.last().map_or(0, |batch| batch.last_sequence).saturating_sub(due);
        let mut batches = batches.into_iter();
        let mut became = Became::default();
        self.send(batches.next()).await?;
        // What was handed in before may have come out of review meanwhile: only first outcomes count.
        let mut seen = vec![false; usize::try_from(due)?];
        while became.all() < due {
            let answer = self.from_hub.message().await?.context("the hub ended the stream")?;
            match answer.response {
                Some(Response::Taken(_)) => self.send(batches.next()).await?,
                Some(Response::Mail(mail)) => {
                    let last = mail.mail.last().map(|mail| mail.number);
                    for one in mail.mail {
                        if let Some(mail::Content::Outcome(outcome)) = one.content {
                            let place = outcome.sequence.checked_sub(after + 1);
                            let new = place.and_then(|place| seen.get_mut(place as usize));
                            if let Some(new) = new.filter(|seen| !**seen) {
                                *new = true;
                                became.count(&outcome)?;
                            }
                        }
                    }
                    if let Some(last) = last {
                        self.to_hub.send(request(Request::MailReceived(last))).await?;
                    }
                }
                Some(Response::Standing(_)) | None => bail!("an answer that is not due"),
            }
        }
        Ok(became)
    }

    async fn send(&self, batch: Option<ContributionBatch>) -> anyhow::Result<()> {
        if let Some(batch) = batch {
            self.to_hub.send(request(Request::Batch(batch))).await?;
        }
        Ok(())
    }
}

impl Became {
    fn count(&mut self, outcome: &ContributionOutcome) -> anyhow::Result<()> {
        match outcome.state() {
            ContributionState::Accepted => self.accepted += 1,
            ContributionState::Rejected => self.rejected += 1,
            ContributionState::InReview => self.in_review += 1,
            other => bail!("an outcome that is {other:?}"),
        }
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn all(self) -> u64 {
        self.accepted + self.rejected + self.in_review
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Became) -> Became {
        Became {
            accepted: self.accepted + other.accepted,
            rejected: self.rejected + other.rejected,
            in_review: self.in_review + other.in_review,
        }
    }
}

fn request(request: Request) -> SubmitContributionsRequest {
    SubmitContributionsRequest { request: Some(request) }
}

//! Twenty nodes' sending sides: the real protocol over mutual TLS, with real seals and signatures, and
//! nothing on a disk of their own.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use dancu_proto::{
    contribution::{Place, seal},
    hub::v1::{
        ContributionBatch, OutboxStanding, SubmitContributionsRequest, SubmitContributionsResponse,
        intake_service_client::IntakeServiceClient, mail, submit_contributions_request::Request,
        submit_contributions_response::Response,
    },
    v1::{Contribution, ContributionState, Signed},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::testkit::Simulated;

/// Contributions of a batch.
const BATCH: usize = 200;

/// A node that hands in.
pub(super) struct Sender {
    node: Simulated,
    outbox: [u8; 16],
    sequence: u64,
    recipient: Vec<u8>,
    to_hub: mpsc::Sender<SubmitContributionsRequest>,
    from_hub: Streaming<SubmitContributionsResponse>,
}

/// What became of what was handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Became {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) in_review: u64,
}

impl Sender {
    pub(super) async fn open(node: Simulated, number: usize) -> anyhow::Result<Sender> {
        let outbox = [number as u8 + 1; 16];
        let (to_hub, requests) = mpsc::channel(4);
        let begin = OutboxStanding { outbox: outbox.to_vec(), ..OutboxStanding::default() };
        to_hub.send(request(Request::Begin(begin))).await?;
        let mut client = IntakeServiceClient::new(node.channel().await);
        let mut from_hub = client.submit_contributions(ReceiverStream::new(requests)).await?.into_inner();
        let first = from_hub.message().await?.and_then(|answer| answer.response);
        let Some(Response::Standing(standing)) = first else { bail!("the hub does not say where it stands") };
        Ok(Sender { node, outbox, sequence: 0, recipient: standing.recipient, to_hub, from_hub })
    }

    /// Seals and signs, as a node does when something is queued.
    pub(super) fn queue(&mut self, work: &[Contribution]) -> anyhow::Result<Vec<ContributionBatch>> {
        let mut signed = Vec::with_capacity(work.len());
        let registry_id = self.node.holding().registry;
        for contribution in work {
            self.sequence += 1;
            let place = Place {
                node: self.node.name(),
                registry_id: &registry_id,
                outbox: &self.outbox,
                sequence: self.sequence,
                time: SystemTime::now().into(),
            };
            signed.push(self.node.sign(&seal(contribution, &place, &self.recipient)?)?);
        }
        let last_sequence = self.sequence;
        let batch = |contributions: &[Signed]| ContributionBatch {
            contributions: contributions.to_vec(),
            last_sequence,
        };
        Ok(signed.chunks(BATCH).map(batch).collect())
    }

    /// Hands in batch by batch, and takes mail until it has the outcome of each.
    pub(super) async fn hand_in(&mut self, batches: Vec<ContributionBatch>) -> anyhow::Result<Became> {
        let due: u64 = batches.iter().map(|batch| batch.contributions.len() as u64).sum();
        let mut batches = batches.into_iter();
        let mut became = Became::default();
        self.send(batches.next()).await?;
        while became.accepted + became.rejected + became.in_review < due {
            let answer = self.from_hub.message().await?.context("the hub ended the stream")?;
            match answer.response {
                Some(Response::Taken(_)) => self.send(batches.next()).await?,
                Some(Response::Mail(mail)) => {
                    let last = mail.mail.last().map(|mail| mail.number);
                    for one in mail.mail {
                        if let Some(mail::Content::Outcome(outcome)) = one.content {
                            became.count(outcome.state())?;
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
    fn count(&mut self, state: ContributionState) -> anyhow::Result<()> {
        match state {
            ContributionState::Accepted => self.accepted += 1,
            ContributionState::Rejected => self.rejected += 1,
            ContributionState::InReview => self.in_review += 1,
            other => bail!("an outcome that is {other:?}"),
        }
        Ok(())
    }

    pub(super) fn and(self, other: Became) -> Became {
        Became {
            accepted: self.accepted + other.accepted,
            rejected: self.rejected + other.rejected,
            in_review: self.in_review + other.in_review,
        }
    }
}

/// Lets all nodes hand in at the same time: how long it took, and what became of it.
pub(super) async fn hand_in(
    senders: &mut [Sender],
    work: &[Vec<Contribution>],
) -> anyhow::Result<(Duration, Became)> {
    ensure!(senders.len() == work.len(), "work for each node");
    // That each node seals and signs what it queues is its own work, done when it was queued.
    let batches: Vec<_> =
        senders.iter_mut().zip(work).map(|(sender, work)| sender.queue(work)).collect::<Result<_, _>>()?;
    let started = Instant::now();
    let handing_in = senders.iter_mut().zip(batches).map(|(sender, batches)| sender.hand_in(batches));
    let became = futures::future::try_join_all(handing_in).await?;
    Ok((started.elapsed(), became.into_iter().fold(Became::default(), Became::and)))
}

fn request(request: Request) -> SubmitContributionsRequest {
    SubmitContributionsRequest { request: Some(request) }
}

//! `dancu.hub.v1.IntakeService`: the streams of nodes.

use std::{sync::Arc, time::Duration};

use dancu_proto::{
    Reason,
    channel::Peer,
    hub::v1::{
        BatchTaken, HubStanding, Mail, MailBatch, OutboxStanding, SubmitContributionsRequest,
        SubmitContributionsResponse, UploadAccessLogRequest, UploadAccessLogResponse,
        intake_service_server::IntakeService, mail::Content as Letter,
        submit_contributions_request::Request as Asked, submit_contributions_response::Response as Answer,
    },
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::{Barred, Handover, outbox};
use crate::{
    audit::AccessLogIntake,
    enrollment::NodeHandle,
    mail::{self, Item},
    registry::{Commit, CommitError, Content, Decide, Decision, Origin, Rows, Standing},
};

/// Contributions of one batch, and its bytes.
const BATCH: usize = 1_000;
/// Answers that wait for the network.
const QUEUE: usize = 2;
/// Mail that is under way to a node; more waits until the node has that.
const WINDOW: u64 = 256;
/// Mail of one message.
const MAIL: usize = 64;
/// A node that does not read for so long has gone.
const SLOW: Duration = Duration::from_secs(60);
/// The first request comes within this time.
const FIRST: Duration = Duration::from_secs(30);

/// Takes over what nodes hand in.
#[derive(Clone)]
pub struct IntakeServer {
    /// Contributions.
    pub handover: Handover,
    /// Access logs.
    pub access_logs: AccessLogIntake,
    /// Batches of contributions at once, over all nodes.
    pub at_once: Arc<Semaphore>,
    /// Owns the streams.
    pub tasks: TaskTracker,
    /// Ends them.
    pub cancel: CancellationToken,
}

type Answers = mpsc::Sender<Result<SubmitContributionsResponse, Status>>;

#[tonic::async_trait]
impl IntakeService for IntakeServer {
    type SubmitContributionsStream = ReceiverStream<Result<SubmitContributionsResponse, Status>>;

    async fn submit_contributions(
        &self,
        request: Request<Streaming<SubmitContributionsRequest>>,
    ) -> Result<Response<Self::SubmitContributionsStream>, Status> {
        let peer = Peer::of(&request);
        let node = self.handover.roll.authorise(&peer, self.handover.now())?;
        let (answers, stream) = mpsc::channel(QUEUE);
        let (server, inbound) = (self.clone(), request.into_inner());
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                () = server.cancel.cancelled() => Err(Reason::ShuttingDown.status("the hub is going down")),
                ended = server.run(&peer, &node, inbound, &answers) => ended,
            };
            if let Err(status) = ended {
                let _ = timeout(Duration::from_secs(1), answers.send(Err(status))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    type UploadAccessLogStream = ReceiverStream<Result<UploadAccessLogResponse, Status>>;

    async fn upload_access_log(
        &self,
        request: Request<Streaming<UploadAccessLogRequest>>,
    ) -> Result<Response<Self::UploadAccessLogStream>, Status> {
        self.access_logs.upload(request)
    }
}

/// Where the mail of a stream stands.
struct Mailing {
    /// None is wanted.
    off: bool,
    /// The last number sent, and the last that the node has.
    sent: u64,
    received: u64,
}

impl IntakeServer {
    async fn run(
        &self,
        peer: &Peer,
        node: &NodeHandle,
        mut inbound: Streaming<SubmitContributionsRequest>,
        answers: &Answers,
    ) -> Result<(), Status> {
        let first = timeout(FIRST, inbound.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("nothing was said"))??;
        let Some(Asked::Begin(begin)) = first.and_then(|first| first.request) else {
            return Err(Reason::InvalidRequest.field("begin", "comes first"));
        };
        let mut standing = self.roll_state(node)?;
        let mut ear = self.handover.bells.stream(&node.name);
        self.begin(node, &begin).await?;
        let hub = {
            let (handover, view) = (&self.handover, self.handover.registry.view());
            let last_mail = Some(mail::latest(&view, &node.name)?);
            let hub = outbox::standing(&view, &node.name, &begin.outbox, handover.log.recipient())?;
            HubStanding { last_mail, ..hub }
        };
        send(answers, Answer::Standing(hub)).await?;
        let (sent, received) = (begin.mail_after, begin.mail_after);
        let mut mailing = Mailing { off: begin.no_mail, sent, received };
        loop {
            self.mail(node, &mut mailing, answers).await?;
            tokio::select! {
                request = inbound.message() => {
                    let Some(request) = request? else { return Ok(()) };
                    match request.request {
                        Some(Asked::Batch(batch)) => {
                            self.handover.roll.authorise(peer, self.handover.now())?;
                            if batch.contributions.len() > BATCH {
                                let most = format!("at most {BATCH} in a batch");
                                return Err(Reason::InvalidRequest.field("contributions", most));
                            }
                            // Never closed.
                            let place = self.at_once.acquire().await;
                            let _place = place.map_err(|_| Reason::ShuttingDown.status("the hub is going down"))?;
                            let refused = self.handover.take(batch.contributions, Barred::Refused).await?.refused;
                            for one in &refused {
                                tracing::error!(
                                    node = %node.name,
                                    why = one.message,
                                    "a contribution is not taken over; the node keeps it"
                                );
                            }
                            let last_sequence = {
                                let handover = &self.handover;
                                let view = handover.registry.view();
                                outbox::standing(&view, &node.name, &begin.outbox, &[])?.last_sequence
                            };
                            send(answers, Answer::Taken(BatchTaken { last_sequence, refused })).await?;
                        }
                        Some(Asked::MailReceived(number)) => mailing.received = mailing.received.max(number),
                        _ => return Err(Reason::InvalidRequest.field("request", "is a batch, or mail received")),
                    }
                }
                newest = ear.hears() => if !newest {
                    return Err(Reason::StreamReplaced.status("the node has another, newer stream"));
                },
                changed = standing.changed() => {
                    changed.map_err(|_| Reason::NotFound.status("the node is no longer on the roll"))?;
                    self.handover.roll.authorise(peer, self.handover.now())?;
                }
            }
        }
    }

    fn roll_state(
        &self,
        node: &NodeHandle,
    ) -> Result<tokio::sync::watch::Receiver<crate::enrollment::NodeState>, Status> {
        Ok(self.handover.roll.subscribe(&node.name)?)
    }

    /// Notes how far the outbox goes, and that an earlier one of the node was lost.
    async fn begin(&self, node: &NodeHandle, begin: &OutboxStanding) -> Result<(), Status> {
        if begin.outbox.len() != 16 {
            return Err(Reason::InvalidRequest.field("begin.outbox", "has 16 bytes"));
        }
        let (name, outbox, queued) = (node.name.to_string(), begin.outbox.clone(), begin.last_sequence);
        let lost = Arc::new(std::sync::Mutex::new(0));
        let noted = Arc::clone(&lost);
        let by = Arc::new(move |standing: &Standing<'_>| -> Result<Decision, CommitError> {
            let mut rows = Rows::new(standing);
            let before = outbox::begins(&mut rows, &name, &outbox, queued)?;
            let never_came = before.map_or(0, |before| before.never_came());
            *noted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = never_came;
            Ok(Decision { rows: rows.into_writes(), ..Decision::default() })
        });
        let content = Content::Decided(Decide { alone: false, by });
        self.handover.registry.commit(Commit { origin: Origin::default(), content }).await?;
        let never_came = *lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if never_came > 0 {
            tracing::error!(
                node = %node.name,
                contributions = never_came,
                "the node has a new outbox, and what it had queued in the one before never came; \
                 `dancu-hub contribution outboxes` names the sequences"
            );
        }
        Ok(())
    }

    /// Sends mail as far as the window goes.
    async fn mail(&self, node: &NodeHandle, mailing: &mut Mailing, answers: &Answers) -> Result<(), Status> {
        while !mailing.off && mailing.sent.saturating_sub(mailing.received) < WINDOW {
            let batch = self.letters(node, mailing.sent)?;
            let Some(last) = batch.last() else { return Ok(()) };
            mailing.sent = last.number;
            send(answers, Answer::Mail(MailBatch { mail: batch })).await?;
        }
        Ok(())
    }

    fn letters(&self, node: &NodeHandle, after: u64) -> Result<Vec<Mail>, Status> {
        let view = self.handover.registry.view();
        let mut letters = Vec::new();
        for (number, item) in mail::after(&view, &node.name, after, MAIL)? {
            let content = match item {
                Item::Outcome(name) => self.handover.outcome(&view, &name)?.map(Letter::Outcome),
                Item::Other(_, content) => Some(content),
            };
            letters.push(Mail { number, content });
        }
        Ok(letters)
    }
}

async fn send(answers: &Answers, answer: Answer) -> Result<(), Status> {
    let answer = SubmitContributionsResponse { response: Some(answer) };
    match timeout(SLOW, answers.send(Ok(answer))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Status::cancelled("the node has gone")),
        Err(_) => Err(Status::deadline_exceeded("the node does not read")),
    }
}

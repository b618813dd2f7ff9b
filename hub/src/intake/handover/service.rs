//! `dancu.hub.v1.IntakeService`: the streams of nodes.

use std::{sync::Arc, time::Duration};

use dancu_proto::{
    Reason,
    channel::Peer,
    hub::v1::{
        SubmitContributionsRequest, SubmitContributionsResponse, UploadAccessLogRequest,
        UploadAccessLogResponse, intake_service_server::IntakeService,
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

use super::{
    Handover,
    conversation::{Conversation, Window},
};
use crate::{audit::AccessLogIntake, enrollment::NodeHandle};

/// Answers that wait for the network.
const QUEUE: usize = 2;
/// Mail to a node.
const WINDOW: Window = Window { together: 64, under_way: 256 };
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
        let mut standing = self.handover.roll.subscribe(&node.name)?;
        let mut ear = self.handover.bells.stream(&node.name);
        let (mut conversation, stands) =
            Conversation::begin(&self.handover, &node.name, begin, WINDOW).await?;
        send(answers, stands).await?;
        loop {
            while let Some(mail) = conversation.mail(&self.handover)? {
                send(answers, mail).await?;
            }
            tokio::select! {
                request = inbound.message() => {
                    let Some(request) = request? else { return Ok(()) };
                    match request.request {
                        Some(Asked::Batch(batch)) => {
                            self.handover.roll.authorise(peer, self.handover.now())?;
                            // Never closed.
                            let place = self.at_once.acquire().await;
                            let place = place.map_err(|_| Reason::ShuttingDown.status("the hub is going down"))?;
                            let taken = conversation.batch(&self.handover, batch.contributions.unwrap_or_default()).await?;
                            // A node that does not read keeps nobody waiting.
                            drop(place);
                            send(answers, taken).await?;
                        }
                        Some(Asked::MailReceived(number)) => conversation.received(number),
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
}

async fn send(answers: &Answers, answer: Answer) -> Result<(), Status> {
    let answer = SubmitContributionsResponse { response: Some(answer) };
    match timeout(SLOW, answers.send(Ok(answer))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Status::cancelled("the node has gone")),
        Err(_) => Err(Status::deadline_exceeded("the node does not read")),
    }
}

//! Nodes hand in their access logs (`dancu.hub.v1.IntakeService`).

use std::{sync::Arc, time::Duration};

use dancu_proto::{
    Reason,
    channel::{Peer, PeerIdentity},
    hub::v1::{UploadAccessLogRequest, UploadAccessLogResponse},
    signed,
    v1::{LogHead, Signed},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::spawn_blocking,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::{
    alarm::{AlarmKind, Fault},
    chain::Place,
    log::AuditLog,
};
use crate::{
    enrollment::{Authority, NodeRoll},
    metrics,
    registry::Clock,
};

/// A node says something within this time: it has a head to sign every minute.
const SILENCE: Duration = Duration::from_secs(180);
/// Records of one batch.
const BATCH: usize = 20_000;
/// Answers that wait for the network.
const QUEUE: usize = 1;

/// Takes over what nodes hand in.
#[derive(Clone)]
pub struct AccessLogIntake {
    /// The log.
    pub log: Arc<AuditLog>,
    /// Who may hand in.
    pub roll: Arc<NodeRoll>,
    /// Who certified the keys that heads are signed with.
    pub authority: Arc<Authority>,
    /// Identity of the registry.
    pub registry_id: [u8; 16],
    /// The time.
    pub clock: Clock,
    /// Batches that are looked at at once, over all nodes.
    pub at_once: Arc<Semaphore>,
    /// Owns the streams.
    pub tasks: TaskTracker,
    /// Ends them.
    pub cancel: CancellationToken,
}

impl AccessLogIntake {
    /// Takes over the access log of the node that calls.
    ///
    /// # Errors
    /// The node may not speak now.
    pub fn upload(
        &self,
        request: Request<Streaming<UploadAccessLogRequest>>,
    ) -> Result<Response<ReceiverStream<Result<UploadAccessLogResponse, Status>>>, Status> {
        let peer = Peer::of(&request);
        self.roll.authorise(&peer, (self.clock)())?;
        let (answers, stream) = mpsc::channel(QUEUE);
        let (server, inbound) = (self.clone(), request.into_inner());
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                () = server.cancel.cancelled() => Err(Reason::ShuttingDown.status("the hub is going down")),
                ended = server.run(&peer, inbound, &answers) => ended,
            };
            if let Err(status) = ended {
                // A node that does not read any more has gone.
                let _ = timeout(Duration::from_secs(1), answers.send(Err(status))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn run(
        &self,
        peer: &Peer,
        mut inbound: Streaming<UploadAccessLogRequest>,
        answers: &mpsc::Sender<Result<UploadAccessLogResponse, Status>>,
    ) -> Result<(), Status> {
        let mut first = true;
        loop {
            let request = timeout(SILENCE, inbound.message()).await;
            let request = request.map_err(|_| Status::deadline_exceeded("nothing was handed in for long"))?;
            let Some(request) = request? else { return Ok(()) };
            // A node that is suspended meanwhile hands in no more.
            let node = self.roll.authorise(peer, (self.clock)())?;
            // Never closed.
            let place = Arc::clone(&self.at_once).acquire_owned().await;
            let place = place.map_err(|_| Reason::ShuttingDown.status("the hub is going down"))?;
            let (server, name, meets) = (self.clone(), node.name.to_string(), first);
            let taken = spawn_blocking(move || {
                let _place = place;
                server.take(&name, &request, meets)
            });
            let taken = taken.await.map_err(|_| Reason::Internal.status("the batch broke off"))??;
            let recipient = if first { self.log.recipient().to_vec() } else { Vec::new() };
            let answer =
                UploadAccessLogResponse { sequence: taken.sequence, hash: taken.hash.to_vec(), recipient };
            if answers.send(Ok(answer)).await.is_err() {
                return Ok(());
            }
            first = false;
        }
    }

    /// One request, of which a fault is an alarm.
    fn take(&self, node: &str, request: &UploadAccessLogRequest, meets: bool) -> Result<Place, Status> {
        let count = request.records.len();
        if count > BATCH || (meets && count > 0) {
            return Err(Reason::InvalidRequest.field("records", format!("{count} are too many")));
        }
        let now_ms = (self.clock)().unix_timestamp().max(0) as u64 * 1000;
        let taken = match self.head(node, request.head.as_ref()) {
            Err(text) => {
                let sequence = self.log.place(node)?.sequence + 1;
                Err(Fault::new(AlarmKind::Signature, sequence, text))
            }
            Ok(head) if meets => self.log.meet(node, &head)?,
            Ok(head) => self.log.take_over(node, &request.records, &head, now_ms)?,
        };
        match taken {
            Ok(place) => {
                metrics::records_taken_over(count);
                Ok(place)
            }
            Err(fault) => {
                self.log.raise(node, &fault, now_ms)?;
                Err(Reason::AccessLogRefused.status(fault.to_string()))
            }
        }
    }

    /// The head that the node signed, or what is wrong with it.
    fn head(&self, node: &str, signed: Option<&Signed>) -> Result<LogHead, String> {
        let signed = signed.ok_or("the head is missing")?;
        let (head, signer): (LogHead, _) =
            signed::verify(signed, self.authority.certificate()).map_err(|error| error.to_string())?;
        if signer != PeerIdentity::Node(node.to_owned()) || head.node != node {
            return Err(format!("the head is of {}, and {signer} signed it", head.node));
        }
        if head.registry_id != self.registry_id {
            return Err("the head is of the log of another registry's node".into());
        }
        Ok(head)
    }
}

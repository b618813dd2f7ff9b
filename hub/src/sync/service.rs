//! `dancu.hub.v1.SyncService`.

use std::{sync::Arc, time::Duration};

use dancu_proto::{
    Reason, Revision,
    channel::Peer,
    hub::v1::{
        CompareDigestsRequest, CompareDigestsResponse, Holding, RenewLeaseRequest, RenewLeaseResponse,
        SyncSliceRequest, SyncSliceResponse, UpdateInterestsRequest, UpdateInterestsResponse,
        sync_service_server::SyncService, sync_slice_request::Body,
    },
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{interest, lease::SliceKeys, proof, session::Session, shared::SharedDeltas, stream::Stream};
use crate::{
    enrollment::{NodeHandle, NodeRoll},
    fleet::Fleet,
    projection::Ledger,
    registry::{Clock, Registry},
    router::Router,
};

/// The version of the protocol that this hub speaks.
const PROTOCOL: u32 = 1;
/// A node says what it holds within this time.
const OPENING: Duration = Duration::from_secs(15);
/// Frames of a stream that wait for the network: what a slow reader makes the hub hold.
const QUEUE: usize = 1;
/// A proof waits and runs for at most this long.
const PROOF: Duration = Duration::from_secs(60);
/// A last word to a node may take this long.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Serves the streams of all nodes.
pub struct SyncServer {
    /// The registry.
    pub registry: Arc<Registry>,
    /// The agreements.
    pub ledger: Arc<Ledger>,
    /// Wakes streams.
    pub router: Arc<Router>,
    /// Deltas that several streams would make alike.
    pub shared: Arc<SharedDeltas>,
    /// Who is connected.
    pub fleet: Arc<Fleet>,
    /// Who may connect.
    pub roll: Arc<NodeRoll>,
    /// What their slices are sealed with.
    pub slice_keys: SliceKeys,
    /// The hub's public key that nodes seal for.
    pub recipient: Arc<[u8]>,
    /// The time.
    pub clock: Clock,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// Steps that may read the registry at once, over all streams.
    pub steps: Arc<Semaphore>,
    /// Proofs at once, over all nodes.
    pub proofs: Arc<Semaphore>,
    /// Owns the streams.
    pub tasks: TaskTracker,
    /// Ends them.
    pub cancel: CancellationToken,
}

#[tonic::async_trait]
impl SyncService for SyncServer {
    type SyncSliceStream = ReceiverStream<Result<SyncSliceResponse, Status>>;

    async fn sync_slice(
        &self,
        request: Request<Streaming<SyncSliceRequest>>,
    ) -> Result<Response<Self::SyncSliceStream>, Status> {
        let peer = Peer::of(&request);
        let node = self.roll.authorise(&peer, (self.clock)())?;
        let mut inbound = request.into_inner();
        let holding = opening(&mut inbound).await?;
        let (session, first) = self.open(&node, &holding).await?;
        let connection =
            self.fleet.connect(&node.name, &holding.software, Revision(holding.cursor), (self.clock)());
        let (outbound, frames) = mpsc::channel(QUEUE);
        let place = self.router.register(node.agency.as_ref());
        let stream = Stream {
            connection,
            outbound: outbound.clone(),
            clock: Arc::clone(&self.clock),
            heartbeat: self.heartbeat,
            steps: Arc::clone(&self.steps),
        };
        let refused = self.refusal(&node, peer)?;
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            let status = tokio::select! {
                biased;
                () = cancel.cancelled() => Reason::ShuttingDown.status("the hub is going down; connect again"),
                status = refused => status,
                status = stream.run(place, session, first, inbound) => status,
            };
            tracing::info!(node = %node.name, code = ?status.code(), "a stream ended");
            if status.code() != Code::Ok {
                let _ = tokio::time::timeout(LAST_WORD, outbound.send(Err(status))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(frames)))
    }

    async fn renew_lease(
        &self,
        request: Request<RenewLeaseRequest>,
    ) -> Result<Response<RenewLeaseResponse>, Status> {
        let node = self.roll.authorise(&Peer::of(&request), (self.clock)())?;
        let (slice_key, recipient) = (self.slice_keys.of(node.number), self.recipient.to_vec());
        Ok(Response::new(RenewLeaseResponse { slice_key, recipient }))
    }

    async fn update_interests(
        &self,
        request: Request<UpdateInterestsRequest>,
    ) -> Result<Response<UpdateInterestsResponse>, Status> {
        let node = self.roll.authorise(&Peer::of(&request), (self.clock)())?;
        let updated = interest::update(&self.registry, &self.ledger, &node, request.into_inner());
        updated.await.map(Response::new)
    }

    async fn compare_digests(
        &self,
        request: Request<CompareDigestsRequest>,
    ) -> Result<Response<CompareDigestsResponse>, Status> {
        let node = self.roll.authorise(&Peer::of(&request), (self.clock)())?;
        match tokio::time::timeout(PROOF, self.proof(node, request.into_inner())).await {
            Ok(answer) => answer.map(Response::new),
            Err(_) => Err(Reason::Overloaded.status("the hub has no time for proofs now; try later")),
        }
    }
}

impl SyncServer {
    async fn proof(
        &self,
        node: NodeHandle,
        request: CompareDigestsRequest,
    ) -> Result<CompareDigestsResponse, Status> {
        let (registry, ledger) = (Arc::clone(&self.registry), Arc::clone(&self.ledger));
        // Proofs come after everything else: one at a time, over all nodes.
        let place = Arc::clone(&self.proofs).acquire_owned().await;
        let compared = tokio::task::spawn_blocking(move || {
            let _place = place;
            proof::compare(&registry, &ledger, node.name.as_ref(), node.agency.as_ref(), &request)
        });
        compared.await.map_err(|_| Reason::Internal.status("the hub failed; its log says why"))?
    }

    async fn open(
        &self,
        node: &NodeHandle,
        holding: &Holding,
    ) -> Result<(Session, SyncSliceResponse), Status> {
        let (registry, ledger) = (Arc::clone(&self.registry), Arc::clone(&self.ledger));
        let shared = Arc::clone(&self.shared);
        let (name, agency) = (node.name.to_string(), node.agency.to_string());
        let holding = holding.clone();
        let _place = self.steps.acquire().await;
        let opened = tokio::task::spawn_blocking(move || {
            Session::open(registry, ledger, shared, name, agency, &holding)
        })
        .await;
        opened.map_err(|_| Reason::Internal.status("the hub failed; its log says why"))?.map_err(Status::from)
    }

    /// Ends, with the reason, when the node may no longer speak.
    fn refusal(&self, node: &NodeHandle, peer: Peer) -> Result<impl Future<Output = Status> + use<>, Status> {
        let mut states = self.roll.subscribe(&node.name)?;
        let (roll, clock) = (Arc::clone(&self.roll), Arc::clone(&self.clock));
        Ok(async move {
            loop {
                if let Err(error) = roll.authorise(&peer, clock()) {
                    return error.into();
                }
                if states.changed().await.is_err() {
                    return Reason::ShuttingDown.status("the hub is going down; connect again");
                }
            }
        })
    }
}

async fn opening(inbound: &mut Streaming<SyncSliceRequest>) -> Result<Holding, Status> {
    let first = tokio::time::timeout(OPENING, inbound.message()).await;
    let first = first.map_err(|_| Reason::InvalidRequest.status("the node did not say what it holds"))??;
    match first {
        Some(SyncSliceRequest { body: Some(Body::Holding(holding)) }) if holding.protocol == PROTOCOL => {
            Ok(holding)
        }
        Some(SyncSliceRequest { body: Some(Body::Holding(holding)) }) => {
            let theirs = holding.protocol;
            Err(Reason::ProtocolVersion.status(format!(
                "this hub speaks version {PROTOCOL} of the protocol and the node version {theirs}; update the older"
            )))
        }
        _ => Err(Reason::InvalidRequest.field("body", "the first message says what the node holds")),
    }
}

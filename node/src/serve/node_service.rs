//! `dancu.node.v1.NodeService`.

use std::sync::Arc;

use dancu_proto::{
    Reason,
    channel::Peer,
    node::v1::{
        GetStatusRequest, GetStatusResponse, ListAreasRequest, ListAreasResponse, SealSliceRequest,
        SealSliceResponse, UnsealSliceRequest, UnsealSliceResponse, VerifySliceRequest, VerifySliceResponse,
        node_service_server::NodeService,
    },
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status};

use crate::{
    callers::Roster,
    lease::{Lease, LeaseError},
    outbox::Outbox,
    state::Node,
};

/// Messages of a proof's progress that wait; what does not fit is left out.
const PROGRESS: usize = 8;

/// Tells the node's state to its callers, and to its operator at the Unix socket.
#[derive(Debug)]
pub struct StatusService {
    node: Arc<Node>,
    roster: Arc<Roster>,
    outbox: Outbox,
    owner: u32,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl StatusService {
    /// Over a node; `owner` is the user that the node runs as. Proofs run among `tasks`.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        roster: Arc<Roster>,
        outbox: Outbox,
        owner: u32,
        tasks: TaskTracker,
        cancel: CancellationToken,
    ) -> StatusService {
        StatusService { node, roster, outbox, owner, tasks, cancel }
    }

    fn for_operator<T>(&self, request: &Request<T>) -> Result<(), Status> {
        if self.is_operator(&Peer::of(request)) {
            return Ok(());
        }
        Err(Reason::CallerNotAllowed.status("only the node's operator may, at its Unix socket"))
    }

    /// Seals or unseals, off the threads that answer: the disk may be slow.
    async fn with_lease(
        &self,
        change: impl FnOnce(&Lease) -> Result<(), LeaseError> + Send + 'static,
    ) -> Result<(), Status> {
        let lease = self.node.lease.clone();
        let changed = tokio::task::spawn_blocking(move || change(&lease)).await;
        let changed = changed
            .map_err(|_| Reason::Internal.status("the node failed; tell its operator, whose log says why"))?;
        changed.map_err(|error| Reason::Storage.status(error.to_string()))
    }

    fn is_operator(&self, peer: &Peer) -> bool {
        peer.unix.is_some_and(|process| process.uid == 0 || process.uid == self.owner)
    }
}

#[tonic::async_trait]
impl NodeService for StatusService {
    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let peer = Peer::of(&request);
        if self.is_operator(&peer) {
            let mut status = self.node.status();
            status.contributions_queued = self.outbox.standing().tally.queued;
            status.contributions_since = self.outbox.oldest()?;
            return Ok(Response::new(status));
        }
        let caller = self.roster.identify(&peer, (self.node.clock)())?;
        Ok(Response::new(self.node.status_for(&caller)))
    }

    async fn list_areas(
        &self,
        request: Request<ListAreasRequest>,
    ) -> Result<Response<ListAreasResponse>, Status> {
        let peer = Peer::of(&request);
        if !self.is_operator(&peer) {
            self.roster.identify(&peer, (self.node.clock)())?;
        }
        let order = self.node.slice.state().areas().in_force().to_message();
        Ok(Response::new(ListAreasResponse {
            from: order.from,
            provinces: order.provinces,
            communes: order.communes,
        }))
    }

    type VerifySliceStream = ReceiverStream<Result<VerifySliceResponse, Status>>;

    async fn verify_slice(
        &self,
        request: Request<VerifySliceRequest>,
    ) -> Result<Response<Self::VerifySliceStream>, Status> {
        self.for_operator(&request)?;
        let (messages, stream) = mpsc::channel(PROGRESS);
        let (node, cancel) = (Arc::clone(&self.node), self.cancel.clone());
        // It ends by itself when the node does, and goes on to its end if the operator leaves.
        self.tasks.spawn(async move {
            let progress = messages.clone();
            let tell = move |compared, citizens| {
                let _ = progress.try_send(Ok(VerifySliceResponse { compared, citizens, proof: None }));
            };
            let outcome = match node.prover.prove(tell, &cancel).await {
                Ok(mut proof) => {
                    let compared = proof.citizens;
                    proof.report = node.report(&proof);
                    Ok(VerifySliceResponse { compared, citizens: compared, proof: Some(proof) })
                }
                Err(error) => Err(error.into()),
            };
            let _ = messages.send(outcome).await;
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn seal_slice(
        &self,
        request: Request<SealSliceRequest>,
    ) -> Result<Response<SealSliceResponse>, Status> {
        self.for_operator(&request)?;
        self.with_lease(Lease::seal).await?;
        Ok(Response::new(SealSliceResponse {}))
    }

    async fn unseal_slice(
        &self,
        request: Request<UnsealSliceRequest>,
    ) -> Result<Response<UnsealSliceResponse>, Status> {
        self.for_operator(&request)?;
        self.with_lease(Lease::unseal).await?;
        Ok(Response::new(UnsealSliceResponse {}))
    }
}

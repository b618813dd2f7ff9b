//! `dancu.node.v1.NodeService`.

use std::sync::Arc;

use dancu_proto::{
    channel::Peer,
    node::v1::{GetStatusRequest, GetStatusResponse, node_service_server::NodeService},
};
use tonic::{Request, Response, Status};

use crate::{callers::Roster, state::Node};

/// Tells the node's state to its callers, and to its operator at the Unix socket.
#[derive(Debug)]
pub struct StatusService {
    node: Arc<Node>,
    roster: Arc<Roster>,
    owner: u32,
}

impl StatusService {
    /// Over a node; `owner` is the user that the node runs as.
    #[must_use]
    pub fn new(node: Arc<Node>, roster: Arc<Roster>, owner: u32) -> StatusService {
        StatusService { node, roster, owner }
    }
}

#[tonic::async_trait]
impl NodeService for StatusService {
    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let peer = Peer::of(&request);
        let operator = peer.unix.is_some_and(|process| process.uid == 0 || process.uid == self.owner);
        if !operator {
            self.roster.identify(&peer, (self.node.clock)())?;
        }
        Ok(Response::new(self.node.status()))
    }
}

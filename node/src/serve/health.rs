//! gRPC health: the citizen service is serving as long as look-ups are answered.

use std::{sync::Arc, time::Duration};

use dancu_proto::node::{
    served::citizen_service_server::CitizenServiceServer,
    v1::{NodeState, node_service_server::NodeServiceServer},
};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::StatusService;
use crate::{lookup::Lookup, state::Node};

/// How often the state is looked at where nothing tells of a change: time passes by itself.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the health of the services.
pub struct Health {
    node: Arc<Node>,
    reporter: HealthReporter,
}

impl Health {
    pub(super) fn new(node: Arc<Node>, reporter: HealthReporter) -> Health {
        Health { node, reporter }
    }

    /// Follows the node's state until cancelled.
    pub async fn follow(self, cancel: CancellationToken) {
        self.reporter.set_serving::<NodeServiceServer<StatusService>>().await;
        let (mut slice, mut contact) = (self.node.slice.watch(), self.node.contact.watch());
        let mut said = None;
        while !cancel.is_cancelled() {
            let state = self.node.state();
            if said != Some(state) {
                self.tell(state).await;
                tracing::info!(state = state.as_str_name(), "state");
                said = Some(state);
            }
            tokio::select! {
                () = cancel.cancelled() => {}
                _ = slice.changed() => {}
                _ = contact.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.reporter.set_service_status("", ServingStatus::NotServing).await;
        self.reporter.set_not_serving::<CitizenServiceServer<Lookup>>().await;
    }

    async fn tell(&self, state: NodeState) {
        let status = match state {
            NodeState::Serving | NodeState::Offline => ServingStatus::Serving,
            _ => ServingStatus::NotServing,
        };
        self.reporter.set_service_status("", status).await;
        match status {
            ServingStatus::Serving => self.reporter.set_serving::<CitizenServiceServer<Lookup>>().await,
            _ => self.reporter.set_not_serving::<CitizenServiceServer<Lookup>>().await,
        }
    }
}

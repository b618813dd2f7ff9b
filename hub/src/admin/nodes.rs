//! Operators and nodes.

use std::time::Duration;

use dancu_proto::{
    Reason,
    hub::v1::{
        AddNodeRequest, AddNodeResponse, LoadProgress, NodeEnrollmentState, NodeSummary, SetNodeStateRequest,
        SetNodeStateResponse,
    },
};
use tonic::Status;

use super::Admin;
use crate::{
    agreements::AgencyId,
    enrollment::{NodeEntry, NodeState},
    fleet::Presence,
    sync::timestamp,
};

/// How long a token lasts unless said otherwise.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long it may last.
const LONGEST_TOKEN: Duration = Duration::from_secs(30 * 24 * 3600);

impl Admin {
    pub(super) fn add(&self, operator: &str, request: &AddNodeRequest) -> Result<AddNodeResponse, Status> {
        let lifetime = match request.token_lifetime_seconds {
            0 => TOKEN_LIFETIME,
            seconds => Duration::from_secs(seconds).min(LONGEST_TOKEN),
        };
        let now = self.now();
        let token = if request.rejoin {
            self.roll.rejoin(&request.name, lifetime, now)?
        } else {
            request
                .agency
                .parse::<AgencyId>()
                .map_err(|error| Reason::InvalidRequest.field("agency", error))?;
            self.roll.add(&request.name, &request.agency, lifetime, now)?
        };
        tracing::info!(operator, node = request.name, agency = request.agency, "a token is made");
        let node = self.summary(&self.roll.get(&request.name)?)?;
        Ok(AddNodeResponse {
            token: token.reveal(),
            expires: Some(timestamp(now + lifetime)),
            agency: node.agency,
            agreements: node.agreements,
        })
    }

    pub(super) fn set_state(
        &self,
        operator: &str,
        request: &SetNodeStateRequest,
    ) -> Result<SetNodeStateResponse, Status> {
        let (name, reason) = (&request.name, &request.reason);
        let entry = match NodeEnrollmentState::try_from(request.state) {
            Ok(NodeEnrollmentState::Active) => self.roll.resume(name)?,
            Ok(NodeEnrollmentState::Suspended) => self.roll.suspend(name, reason)?,
            Ok(NodeEnrollmentState::Revoked) => self.roll.revoke(name, reason)?,
            _ => return Err(Reason::InvalidRequest.field("state", "is ACTIVE, SUSPENDED or REVOKED")),
        };
        tracing::warn!(operator, node = name, state = ?NodeEnrollmentState::from(&entry.state), "a node's state is changed");
        Ok(SetNodeStateResponse { node: Some(self.summary(&entry)?) })
    }

    pub(super) fn summary(&self, entry: &NodeEntry) -> Result<NodeSummary, Status> {
        // A revoked node has erased what it last said it held.
        let presence = self.fleet.presence(&entry.name).map(|presence| match entry.state {
            NodeState::Revoked(_) => Presence { citizens: 0, ..presence },
            _ => presence,
        });
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        let policy = self.ledger.policy(&entry.name, &entry.agency, view.revision()?);
        Ok(NodeSummary {
            name: entry.name.clone(),
            agency: entry.agency.clone(),
            state: NodeEnrollmentState::from(&entry.state).into(),
            reason: entry.state.reason().to_owned(),
            connected: presence.as_ref().is_some_and(|presence| presence.connected),
            cursor: presence.as_ref().map_or(0, |presence| presence.cursor.0),
            citizens: presence.as_ref().map_or(0, |presence| presence.citizens),
            last_seen: presence.as_ref().map(|presence| timestamp(presence.last_seen)),
            certificate_expires: entry.certificate_expires().map(timestamp),
            loading: presence.as_ref().and_then(|presence| presence.loading).map(|loading| LoadProgress {
                done: loading.done,
                to_come: loading.to_come,
                per_second: loading.per_second(),
            }),
            software: presence.map(|presence| presence.software).unwrap_or_default(),
            added: Some(timestamp(entry.added)),
            agreements: policy.grants().iter().map(|grant| grant.agreement.id.to_string()).collect(),
        })
    }
}

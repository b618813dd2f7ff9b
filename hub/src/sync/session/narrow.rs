//! A policy changes: what is held is narrowed to it at once, and the node is told.

use std::sync::Arc;

use dancu_proto::hub::v1::{
    AreaNews, Delta, Policy as PolicyFrame, SyncSliceResponse, sync_slice_response::Body,
};

use super::{Doing, Session, Step, response};
use crate::{
    registry::{Partition, StoreError, View},
    sync::steps::{self, Stairs},
};
use dancu_proto::Revision;

impl Session {
    /// Narrows what is held to the policy as of a view, and tells the node. A narrowing that was
    /// under way is part of the new one: the node may hold anything between the two.
    pub(super) fn change_policy(
        &mut self,
        view: &View<'_>,
        reset: bool,
    ) -> Result<SyncSliceResponse, StoreError> {
        let revision = self.ledger.last_turn(&self.agency, view.revision()?);
        let target = self.policy_at(revision);
        let (old_zones, old_readable) = match std::mem::replace(&mut self.doing, Doing::Following) {
            Doing::Removing { old_zones, old_readable, .. } => (old_zones, old_readable),
            _ => (self.zones.clone(), self.readable.clone()),
        };
        self.zones = self.zones.narrow(revision, &target, |at| self.policy_at(at));
        // Purposes and limits of what stays readable are those of the new policy.
        self.readable = self.zones.meet().meet(&target);
        let mut lost: Vec<_> = old_zones
            .iter()
            .flat_map(|zone| zone.policy.scopes_lost_to(self.zones.policy_up_to(zone.up_to)))
            .collect();
        lost.sort_unstable();
        lost.dedup();
        if lost.first() == Some(&Partition::Nation) {
            lost.truncate(1);
        }
        self.key = target.key().map(Arc::new);
        self.base = self.cursor;
        (self.target, self.revision) = (target, revision);
        (self.looked_at, self.to_look_at) = (0, 0);
        let removals_follow = !lost.is_empty() && !reset;
        self.doing = if removals_follow {
            Doing::Removing { old_zones, old_readable, lost, after: None }
        } else {
            Doing::Following
        };
        Ok(response(Body::Policy(PolicyFrame {
            revision: revision.0,
            target: self.target.to_wire(),
            readable: self.readable.to_wire(),
            zones: self.zones.to_wire(),
            registry_id: self.registry.id().to_vec(),
            reset,
            cursor: self.cursor.0,
            removals_follow,
            keep_pending: false,
            areas: self.area_news(revision),
        })))
    }

    /// What the node does not know of the administrative order as of a revision.
    fn area_news(&mut self, at: Revision) -> Option<AreaNews> {
        let areas = self.ledger.areas(at);
        let changes = areas.changes();
        // Who knows of more than there are has them from elsewhere.
        let known = if self.areas <= changes.len() { self.areas } else { 0 };
        self.areas = changes.len();
        (known < changes.len()).then(|| AreaNews { known: known as u32, changes: changes[known..].to_vec() })
    }

    pub(super) fn remove(&mut self, view: &View<'_>) -> Result<Step, StoreError> {
        let Doing::Removing { old_zones, old_readable, lost, after } = &self.doing else {
            return Ok(Step::Again);
        };
        let old = Stairs { zones: old_zones, readable: old_readable, ..self.stairs() };
        let part = steps::removals(view, old, self.stairs(), lost, self.moment(self.cursor), *after)?;
        let frame = Delta {
            target: self.cursor.0,
            position: 0,
            last: part.last,
            narrowing: true,
            changes: Some(part.changes),
        };
        if part.last {
            self.doing = Doing::Following;
        } else if let Doing::Removing { after, .. } = &mut self.doing {
            *after = part.up_to;
        }
        Ok(Step::Send(response(Body::Delta(frame))))
    }
}

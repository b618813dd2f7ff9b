//! One node's session: what the hub believes the node holds, and what it sends next. Steps are
//! synchronous and pure over a view of the registry; `stream.rs` runs them.

mod frame;
mod narrow;
mod open;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use dancu_proto::{
    PersonalId, Revision,
    hub::v1::{
        ChangeFrame, Delta, Heartbeat, Load, Range, Repair, SyncSliceResponse, sync_slice_response::Body,
    },
};
use tonic::Status;

pub(super) use self::frame::FrameSize;
use super::{
    shared::{SharedDelta, SharedDeltas},
    steps::{self, Moment, Stairs},
    zones::Zones,
};
use crate::{
    projection::{Ledger, Policy, PolicyKey},
    registry::{CitizenKey, Partition, Registry, StoreError, View},
};

/// Ranges that may wait to be repaired.
const REPAIRS: usize = 1024;

/// Revisions, and citizens that changed, up to which a step is a small one.
const NEAR: u64 = 64;
const FEW: usize = 32;

/// A session, between two steps.
pub(super) struct Session {
    registry: Arc<Registry>,
    ledger: Arc<Ledger>,
    shared: Arc<SharedDeltas>,
    node: String,
    agency: String,
    /// The revision the node's holding stands at.
    cursor: Revision,
    /// A revision up to the cursor since which nothing changed in the partitions that are followed.
    base: Revision,
    zones: Zones,
    /// The policy that the session works towards, and its revision.
    target: Policy,
    revision: Revision,
    /// Changes of the administrative order that the node knows of.
    areas: usize,
    /// By what others with the same policy are known.
    key: Option<Arc<PolicyKey>>,
    /// What the node may read.
    readable: Policy,
    doing: Doing,
    /// Ranges that the node asked to have repaired.
    repairs: VecDeque<Range>,
    /// What a load has looked at and what it will.
    looked_at: u64,
    to_look_at: u64,
    frame: FrameSize,
}

/// What a session is in the middle of.
enum Doing {
    /// Nothing: deltas as they come, and a load if the zones are not settled.
    Following,
    /// The removals of a narrowing.
    Removing { old_zones: Zones, old_readable: Policy, lost: Vec<Partition>, after: Option<CitizenKey> },
    /// A delta of several frames.
    CatchingUp { target: Revision, position: Revision, sent: bool },
}

/// The outcome of a step.
pub(super) enum Step {
    /// Send this, and come back.
    Send(SyncSliceResponse),
    /// Nothing to send, but more to look at.
    Again,
    /// Wait to be woken.
    Wait,
}

impl Session {
    fn policy_at(&self, at: Revision) -> Policy {
        self.ledger.policy(&self.node, &self.agency, at)
    }

    fn moment(&self, at: Revision) -> Moment {
        Moment { at, day: self.ledger.day(at) }
    }

    /// The partitions whose changes concern this session.
    pub(super) fn partitions(&self) -> Vec<Partition> {
        let mut partitions: Vec<_> = self.zones.iter().flat_map(|zone| zone.policy.partitions()).collect();
        partitions.sort_unstable();
        partitions.dedup();
        if partitions.first() == Some(&Partition::Nation) {
            partitions.truncate(1);
        }
        partitions
    }

    /// The next thing to send.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn step(&mut self) -> Result<Step, StoreError> {
        let registry = Arc::clone(&self.registry);
        let view = registry.view();
        self.ledger.catch_up(&view)?;
        let head = view.revision()?;
        if view.founded()?.is_some_and(|founded| self.cursor < founded) {
            self.zones = Zones::nothing();
            self.cursor = head;
            return Ok(Step::Send(self.change_policy(&view, false)?));
        }
        if self.policy_changed(head) {
            return Ok(Step::Send(self.change_policy(&view, false)?));
        }
        match self.doing {
            Doing::Removing { .. } => self.remove(&view),
            Doing::CatchingUp { target, position, .. } => self.delta(&view, target, position),
            Doing::Following => {
                if self.cursor < head {
                    return self.delta(&view, head, self.cursor);
                }
                if let Some(range) = self.repairs.pop_front() {
                    return self.repair(&view, range);
                }
                if self.zones.settled() == Some(self.revision) { Ok(Step::Wait) } else { self.load(&view) }
            }
        }
    }

    /// Whether there is so little to look at that it is in memory, where it was written a moment ago.
    pub(super) fn is_nearly_there(&self) -> bool {
        let head = self.registry.head();
        let settled = self.zones.settled() == Some(self.revision);
        if !matches!(self.doing, Doing::Following) || !settled || !self.repairs.is_empty() {
            return false;
        }
        if head.0.saturating_sub(self.cursor.0) > NEAR {
            return false;
        }
        let view = self.registry.view();
        view.feed_after(&self.partitions(), self.cursor).take(FEW + 1).count() <= FEW
    }

    fn policy_changed(&self, head: Revision) -> bool {
        let latest = self.ledger.last_turn(&self.agency, head);
        latest != self.revision
            && (self.policy_at(latest) != self.target
                || self.ledger.areas(latest).changes().len() != self.areas)
    }

    fn stairs(&self) -> Stairs<'_> {
        let (zones, readable, loading, frame) = (&self.zones, &self.readable, self.revision, self.frame);
        Stairs { zones, readable, loading, frame }
    }

    /// By what other streams find the delta that this one would make, if they would make the same.
    fn shareable(&self) -> Option<(Arc<PolicyKey>, Revision)> {
        let settled = self.zones.settled() == Some(self.revision);
        let following = matches!(self.doing, Doing::Following);
        self.key.clone().filter(|_| settled && following).map(|key| (key, self.base))
    }

    fn delta(&mut self, view: &View<'_>, target: Revision, position: Revision) -> Result<Step, StoreError> {
        let partitions = self.partitions();
        let following = matches!(self.doing, Doing::Following);
        if following && view.feed_after(&partitions, self.cursor).next().is_none() {
            // Nothing to look at. The next heartbeat moves the node's cursor.
            self.cursor = target;
            return Ok(Step::Again);
        }
        let shareable = self.shareable();
        let shared = shareable.as_ref().and_then(|(key, base)| self.shared.find(key, *base));
        if let Some(shared) = shared.filter(|shared| shared.target > self.cursor && shared.target <= target) {
            (self.cursor, self.base) = (shared.target, shared.target);
            return Ok(match shared.changes {
                None => Step::Again,
                Some(changes) => Step::Send(delta(shared.target, shared.target, true, changes)),
            });
        }
        let (from, to) = (self.moment(self.cursor), self.moment(target));
        let part = steps::delta(view, self.stairs(), &partitions, from, to, position)?;
        let begun = matches!(self.doing, Doing::CatchingUp { sent: true, .. });
        if part.last {
            (self.cursor, self.base) = (target, target);
            self.doing = Doing::Following;
        } else {
            let sent = begun || !part.empty;
            self.doing = Doing::CatchingUp { target, position: part.position, sent };
        }
        if let (Some((key, base)), true) = (shareable, part.last) {
            let changes = (!part.empty).then(|| part.changes.clone());
            self.shared.keep(&key, base, SharedDelta { target, changes });
        }
        // Where nothing visible changed nothing is sent, and the next heartbeat moves the cursor.
        if part.empty && !(begun && part.last) {
            return Ok(Step::Again);
        }
        Ok(Step::Send(delta(target, part.position, part.last, part.changes)))
    }

    fn load(&mut self, view: &View<'_>) -> Result<Step, StoreError> {
        let after = self.zones.load_from(self.revision);
        if self.to_look_at == 0 {
            self.to_look_at = steps::load_size(view, &self.target, after)?.max(1);
        }
        let part = steps::load(view, self.stairs(), &self.target, self.ledger.day(self.cursor), after)?;
        self.looked_at += part.looked_at;
        if part.last {
            self.zones.settle(self.revision, &self.target);
            self.base = self.cursor;
            self.readable = self.target.clone();
        } else if let Some((key, number)) = part.up_to {
            // Until the node holds someone, the range looked at has no end it could name.
            let known = self.zones.iter().next().filter(|zone| zone.revisions == [self.revision]);
            let number = number.or(known.map(|zone| zone.up_to_number)).unwrap_or(0);
            self.zones.advance(self.revision, &self.target, key, number);
        }
        if part.empty && !part.last {
            return Ok(Step::Again);
        }
        Ok(Step::Send(response(Body::Load(Load {
            zones: self.zones.to_wire(),
            changes: Some(part.changes),
            complete: part.last,
            cursor: self.cursor.0,
            remaining: if part.last { 0 } else { self.to_look_at.saturating_sub(self.looked_at) },
        }))))
    }

    /// Takes on a range that the node found to differ; none if too many wait.
    pub(super) fn ask_repair(&mut self, range: Range) {
        if self.repairs.len() < REPAIRS && range.after < range.up_to && range.up_to <= PersonalId::MAX {
            self.repairs.push_back(range);
        }
    }

    fn repair(&mut self, view: &View<'_>, range: Range) -> Result<Step, StoreError> {
        let partitions = self.partitions();
        let part = steps::repair(view, self.stairs(), &partitions, self.moment(self.cursor), &range)?;
        if part.up_to < range.up_to {
            self.repairs.push_front(Range { after: part.up_to, up_to: range.up_to });
        }
        Ok(Step::Send(response(Body::Repair(Repair {
            range: Some(Range { after: range.after, up_to: part.up_to }),
            changes: Some(part.changes),
            cursor: self.cursor.0,
        }))))
    }

    /// There was room for the next frame after so long.
    pub(super) fn pace(&mut self, waited: Duration) {
        self.frame = self.frame.after(waited);
    }

    /// How many citizens a load has looked at, and how many it has still to; none where none is under way.
    pub(super) fn progress(&self) -> Option<(u64, u64)> {
        let loading = self.to_look_at > 0 && self.zones.settled() != Some(self.revision);
        loading.then(|| (self.looked_at, self.to_look_at.saturating_sub(self.looked_at)))
    }

    /// Tells the node that nothing is new for it, and how far that holds.
    pub(super) fn heartbeat(
        &self,
        now: time::OffsetDateTime,
        interval: std::time::Duration,
    ) -> SyncSliceResponse {
        response(Body::Heartbeat(Heartbeat {
            head: self.registry.head().0,
            hub_time: Some(timestamp(now)),
            cursor: self.cursor.0,
            interval: prost_types::Duration::try_from(interval).ok(),
        }))
    }

    /// Whether the node's cursor may be told: not in the middle of a delta of several frames.
    pub(super) fn at_rest(&self) -> bool {
        matches!(self.doing, Doing::Following)
    }
}

fn delta(target: Revision, position: Revision, last: bool, changes: ChangeFrame) -> SyncSliceResponse {
    response(Body::Delta(Delta {
        target: target.0,
        position: position.0,
        last,
        narrowing: false,
        changes: Some(changes),
    }))
}

fn response(body: Body) -> SyncSliceResponse {
    SyncSliceResponse { body: Some(body) }
}

/// A moment, as messages carry it.
pub(crate) fn timestamp(at: time::OffsetDateTime) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.unix_timestamp(), nanos: at.nanosecond() as i32 }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Status {
        crate::status::of_store(&error)
    }
}

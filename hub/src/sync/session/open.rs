//! How a session begins: on what the node says it holds.

use std::{collections::VecDeque, sync::Arc};

use dancu_proto::{
    Revision,
    hub::v1::{Holding, SyncSliceResponse, sync_slice_response::Body},
};

use super::{Doing, Session, frame::FrameSize};
use crate::{
    projection::{Ledger, Policy},
    registry::{Registry, StoreError},
    sync::{shared::SharedDeltas, zones::Zones},
};

impl Session {
    /// Opens a session on what a node says it holds; the first frame is its policy.
    pub(in crate::sync) fn open(
        registry: Arc<Registry>,
        ledger: Arc<Ledger>,
        shared: Arc<SharedDeltas>,
        node: String,
        agency: String,
        holding: &Holding,
    ) -> Result<(Session, SyncSliceResponse), StoreError> {
        let mut session = Session {
            registry,
            ledger,
            shared,
            node,
            agency,
            cursor: Revision(holding.cursor),
            base: Revision(holding.cursor),
            zones: Zones::nothing(),
            target: Policy::default(),
            revision: Revision::NONE,
            areas: holding.areas as usize,
            key: None,
            readable: Policy::default(),
            doing: Doing::Following,
            repairs: VecDeque::new(),
            looked_at: 0,
            to_look_at: 0,
            frame: FrameSize::default(),
        };
        let registry = Arc::clone(&session.registry);
        let view = registry.view();
        session.ledger.catch_up(&view)?;
        let head = view.revision()?;
        let foreign = !holding.registry_id.is_empty() && holding.registry_id != registry.id();
        let from_the_future = session.cursor > head;
        // Before the founding load there was no one: what a node held then is nothing.
        let before_founding = view.founded()?.is_some_and(|founded| session.cursor < founded);
        let reset = foreign || from_the_future;
        if reset || before_founding || holding.zones.is_empty() {
            session.cursor = head;
        } else {
            session.zones = Zones::from_wire(&holding.zones, &view, |at| session.policy_at(at))?;
            if session.zones.hold_nothing() {
                session.cursor = head;
            }
            session.readable = session.zones.meet();
            if !holding.narrowing_to.is_empty() {
                let narrowed = Zones::from_wire(&holding.narrowing_to, &view, |at| session.policy_at(at))?;
                let old_zones = std::mem::replace(&mut session.zones, narrowed);
                let old_readable = session.readable.clone();
                session.doing = Doing::Removing { old_zones, old_readable, lost: Vec::new(), after: None };
            }
        }
        let held = session.zones.clone();
        if foreign {
            session.areas = 0;
        }
        let mut frame = session.change_policy(&view, reset)?;
        // A catch-up received in part goes on if what is held has not changed its shape.
        if let Some(pending) = &holding.pending
            && !reset
            && matches!(session.doing, Doing::Following)
            && session.zones.hold_like(&held)
            && Revision(pending.target) <= head
            && Revision(pending.target) > session.cursor
        {
            session.doing = Doing::CatchingUp {
                target: Revision(pending.target),
                position: Revision(pending.position).max(session.cursor),
                sent: true,
            };
            if let Some(Body::Policy(policy)) = &mut frame.body {
                policy.keep_pending = true;
            }
        }
        Ok((session, frame))
    }
}

//! What the hub sends takes effect. Records and state move in one write, always; what takes several
//! writes closes the gate first and leaves a mark, by which it is finished after a crash.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use dancu_proto::{
    Revision, frame,
    hub::v1::{ChangeFrame, ChangeList, Delta, Heartbeat, Holding, PendingDelta, Policy},
};
use prost::Message;

use super::{
    Moment, Open, Phase, Slice, SliceError, SliceState, View, batch::Batch, changes as kept_changes,
    cipher::SliceKey, load::Staged, purge, state::grants,
};

/// Readers do not live longer: each looks at some tens of people.
const LONGEST_READ: Duration = Duration::from_secs(10);

impl Slice {
    /// What this node holds, as it says when a stream opens.
    ///
    /// # Errors
    /// If the slice is sealed, or the disk refuses what came before the last stream broke.
    pub fn holding(&self, protocol: u32, software: &str) -> Result<Holding, SliceError> {
        self.0.store.cipher()?;
        self.land(&mut self.lock())?;
        let state = self.state();
        Ok(Holding {
            registry_id: state.registry_id.clone(),
            cursor: state.cursor.0,
            zones: state.zones.clone(),
            pending: state.pending,
            protocol,
            software: software.to_owned(),
            areas: state.areas.as_ref().map_or(0, |areas| areas.changes().len() as u32),
            narrowing_to: state.narrowing.as_ref().map(|policy| policy.zones.clone()).unwrap_or_default(),
        })
    }

    /// The policy has changed, or a stream has opened.
    ///
    /// # Errors
    /// If the disk refuses. What was begun is finished by the next policy, or when the slice is
    /// opened again.
    pub fn apply_policy(&self, policy: Policy) -> Result<(), SliceError> {
        let mut staged = self.lock();
        self.land(&mut staged)?;
        let mut state = (*self.state()).clone();
        if !policy.keep_pending {
            self.discard_pending(&mut state)?;
        }
        let narrows =
            policy.reset || policy.removals_follow || state.narrowing.is_some() || loses(&state, &policy);
        if !narrows {
            adopt(&mut state, &policy)?;
            return self.store(Batch::new(&self.0.store), state, true);
        }
        self.close_gate();
        // It stays while it is carried out: what is stored meanwhile says that nothing may be read.
        if let Some(overtaken) = state.narrowing.clone() {
            // The hub counts on what it took, though this one may give it again: with other values.
            purge::strip(&self.0.store, &mut state, &grants(&overtaken.target))?;
        }
        state.narrowing = Some(policy.clone());
        if policy.reset {
            let narrowing = state.narrowing.take();
            state = SliceState { narrowing, ..SliceState::empty() };
            purge::erase(&self.0.store, &mut state)?;
        }
        self.store(Batch::new(&self.0.store), state, true)?;
        if policy.removals_follow { Ok(()) } else { self.finish_narrowing() }
    }

    /// Changes since the cursor, or removals of a narrowing.
    ///
    /// # Errors
    /// As above, or if the changes cannot be understood.
    pub fn apply_delta(&self, delta: &Delta) -> Result<(), SliceError> {
        let mut staged = self.lock();
        self.land(&mut staged)?;
        let mut state = (*self.state()).clone();
        let list = changes(delta.changes.as_ref())?;
        if delta.narrowing {
            if state.narrowing.is_none() {
                return Err(SliceError::Corrupt("a removal without a narrowing"));
            }
            // Of an agreement that is another; those who follow are told that it is.
            let mut batch = Batch::new(&self.0.store);
            batch.apply(&list)?;
            self.store(batch, state, false)?;
            return if delta.last { self.finish_narrowing() } else { Ok(()) };
        }
        self.0.room.check(0)?;
        if delta.last && state.pending.is_none() {
            let mut batch = Batch::of_changes(&self.0.store);
            batch.apply(&list)?;
            state.cursor = Revision(delta.target);
            return self.store(batch, state, true);
        }
        self.keep_aside(&mut state, delta, &list)?;
        if delta.last { self.apply_pending() } else { Ok(()) }
    }

    /// Nothing is new up to a revision.
    ///
    /// # Errors
    /// As above.
    pub fn apply_heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), SliceError> {
        let mut staged = self.lock();
        self.land(&mut staged)?;
        let mut state = (*self.state()).clone();
        let cursor = Revision(heartbeat.cursor);
        if state.pending.is_some() || state.narrowing.is_some() || cursor <= state.cursor {
            return Ok(());
        }
        state.cursor = cursor;
        self.store(Batch::new(&self.0.store), state, false)
    }

    /// Erases everything and forgets the key: the node is revoked.
    ///
    /// # Errors
    /// As above.
    pub fn erase(&self) -> Result<(), SliceError> {
        let mut staged = self.lock();
        *staged = Staged::default();
        self.close_gate();
        self.0.store.seal();
        self.show(View { state: Arc::new(SliceState::sealed(Vec::new())), open: None });
        self.0.store.erase()?;
        self.await_readers();
        self.0.store.compact()
    }

    /// Takes the key that came with a lease, and finishes what a crash left half done.
    ///
    /// # Errors
    /// If the disk refuses, or what it has is damaged.
    pub fn unseal(&self, key: &SliceKey) -> Result<(), SliceError> {
        let staged = self.lock();
        if self.0.store.is_unsealed_by(key)? {
            return Ok(());
        }
        self.0.store.unseal(key)?;
        let state = self.0.store.state()?;
        let open = state.narrowing.is_none() && !state.applying;
        self.publish(state, open)?;
        drop(staged);
        self.finish_interrupted()
    }

    /// Forgets the key: nothing is read, and nothing can be, until one comes again. What was received
    /// and not stored yet comes again too.
    pub fn seal(&self) {
        let mut staged = self.lock();
        *staged = Staged::default();
        self.close_gate();
        self.0.store.seal();
        let registry_id = self.state().registry_id.clone();
        self.show(View { state: Arc::new(SliceState::sealed(registry_id)), open: None });
    }

    /// Finishes what a crash left half done. A narrowing whose removals had not all come stays, with
    /// the gate closed, until the hub sends them again.
    pub(super) fn finish_interrupted(&self) -> Result<(), SliceError> {
        let _applying = self.lock();
        self.finish_landing()?;
        let state = self.state();
        if state.applying {
            self.apply_pending()?;
        }
        match &state.narrowing {
            Some(policy) if !policy.removals_follow => self.finish_narrowing(),
            _ => Ok(()),
        }
    }

    fn finish_narrowing(&self) -> Result<(), SliceError> {
        let mut state = (*self.state()).clone();
        let Some(policy) = state.narrowing.clone() else { return Ok(()) };
        purge::strip(&self.0.store, &mut state, &grants(&policy.target))?;
        let before = state.clone();
        adopt(&mut state, &policy)?;
        let kept = state.watched().into_iter().filter(|handle| {
            let of = |state: &SliceState| state.target.iter().find(|grant| grant.handle == *handle).cloned();
            of(&state) == of(&before)
        });
        kept_changes::strip(&self.0.store, &*self.0.store.cipher()?, &kept.collect::<Vec<_>>())?;
        self.store(Batch::new(&self.0.store), state, true)?;
        // Removed means gone from the disk too; readers need not wait for that.
        self.await_readers();
        self.0.store.compact()
    }

    fn discard_pending(&self, state: &mut SliceState) -> Result<(), SliceError> {
        if state.pending.take().is_some() {
            let mut batch = Batch::new(&self.0.store);
            batch.raw().delete_range_cf(&self.0.store.incoming()?, &[][..], super::keys::AFTER_ALL);
            self.store(batch, state.clone(), false)?;
        }
        Ok(())
    }

    fn keep_aside(&self, state: &mut SliceState, delta: &Delta, list: &ChangeList) -> Result<(), SliceError> {
        if delta.last {
            // Applied, the frames take their room once more before what they lie in is given back, and
            // nobody can be answered meanwhile.
            self.0.room.check(self.0.store.bytes_aside()?)?;
        }
        let mut batch = Batch::new(&self.0.store);
        let key = self.0.store.next_frame()?;
        let frame = self.0.store.cipher()?.seal(&key, &list.encode_to_vec())?;
        batch.raw().put_cf(&self.0.store.incoming()?, key, frame);
        state.pending = Some(PendingDelta { target: delta.target, position: delta.position });
        state.applying = delta.last;
        if delta.last {
            self.close_gate();
        }
        self.store(batch, state.clone(), true)
    }

    /// Applies the frames kept aside, a frame a write; readers wait at the gate.
    fn apply_pending(&self) -> Result<(), SliceError> {
        let mut state = (*self.state()).clone();
        let Some(pending) = state.pending else { return Ok(()) };
        let cipher = self.0.store.cipher()?;
        for row in self.0.store.frames()? {
            let (key, frame) = row?;
            let frame = cipher.open(&key, &frame, "a frame kept aside")?;
            let list = ChangeList::decode(frame.as_slice())
                .map_err(|_| SliceError::Corrupt("a frame kept aside"))?;
            let mut batch = Batch::of_changes(&self.0.store);
            batch.apply(&list)?;
            batch.raw().delete_cf(&self.0.store.incoming()?, key);
            batch.write(&mut state, false)?;
        }
        state.cursor = Revision(pending.target);
        state.pending = None;
        state.applying = false;
        self.store(Batch::new(&self.0.store), state, true)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Staged> {
        self.0.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close_gate(&self) {
        let state = self.state();
        self.replace(View { state, open: None });
    }

    /// Waits for those who read a moment that is over: what they read cannot be taken off the disk.
    fn await_readers(&self) {
        let until = Instant::now() + LONGEST_READ;
        let reading = || {
            let mut over = self.0.over.lock().unwrap_or_else(PoisonError::into_inner);
            over.retain(|open| open.strong_count() > 0);
            !over.is_empty()
        };
        while reading() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        if reading() {
            tracing::warn!("somebody reads for long: what was removed may lie on the disk a while longer");
        }
    }

    fn replace(&self, view: View) {
        let before = self.0.view.swap(Arc::new(view));
        let still_read = self.0.view.load().open.as_ref().map(Arc::as_ptr);
        if let Some(open) = before.open.as_ref().filter(|open| still_read != Some(Arc::as_ptr(open))) {
            let mut over = self.0.over.lock().unwrap_or_else(PoisonError::into_inner);
            over.retain(|open| open.strong_count() > 0);
            over.push(Arc::downgrade(open));
        }
    }

    /// Writes a batch with its state, and lets readers see both at once.
    pub(super) fn store(
        &self,
        mut batch: Batch<'_>,
        state: SliceState,
        sync: bool,
    ) -> Result<(), SliceError> {
        let (mut state, before) = (state.with_phase(), self.state());
        if state.areas != before.areas {
            batch.areas(state.areas.as_deref())?;
        }
        batch.tell_agreements(state.purposes_unlike(&before));
        batch.write(&mut state, sync)?;
        let open = state.narrowing.is_none() && !state.applying;
        self.publish(state, open)
    }

    /// Lets readers see how far a load is, of which nothing is stored yet.
    pub(super) fn show_progress(&self, phase: Phase) {
        let View { state, open } = (**self.0.view.load()).clone();
        self.show(View { state: Arc::new(SliceState { phase, ..(*state).clone() }), open });
    }

    /// Lets readers see a state, and what is written: both at once.
    fn publish(&self, state: SliceState, open: bool) -> Result<(), SliceError> {
        let store = &self.0.store;
        let open = if open {
            let (number, changes) = (store.hot().next(), store.changes().extent());
            Some(Arc::new(Open { number, moment: Moment::now(store)?, changes }))
        } else {
            None
        };
        self.show(View { state: Arc::new(state), open });
        Ok(())
    }

    fn show(&self, view: View) {
        let state = Arc::clone(&view.state);
        self.replace(view);
        self.0.published.send_replace(state);
    }
}

pub(super) fn changes(frame: Option<&ChangeFrame>) -> Result<ChangeList, SliceError> {
    match frame {
        Some(frame) => frame::unpack(frame).map_err(|_| SliceError::Corrupt("a frame from the hub")),
        None => Ok(ChangeList::default()),
    }
}

/// Whether a policy takes away a whole agreement, or a field of one.
fn loses(state: &SliceState, policy: &Policy) -> bool {
    let new = grants(&policy.target);
    state.target.iter().any(|old| {
        let kept = new.iter().find(|grant| grant.handle == old.handle);
        kept.is_none_or(|kept| !old.fields.difference(kept.fields).is_empty())
    })
}

/// The state under a policy whose narrowing is done.
fn adopt(state: &mut SliceState, policy: &Policy) -> Result<(), SliceError> {
    if let Some(news) = &policy.areas {
        state.learn_areas(news)?;
    }
    state.registry_id.clone_from(&policy.registry_id);
    state.cursor = Revision(policy.cursor);
    state.zones.clone_from(&policy.zones);
    state.policy_revision = Revision(policy.revision);
    state.target = grants(&policy.target);
    state.readable = grants(&policy.readable);
    state.narrowing = None;
    if state.is_settled() {
        state.settled = state.policy_revision;
        state.readable.clone_from(&state.target);
    }
    Ok(())
}

//! The lease: the key of the slice comes from the hub and is forgotten when the hub was last heard longer
//! ago than every agreement allows, when the hub suspends or revokes the node, and when the node's operator
//! says so. Without it the slice is sealed: nothing is read, and nothing can be read from the disk.
//!
//! - `wrapped`: the key as it is kept for restarts without the hub, where the operator chooses so.

mod wrapped;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dancu_proto::{
    channel::file,
    hub::v1::{RenewLeaseRequest, sync_service_client::SyncServiceClient},
};
use thiserror::Error;
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

pub use self::wrapped::{Keep, WrapError};
use self::wrapped::{Wrapped, Wrapping};
use crate::{
    slice::{Phase, Slice, SliceError, SliceKey, SliceState},
    state::Clock,
    sync::Contact,
};

/// How often it is looked whether the lease has run out: the node answers nothing past a limit anyhow, it
/// only holds the key so much longer.
const LOOK: Duration = Duration::from_secs(1);
/// A lease that was just renewed is not over before the stream that follows has said so.
const GRACE: Duration = Duration::from_secs(60);
/// A renewal may take this long.
const CALL: Duration = Duration::from_secs(30);

/// Why the slice is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The node has started, and the key was not kept.
    Restarted,
    /// The hub was last heard longer ago than every agreement allows.
    Expired,
    /// The hub has suspended or revoked the node.
    Withdrawn,
    /// The node's operator has sealed it.
    Operator,
}

impl Why {
    /// In words, with what to do.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Why::Restarted => "restarted, and the key of the slice is not kept here: it comes from the hub",
            Why::Expired => "the hub was last heard longer ago than every agreement allows: restore the line",
            Why::Withdrawn => "the hub has withdrawn the lease",
            Why::Operator => "sealed by its operator; dancu-node unseal asks the hub for a new lease",
        }
    }
}

/// A lease cannot be had or kept.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// The hub refuses, or is out of reach.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// The slice cannot be opened with it.
    #[error(transparent)]
    Slice(#[from] SliceError),
    /// The files.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key that it is wrapped with.
    #[error(transparent)]
    Wrapping(#[from] WrapError),
}

/// The lease: shared, watched. Cheap to clone.
#[derive(Clone)]
pub struct Lease(Arc<Inner>);

struct Inner {
    slice: Slice,
    contact: Contact,
    clock: Clock,
    /// Is there while the operator has sealed the node: over restarts.
    seal: PathBuf,
    wrapped: Option<Wrapped>,
    held: Mutex<Held>,
    /// Why the slice is sealed; none while it is not.
    why: watch::Sender<Option<Why>>,
    /// The hub's public key, as the last lease told it; empty before.
    recipient: watch::Sender<Vec<u8>>,
    damaged: Notify,
}

#[derive(Default)]
struct Held {
    key: Option<SliceKey>,
    renewed: Option<Instant>,
    /// The term that the wrapped key was kept with.
    term: Option<Duration>,
}

impl Lease {
    /// The lease of a slice. A key that was kept opens it, if its term is not over.
    ///
    /// # Errors
    /// The wrapping key cannot be read, or the disk refuses.
    pub fn open(
        slice: Slice,
        contact: Contact,
        clock: Clock,
        dir: &Path,
        node: &str,
        keep: &Keep,
    ) -> Result<Lease, LeaseError> {
        let seal = dir.join("sealed");
        let wrapped = Wrapped::at(dir.join("lease"), node, Wrapping::read(keep)?);
        let sealed = seal.try_exists().map_err(|source| LeaseError::File { path: seal.clone(), source })?;
        let why = if sealed { Why::Operator } else { Why::Restarted };
        let lease = Lease(Arc::new(Inner {
            slice,
            contact,
            clock,
            seal,
            wrapped,
            held: Mutex::default(),
            why: watch::Sender::new(Some(why)),
            recipient: watch::Sender::new(Vec::new()),
            damaged: Notify::new(),
        }));
        if let Some(wrapped) = &lease.0.wrapped
            && let Some((key, term)) = wrapped.read()
        {
            if lease.0.contact.silence((lease.0.clock)()) <= term && !sealed {
                match lease.take(key) {
                    // The node starts, finds it told, and begins anew without it.
                    Err(LeaseError::Slice(SliceError::Corrupt(_))) => {}
                    taken => taken?,
                }
            } else {
                lease.forget(if sealed { Why::Operator } else { Why::Expired });
            }
        }
        Ok(lease)
    }

    /// Why the slice is sealed, if it is.
    #[must_use]
    pub fn sealed(&self) -> Option<Why> {
        *self.0.why.borrow()
    }

    /// The hub's public key that the node seals for the hub, as leases tell it; empty before the first.
    #[must_use]
    pub fn recipient(&self) -> watch::Receiver<Vec<u8>> {
        self.0.recipient.subscribe()
    }

    /// Asks the hub for a lease. What was stored is served again as soon as it is here.
    ///
    /// # Errors
    /// The hub refuses or is out of reach, or the slice cannot be opened.
    pub async fn renew(&self, hub: Channel) -> Result<(), LeaseError> {
        let asked = timeout(CALL, SyncServiceClient::new(hub).renew_lease(RenewLeaseRequest {})).await;
        let asked = asked.unwrap_or_else(|_| Err(Status::deadline_exceeded("the hub did not answer")));
        let answer = asked.map_err(|status| LeaseError::Refused(Box::new(status)))?.into_inner();
        if !answer.recipient.is_empty() {
            self.0.recipient.send_replace(answer.recipient);
        }
        let key = SliceKey::from_bytes(&answer.slice_key);
        let key = key.ok_or_else(|| Box::new(Status::internal("the hub gave no key")));
        let (lease, key) = (self.clone(), key.map_err(LeaseError::Refused)?);
        let taken = spawn_blocking(move || lease.take(key)).await;
        taken.unwrap_or(Err(LeaseError::Slice(SliceError::Corrupt("the slice"))))
    }

    fn take(&self, key: SliceKey) -> Result<(), LeaseError> {
        // Held to the end: a seal that comes meanwhile comes after.
        let mut held = self.held();
        if self.sealed() == Some(Why::Operator) {
            return Err(SliceError::Sealed.into());
        }
        if let Err(error) = self.0.slice.unseal(&key) {
            if matches!(error, SliceError::Corrupt(_)) {
                // It is a copy: what is damaged is thrown away, and the hub sends it anew.
                tracing::error!(%error, "the slice cannot be read from the disk; it is loaded anew");
                self.0.damaged.notify_one();
            }
            return Err(error.into());
        }
        (held.key, held.renewed) = (Some(key), Some(Instant::now()));
        self.0.why.send_replace(None);
        self.keep(&mut held);
        Ok(())
    }

    /// Forgets the key.
    pub fn forget(&self, why: Why) {
        let mut held = self.held();
        *held = Held::default();
        if let Some(wrapped) = &self.0.wrapped
            && let Err(error) = wrapped.remove()
        {
            tracing::error!(%error, "the key of the slice could not be removed from the disk");
        }
        if self.0.slice.state().phase != Phase::Sealed {
            self.0.slice.seal();
            tracing::warn!(why = why.words(), "the slice is sealed");
        }
        self.0.why.send_replace(Some(why));
    }

    /// Seals the slice until [`Lease::unseal`], over restarts too.
    ///
    /// # Errors
    /// The disk refuses to remember it; it is sealed all the same.
    pub fn seal(&self) -> Result<(), LeaseError> {
        self.forget(Why::Operator);
        let path = &self.0.seal;
        file::replace(path, &[], file::SECRET)
            .map_err(|source| LeaseError::File { path: path.clone(), source })
    }

    /// Lets the hub be asked for a lease again.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unseal(&self) -> Result<(), LeaseError> {
        let path = &self.0.seal;
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(LeaseError::File { path: path.clone(), source });
            }
            _ => {}
        }
        self.0.why.send_if_modified(|why| {
            let sealed = *why == Some(Why::Operator);
            if sealed {
                *why = Some(Why::Restarted);
            }
            sealed
        });
        Ok(())
    }

    /// Waits until the operator has not sealed the node.
    pub async fn permitted(&self) {
        let mut why = self.0.why.subscribe();
        // The sender is this.
        let _ = why.wait_for(|why| *why != Some(Why::Operator)).await;
    }

    /// Waits until the operator seals the node.
    pub async fn ended(&self) {
        let mut why = self.0.why.subscribe();
        let _ = why.wait_for(|why| *why == Some(Why::Operator)).await;
    }

    /// Waits until the slice cannot be opened because it is damaged.
    pub async fn damaged(&self) {
        self.0.damaged.notified().await;
    }

    /// Ends the lease when it is over, until cancelled.
    pub async fn watch(self, cancel: CancellationToken) {
        let mut state = self.0.slice.watch();
        let mut due = Instant::now() + LOOK;
        loop {
            let in_time = tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep_until(due) => true,
                changed = state.changed() => changed.is_err(),
            };
            // With other agreements the lease lasts otherwise: that is kept at once.
            let other = self.0.wrapped.is_some() && {
                let term = term(&state.borrow_and_update());
                let held = self.held();
                held.key.is_some() && held.term != Some(term)
            };
            if in_time || other {
                due = Instant::now() + LOOK;
                let lease = self.clone();
                // The disk may be slow.
                let _ = spawn_blocking(move || lease.look()).await;
            }
        }
    }

    fn look(&self) {
        let now = (self.0.clock)();
        self.0.contact.pass(now);
        let state = self.0.slice.state();
        if state.phase == Phase::Sealed {
            return;
        }
        let fresh = self.held().renewed.is_some_and(|at| at.elapsed() < GRACE);
        let offline = !self.0.contact.state().connected;
        if offline && !fresh && self.0.contact.silence(now) > term(&state) {
            self.forget(Why::Expired);
        } else {
            self.keep(&mut self.held());
        }
    }

    /// Keeps the key for a restart without the hub, if it is to be kept, with the term as it is now.
    fn keep(&self, held: &mut Held) {
        let Some(wrapped) = &self.0.wrapped else { return };
        let term = term(&self.0.slice.state());
        let Some(key) = held.key.clone().filter(|_| held.term != Some(term)) else { return };
        match wrapped.write(&key, term) {
            Ok(()) => held.term = Some(term),
            Err(error) => tracing::error!(%error, "the key of the slice cannot be kept for a restart"),
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the lease lasts after the hub was last heard.
fn term(state: &SliceState) -> Duration {
    let grants = state.readable.iter().chain(&state.target);
    grants.map(|grant| grant.offline_limit).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;

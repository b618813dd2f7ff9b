//! The outbox of a node that runs, and what hands it over to the hub.

use std::sync::Arc;

use dancu_proto::{
    channel::PeerIdentity,
    signed::VerifyError,
    v1::{QueuedContribution, Signed},
};
use tokio::task::spawn_blocking;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::LifecycleError;
use crate::{
    access_log::LogStore,
    config::Config,
    identity::NodeIdentity,
    lease::Lease,
    outbox::{self, Deliverer, MailSink, Outbox, Protocol, Setup},
    slice::Slice,
    state::Clock,
    sync::{ConnectFuture, Contact},
};

/// What is needed to hand in.
pub(super) struct HandingIn<'a> {
    pub(super) config: &'a Config,
    pub(super) identity: &'a Arc<NodeIdentity>,
    pub(super) slice: &'a Slice,
    pub(super) lease: &'a Lease,
    pub(super) contact: &'a Contact,
    pub(super) log: LogStore,
    pub(super) clock: &'a Clock,
}

impl HandingIn<'_> {
    /// Opens the outbox and starts to hand over, until `cancel`. Mail that is no outcome goes to `sink`.
    pub(super) fn start(
        self,
        sink: Arc<dyn MailSink>,
        dial: impl Fn() -> ConnectFuture + Send + Sync + 'static,
        tasks: &TaskTracker,
        cancel: &CancellationToken,
    ) -> Result<Outbox, LifecycleError> {
        let wanted = &self.config.outbox;
        let path = self.config.data_dir.join("outbox");
        let [signer, gatherer, verifier] = [self.identity; 3].map(Arc::clone);
        let check = move |signed: &Signed| {
            let (queued, signer) = verifier.verify::<QueuedContribution>(signed)?;
            // Each node speaks for its own outbox.
            if signer == PeerIdentity::Node(queued.node.clone()) {
                Ok(queued)
            } else {
                Err(VerifyError::Signature)
            }
        };
        let setup = Setup {
            node: self.identity.name().to_owned(),
            slice: self.slice.clone(),
            log: Some(self.log.clone()),
            sign: Box::new(move |queued| signer.sign(queued)),
            gather: Box::new(move |signed| gatherer.gather::<QueuedContribution>(signed)),
            check: Box::new(check),
            clock: self.clock.clone(),
            reserve: wanted.reserve_mb << 20,
        };
        let outbox = Outbox::open(&path, setup);
        let outbox = outbox.map_err(|source| LifecycleError::Outbox { path, source })?;
        let protocol = Protocol::new(outbox.clone(), sink);
        let deliverer = Deliverer::new(outbox.clone(), self.slice.clone(), self.contact.watch(), protocol);
        let ending = cancel.clone();
        tasks.spawn(async move { deliverer.run(dial, ending).await });
        tasks.spawn(outbox::follow(outbox.clone(), self.slice.clone(), cancel.clone()));
        tasks.spawn(outbox::keep_for(outbox.clone(), wanted.keep, self.clock.clone(), cancel.clone()));
        tasks.spawn(keep_recipient(self.lease.clone(), outbox.clone(), self.log, cancel.clone()));
        Ok(outbox)
    }
}

/// Keeps the hub's public key that leases tell, so that a node that is cut off right after its first one can
/// record calls and queue contributions.
async fn keep_recipient(lease: Lease, outbox: Outbox, log: LogStore, cancel: CancellationToken) {
    let mut told = lease.recipient();
    loop {
        let recipient = told.borrow_and_update().clone();
        if !recipient.is_empty() {
            let (outbox, log) = (outbox.clone(), log.clone());
            let kept = spawn_blocking(move || {
                if let Err(error) = outbox.set_recipient(&recipient) {
                    tracing::error!(%error, "the hub's key is not kept");
                }
                let known = log.recipient().map(|known| known.as_deref() == Some(&recipient[..]));
                if let Err(error) =
                    known.and_then(|known| if known { Ok(()) } else { log.set_recipient(&recipient) })
                {
                    tracing::error!(%error, "the hub's key is not kept");
                }
            });
            // What fails was told.
            let _ = kept.await;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = told.changed() => if changed.is_err() { return },
        }
    }
}

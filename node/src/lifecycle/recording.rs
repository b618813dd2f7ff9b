//! The access log of a node that runs, and what tells it to the hub.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::LifecycleError;
use crate::{
    access_log::{self, AccessLog, LogStore, Uploader},
    config::{Config, SyncWhen},
    identity::NodeIdentity,
    slice::Slice,
    state::Clock,
    sync::ConnectFuture,
};

/// What is needed to record.
pub(super) struct Recording<'a> {
    pub(super) config: &'a Config,
    pub(super) identity: &'a Arc<NodeIdentity>,
    pub(super) slice: &'a Slice,
    pub(super) clock: &'a Clock,
}

impl Recording<'_> {
    /// Starts to record, until `answered`; and to tell the hub, until `cancel`.
    pub(super) fn start(
        &self,
        dial: impl Fn() -> ConnectFuture + Send + Sync + 'static,
        tasks: &TaskTracker,
        cancel: &CancellationToken,
        answered: &CancellationToken,
    ) -> Result<(AccessLog, LogStore), LifecycleError> {
        let wanted = &self.config.access_log;
        let path = self.config.data_dir.join("access-log");
        let refused = |source| LifecycleError::AccessLog { path: path.clone(), source };
        let store = LogStore::open(&path, wanted.reserve_mb << 20).map_err(refused)?;
        let sync = match wanted.sync {
            SyncWhen::Always => access_log::Sync::Always,
            SyncWhen::Interval => access_log::Sync::Interval(wanted.interval),
        };
        let (node, clock) = (self.identity.name(), self.clock.clone());
        let started = access_log::start(&store, node, sync, clock.clone(), tasks, answered);
        let (log, written) = started.map_err(refused)?;
        let (slice, signer) = (self.slice.clone(), Arc::clone(self.identity));
        let uploader = Uploader {
            store: store.clone(),
            node: node.to_owned(),
            registry_id: Box::new(move || slice.state().registry_id.clone()),
            sign: Box::new(move |head| signer.sign(head)),
            written,
            keep: wanted.keep,
            clock,
        };
        let cancel = cancel.clone();
        tasks.spawn(async move { uploader.run(dial, cancel).await });
        Ok((log, store))
    }
}

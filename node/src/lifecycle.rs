//! One place for signals and for everything that runs: started in order, stopped together.

use std::{fs, io, os::unix::fs::MetadataExt, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use dancu_proto::channel::{HUB_SERVER_NAME, Timeouts, connect};
use sd_notify::NotifyState;
use time::OffsetDateTime;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::Channel;

use crate::{
    callers::{CallersFile, Roster, RosterError},
    config::{Config, LogFormat},
    identity::{NodeIdentity, NodeIdentityError, renew::renew_loop},
    serve::{self, Listeners, ServeError, ServingCertificate, ServingError},
    slice::{Slice, SliceError, SliceOptions},
    state::{About, Node, host_clock},
    sync::{self, ConnectFuture, Contact},
};

/// How long background work may take to end once calls are drained.
const WIND_DOWN: Duration = Duration::from_secs(5);

/// The node does not start, or stops for a fault.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The data directory.
    #[error("{}: {source}", path.display())]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Who the node is.
    #[error(transparent)]
    Identity(#[from] NodeIdentityError),
    /// What it holds.
    #[error("the slice in {} cannot be opened: {source}", path.display())]
    Slice {
        /// Where.
        path: PathBuf,
        /// Why.
        source: SliceError,
    },
    /// Who may call.
    #[error(transparent)]
    Callers(#[from] RosterError),
    /// What callers see.
    #[error(transparent)]
    Certificate(#[from] ServingError),
    /// Serving.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Signals.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
    /// A fault of this software.
    #[error("serving broke off for a fault of this software; its log has the rest")]
    Panicked,
    /// Calls under way, or the sync, did not end in time.
    #[error("stopped, though something was still running")]
    NotDrained,
}

/// Sets up the log. To be called once.
pub fn log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.log.format {
        LogFormat::Text => builder.with_ansi(console::colors_enabled_stderr()).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Runs the node until it is told to stop.
///
/// # Errors
/// It cannot start, serving fails, or it does not end in time.
pub async fn run(config: Config) -> Result<(), LifecycleError> {
    let clock = host_clock();
    let data = config.data_dir.clone();
    let owner = fs::metadata("/proc/self")
        .map_err(|source| LifecycleError::Data { path: data.clone(), source })?
        .uid();
    let identity = Arc::new(NodeIdentity::load(&data)?);
    let slice = open_slice(&config)?;
    let contact = open_contact(&config)?;
    let roster = Roster::load(&config.callers, CallersFile::of(&config.agency_dir()))?;
    let certificate = ServingCertificate::open(&config, clock())?;
    let listeners = Listeners::bind(&config, &certificate).await?;
    let about = About {
        name: identity.name().to_owned(),
        agency: identity.agency().to_owned(),
        certificate_expires: {
            let identity = Arc::clone(&identity);
            Box::new(move || Some(identity.expires()))
        },
    };
    let node = Arc::new(Node { about, slice: slice.clone(), contact: contact.clone(), clock: clock.clone() });
    let (routes, health) = serve::services(&node, &roster, owner)?;

    let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
    // A node that ends for whatever reason leaves nothing running.
    let _stop_all = cancel.clone().drop_guard();
    let hub = config.hub.url.clone().unwrap_or_else(|| identity.hub_url().to_owned());
    let dial = {
        let identity = Arc::clone(&identity);
        move || -> ConnectFuture { Box::pin(to_hub(Arc::clone(&identity), hub.clone())) }
    };
    let renewed = {
        let identity = Arc::clone(&identity);
        move || -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let mut renewals = identity.renewals();
            Box::pin(async move { drop(renewals.changed().await) })
        }
    };
    tasks.spawn({
        let (identity, dial, cancel) = (Arc::clone(&identity), dial.clone(), cancel.clone());
        async move { renew_loop(&identity, dial, OffsetDateTime::now_utc, cancel).await }
    });
    tasks.spawn(sync::run(slice, contact, dial, OffsetDateTime::now_utc, renewed, cancel.clone()));
    tasks.spawn(Arc::clone(&roster).follow(cancel.clone()));
    tasks.spawn(Arc::clone(&certificate).keep(clock.clone(), cancel.clone()));
    tasks.spawn(health.follow(cancel.clone()));
    let address = listeners.address();
    let (name, socket) = (node.about.name.clone(), config.listen.unix.clone());
    let ready = move || {
        tracing::info!(node = name, tcp = ?address, unix = socket, "serving");
        notify(NotifyState::Ready);
    };
    let serving = tasks.spawn(listeners.serve(routes, cancel.clone(), ready));
    tasks.close();

    let drain = config.limits.drain + WIND_DOWN;
    let stopped = tokio::select! {
        served = serving => {
            cancel.cancel();
            served.map_err(|_| LifecycleError::Panicked)?.map_err(LifecycleError::from)
        }
        signalled = until_told_to_stop(&roster, &certificate) => signalled,
    };
    notify(NotifyState::Stopping);
    tracing::info!("stopping");
    cancel.cancel();
    let drained = tokio::select! {
        drained = timeout(drain, tasks.wait()) => drained.map_err(|_| LifecycleError::NotDrained),
        // A second signal is for a hard stop.
        signalled = until_told_to_stop(&roster, &certificate) => signalled.and(Err(LifecycleError::NotDrained)),
    };
    stopped.and(drained)
}

fn open_slice(config: &Config) -> Result<Slice, LifecycleError> {
    let options =
        SliceOptions { cache_mb: config.slice.cache_mb, write_buffer_mb: config.slice.write_buffer_mb };
    let path = config.slice_dir();
    Slice::open(&path, &options).map_err(|source| LifecycleError::Slice { path, source })
}

fn open_contact(config: &Config) -> Result<Contact, LifecycleError> {
    let path = config.data_dir.join("contact.json");
    Contact::open(&path).map_err(|source| LifecycleError::Data { path, source })
}

/// A new connection to the hub, with the certificate that is current.
async fn to_hub(
    identity: Arc<NodeIdentity>,
    url: String,
) -> Result<Channel, Box<dyn std::error::Error + Send + Sync>> {
    Ok(connect(&url, identity.client_config()?, HUB_SERVER_NAME, &Timeouts::default()).await?)
}

/// Waits for SIGTERM or SIGINT; SIGHUP reads callers and certificates again.
async fn until_told_to_stop(roster: &Roster, certificate: &ServingCertificate) -> Result<(), LifecycleError> {
    let listen = |kind| signal(kind).map_err(LifecycleError::Signals);
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => {
                roster.reload_logged();
                if let Err(error) = certificate.renew(OffsetDateTime::now_utc()) {
                    tracing::error!(%error, "the serving certificate stays as it was");
                }
            }
        }
    }
}

/// Tells systemd, where it is there to be told.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd was not told");
    }
}

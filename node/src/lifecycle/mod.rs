//! One place for signals and for everything that runs: started in order, stopped together.

mod handing_in;
mod recording;
#[cfg(test)]
mod tests;

use std::{
    fs, io, net::SocketAddr, os::unix::fs::MetadataExt, path::PathBuf, pin::Pin, sync::Arc, time::Duration,
};

use dancu_proto::channel::{HUB_SERVER_NAME, Timeouts, connect};
use sd_notify::NotifyState;
use time::OffsetDateTime;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic::transport::Channel;

use crate::{
    access_log::LogError,
    callers::{CallersFile, Roster, RosterError},
    config::{Config, ConfigError, LogFormat},
    identity::{NodeIdentity, NodeIdentityError, renew::renew_loop},
    interest::{Interests, InterestsError, tell},
    lease::{Lease, LeaseError},
    lookup::Remote,
    metrics,
    officers::{OfficerError, Officers, OfficersFile},
    outbox::OutboxError,
    procedures::{self, Desk, DeskError},
    quota::Quotas,
    serve::{self, Listeners, ServeError, Served, ServingCertificate, ServingError},
    slice::{Slice, SliceError, SliceOptions},
    state::{About, Node, host_clock},
    sync::{self, ConnectFuture, Contact, InStep, Prover, RepairDesk},
};

use self::{handing_in::HandingIn, recording::Recording};

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
    /// The key of what it holds.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Whom it named.
    #[error(transparent)]
    Interests(#[from] InterestsError),
    /// Tasks, cases and forms.
    #[error(transparent)]
    Procedures(#[from] DeskError),
    /// What it hands in.
    #[error("the outbox in {} cannot be opened: {source}", path.display())]
    Outbox {
        /// Where.
        path: PathBuf,
        /// Why.
        source: OutboxError,
    },
    /// What was recorded.
    #[error("the access log in {} cannot be opened: {source}", path.display())]
    AccessLog {
        /// Where.
        path: PathBuf,
        /// Why.
        source: LogError,
    },
    /// Who may call.
    #[error(transparent)]
    Callers(#[from] RosterError),
    /// Which officers may act.
    #[error(transparent)]
    Officers(#[from] OfficerError),
    /// What callers see.
    #[error(transparent)]
    Certificate(#[from] ServingError),
    /// Serving.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Monitoring.
    #[error("cannot listen on {address} for monitoring: {source}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Signals.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
    /// A fault of this software.
    #[error("serving broke off for a fault of this software; its log has the rest")]
    Panicked,
    /// Something did not end in time, or was not waited for.
    #[error("stopped, though something was still running")]
    NotEnded,
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

/// Runs the node until it is told to stop. A node whose slice turns out to be damaged on the disk
/// throws it away and starts again: the hub has it all.
///
/// # Errors
/// It cannot start, serving fails, or it does not end in time.
pub async fn run(config: Config) -> Result<(), LifecycleError> {
    if let Some(address) = config.listen.metrics {
        metrics::listen(address).map_err(|source| LifecycleError::Metrics { address, source })?;
    }
    while run_once(&config).await? == Stopped::Damaged {
        let path = config.slice_dir();
        let removed = fs::remove_dir_all(&path);
        removed.map_err(|source| LifecycleError::Data { path, source })?;
    }
    Ok(())
}

/// Why a node stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// It was told to.
    Told,
    /// Its slice cannot be read from the disk.
    Damaged,
}

async fn run_once(config: &Config) -> Result<Stopped, LifecycleError> {
    let mut node = Running::start(config).await?;
    let (prover, lease) = (node.prover.clone(), node.lease.clone());
    let stopped = tokio::select! {
        served = &mut node.serving => {
            served.map_err(|_| LifecycleError::Panicked)?.map_err(LifecycleError::from).map(|()| Stopped::Told)
        }
        signalled = until_told_to_stop(&node.roster, &node.certificate) => signalled.map(|()| Stopped::Told),
        () = prover.damaged() => Ok(Stopped::Damaged),
        () = lease.damaged() => Ok(Stopped::Damaged),
    };
    drop((prover, lease));
    notify(NotifyState::Stopping);
    tracing::info!("stopping");
    let (roster, certificate) = (Arc::clone(&node.roster), Arc::clone(&node.certificate));
    let ended = tokio::select! {
        ended = node.stop() => ended,
        // A second signal is for a hard stop.
        signalled = until_told_to_stop(&roster, &certificate) => signalled.and(Err(LifecycleError::NotEnded)),
    };
    ended.and(stopped)
}

/// A node that runs. Dropped, it cancels what runs; stopped, it waits for it too.
struct Running {
    prover: Prover,
    lease: Lease,
    roster: Arc<Roster>,
    certificate: Arc<ServingCertificate>,
    serving: JoinHandle<Result<(), ServeError>>,
    tasks: TaskTracker,
    cancel: DropGuard,
    patience: Duration,
    ended: EndMark,
}

/// A file that says the node was ended properly. A start that does not find it proves the slice.
struct EndMark(PathBuf);

impl EndMark {
    fn of(config: &Config) -> EndMark {
        EndMark(config.data_dir.join("ended"))
    }

    /// Whether it is there; not any more.
    fn take(&self) -> io::Result<bool> {
        match fs::remove_file(&self.0) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn set(&self) {
        if let Err(error) = fs::write(&self.0, []) {
            tracing::warn!(%error, "the next start will prove the slice");
        }
    }
}

impl Running {
    async fn start(config: &Config) -> Result<Running, LifecycleError> {
        let clock = host_clock();
        let data_error = |source| LifecycleError::Data { path: config.data_dir.clone(), source };
        let owner = fs::metadata("/proc/self").map_err(data_error)?.uid();
        let identity = Arc::new(NodeIdentity::load(&config.data_dir)?);
        let slice = open_slice(config)?;
        let contact = open_contact(config)?;
        let roster = Roster::load(&config.callers, CallersFile::of(&config.agency_dir()))?;
        let officers = Officers::load(OfficersFile::of(&config.agency_dir()))?;
        let lease = Lease::open(
            slice.clone(),
            contact.clone(),
            clock.clone(),
            &config.data_dir,
            identity.name(),
            &config.lease.keep()?,
        )?;
        let quotas = Quotas::open(config.data_dir.join("quotas.json")).map_err(data_error)?;
        let certificate = ServingCertificate::open(config, clock())?;
        let listeners = Listeners::bind(config, &certificate).await?;
        let ended = EndMark::of(config);
        let unclean = !ended.take().map_err(data_error)? && !slice.state().registry_id.is_empty();
        let interests = Interests::open(&config.data_dir.join("interests"), slice.clone())?;
        let dial = dial(config, &identity);
        let (prover, desk) = Prover::new(slice.clone(), dial.clone(), OffsetDateTime::now_utc);
        let node = Arc::new(Node {
            about: about(&identity),
            slice: slice.clone(),
            contact: contact.clone(),
            lease: lease.clone(),
            prover: prover.clone(),
            clock: clock.clone(),
        });
        let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
        // Calls under way are recorded to the last.
        let answered = CancellationToken::new();
        let recorded = Recording { config, identity: &identity, slice: &slice, clock: &clock };
        let (log, records) = recorded.start(dial.clone(), &tasks, &cancel, &answered)?;
        let handing_in = HandingIn {
            config,
            identity: &identity,
            slice: &slice,
            lease: &lease,
            contact: &contact,
            log: records,
            clock: &clock,
        };
        let procedures = Desk::open(&config.data_dir.join("procedures"), slice.clone())?;
        let outbox = handing_in.start(Arc::new(procedures.clone()), dial.clone(), &tasks, &cancel)?;
        let (desk_kept, keep) = (procedures.clone(), config.outbox.keep);
        tasks.spawn(procedures::keep(desk_kept, slice.clone(), keep, clock.clone(), cancel.clone()));
        let (routes, health) = serve::services(Served {
            node: Arc::clone(&node),
            roster: Arc::clone(&roster),
            officers: Arc::clone(&officers),
            quotas: Arc::new(quotas),
            log,
            remote: Remote::new(dial.clone()),
            interests: interests.clone(),
            outbox,
            procedures,
            owner,
            tasks: tasks.clone(),
            cancel: cancel.clone(),
        })?;
        let told_by = dial.clone();
        keep_in_step(&identity, InStep { slice, contact, lease: lease.clone() }, desk, dial, &tasks, &cancel);
        tasks.spawn(lease.clone().watch(cancel.clone()));
        tasks.spawn(tell(interests, told_by, cancel.clone()));
        tasks.spawn(prover.clone().keep(config.slice.prove_every, unclean, cancel.clone()));
        tasks.spawn(Arc::clone(&roster).follow(cancel.clone()));
        tasks.spawn(officers.follow(cancel.clone()));
        tasks.spawn(Arc::clone(&certificate).keep(clock, cancel.clone()));
        tasks.spawn(health.follow(cancel.clone()));
        tasks.spawn(metrics::follow(Arc::clone(&node), cancel.clone()));
        let address = listeners.address();
        let (name, socket) = (node.about.name.clone(), config.listen.unix.clone());
        let ready = move || {
            tracing::info!(node = name, tcp = ?address, unix = socket, "serving");
            notify(NotifyState::Ready);
        };
        let served = listeners.serve(routes, cancel.clone(), ready);
        let serving = tasks.spawn(async move {
            let _answered = answered.drop_guard();
            served.await
        });
        tasks.close();
        let patience = config.limits.drain + WIND_DOWN;
        Ok(Running {
            prover,
            lease,
            roster,
            certificate,
            serving,
            tasks,
            cancel: cancel.drop_guard(),
            patience,
            ended,
        })
    }

    /// Lets calls under way be answered and everything else end.
    async fn stop(self) -> Result<(), LifecycleError> {
        self.cancel.disarm().cancel();
        timeout(self.patience, self.tasks.wait()).await.map_err(|_| LifecycleError::NotEnded)?;
        self.ended.set();
        Ok(())
    }
}

fn about(identity: &Arc<NodeIdentity>) -> About {
    let (name, agency) = (identity.name().to_owned(), identity.agency().to_owned());
    let (identity, signer) = (Arc::clone(identity), Arc::clone(identity));
    About {
        name,
        agency,
        certificate_expires: Box::new(move || Some(identity.expires())),
        sign: Box::new(move |report| signer.sign(report)),
    }
}

/// How the hub is reached.
fn dial(
    config: &Config,
    identity: &Arc<NodeIdentity>,
) -> impl Fn() -> ConnectFuture + Clone + Send + Sync + 'static + use<> {
    let hub = config.hub.url.clone().unwrap_or_else(|| identity.hub_url().to_owned());
    let identity = Arc::clone(identity);
    move || -> ConnectFuture { Box::pin(to_hub(Arc::clone(&identity), hub.clone())) }
}

/// Starts what talks to the hub: the sync of the slice and the renewal of the certificate.
fn keep_in_step(
    identity: &Arc<NodeIdentity>,
    in_step: InStep,
    desk: RepairDesk,
    dial: impl Fn() -> ConnectFuture + Clone + Send + Sync + 'static,
    tasks: &TaskTracker,
    cancel: &CancellationToken,
) {
    let renewed = {
        let identity = Arc::clone(identity);
        move || -> Pin<Box<dyn Future<Output = ()> + Send>> {
            let mut renewals = identity.renewals();
            Box::pin(async move { drop(renewals.changed().await) })
        }
    };
    tasks.spawn({
        let (identity, dial, cancel) = (Arc::clone(identity), dial.clone(), cancel.clone());
        async move { renew_loop(&identity, dial, OffsetDateTime::now_utc, cancel).await }
    });
    tasks.spawn(sync::run(in_step, desk, dial, OffsetDateTime::now_utc, renewed, cancel.clone()));
}

fn open_slice(config: &Config) -> Result<Slice, LifecycleError> {
    let options = SliceOptions {
        cache_mb: config.slice.cache_mb,
        hot_mb: config.slice.hot_mb,
        write_buffer_mb: config.slice.write_buffer_mb,
        reserve_mb: config.slice.reserve_mb,
        keep_changes: config.slice.keep_changes,
        clock: OffsetDateTime::now_utc,
    };
    let path = config.slice_dir();
    match Slice::open(&path, &options) {
        // It is a copy: what is damaged is thrown away, and the hub sends it anew.
        Err(SliceError::Corrupt(what)) => {
            tracing::error!(what, "the slice cannot be read from the disk; it is loaded anew");
            fs::remove_dir_all(&path)
                .map_err(|source| LifecycleError::Data { path: path.clone(), source })?;
            Slice::open(&path, &options)
        }
        opened => opened,
    }
    .map_err(|source| LifecycleError::Slice { path, source })
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

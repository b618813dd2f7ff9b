//! Start, signals, shutdown: every task is owned, cancelled and awaited.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use dancu_proto::{
    Areas, DESCRIPTORS,
    channel::{ClientAuth, Incoming, Limits, server, server_config},
    hub::v1::{
        admin_service_server::AdminServiceServer, audit_service_server::AuditServiceServer,
        case_service_server::CaseServiceServer, enrollment_service_server::EnrollmentServiceServer,
        intake_service_server::IntakeServiceServer, lookup_service_server::LookupServiceServer,
        notice_service_server::NoticeServiceServer, review_service_server::ReviewServiceServer,
        sync_service_server::SyncServiceServer,
    },
    signed::Verifier,
    v1::AreaChange,
};
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use crate::{
    admin::{Admin, owner_of},
    audit::{AccessLogIntake, AuditLog, AuditServer, NoticeServer, Withheld},
    calendar::Calendar,
    config::Config,
    enrollment::{Authority, Enrollment, HubCertificate, NodeRoll, RollRows},
    fleet::Fleet,
    intake::{
        event::Authority as SourceAuthority,
        handover::{Handover, IntakeServer},
    },
    mail::Bells,
    metrics,
    procedures::{CaseServer, Keeper, Office},
    projection::Ledger,
    registry::{Clock, CommitError, Registry, StoreError, system_clock},
    remote::RemoteLookup,
    review::ReviewServer,
    router::Router,
    sync::{SliceKeys, SyncServer},
};

/// How long connections may take to end at shutdown.
const DRAIN: Duration = Duration::from_secs(10);
/// Steps that may read the registry at once.
const STEPS: usize = 8;
/// Batches of access logs that are looked at at once.
const INTAKE: usize = 4;
/// Batches of contributions that are taken over at once.
const BATCHES: usize = 32;
/// Look-ups by nodes, outside their slices, at once.
const REMOTE: usize = 8;

/// Makes the data directory of a new hub: its authority, and an empty registry that begins with an
/// administrative order.
///
/// # Errors
/// If there is a hub already, the order is none, or the disk refuses.
pub fn init(data_dir: &Path, order: &AreaChange) -> anyhow::Result<String> {
    Areas::founded_on(order).context("the administrative order")?;
    std::fs::create_dir_all(data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
    private(data_dir)?;
    let authority = Authority::create(&data_dir.join("authority"), OffsetDateTime::now_utc())?;
    Registry::create(data_dir, order)?;
    Ok(authority.fingerprint().to_string())
}

/// What lies in the directory is for its owner alone.
fn private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

/// Runs the hub until a signal ends it; a second one ends it at once.
///
/// # Errors
/// If it cannot start, or its listener fails.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let cancel = CancellationToken::new();
    let hub = run(config, system_clock(), cancel.clone());
    tokio::pin!(hub);
    tokio::select! {
        ended = &mut hub => return ended,
        signal = shutdown_signal() => signal?,
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("the hub is going down");
    cancel.cancel();
    tokio::select! {
        ended = hub => ended,
        _ = shutdown_signal() => anyhow::bail!("ended at once by a second signal"),
    }
}

/// Runs the hub by a clock until it is cancelled.
///
/// # Errors
/// If it cannot start, or its listener fails.
pub async fn run(config: Config, clock: Clock, cancel: CancellationToken) -> anyhow::Result<()> {
    let router = Arc::new(Router::default());
    let reserve = config.storage.reserve_mb << 20;
    let registry = Registry::open(&config.data_dir, reserve, Arc::clone(&router), Arc::clone(&clock))?;
    let registry = Arc::new(registry);
    let authority = Arc::new(Authority::open(&config.data_dir.join("authority"))?);
    let rows = Arc::new(RollRows(Arc::clone(registry.store())));
    let roll = Arc::new(NodeRoll::open(Arc::clone(&authority), rows, config.certificates.node_lifetime)?);
    let ledger = Arc::new(Ledger::new(registry.first_order()?));
    let fleet = Arc::new(Fleet::default());
    let certificate = HubCertificate::issue(
        Arc::clone(&authority),
        config.names.clone(),
        config.certificates.hub_lifetime,
        OffsetDateTime::now_utc(),
    )?;
    let tasks = TaskTracker::new();
    let calendar =
        Calendar { registry: Arc::clone(&registry), ledger: Arc::clone(&ledger), clock: Arc::clone(&clock) };
    match calendar.catch_up().await {
        // Reads go on, so the hub starts; the day begins as soon as there is room.
        Err(CommitError::Store(StoreError::Full)) => {}
        caught_up => caught_up?,
    }
    let sources = Arc::new(SourceAuthority::load(config.intake.authority.as_deref())?);
    let admin = Admin {
        sources: Arc::clone(&sources),
        registry: Arc::clone(&registry),
        ledger: Arc::clone(&ledger),
        roll: Arc::clone(&roll),
        fleet: Arc::clone(&fleet),
        authority: Arc::clone(&authority),
        operator_lifetime: config.certificates.operator_lifetime,
        owner: owner_of(&config.data_dir)?,
        clock: Arc::clone(&clock),
        tasks: tasks.clone(),
    };
    if let Some(address) = config.listen.metrics {
        let (registry, fleet) = (Arc::clone(&registry), Arc::clone(&fleet));
        tasks.spawn(metrics::serve(address, registry, fleet, cancel.clone())?);
    }
    let audit = Arc::new(AuditLog::open(&config.data_dir, reserve, Arc::clone(&registry))?);
    let auditors = AuditServer {
        log: Arc::clone(&audit),
        registry: Arc::clone(&registry),
        identity: certificate.identity(),
        owner: owner_of(&config.data_dir)?,
        clock: Arc::clone(&clock),
        thresholds: config.audit.patterns,
    };
    let notices = NoticeServer {
        log: Arc::clone(&audit),
        registry: Arc::clone(&registry),
        ledger: Arc::clone(&ledger),
        roll: Arc::clone(&roll),
        clock: Arc::clone(&clock),
    };
    let recipient = audit.recipient().into();
    let withheld = Withheld {
        log: Arc::clone(&audit),
        fleet: Arc::clone(&fleet),
        roll: Arc::clone(&roll),
        clock: Arc::clone(&clock),
        after: config.audit.withheld_after,
    };
    tasks.spawn(withheld.watch(cancel.clone()));
    let office = Arc::new(Office::load(
        config.procedures.as_deref(),
        config.forms.as_deref(),
        &registry,
        Arc::clone(&ledger),
        Arc::clone(&roll),
    )?);
    let bells: Arc<Bells> = Arc::default();
    let keeper = Keeper {
        office: Arc::clone(&office),
        registry: Arc::clone(&registry),
        bells: Arc::clone(&bells),
        clock: Arc::clone(&clock),
        every: config.case_check,
    };
    tasks.spawn(keeper.keep(cancel.clone()));
    let cases = CaseServer {
        office: Arc::clone(&office),
        registry: Arc::clone(&registry),
        clock: Arc::clone(&clock),
        owner: owner_of(&config.data_dir)?,
        tasks: tasks.clone(),
    };
    let handover = Handover {
        registry: Arc::clone(&registry),
        ledger: Arc::clone(&ledger),
        roll: Arc::clone(&roll),
        authority: sources,
        office: Arc::clone(&office),
        verifier: Arc::new(Verifier::new(authority.certificate().clone())),
        log: Arc::clone(&audit),
        identity: certificate.identity(),
        bells,
        clock: Arc::clone(&clock),
    };
    match handover.look_again().await {
        Err(CommitError::Store(StoreError::Full)) => {}
        looked => _ = looked?,
    }
    let reviews = ReviewServer { handover: handover.clone(), owner: owner_of(&config.data_dir)? };
    let access_logs = AccessLogIntake {
        log: audit,
        roll: Arc::clone(&roll),
        authority: Arc::clone(&authority),
        registry_id: registry.id(),
        clock: Arc::clone(&clock),
        at_once: Arc::new(Semaphore::new(INTAKE)),
        tasks: tasks.clone(),
        cancel: cancel.clone(),
    };
    let intake = IntakeServer {
        handover,
        access_logs,
        at_once: Arc::new(Semaphore::new(BATCHES)),
        tasks: tasks.clone(),
        cancel: cancel.clone(),
    };
    let remote = RemoteLookup {
        registry: Arc::clone(&registry),
        ledger: Arc::clone(&ledger),
        roll: Arc::clone(&roll),
        clock: Arc::clone(&clock),
        at_once: Arc::new(Semaphore::new(REMOTE)),
    };
    let secret = config.data_dir.join("slice-keys");
    let slice_keys =
        SliceKeys::open(&secret).with_context(|| format!("the secret in {}", secret.display()))?;
    let sync = SyncServer {
        registry: Arc::clone(&registry),
        ledger: Arc::clone(&ledger),
        router,
        shared: Arc::default(),
        fleet,
        roll: Arc::clone(&roll),
        slice_keys,
        recipient,
        clock,
        heartbeat: config.sync.heartbeat,
        steps: Arc::new(Semaphore::new(STEPS)),
        proofs: Arc::new(Semaphore::new(1)),
        tasks: tasks.clone(),
        cancel: cancel.clone(),
    };
    let enrollment = Enrollment::new(roll, Arc::clone(&authority), OffsetDateTime::now_utc);

    let tls = server_config(certificate.identity(), ClientAuth::Optional(authority.roots()?))?;
    let listener = TcpListener::bind(config.listen.nodes)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen.nodes))?;
    let address = listener.local_addr()?;
    let from_nodes = Incoming::tls(listener, tls, Limits::default(), cancel.clone());
    let socket = &config.listen.admin_socket;
    if let Some(dir) = socket.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let from_operators = Incoming::unix(socket, 0o660, Limits::default(), cancel.clone())
        .with_context(|| format!("cannot listen on {}", socket.display()))?;

    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SyncServiceServer<SyncServer>>().await;
    let admin = AdminServiceServer::new(admin);
    let auditors = AuditServiceServer::new(auditors);
    let reviews = ReviewServiceServer::new(reviews);
    let cases = CaseServiceServer::new(cases);
    let routes = Routes::new(EnrollmentServiceServer::new(enrollment))
        .add_service(SyncServiceServer::new(sync))
        .add_service(LookupServiceServer::new(remote))
        .add_service(IntakeServiceServer::new(intake))
        .add_service(NoticeServiceServer::new(notices))
        .add_service(admin.clone())
        .add_service(auditors.clone())
        .add_service(reviews.clone())
        .add_service(cases.clone())
        .add_service(health_service.clone());
    let local = Routes::new(admin)
        .add_service(auditors)
        .add_service(reviews)
        .add_service(cases)
        .add_service(health_service)
        .add_service(reflection);

    let nodes = server()
        .add_routes(routes)
        .serve_with_incoming_shutdown(from_nodes, cancel.clone().cancelled_owned());
    let operators = server()
        .add_routes(local)
        .serve_with_incoming_shutdown(from_operators, cancel.clone().cancelled_owned());
    let nodes = tasks.spawn(nodes);
    let operators = tasks.spawn(operators);
    let certificates = cancel.clone();
    tasks.spawn(async move { certificate.keep_current(OffsetDateTime::now_utc, certificates).await });
    tasks.spawn(calendar.keep(config.day_check, cancel.clone()));

    tracing::info!(%address, socket = %socket.display(), head = registry.head().0, "the hub is ready");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let ended = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        ended = nodes => ended.context("the listener for nodes stopped").and_then(|r| r.context("the listener for nodes failed")),
        ended = operators => ended.context("the admin socket stopped").and_then(|r| r.context("the admin socket failed")),
    };
    cancel.cancel();
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::warn!("some connections did not end in time");
    }
    let closing = Arc::clone(&registry);
    tokio::task::spawn_blocking(move || closing.close()).await?;
    ended
}

async fn shutdown_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

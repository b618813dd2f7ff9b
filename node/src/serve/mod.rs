//! Where back-ends call: the same services over mutual TLS and over a Unix socket.

mod health;
mod node_service;
mod tls;

use std::{fs, io, net::SocketAddr, path::PathBuf, sync::Arc};

use dancu_proto::{
    DESCRIPTORS,
    channel::{self, ClientAuth, Incoming, config::ConfigError as TlsError},
    node::{
        served::citizen_service_server::CitizenServiceServer,
        v1::{
            contribution_service_server::ContributionServiceServer,
            interest_service_server::InterestServiceServer, node_service_server::NodeServiceServer,
            notice_service_server::NoticeServiceServer, outbox_service_server::OutboxServiceServer,
            procedure_service_server::ProcedureServiceServer,
        },
    },
};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::Routes, transport::Server};
use tonic_health::server::health_reporter;

pub use health::Health;
pub use node_service::StatusService;
pub use tls::{ServingCertificate, ServingError};

use crate::{
    access_log::AccessLog,
    callers::Roster,
    config::{Config, ConfigError, Limits},
    interest::{InterestLists, Interests},
    lookup::{Lookup, Notices, Remote},
    officers::Officers,
    outbox::{Contributions, Outbox, OutboxDesk},
    procedures::{Desk, Procedures},
    quota::Quotas,
    state::Node,
};

/// The largest request: a batch of 10,000 numbers, and some.
const MAX_REQUEST: usize = 1 << 20;
/// The largest part of an outbox that comes from a file.
const MAX_EXPORT: usize = 8 << 20;

/// The node cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificates.
    #[error(transparent)]
    Certificate(#[from] ServingError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address is not free.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The services' descriptors.
    #[error("reflection cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// Serving itself.
    #[error("serving failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// What the services work with.
pub struct Served {
    /// The node.
    pub node: Arc<Node>,
    /// Who may call.
    pub roster: Arc<Roster>,
    /// Which officers may act.
    pub officers: Arc<Officers>,
    /// How much was asked.
    pub quotas: Arc<Quotas>,
    /// Where calls are recorded.
    pub log: AccessLog,
    /// The hub, for people outside the slice.
    pub remote: Remote,
    /// Whom the agency names.
    pub interests: Interests,
    /// What it hands in.
    pub outbox: Outbox,
    /// Its tasks, cases and forms.
    pub procedures: Desk,
    /// The user that the node runs as.
    pub owner: u32,
    /// Owns what goes on after a call.
    pub tasks: TaskTracker,
    /// Ends it.
    pub cancel: CancellationToken,
}

/// The services, and the handle that tells their health.
///
/// # Errors
/// The descriptors are damaged.
pub fn services(served: Served) -> Result<(Routes, Health), ServeError> {
    let Served {
        node,
        roster,
        officers,
        quotas,
        log,
        remote,
        interests,
        outbox,
        procedures,
        owner,
        tasks,
        cancel,
    } = served;
    let (reporter, health) = health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("dancu.node.v1.CitizenService")
            .with_service_name("dancu.node.v1.ContributionService")
            .with_service_name("dancu.node.v1.InterestService")
            .with_service_name("dancu.node.v1.NodeService")
            .with_service_name("dancu.node.v1.NoticeService")
            .with_service_name("dancu.node.v1.OutboxService")
            .with_service_name("dancu.node.v1.ProcedureService")
            .with_service_name("grpc.health.v1.Health")
    };
    let lookup = Lookup::new(
        Arc::clone(&node),
        Arc::clone(&roster),
        Arc::clone(&officers),
        quotas,
        log.clone(),
        remote,
    );
    let lookup = lookup.closing_with(cancel.clone());
    let lists = InterestLists::new(
        Arc::clone(&node),
        Arc::clone(&roster),
        Arc::clone(&officers),
        interests,
        log.clone(),
    );
    let contributions = Contributions::new(
        Arc::clone(&node),
        Arc::clone(&roster),
        officers,
        outbox.clone(),
        log.clone(),
        tasks.clone(),
        cancel.clone(),
    );
    let desk = OutboxDesk::new(outbox.clone(), owner, tasks.clone(), cancel.clone());
    let status = StatusService::new(Arc::clone(&node), roster, outbox, owner, tasks, cancel);
    let notices = Notices::new(lookup.clone());
    let procedures = Procedures::new(procedures, lookup.clone(), Arc::new(contributions.clone()), log);
    let routes = Routes::new(CitizenServiceServer::new(lookup).max_decoding_message_size(MAX_REQUEST))
        .add_service(NodeServiceServer::new(status).max_decoding_message_size(MAX_REQUEST))
        .add_service(InterestServiceServer::new(lists).max_decoding_message_size(MAX_REQUEST))
        .add_service(ContributionServiceServer::new(contributions).max_decoding_message_size(MAX_REQUEST))
        .add_service(ProcedureServiceServer::new(procedures).max_decoding_message_size(MAX_REQUEST))
        .add_service(OutboxServiceServer::new(desk).max_decoding_message_size(MAX_EXPORT))
        .add_service(NoticeServiceServer::new(notices).max_decoding_message_size(MAX_REQUEST))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok((routes, Health::new(node, reporter)))
}

/// Addresses that are bound and not yet served.
pub struct Listeners {
    tls: Option<(TcpListener, Arc<ServerConfig>)>,
    unix: Option<(PathBuf, u32)>,
    limits: Limits,
}

impl Listeners {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// An address is not free, or TLS cannot be set up.
    pub async fn bind(config: &Config, certificate: &ServingCertificate) -> Result<Listeners, ServeError> {
        let tls = match config.listen.tcp()? {
            Some(address) => {
                let listener = TcpListener::bind(address).await;
                let listener =
                    listener.map_err(|source| ServeError::Listen { address: address.to_string(), source })?;
                let clients = ClientAuth::Required(certificate.client_roots()?);
                Some((listener, channel::server_config(certificate.shown(), clients)?))
            }
            None => None,
        };
        let mode = config.listen.unix_mode()?;
        let unix = config.listen.unix().map(|path| (path.to_owned(), mode));
        Ok(Listeners { tls, unix, limits: config.limits.clone() })
    }

    /// The TLS address, with the port that the system chose where none was given.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Serves until cancelled, and then until the calls under way are answered or the time for that is
    /// over. Must be called within a runtime; `ready` is called once both addresses accept connections.
    ///
    /// # Errors
    /// The Unix socket cannot be bound, or serving fails.
    pub async fn serve(
        self,
        routes: Routes,
        cancel: CancellationToken,
        ready: impl FnOnce(),
    ) -> Result<(), ServeError> {
        let limits = channel::Limits { connections: self.limits.connections, ..channel::Limits::default() };
        let unix =
            match self.unix {
                Some((path, mode)) => {
                    if let Some(parent) = path.parent() {
                        // Its absence shows when the socket is bound, with a better error.
                        let _ = fs::create_dir_all(parent);
                    }
                    let incoming = Incoming::unix(&path, mode, limits, cancel.clone());
                    Some(incoming.map_err(|source| ServeError::Listen {
                        address: path.display().to_string(),
                        source,
                    })?)
                }
                None => None,
            };
        let tls = self.tls.map(|(listener, config)| Incoming::tls(listener, config, limits, cancel.clone()));
        let (over_tls, over_unix) = (server(&self.limits), server(&self.limits));
        ready();
        let (tls_routes, tls_stop, unix_stop) = (routes.clone(), cancel.clone(), cancel.clone());
        let served = async {
            tokio::try_join!(
                async move {
                    let (Some(incoming), mut server) = (tls, over_tls) else { return Ok(()) };
                    let router = server.add_routes(tls_routes);
                    router.serve_with_incoming_shutdown(incoming, tls_stop.cancelled_owned()).await
                },
                async move {
                    let (Some(incoming), mut server) = (unix, over_unix) else { return Ok(()) };
                    let router = server.add_routes(routes);
                    router.serve_with_incoming_shutdown(incoming, unix_stop.cancelled_owned()).await
                },
            )
        };
        let drained = async {
            cancel.cancelled().await;
            tokio::time::sleep(self.limits.drain).await;
        };
        tokio::select! {
            served = served => { served?; }
            // Who follows the node's health, or takes a batch slowly, would keep it for ever.
            () = drained => tracing::info!("calls that were still under way are broken off"),
        }
        Ok(())
    }
}

fn server(limits: &Limits) -> Server {
    channel::server().timeout(limits.request_timeout).max_concurrent_streams(limits.streams_per_connection)
}

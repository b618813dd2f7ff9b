//! Enrolment over real sockets: the hub's listener and service, called as a node calls them.

mod authority;
mod joining;
mod renewal;
mod standing;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use dancu_proto::{
    Reason,
    channel::{
        self, ClientAuth, ConnectError, HUB_SERVER_NAME, Incoming, Limits, Peer, PeerCertificate,
        PeerIdentity, PinnedAuthority, SigningRequest, SwappableIdentity, Timeouts, Token, client_config,
        pinned_client_config, server_config,
    },
    hub::v1::{
        EnrollRequest, EnrollResponse, RenewCertificateRequest,
        enrollment_service_client::EnrollmentServiceClient,
        enrollment_service_server::EnrollmentServiceServer,
    },
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, transport::Channel};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Default)]
struct MemoryRoll {
    entries: Mutex<HashMap<String, Vec<u8>>>,
    broken: Mutex<bool>,
}

impl RollStore for MemoryRoll {
    fn load(&self) -> Result<Vec<NodeEntry>, RollError> {
        self.entries.lock().unwrap().values().map(|bytes| NodeEntry::decode(bytes)).collect()
    }

    fn save(&self, entry: &NodeEntry) -> Result<(), RollError> {
        if *self.broken.lock().unwrap() {
            return Err(RollError::new("no space left"));
        }
        self.entries.lock().unwrap().insert(entry.name.clone(), entry.encode()?);
        Ok(())
    }
}

struct Hub {
    authority: Arc<Authority>,
    store: Arc<MemoryRoll>,
    roll: Arc<NodeRoll>,
    certificate: HubCertificate,
    url: String,
    _directory: tempfile::TempDir,
    _serving: JoinSet<()>,
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

impl Hub {
    async fn start() -> Hub {
        Hub::with_lifetime(90 * DAY).await
    }

    async fn with_lifetime(lifetime: Duration) -> Hub {
        let directory = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::create(directory.path(), now()).unwrap());
        let store = Arc::new(MemoryRoll::default());
        let roll = Arc::new(NodeRoll::open(authority.clone(), store.clone(), lifetime).unwrap());
        let names = vec!["hub.example".to_owned(), "10.0.0.1".to_owned()];
        let certificate = HubCertificate::issue(authority.clone(), names, lifetime, now()).unwrap();
        let clients = ClientAuth::Optional(authority.roots().unwrap());
        let config = server_config(certificate.identity(), clients).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let incoming = Incoming::tls(listener, config, Limits::default(), CancellationToken::new());
        let service = Enrollment::new(roll.clone(), authority.clone(), now);
        let router = channel::server().add_service(EnrollmentServiceServer::new(service));
        let mut serving = JoinSet::new();
        serving.spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
        Hub { authority, store, roll, certificate, url, _directory: directory, _serving: serving }
    }

    fn token(&self, name: &str) -> Token {
        self.roll.add(name, "province-02", DAY, now()).unwrap()
    }

    async fn enroll(&self, token: &Token, request: &SigningRequest) -> Result<EnrollResponse, Status> {
        let config = pinned_client_config(PinnedAuthority::new(token.authority)).unwrap();
        let channel =
            channel::connect(&self.url, config, HUB_SERVER_NAME, &Timeouts::default()).await.unwrap();
        let request = EnrollRequest { token_secret: token.secret.to_vec(), csr: request.csr.clone() };
        Ok(EnrollmentServiceClient::new(channel).enroll(request).await?.into_inner())
    }

    /// A node that has joined.
    async fn node(&self, name: &str) -> Node {
        self.join(&self.token(name)).await
    }

    async fn join(&self, token: &Token) -> Node {
        let request = SigningRequest::new(&token.node).unwrap();
        let response = self.enroll(token, &request).await.unwrap();
        Node::new(self, token.node.clone(), response.certificate, &request)
    }
}

struct Node {
    name: String,
    identity: Arc<SwappableIdentity>,
    config: Arc<rustls::ClientConfig>,
    url: String,
}

impl Node {
    fn new(hub: &Hub, name: String, certificate: Vec<u8>, request: &SigningRequest) -> Node {
        let identity = SwappableIdentity::new(vec![certificate.into()], request.key()).unwrap();
        let config = client_config(hub.authority.roots().unwrap(), Some(identity.clone())).unwrap();
        Node { name, identity, config, url: hub.url.clone() }
    }

    fn peer(&self) -> Peer {
        let certificate = PeerCertificate::read(self.identity.chain()).unwrap();
        Peer { certificate: Some(Arc::new(certificate)), ..Peer::default() }
    }

    async fn connect(&self) -> Result<Channel, ConnectError> {
        channel::connect(&self.url, self.config.clone(), HUB_SERVER_NAME, &Timeouts::default()).await
    }

    /// The answer to a renewal, not yet taken up.
    async fn renew(&self, over: Channel, name: &str) -> Result<(Vec<u8>, SigningRequest), Status> {
        let request = SigningRequest::new(name).unwrap();
        let call = RenewCertificateRequest { csr: request.csr.clone() };
        let response = EnrollmentServiceClient::new(over).renew_certificate(call).await?.into_inner();
        assert_eq!(response.authorities.len(), 1);
        Ok((response.certificate, request))
    }
}

fn reason<T>(result: Result<T, EnrollmentError>) -> Option<Reason> {
    result.err().map(|error| error.reason())
}

fn refusal<T>(result: Result<T, Status>) -> Option<Reason> {
    result.err().and_then(|status| Reason::of(&status))
}

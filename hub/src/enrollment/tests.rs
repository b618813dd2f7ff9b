//! Enrolment over real sockets: the hub's listener and service, called as a node calls them.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
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

#[tokio::test]
async fn a_node_joins_with_its_token() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    assert_eq!(hub.roll.get("ha-giang").unwrap().state, NodeState::Invited);
    let request = SigningRequest::new("ha-giang").unwrap();
    let response = hub.enroll(&Token::parse(&token.reveal()).unwrap(), &request).await.unwrap();
    assert_eq!((response.node.as_str(), response.agency.as_str()), ("ha-giang", "province-02"));
    assert_eq!(response.authority, hub.authority.certificate().to_vec());

    let certificate = PeerCertificate::read(vec![response.certificate.clone().into()]).unwrap();
    assert_eq!(certificate.identity, Some(PeerIdentity::Node("ha-giang".into())));
    assert_eq!(certificate.common_name.as_deref(), Some("ha-giang"));
    assert_eq!(certificate.serial.len(), 16);
    assert_eq!(certificate.not_after.unix_timestamp(), response.expires.unwrap().seconds);

    let node = Node::new(&hub, "ha-giang".into(), response.certificate, &request);
    let handle = hub.roll.authorise(&node.peer(), now()).unwrap();
    assert_eq!((&*handle.name, &*handle.agency, handle.number), ("ha-giang", "province-02", 1));
    let entry = hub.roll.get("ha-giang").unwrap();
    assert_eq!(entry.state, NodeState::Active);
    assert_eq!(entry.certificate_expires(), Some(certificate.not_after));

    // A restart forgets nothing, and keeps no secret.
    let again = NodeRoll::open(hub.authority.clone(), hub.store.clone(), DAY).unwrap();
    assert_eq!(again.list(), hub.roll.list());
    assert_eq!(again.authorise(&node.peer(), now()).unwrap(), handle);
    let kept = hub.store.entries.lock().unwrap()["ha-giang"].clone();
    assert!(!String::from_utf8(kept).unwrap().contains(&serde_json::to_string(&token.secret).unwrap()));
}

#[tokio::test]
async fn a_token_is_good_once_and_for_its_time() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    let request = SigningRequest::new("ha-giang").unwrap();
    hub.enroll(&token, &request).await.unwrap();
    let second = hub.enroll(&token, &request).await.unwrap_err();
    assert_eq!(Reason::of(&second), Some(Reason::TokenUsed));
    assert!(second.message().contains("ha-giang"), "{}", second.message());

    let late = hub.roll.add("bac-kan", "province-06", DAY, now() - 2 * DAY).unwrap();
    let request = SigningRequest::new("bac-kan").unwrap();
    assert_eq!(refusal(hub.enroll(&late, &request).await), Some(Reason::TokenExpired));

    let guessed = Token { secret: [7; 32], ..token };
    assert_eq!(refusal(hub.enroll(&guessed, &request).await), Some(Reason::TokenUnknown));
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down() {
    let hub = Hub::start().await;
    let guessed = Token { secret: [7; 32], ..hub.token("ha-giang") };
    let request = SigningRequest::new("ha-giang").unwrap();
    for _ in 0..40 {
        let refused = refusal(hub.enroll(&guessed, &request).await);
        if refused == Some(Reason::Overloaded) {
            return;
        }
        assert_eq!(refused, Some(Reason::TokenUnknown));
    }
    panic!("forty guesses were answered");
}

#[tokio::test]
async fn a_signing_request_must_be_the_nodes_own() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    let other = SigningRequest::new("bac-kan").unwrap();
    assert_eq!(refusal(hub.enroll(&token, &other).await), Some(Reason::SigningRequestRefused));

    let mut forged = SigningRequest::new("ha-giang").unwrap();
    *forged.csr.last_mut().unwrap() ^= 1;
    assert_eq!(refusal(hub.enroll(&token, &forged).await), Some(Reason::SigningRequestRefused));
    for csr in [Vec::new(), b"nonsense".to_vec(), vec![0x30; 9000]] {
        forged.csr = csr;
        assert_eq!(refusal(hub.enroll(&token, &forged).await), Some(Reason::SigningRequestRefused));
    }
    // The token is still good: nothing was given for it.
    hub.enroll(&token, &SigningRequest::new("ha-giang").unwrap()).await.unwrap();

    let node = hub.node("cao-bang").await;
    let refused = node.renew(node.connect().await.unwrap(), "ha-giang").await;
    assert_eq!(refusal(refused), Some(Reason::SigningRequestRefused));
}

#[test]
fn what_a_request_asks_for_beyond_its_key_is_left_aside() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), now()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([HUB_SERVER_NAME.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "ha-giang");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let csr = params.serialize_request(&key).unwrap();
    let issued = authority.certify_node("ha-giang", csr.der(), DAY, now()).unwrap();
    let (_, read) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
    assert!(!read.is_ca());
    let usage = read.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let names = &read.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(format!("{names:?}"), "[URI(\"dancu:node:ha-giang\")]");

    let operator =
        authority.certify_operator("an", &SigningRequest::new("an").unwrap().csr, DAY, now()).unwrap();
    let read = PeerCertificate::read(vec![operator.certificate]).unwrap();
    assert_eq!(read.identity, Some(PeerIdentity::Operator("an".into())));
}

#[tokio::test]
async fn another_hub_is_told_from_the_one_of_the_token() {
    let (ours, theirs) = (Hub::start().await, Hub::start().await);
    let token = ours.token("ha-giang");
    let config = pinned_client_config(PinnedAuthority::new(token.authority)).unwrap();
    let error =
        channel::connect(&theirs.url, config, HUB_SERVER_NAME, &Timeouts::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongAuthority), "{error:?}");

    // A certificate of another authority is refused even if the name is known here too.
    let (_, stranger) = (ours.node("bac-kan").await, theirs.node("bac-kan").await);
    let stranger = Node {
        url: ours.url.clone(),
        config: client_config(ours.authority.roots().unwrap(), Some(stranger.identity.clone())).unwrap(),
        ..stranger
    };
    let refused = match stranger.connect().await {
        Ok(channel) => ConnectError::of(&stranger.renew(channel, "bac-kan").await.err().unwrap()).unwrap(),
        Err(error) => error,
    };
    assert!(matches!(refused, ConnectError::Refused(_)), "{refused:?}");
}

#[tokio::test]
async fn renewal_asks_for_a_certificate() {
    let hub = Hub::start().await;
    hub.node("ha-giang").await;
    let config = client_config(hub.authority.roots().unwrap(), None).unwrap();
    let channel = channel::connect(&hub.url, config, HUB_SERVER_NAME, &Timeouts::default()).await.unwrap();
    let call = RenewCertificateRequest { csr: SigningRequest::new("ha-giang").unwrap().csr };
    let refused = EnrollmentServiceClient::new(channel).renew_certificate(call).await;
    assert_eq!(refusal(refused), Some(Reason::CallerUnknown));
    assert_eq!(reason(hub.roll.authorise(&Peer::default(), now())), Some(Reason::CallerUnknown));
}

#[tokio::test]
async fn a_renewed_certificate_supersedes_the_one_before_once_it_is_shown() {
    let hub = Hub::start().await;
    let node = hub.node("ha-giang").await;
    let live = node.connect().await.unwrap();
    // An answer that is lost leaves the node with the certificate it had.
    let (lost, lost_request) = node.renew(live.clone(), "ha-giang").await.unwrap();
    let (taken, request) = node.renew(live.clone(), "ha-giang").await.unwrap();
    hub.roll.authorise(&node.peer(), now()).unwrap();
    let lost = Node::new(&hub, "ha-giang".into(), lost, &lost_request);
    assert_eq!(reason(hub.roll.authorise(&lost.peer(), now())), Some(Reason::CertificateSuperseded));

    let old = node.peer();
    node.identity.replace(vec![CertificateDer::from(taken)], request.key()).unwrap();
    hub.roll.authorise(&node.peer(), now()).unwrap();
    assert_eq!(reason(hub.roll.authorise(&old, now())), Some(Reason::CertificateSuperseded));
    // The connection made with the old certificate lives, and is told the same.
    assert_eq!(refusal(node.renew(live, "ha-giang").await), Some(Reason::CertificateSuperseded));
    node.renew(node.connect().await.unwrap(), "ha-giang").await.unwrap();
    let again = NodeRoll::open(hub.authority.clone(), hub.store.clone(), DAY).unwrap();
    assert_eq!(reason(again.authorise(&old, now())), Some(Reason::CertificateSuperseded));
}

#[tokio::test]
async fn a_certificate_ends_even_while_its_connection_lives() {
    let hub = Hub::with_lifetime(Duration::from_secs(2)).await;
    let node = hub.node("ha-giang").await;
    hub.roll.authorise(&node.peer(), now()).unwrap();
    let later = now() + Duration::from_secs(3);
    assert_eq!(reason(hub.roll.authorise(&node.peer(), later)), Some(Reason::CallerUnknown));
}

#[tokio::test]
async fn joining_again_ends_the_certificate_before() {
    let hub = Hub::start().await;
    let first = hub.node("ha-giang").await;
    let mut told = hub.roll.subscribe("ha-giang").unwrap();
    let token = hub.roll.rejoin("ha-giang", DAY, now()).unwrap();
    hub.roll.authorise(&first.peer(), now()).unwrap();
    assert!(!told.has_changed().unwrap());
    let second = hub.join(&token).await;
    timeout(Duration::from_secs(1), told.changed()).await.unwrap().unwrap();
    assert_eq!(reason(hub.roll.authorise(&first.peer(), now())), Some(Reason::CertificateSuperseded));
    hub.roll.authorise(&second.peer(), now()).unwrap();
    assert_eq!(second.name, first.name);

    // The token that a newer one replaced is worth nothing.
    let old = hub.roll.rejoin("ha-giang", DAY, now()).unwrap();
    let _new = hub.roll.rejoin("ha-giang", DAY, now()).unwrap();
    let request = SigningRequest::new("ha-giang").unwrap();
    assert_eq!(refusal(hub.enroll(&old, &request).await), Some(Reason::TokenUnknown));
}

#[tokio::test]
async fn suspending_and_revoking_tell_at_once_and_why() {
    let hub = Hub::start().await;
    let node = hub.node("ha-giang").await;
    let mut told = hub.roll.subscribe("ha-giang").unwrap();
    assert_eq!(reason(hub.roll.suspend("ha-giang", " ")), Some(Reason::InvalidRequest));
    hub.roll.suspend("ha-giang", "audit").unwrap();
    timeout(Duration::from_secs(1), told.changed()).await.unwrap().unwrap();
    assert_eq!(*told.borrow_and_update(), NodeState::Suspended("audit".into()));
    let refused = hub.roll.authorise(&node.peer(), now()).unwrap_err();
    assert_eq!(refused.reason(), Reason::NodeSuspended);
    assert!(refused.to_string().contains("audit"));
    // It may keep its certificate current, and come back.
    node.renew(node.connect().await.unwrap(), "ha-giang").await.unwrap();
    hub.roll.resume("ha-giang").unwrap();
    hub.roll.authorise(&node.peer(), now()).unwrap();

    told.mark_unchanged();
    hub.roll.revoke("ha-giang", "stolen").unwrap();
    timeout(Duration::from_secs(1), told.changed()).await.unwrap().unwrap();
    let refused = hub.roll.authorise(&node.peer(), now()).unwrap_err();
    assert_eq!(refused.reason(), Reason::NodeRevoked);
    assert!(refused.to_string().contains("stolen"));
    let refused = node.renew(node.connect().await.unwrap(), "ha-giang").await;
    assert_eq!(refusal(refused), Some(Reason::NodeRevoked));
    assert_eq!(reason(hub.roll.resume("ha-giang")), Some(Reason::Conflict));
    assert_eq!(reason(hub.roll.rejoin("ha-giang", DAY, now())), Some(Reason::Conflict));
    assert_eq!(hub.roll.revoke("ha-giang", "again").unwrap().state, NodeState::Revoked("stolen".into()));
}

#[tokio::test]
async fn a_token_of_a_revoked_node_is_worth_nothing() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    hub.roll.suspend("ha-giang", "wait").unwrap();
    assert_eq!(hub.roll.resume("ha-giang").unwrap().state, NodeState::Invited);
    hub.roll.revoke("ha-giang", "mistake").unwrap();
    let request = SigningRequest::new("ha-giang").unwrap();
    assert_eq!(refusal(hub.enroll(&token, &request).await), Some(Reason::NodeRevoked));
}

#[tokio::test]
async fn the_roll_checks_names_and_counts_on() {
    let hub = Hub::start().await;
    let add = |name: &str, agency: &str| hub.roll.add(name, agency, DAY, now());
    assert_eq!(reason(add("Hà Giang", "x")), Some(Reason::InvalidRequest));
    assert_eq!(reason(add("ha-giang", "")), Some(Reason::InvalidRequest));
    add("ha-giang", "x").unwrap();
    assert_eq!(reason(add("ha-giang", "x")), Some(Reason::AlreadyExists));
    add("bac-kan", "x").unwrap();
    let numbers: Vec<_> = hub.roll.list().iter().map(|entry| (entry.name.clone(), entry.number)).collect();
    assert_eq!(numbers, [("bac-kan".to_owned(), 2), ("ha-giang".to_owned(), 1)]);
    assert_eq!(reason(hub.roll.get("x1")), Some(Reason::NotFound));
    assert_eq!(reason(hub.roll.subscribe("x1")), Some(Reason::NotFound));
}

#[tokio::test]
async fn what_is_not_kept_does_not_count() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    *hub.store.broken.lock().unwrap() = true;
    let request = SigningRequest::new("ha-giang").unwrap();
    let status = hub.enroll(&token, &request).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::Storage));
    assert!(!status.message().contains("no space"), "what went wrong inside is not for a peer");
    assert_eq!(reason(hub.roll.suspend("ha-giang", "audit")), Some(Reason::Storage));
    assert_eq!(hub.roll.get("ha-giang").unwrap().state, NodeState::Invited);
    *hub.store.broken.lock().unwrap() = false;
    hub.enroll(&token, &request).await.unwrap();
}

#[tokio::test]
async fn the_hub_renews_its_own_certificate_under_live_connections() {
    let hub = Hub::with_lifetime(90 * DAY).await;
    let node = hub.node("ha-giang").await;
    let live = node.connect().await.unwrap();
    let before = hub.certificate.identity().chain();
    assert!(!hub.certificate.renew_if_due(now() + 59 * DAY).unwrap());
    assert_eq!(hub.certificate.identity().chain(), before);
    let due = now() + 61 * DAY;
    assert!(hub.certificate.renew_if_due(due).unwrap());
    assert!(!hub.certificate.renew_if_due(due).unwrap());
    assert!(hub.certificate.expires() > due + 89 * DAY);
    assert_ne!(hub.certificate.identity().chain(), before);
    node.renew(live, "ha-giang").await.unwrap();
}

#[tokio::test]
async fn the_hubs_certificate_is_kept_current_and_the_task_ends() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::create(directory.path(), now()).unwrap());
    let certificate = HubCertificate::issue(authority, Vec::new(), Duration::from_secs(3), now()).unwrap();
    let before = certificate.identity().chain();
    let cancel = CancellationToken::new();
    let stop = async {
        while certificate.identity().chain() == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cancel.cancel();
    };
    let both = async { tokio::join!(certificate.keep_current(now, cancel.clone()), stop) };
    timeout(Duration::from_secs(10), both).await.unwrap();
}

#[test]
fn an_authority_is_made_once_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let path: &Path = directory.path();
    let made = Authority::create(path, now()).unwrap();
    let mode = fs::metadata(path.join("authority.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let opened = Authority::open(path).unwrap();
    assert_eq!(made.fingerprint(), opened.fingerprint());
    assert_eq!(made.certificate(), opened.certificate());
    assert!(matches!(Authority::create(path, now()), Err(AuthorityError::Exists(_))));
    let read = PeerCertificate::read(vec![made.certificate().clone()]).unwrap();
    assert!(read.not_after > now() + 10 * 365 * DAY);

    let other = tempfile::tempdir().unwrap();
    Authority::create(other.path(), now()).unwrap();
    fs::copy(other.path().join("authority.key"), path.join("authority.key")).unwrap();
    assert!(matches!(Authority::open(path), Err(AuthorityError::KeyMismatch)));
    fs::remove_file(path.join("authority.key")).unwrap();
    let missing = Authority::open(path).err().unwrap().to_string();
    assert!(missing.contains("authority.key"), "{missing}");
}

//! Joining and renewing against a hub of the tests' own, over real sockets.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use dancu_proto::{
    Reason,
    channel::{
        self, ClientAuth, Fingerprint, HUB_SERVER_NAME, Incoming, Limits, Peer, SwappableIdentity, Timeouts,
        Token, TokenError, server_config,
    },
    hub::v1::{
        EnrollRequest, EnrollResponse, RenewCertificateRequest, RenewCertificateResponse,
        enrollment_service_client::EnrollmentServiceClient,
        enrollment_service_server::{EnrollmentService, EnrollmentServiceServer},
    },
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use super::{
    join::{JoinError, join},
    renew::{RenewError, renew_loop},
    store::{IdentityStore, Stored},
    *,
};

/// What the hub gets wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Refuses,
    OtherName,
    OtherKey,
    OtherAuthority,
}

struct TestAuthority(CertifiedIssuer<'static, KeyPair>);

impl TestAuthority {
    fn new() -> TestAuthority {
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        TestAuthority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn hub(&self) -> Arc<SwappableIdentity> {
        let key = KeyPair::generate().unwrap();
        let mut params = named("hub");
        params.subject_alt_names = vec![SanType::DnsName(HUB_SERVER_NAME.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        SwappableIdentity::new(vec![certificate.der().clone(), self.der()], key).unwrap()
    }

    fn node(&self, csr: &[u8], name: &str, lifetime: Duration) -> Vec<u8> {
        let mut request = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        request.params = named(name);
        request.params.not_before = OffsetDateTime::now_utc() - Duration::from_secs(1);
        request.params.not_after = OffsetDateTime::now_utc() + lifetime;
        request.params.subject_alt_names =
            vec![SanType::URI(format!("dancu:node:{name}").try_into().unwrap())];
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.signed_by(&self.0).unwrap().der().to_vec()
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

struct State {
    authority: TestAuthority,
    lifetime: Duration,
    fault: Mutex<Fault>,
    renewals: AtomicU32,
}

impl State {
    fn certificate(&self, csr: &[u8]) -> Result<(Vec<u8>, CertificateDer<'static>), Status> {
        let other = KeyPair::generate().unwrap();
        let (name, csr, authority) = match *self.fault.lock().unwrap() {
            Fault::Refuses => return Err(Reason::TokenUsed.status("the token was used already")),
            Fault::None => ("ha-giang", csr.to_vec(), self.authority.der()),
            Fault::OtherName => ("bac-kan", csr.to_vec(), self.authority.der()),
            Fault::OtherKey => {
                let csr = named("ha-giang").serialize_request(&other).unwrap().der().to_vec();
                ("ha-giang", csr, self.authority.der())
            }
            Fault::OtherAuthority => ("ha-giang", csr.to_vec(), TestAuthority::new().der()),
        };
        Ok((self.authority.node(&csr, name, self.lifetime), authority))
    }
}

#[derive(Clone)]
struct Service(Arc<State>);

#[tonic::async_trait]
impl EnrollmentService for Service {
    async fn enroll(
        &self,
        request: tonic::Request<EnrollRequest>,
    ) -> Result<Response<EnrollResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.token_secret, [5; 32]);
        let (certificate, authority) = self.0.certificate(&request.csr)?;
        Ok(Response::new(EnrollResponse {
            certificate,
            authority: authority.to_vec(),
            node: "ha-giang".into(),
            agency: "province-02".into(),
            expires: None,
        }))
    }

    async fn renew_certificate(
        &self,
        request: tonic::Request<RenewCertificateRequest>,
    ) -> Result<Response<RenewCertificateResponse>, Status> {
        let peer = Peer::of(&request);
        if peer.identity() != Some(&PeerIdentity::Node("ha-giang".into())) {
            return Err(Reason::CallerUnknown.status("no certificate"));
        }
        let (certificate, authority) = self.0.certificate(&request.into_inner().csr)?;
        self.0.renewals.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(RenewCertificateResponse {
            certificate,
            authorities: vec![authority.to_vec()],
            expires: None,
        }))
    }
}

struct TestHub {
    state: Arc<State>,
    url: String,
    _serving: JoinSet<()>,
}

impl TestHub {
    async fn start(lifetime: Duration) -> TestHub {
        let authority = TestAuthority::new();
        let clients = ClientAuth::Optional(roots(&[authority.der()]).unwrap());
        let config = server_config(authority.hub(), clients).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let incoming = Incoming::tls(listener, config, Limits::default(), CancellationToken::new());
        let fault = Mutex::new(Fault::None);
        let state = Arc::new(State { authority, lifetime, fault, renewals: AtomicU32::new(0) });
        let service = EnrollmentServiceServer::new(Service(state.clone()));
        let router = channel::server().add_service(service);
        let mut serving = JoinSet::new();
        serving.spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
        TestHub { state, url, _serving: serving }
    }

    fn token(&self) -> String {
        let authority = Fingerprint::of_certificate(&self.state.authority.der()).unwrap();
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(60);
        Token { secret: [5; 32], authority, expires, node: "ha-giang".into() }.reveal()
    }

    fn fault(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
    }

    async fn joined(&self) -> (TempDir, NodeIdentity) {
        let data = tempfile::tempdir().unwrap();
        let identity = join(data.path(), &self.url, &self.token(), false).await.unwrap();
        (data, identity)
    }
}

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn joining_keeps_an_identity_that_works() {
    let hub = TestHub::start(DAY).await;
    let (data, joined) = hub.joined().await;
    assert_eq!(
        (joined.name(), joined.agency(), joined.hub_url()),
        ("ha-giang", "province-02", hub.url.as_str())
    );
    let key = data.path().join("identity/node.key");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let loaded = NodeIdentity::load(data.path()).unwrap();
    assert_eq!(loaded.expires(), joined.expires());
    let channel = loaded.connect(&Timeouts::default()).await.unwrap();
    loaded.renew(channel).await.unwrap();
}

#[tokio::test]
async fn an_identity_is_replaced_only_by_force() {
    let hub = TestHub::start(DAY).await;
    let (data, first) = hub.joined().await;
    let again = join(data.path(), &hub.url, &hub.token(), false).await.err().unwrap();
    assert!(matches!(&again, JoinError::Store(StoreError::Joined { name }) if name == "ha-giang"), "{again}");
    let forced = join(data.path(), &hub.url, &hub.token(), true).await.unwrap();
    assert_ne!(forced.shown.chain(), first.shown.chain());
    fs::write(data.path().join("identity/identity.toml"), "nonsense").unwrap();
    assert!(matches!(
        NodeIdentity::load(data.path()),
        Err(NodeIdentityError::Store(StoreError::Damaged { .. }))
    ));
    assert!(join(data.path(), &hub.url, &hub.token(), false).await.is_err());
    join(data.path(), &hub.url, &hub.token(), true).await.unwrap();
}

#[tokio::test]
async fn a_join_that_fails_says_why_and_keeps_nothing() {
    let (hub, other) = (TestHub::start(DAY).await, TestHub::start(DAY).await);
    let data = tempfile::tempdir().unwrap();
    let attempt = |url: String, token: String| {
        let path = data.path().to_owned();
        async move { join(&path, &url, &token, false).await.err().unwrap() }
    };
    let error = attempt(hub.url.clone(), "hello".into()).await;
    assert!(matches!(error, JoinError::Token(TokenError::NotAToken)), "{error}");

    let error = attempt(other.url.clone(), hub.token()).await;
    assert!(matches!(error, JoinError::WrongAuthority { .. }), "{error}");
    assert!(error.to_string().contains("not the hub the token was made for"));

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = attempt(format!("https://{free}"), hub.token()).await;
    assert!(matches!(error, JoinError::Unreachable { .. }), "{error}");

    for (fault, expected) in [
        (Fault::Refuses, "used already"),
        (Fault::OtherName, "not that of node ha-giang"),
        (Fault::OtherKey, "does not fit"),
        (Fault::OtherAuthority, "not the hub"),
    ] {
        hub.fault(fault);
        let error = attempt(hub.url.clone(), hub.token()).await.to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(matches!(
        NodeIdentity::load(data.path()),
        Err(NodeIdentityError::Store(StoreError::NotJoined(_)))
    ));
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_everything_as_it_was() {
    let hub = TestHub::start(DAY).await;
    let (data, identity) = hub.joined().await;
    let before = identity.shown.chain();
    for fault in [Fault::Refuses, Fault::OtherName, Fault::OtherKey, Fault::OtherAuthority] {
        hub.fault(fault);
        let channel = identity.connect(&Timeouts::default()).await.unwrap();
        let error = identity.renew(channel).await.unwrap_err();
        assert_eq!(matches!(error, RenewError::Refused(_)), fault == Fault::Refuses, "{error}");
        assert_eq!(identity.shown.chain(), before);
        assert_eq!(NodeIdentity::load(data.path()).unwrap().shown.chain(), before);
    }
}

#[tokio::test]
async fn certificates_renew_themselves_under_a_live_channel() {
    let hub = TestHub::start(Duration::from_secs(3)).await;
    let (data, identity) = hub.joined().await;
    let live = identity.connect(&Timeouts::default()).await.unwrap();
    let call = || {
        let mut client = EnrollmentServiceClient::new(live.clone());
        async move { client.enroll(EnrollRequest { token_secret: vec![5; 32], csr: csr() }).await }
    };
    call().await.unwrap();
    let first = identity.expires();
    let mut told = identity.renewals();
    // The hub refuses at first: the loop goes on trying.
    hub.fault(Fault::Refuses);
    let cancel = CancellationToken::new();
    let connect = || async { identity.connect(&Timeouts::default()).await.map_err(Into::into) };
    let watching = async {
        tokio::time::sleep(Duration::from_millis(2200)).await;
        hub.fault(Fault::None);
        for _ in 0..2 {
            told.changed().await.unwrap();
            call().await.unwrap();
        }
        cancel.cancel();
    };
    let both = async {
        tokio::join!(renew_loop(&identity, connect, OffsetDateTime::now_utc, cancel.clone()), watching)
    };
    timeout(Duration::from_secs(20), both).await.unwrap();
    assert!(hub.state.renewals.load(Ordering::Relaxed) >= 2);
    assert!(identity.expires() > first);
    let loaded = NodeIdentity::load(data.path()).unwrap();
    assert_eq!(loaded.shown.chain(), identity.shown.chain());
    loaded.connect(&Timeouts::default()).await.unwrap();
}

fn csr() -> Vec<u8> {
    named("ha-giang").serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_renewal_loses_nothing() {
    let hub = TestHub::start(DAY).await;
    let (data, identity) = hub.joined().await;
    let directory = data.path().join("identity");
    let (old_key, old) = (fs::read(directory.join("node.key")).unwrap(), identity.shown.chain());

    // The next key is there, the certificate not yet: the pair in use is the old one.
    fs::write(directory.join("node.key.next"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert_eq!(NodeIdentity::load(data.path()).unwrap().shown.chain(), old);

    // The certificate is there, the key not yet in its place: loading finishes it.
    identity.renew(identity.connect(&Timeouts::default()).await.unwrap()).await.unwrap();
    fs::rename(directory.join("node.key"), directory.join("node.key.next")).unwrap();
    fs::write(directory.join("node.key"), old_key).unwrap();
    let loaded = NodeIdentity::load(data.path()).unwrap();
    assert_eq!(loaded.shown.chain(), identity.shown.chain());
    assert!(!directory.join("node.key.next").exists());
    loaded.connect(&Timeouts::default()).await.unwrap();
}

#[test]
fn a_renewal_is_due_in_the_last_third() {
    let start = OffsetDateTime::UNIX_EPOCH;
    let validity = Validity { not_before: start, not_after: start + Duration::from_secs(90) };
    assert!(!validity.is_due(start) && !validity.is_due(start + Duration::from_secs(60)));
    assert!(validity.is_due(start + Duration::from_secs(61)) && validity.is_due(start + DAY));
}

#[tokio::test]
async fn another_nodes_certificate_is_not_loaded() {
    let hub = TestHub::start(DAY).await;
    let (data, _) = hub.joined().await;
    let store = IdentityStore::of(data.path());
    let Stored { mut settings, key, certificate, authorities } = store.load().unwrap();
    settings.name = "bac-kan".into();
    store.create(&Stored { settings, key, certificate, authorities }).unwrap();
    assert!(matches!(NodeIdentity::load(data.path()), Err(NodeIdentityError::OtherNode(_))));
}

//! TLS on real sockets, with an authority of the tests' own.

mod listening;
mod refusals;
mod renewal;

use std::{net::SocketAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Channel};

use super::*;
use crate::hub::v1::{
    EnrollRequest, EnrollResponse, RenewCertificateRequest, RenewCertificateResponse,
    enrollment_service_client::EnrollmentServiceClient,
    enrollment_service_server::{EnrollmentService, EnrollmentServiceServer},
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn roots(&self) -> RootCertStore {
        identity::roots(&[self.certificate()]).unwrap()
    }

    fn pin(&self) -> Fingerprint {
        Fingerprint::of_certificate(&self.certificate()).unwrap()
    }

    fn leaf(
        &self,
        san: SanType,
        usage: ExtendedKeyUsagePurpose,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = params("leaf");
        params.subject_alt_names = vec![san];
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    fn hub(&self) -> Arc<SwappableIdentity> {
        let san = SanType::DnsName(HUB_SERVER_NAME.try_into().unwrap());
        let (leaf, key) = self.leaf(san, ExtendedKeyUsagePurpose::ServerAuth);
        SwappableIdentity::new(vec![leaf, self.certificate()], key).unwrap()
    }

    fn node_leaf(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let san = SanType::URI(format!("dancu:node:{name}").try_into().unwrap());
        self.leaf(san, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn node(&self, name: &str) -> Arc<SwappableIdentity> {
        let (leaf, key) = self.node_leaf(name);
        SwappableIdentity::new(vec![leaf], key).unwrap()
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Answers with who called.
struct WhoCalls;

#[tonic::async_trait]
impl EnrollmentService for WhoCalls {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let peer = Peer::of(&request);
        assert!(peer.address.is_some() || peer.unix.is_some());
        let node = peer.identity().map(ToString::to_string).unwrap_or_default();
        let agency = peer.unix.map(|process| process.uid.to_string()).unwrap_or_default();
        Ok(Response::new(EnrollResponse { node, agency, ..EnrollResponse::default() }))
    }

    async fn renew_certificate(
        &self,
        _: Request<RenewCertificateRequest>,
    ) -> Result<Response<RenewCertificateResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

struct TestServer {
    address: SocketAddr,
    cancel: CancellationToken,
    _serving: JoinSet<()>,
}

impl TestServer {
    async fn start(identity: Arc<SwappableIdentity>, clients: ClientAuth, limits: Limits) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let config = server_config(identity, clients).unwrap();
        let incoming = Incoming::tls(listener, config, limits, cancel.clone());
        let mut serving = JoinSet::new();
        let router = server().add_service(EnrollmentServiceServer::new(WhoCalls));
        serving.spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
        TestServer { address, cancel, _serving: serving }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    async fn connect(&self, config: Arc<ClientConfig>) -> Result<Channel, ConnectError> {
        connect(&self.url(), config, HUB_SERVER_NAME, &Timeouts::default()).await
    }
}

async fn who(channel: &Channel) -> Result<String, Status> {
    let mut client = EnrollmentServiceClient::new(channel.clone());
    Ok(client.enroll(EnrollRequest::default()).await?.into_inner().node)
}

/// Connects and calls: a server may refuse a certificate at either.
async fn call(server: &TestServer, config: Arc<ClientConfig>) -> Result<String, ConnectError> {
    let channel = server.connect(config).await?;
    who(&channel).await.map_err(|status| ConnectError::of(&status).expect("the connection is the cause"))
}

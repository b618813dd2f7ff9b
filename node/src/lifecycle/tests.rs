use std::path::Path;

use dancu_proto::{
    channel::{Timeouts, connect_unix},
    node::v1::{GetStatusRequest, NodeState, node_service_client::NodeServiceClient},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    SanType,
};
use tokio_stream::StreamExt;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::*;
use crate::identity::store::{IdentityStore, Settings, Stored};

/// An identity as a hub would have given it; the hub itself is not there.
fn join(data: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ha-giang");
    params.subject_alt_names = vec![SanType::URI("dancu:node:ha-giang".try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &authority).unwrap();
    let settings = Settings {
        name: "ha-giang".into(),
        agency: "ubnd-ha-giang".into(),
        hub: "https://127.0.0.1:1".into(),
    };
    let stored = Stored {
        settings,
        key: key.serialize_pem(),
        certificate: certificate.pem(),
        authorities: vec![authority.der().clone()],
    };
    IdentityStore::of(data).create(&stored).unwrap();
}

fn config(data: &Path) -> Config {
    let mut config = Config { data_dir: data.to_owned(), ..Config::default() };
    config.listen.tcp = "127.0.0.1:0".into();
    config.listen.unix = data.join("node.sock").display().to_string();
    config.limits.drain = Duration::from_millis(300);
    config
}

/// A connection that was broken off lets go of the slice a moment later.
async fn started(config: &Config) -> Running {
    loop {
        match Running::start(config).await {
            Ok(node) => return node,
            Err(LifecycleError::Slice { source: SliceError::Locked, .. }) => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn until_served(config: &Config) -> Channel {
    let path = config.listen.unix().unwrap();
    loop {
        match connect_unix(path, &Timeouts::default()).await {
            Ok(channel) => return channel,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_answers_stops_and_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    join(directory.path());
    let config = config(directory.path());
    for _ in 0..2 {
        let node = started(&config).await;
        let channel = until_served(&config).await;
        let mut client = NodeServiceClient::new(channel.clone());
        let status = client.get_status(GetStatusRequest {}).await.unwrap().into_inner();
        assert_eq!((status.node.as_str(), status.state()), ("ha-giang", NodeState::Loading));
        assert!(status.certificate_expires.is_some());
        // A caller who follows the health for ever does not keep the node from ending.
        let request = HealthCheckRequest { service: String::new() };
        let mut health = HealthClient::new(channel).watch(request).await.unwrap().into_inner();
        assert!(health.next().await.is_some());
        node.stop().await.unwrap();
        assert!(!config.listen.unix().unwrap().exists());
    }
}

#[tokio::test]
async fn a_node_that_has_not_joined_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let error = Running::start(&config(directory.path())).await.map(drop).unwrap_err();
    assert!(matches!(error, LifecycleError::Identity(_)), "{error}");
}

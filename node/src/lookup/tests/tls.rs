//! Callers over mutual TLS.

use dancu_proto::{
    Field, Reason,
    channel::{
        ConnectError, SwappableIdentity, Timeouts, client_config, connect,
        identity::{certificates_from_pem, roots},
    },
    node::v1::{
        GetCitizenRequest, GetStatusRequest, citizen_service_client::CitizenServiceClient,
        node_service_client::NodeServiceClient,
    },
    v1::Citizen,
};
use time::{Duration, OffsetDateTime};
use tonic::Status;

use super::fixture::{AN, NOW, Served, an, grant, put, slice, why};
use crate::callers::{
    CallersFile, Entry,
    authority::{Authority, Issued},
};

async fn start() -> Served {
    let grants = vec![grant(1, "a", &["lookup"], &[Field::Sex])];
    Served::start(&["a"], None, |directory| slice(directory, grants, vec![put(&an(), &[1])])).await
}

async fn get(node: &Served, trusted: &Authority, identity: Option<&Issued>) -> Result<Citizen, Status> {
    let trusted = roots(&certificates_from_pem(trusted.certificate_pem().as_bytes()).unwrap()).unwrap();
    let identity = identity
        .map(|issued| SwappableIdentity::new(vec![issued.certificate.clone()], issued.key()).unwrap())
        .map(|identity| -> std::sync::Arc<dyn rustls::client::ResolvesClientCert> { identity });
    let tls = client_config(trusted, identity).unwrap();
    let channel = connect(&node.url, tls, "127.0.0.1", &Timeouts::default()).await.unwrap();
    let request =
        GetCitizenRequest { context: why("a"), personal_id: AN.into(), fields: vec![], remote: false };
    let answer = CitizenServiceClient::new(channel).get_citizen(request).await?;
    Ok(answer.into_inner().citizen.unwrap())
}

fn lifetime() -> Duration {
    // Valid for the handshake, which knows the real time, as for the node of the test.
    (NOW - OffsetDateTime::now_utc()).abs() + Duration::days(30)
}

#[tokio::test]
async fn a_caller_is_known_by_its_certificate_once_it_is_listed() {
    let node = start().await;
    let now = OffsetDateTime::now_utc();
    let authority = Authority::open_or_create(&node.config.agency_dir(), now).unwrap();
    let portal = authority.caller("portal", now, lifetime()).unwrap();
    let status = get(&node, &authority, Some(&portal)).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::CallerUnknown));
    CallersFile::of(&node.config.agency_dir())
        .add(Entry {
            name: "portal".into(),
            certificate_sha256: Some(portal.sha256()),
            purposes: vec!["a".into()],
            ..Entry::default()
        })
        .unwrap();
    node.roster.reload().unwrap();
    assert_eq!(get(&node, &authority, Some(&portal)).await.unwrap().sex, an().sex);
}

#[tokio::test]
async fn without_a_certificate_of_a_trusted_authority_nobody_is_connected() {
    let node = start().await;
    let now = OffsetDateTime::now_utc();
    let authority = Authority::open_or_create(&node.config.agency_dir(), now).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Authority::open_or_create(elsewhere.path(), now).unwrap();
    let stranger = other.caller("portal", now, lifetime()).unwrap();
    for identity in [None, Some(&stranger)] {
        let status = get(&node, &authority, identity).await.unwrap_err();
        assert!(matches!(ConnectError::of(&status), Some(ConnectError::Refused(_))), "{status}");
    }
}

#[tokio::test]
async fn the_status_is_for_callers_and_the_operator() {
    let node = start().await;
    let mut operator = NodeServiceClient::new(node.channel().await);
    assert_eq!(operator.get_status(GetStatusRequest {}).await.unwrap().into_inner().node, "ha-giang");
}

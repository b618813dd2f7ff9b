//! Callers over mutual TLS.

use dancu_proto::{
    Field, Reason,
    channel::{
        ConnectError, SwappableIdentity, Timeouts, client_config, connect,
        identity::{certificates_from_pem, roots},
    },
    hub::v1::{Load, Zone},
    node::v1::{
        GetCitizenRequest, GetStatusRequest, citizen_service_client::CitizenServiceClient,
        node_service_client::NodeServiceClient,
    },
    v1::Citizen,
};
use time::{Duration, OffsetDateTime};
use tonic::{Status, transport::Channel};

use super::fixture::{AN, NOW, Served, an, grant, load, open, policy, put, slice, why};
use crate::callers::{
    CallersFile, Entry,
    authority::{Authority, Issued},
};

async fn start() -> Served {
    let grants = vec![grant(1, "a", &["lookup"], &[Field::Sex])];
    Served::start(&["a"], None, |directory| slice(directory, grants, vec![put(&an(), &[1])])).await
}

async fn connected(node: &Served, trusted: &Authority, identity: Option<&Issued>) -> Channel {
    let trusted = roots(&certificates_from_pem(trusted.certificate_pem().as_bytes()).unwrap()).unwrap();
    let identity = identity
        .map(|issued| SwappableIdentity::new(vec![issued.certificate.clone()], issued.key()).unwrap())
        .map(|identity| -> std::sync::Arc<dyn rustls::client::ResolvesClientCert> { identity });
    let tls = client_config(trusted, identity).unwrap();
    connect(&node.url, tls, "127.0.0.1", &Timeouts::default()).await.unwrap()
}

async fn get(node: &Served, trusted: &Authority, identity: Option<&Issued>) -> Result<Citizen, Status> {
    let channel = connected(node, trusted, identity).await;
    let request =
        GetCitizenRequest { context: why("a"), personal_id: AN.into(), fields: vec![], remote: false };
    let answer = CitizenServiceClient::new(channel).get_citizen(request).await?;
    Ok(answer.into_inner().citizen.unwrap())
}

fn lifetime() -> Duration {
    // Valid for the handshake, which knows the real time, as for the node of the test.
    (NOW - OffsetDateTime::now_utc()).abs() + Duration::days(30)
}

/// The agency's authority, and a back-end that it has certified.
fn portal(node: &Served) -> (Authority, Issued) {
    let now = OffsetDateTime::now_utc();
    let authority = Authority::open_or_create(&node.config.agency_dir(), now).unwrap();
    let portal = authority.caller("portal", now, lifetime()).unwrap();
    (authority, portal)
}

fn list(node: &Served, portal: &Issued) {
    let entry = Entry {
        name: "portal".into(),
        certificate_sha256: Some(portal.sha256()),
        purposes: vec!["a".into()],
        ..Entry::default()
    };
    CallersFile::of(&node.config.agency_dir()).add(entry).unwrap();
    node.roster.reload().unwrap();
}

#[tokio::test]
async fn a_caller_is_known_by_its_certificate_once_it_is_listed() {
    let node = start().await;
    let (authority, portal) = portal(&node);
    let status = get(&node, &authority, Some(&portal)).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::CallerUnknown));
    list(&node, &portal);
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
async fn the_status_tells_a_caller_what_concerns_its_purposes_and_the_operator_all() {
    let mut both = grant(1, "a", &["lookup"], &[Field::Sex]);
    both.purposes.push("b".into());
    let grants = vec![both, grant(2, "b", &["lookup"], &[Field::Email])];
    let node = Served::start(&["*"], None, |directory| {
        let slice = open(directory);
        slice.apply_policy(policy(1, grants)).unwrap();
        // There is more to come.
        let zones = vec![Zone { up_to: 0, policies: vec![] }];
        let part = Load { complete: false, remaining: 7, zones, ..load(1, vec![put(&an(), &[1])]) };
        slice.apply_load(part).unwrap();
        slice
    })
    .await;
    let mut operator = NodeServiceClient::new(node.channel().await);
    let all = operator.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((all.node.as_str(), all.agreements.len(), all.loading), ("ha-giang", 2, 1));
    assert!(all.explanation.contains("1 citizens received, about 7 to come"), "{}", all.explanation);
    assert_eq!(all.agreements[0].purposes, ["a", "b"]);

    let (authority, portal) = portal(&node);
    list(&node, &portal);
    let mut caller = NodeServiceClient::new(connected(&node, &authority, Some(&portal)).await);
    let told = caller.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    let [agreement] = &told.agreements[..] else { panic!("{told:?}") };
    assert_eq!(
        (agreement.agreement.as_str(), &agreement.purposes[..]),
        ("agreement-1", &["a".to_owned()][..])
    );
    assert_eq!(agreement.fields, ["sex"]);
    assert_eq!((told.citizens, told.bytes, told.loading, told.to_come, told.repaired), (0, 0, 0, 0, 0));
    assert!(told.proof.is_none());
    assert_eq!((told.state, told.cursor, told.explanation.as_str()), (all.state, all.cursor, "loading"));
}

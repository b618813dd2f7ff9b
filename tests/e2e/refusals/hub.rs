//! What a hub refuses: to its operators, to nodes that are to join, and to nodes.

use std::time::Duration;

use dancu_proto::{
    Reason,
    channel::{
        HUB_SERVER_NAME, PinnedAuthority, SigningRequest, Timeouts, Token, connect, pinned_client_config,
    },
    hub::v1::{
        AddNodeRequest, ApplyAgreementRequest, ChangeCitizenRequest, CompareDigestsRequest, EnrollRequest,
        GetCitizenRecordRequest, GetHubStatusRequest, GetNodeRequest, Holding, LookUpCitizenRequest,
        RenewCertificateRequest, RenewLeaseRequest, SyncSliceRequest, UpdateInterestsRequest,
        UploadAccessLogRequest, admin_service_client::AdminServiceClient,
        enrollment_service_client::EnrollmentServiceClient, intake_service_client::IntakeServiceClient,
        lookup_service_client::LookupServiceClient, sync_service_client::SyncServiceClient,
        sync_slice_request::Body,
    },
    v1::{Citizen, Date},
};
use dancu_tests::testkit::{Hub, Simulated};
use tokio_stream::StreamExt;
use tonic::{Status, Streaming, transport::Channel};

use super::{Met, UNKNOWN, agreement, apply_with, why};

pub(super) async fn to_operators(hub: &Hub, people: &[Citizen], met: &mut Met) {
    let mut admin = hub.admin().await;
    let add = |name: &str| AddNodeRequest { name: name.into(), agency: "court".into(), ..Default::default() };
    admin.add_node(add("court")).await.unwrap();
    met.refused(admin.add_node(add("court")).await, Reason::AlreadyExists, "take another name");
    met.refused(admin.add_node(add("No Name")).await, Reason::InvalidRequest, "lower-case letters");
    let unknown = GetNodeRequest { name: "nowhere".into() };
    met.refused(admin.get_node(unknown).await, Reason::NotFound, "no node nowhere");
    let document = "id = \"a\"\nversion = 1\nagency".into();
    let refused = admin.apply_agreement(ApplyAgreementRequest { document }).await;
    met.refused(refused, Reason::AgreementInvalid, "line 3");
    let nobody = GetCitizenRecordRequest { personal_id: UNKNOWN.into(), ..Default::default() };
    met.refused(admin.get_citizen_record(nobody).await, Reason::CitizenNotFound, "");
    // A number that somebody else has.
    let taken = format!("personal_id={}", people[1].personal_id);
    let refused = hub.change(&people[0].personal_id, &[&taken]).await.unwrap_err();
    assert!(!refused.contains(&people[1].personal_id), "{refused}");
    let older = agreement("older", "court", "p", &["sex"]).document();
    let apply = |version: &str| ApplyAgreementRequest { document: older.replace("version = 1", version) };
    admin.apply_agreement(apply("version = 2")).await.unwrap();
    met.refused(admin.apply_agreement(apply("version = 1")).await, Reason::Conflict, "version");
}

/// A connection of a node that has no certificate yet.
async fn unknown(hub: &Hub, token: &Token) -> Channel {
    let pinned = pinned_client_config(PinnedAuthority::new(token.authority)).unwrap();
    let url = format!("https://127.0.0.1:{}", hub.port());
    connect(&url, pinned, HUB_SERVER_NAME, &Timeouts::default()).await.unwrap()
}

pub(super) async fn to_new_nodes(hub: &Hub, met: &mut Met) {
    let parsed = Token::parse(&hub.token("first", "court").await).unwrap();
    let channel = unknown(hub, &parsed).await;
    let mut client = EnrollmentServiceClient::new(channel.clone());
    let csr = SigningRequest::new("first").unwrap().csr;
    let with = |secret: &[u8], csr: &[u8]| EnrollRequest { token_secret: secret.to_vec(), csr: csr.to_vec() };
    let refused = client.enroll(with(&parsed.secret[..], b"no request")).await;
    met.refused(refused, Reason::SigningRequestRefused, "");
    client.enroll(with(&parsed.secret[..], &csr)).await.unwrap();
    let refused = client.enroll(with(&parsed.secret[..], &csr)).await;
    met.refused(refused, Reason::TokenUsed, "ask the hub's operator for a new one");
    let short = ["node", "add", "--name", "late", "--agency", "court", "--expires", "1s"];
    let short = Token::parse(hub.cli(&short).await.unwrap().trim()).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let refused = client.enroll(with(&short.secret[..], &SigningRequest::new("late").unwrap().csr)).await;
    met.refused(refused, Reason::TokenExpired, "ask the hub's operator for a new one");
    // Who guesses is slowed down.
    let guess = with(&[7; 32], &csr);
    let refused = client.enroll(guess.clone()).await;
    met.refused(refused, Reason::TokenUnknown, "ask its operator for a new one");
    let mut refused = None;
    for _ in 0..50 {
        let status = client.enroll(guess.clone()).await.unwrap_err();
        refused = refused.or((Reason::of(&status) == Some(Reason::Overloaded)).then_some(status));
    }
    let refused = Err::<(), _>(refused.expect("fifty guesses at once, of which twenty are answered"));
    met.refused(refused, Reason::Overloaded, "try again in 1 s");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // What is for nodes is for none without a certificate.
    let refused = SyncServiceClient::new(channel.clone()).renew_lease(RenewLeaseRequest {}).await;
    met.refused(refused, Reason::CallerUnknown, "show the certificate");
    let refused = AdminServiceClient::new(channel).get_hub_status(GetHubStatusRequest {}).await;
    met.refused(refused, Reason::CallerUnknown, "show an operator's certificate");
}

/// Opens a stream, which stays open as long as what is returned.
async fn follow(
    channel: Channel,
    protocol: u32,
) -> Result<Streaming<dancu_proto::hub::v1::SyncSliceResponse>, Status> {
    let holding = Holding { protocol, software: "test".into(), ..Holding::default() };
    let first = SyncSliceRequest { body: Some(Body::Holding(holding)) };
    let requests = tokio_stream::once(first).chain(tokio_stream::pending());
    Ok(SyncServiceClient::new(channel).sync_slice(requests).await?.into_inner())
}

/// How a stream ends.
async fn ended<T>(mut stream: Streaming<T>) -> Result<(), Status> {
    while stream.message().await?.is_some() {}
    Ok(())
}

pub(super) async fn to_nodes(hub: &Hub, people: &[Citizen], met: &mut Met) {
    apply_with(hub, &agreement("plain", "agency", "plain", &["sex"]), "nation", "nation").await;
    let remote = agreement("remote", "agency", "remote", &["sex"]);
    apply_with(hub, &remote, "\"verify\"", "\"remote_lookup\"").await;
    let node = Simulated::join(&hub.token("node", "agency").await, hub.line().await).await.unwrap();
    let channel = node.channel().await;
    let refused = AdminServiceClient::new(channel.clone()).get_hub_status(GetHubStatusRequest {}).await;
    met.refused(refused, Reason::CallerNotAllowed, "not an operator's");
    let mut lookup = LookupServiceClient::new(channel.clone());
    let about = |purpose: &str, id: &str| LookUpCitizenRequest {
        context: why(purpose),
        personal_id: id.into(),
        fields: Vec::new(),
    };
    let id = people[0].personal_id.as_str();
    lookup.look_up_citizen(about("remote", id)).await.unwrap();
    let refused = lookup.look_up_citizen(about("other", id)).await;
    met.refused(refused, Reason::PurposeNotAgreed, "no agreement of this node has that purpose");
    let refused = lookup.look_up_citizen(about("plain", id)).await;
    met.refused(refused, Reason::OperationNotAgreed, "allows remote_lookup");
    met.refused(lookup.look_up_citizen(about("remote", UNKNOWN)).await, Reason::CitizenNotFound, "");
    met.refused(lookup.look_up_citizen(about("remote", "12")).await, Reason::InvalidRequest, "personal_id");
    let mut sync = SyncServiceClient::new(channel.clone());
    let interest = UpdateInterestsRequest { agreement: "plain".into(), ..Default::default() };
    met.refused(sync.update_interests(interest).await, Reason::NoAgreement, "no agreement plain");
    let refused = EnrollmentServiceClient::new(channel.clone())
        .renew_certificate(RenewCertificateRequest { csr: b"no request".to_vec() })
        .await;
    met.refused(refused, Reason::SigningRequestRefused, "");

    // The log of a node is what the node signed.
    let unsigned = UploadAccessLogRequest::default();
    let mut intake = IntakeServiceClient::new(channel.clone());
    let answers = intake.upload_access_log(tokio_stream::once(unsigned)).await.unwrap();
    let refused = ended(answers.into_inner()).await;
    met.refused(refused, Reason::AccessLogRefused, "the head is missing");

    met.refused(follow(channel.clone(), 99).await, Reason::ProtocolVersion, "update the older");
    let first = follow(channel.clone(), 1).await.unwrap();
    let second = follow(channel, 1).await.unwrap();
    met.refused(ended(first).await, Reason::StreamReplaced, "another stream");
    drop(second);
}

/// Nodes that are suspended, replaced or revoked; and whoever is there when the hub goes down.
pub(super) async fn to_whom_it_knows_no_more(hub: &mut Hub, met: &mut Met) {
    let node = Simulated::join(&hub.token("office", "agency").await, hub.line().await).await.unwrap();
    let channel = node.channel().await;
    let mut sync = SyncServiceClient::new(channel.clone());
    let compare = CompareDigestsRequest::default;
    let stream = follow(channel.clone(), 1).await.unwrap();
    hub.cli(&["node", "suspend", "office", "--reason", "inspection 12/2026"]).await.unwrap();
    met.refused(ended(stream).await, Reason::NodeSuspended, "inspection 12/2026");
    met.refused(sync.compare_digests(compare()).await, Reason::NodeSuspended, "inspection 12/2026");
    hub.cli(&["node", "resume", "office"]).await.unwrap();
    let again =
        hub.cli(&["node", "add", "--name", "office", "--agency", "agency", "--rejoin"]).await.unwrap();
    let newer = Simulated::join(again.trim(), hub.line().await).await.unwrap();
    let refused = sync.renew_lease(RenewLeaseRequest {}).await;
    met.refused(refused, Reason::CertificateSuperseded, "join again with a new token");
    let channel = newer.channel().await;
    hub.cli(&["node", "revoke", "office", "--reason", "closed 12/2026"]).await.unwrap();
    let refused = SyncServiceClient::new(channel).renew_lease(RenewLeaseRequest {}).await;
    met.refused(refused, Reason::NodeRevoked, "closed 12/2026");

    let last = Simulated::join(&hub.token("last", "agency").await, hub.line().await).await.unwrap();
    let stream = follow(last.channel().await, 1).await.unwrap();
    hub.stop();
    met.refused(ended(stream).await, Reason::ShuttingDown, "connect again");
}

/// A hub that is to leave more room on its disk than there is: it reads, and writes nothing.
pub(super) async fn without_room(hub: &mut Hub, people: &[Citizen], met: &mut Met) {
    // A million TiB.
    hub.restart_with(&[("DANCU_HUB__STORAGE__RESERVE_MB", "1000000000000")]).await;
    let mut admin = hub.admin().await;
    let change = ChangeCitizenRequest {
        personal_id: people[0].personal_id.clone(),
        set: Some(Citizen { email: "full@example.vn".into(), ..Citizen::default() }),
        reason: "a test".into(),
        document_number: "T/1".into(),
        effective_date: Some(Date { year: 2026, month: 1, day: 1 }),
        ..Default::default()
    };
    met.refused(admin.change_citizen(change).await, Reason::Storage, "the disk is full");
    let document = agreement("later", "court", "p", &["sex"]).document();
    let refused = admin.apply_agreement(ApplyAgreementRequest { document }).await;
    met.refused(refused, Reason::Storage, "the disk is full");
    let known = GetCitizenRecordRequest { personal_id: people[0].personal_id.clone(), ..Default::default() };
    let known = admin.get_citizen_record(known).await.unwrap().into_inner();
    assert_eq!(known.citizen.unwrap().email, people[0].email);
}

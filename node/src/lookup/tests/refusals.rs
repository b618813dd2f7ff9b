//! What is refused, and with which reason.

use std::time::Duration;

use dancu_proto::{
    Field, Reason,
    hub::v1::Delta,
    node::v1::{
        BatchGetCitizensRequest, GetCitizenRequest, GetStatusRequest, NodeState, VerifyCitizenRequest,
        node_service_client::NodeServiceClient,
    },
    v1::{AccessContext, Citizen},
};
use tonic::{Code, Request, Status};

use super::fixture::{
    AN, BINH, Served, UNKNOWN, an, binh, changes, grant, load, open, policy, put, slice, why,
};

const BOTH: &[&str] = &["lookup", "verify"];

async fn get(node: &Served, purpose: &str, id: &str) -> Result<Citizen, Status> {
    let request =
        GetCitizenRequest { context: why(purpose), personal_id: id.into(), fields: vec![], remote: false };
    let answer = node.client().await.get_citizen(request).await?;
    Ok(answer.into_inner().citizen.unwrap())
}

async fn reason(node: &Served, purpose: &str, id: &str) -> Option<Reason> {
    Reason::of(&get(node, purpose, id).await.unwrap_err())
}

#[tokio::test]
async fn unknown_and_out_of_reach_are_the_same_to_the_byte() {
    let grants = vec![grant(1, "a", BOTH, &[Field::FullName]), grant(2, "b", BOTH, &[Field::FullName])];
    let people = vec![put(&an(), &[1]), put(&binh(), &[2])];
    let node = Served::start(&["*"], None, |directory| slice(directory, grants, people)).await;
    let bytes = |status: Status| {
        let metadata = status.metadata().clone().into_headers();
        (status.code(), status.message().to_owned(), status.details().to_vec(), metadata.len())
    };
    let unknown = bytes(get(&node, "a", UNKNOWN).await.unwrap_err());
    let not_for_this_purpose = bytes(get(&node, "a", BINH).await.unwrap_err());
    assert_eq!(unknown, not_for_this_purpose);
    assert_eq!(unknown.0, Code::NotFound);
    // Out of the slice: held before, dropped since.
    let before = get(&node, "b", BINH).await;
    assert!(before.is_ok());
    let dropped =
        dancu_proto::hub::v1::Change { personal_id: BINH.parse().unwrap(), drop: true, ..Default::default() };
    let delta =
        Delta { target: 2, position: 2, last: true, changes: changes(vec![dropped]), narrowing: false };
    node.slice.apply_delta(&delta).unwrap();
    assert_eq!(bytes(get(&node, "b", BINH).await.unwrap_err()), unknown);
    // And so for a verification.
    let verify = |id: &str| VerifyCitizenRequest {
        context: why("a"),
        personal_id: id.into(),
        claim: Some(Citizen { sex: "1".into(), ..Citizen::default() }),
    };
    for id in [UNKNOWN, BINH] {
        let status = Box::pin(node.client().await.verify_citizen(verify(id))).await.unwrap_err();
        assert_eq!(bytes(status), unknown);
    }
}

#[tokio::test]
async fn a_call_without_purpose_case_or_officer_names_all_that_is_missing() {
    let node = Served::start(&["*"], None, open).await;
    let request = GetCitizenRequest {
        context: Some(AccessContext::default()),
        personal_id: AN.into(),
        fields: vec![],
        remote: false,
    };
    let status = node.client().await.get_citizen(request).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::InvalidRequest));
    let fields: Vec<_> = Reason::faults(&status).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["context.purpose", "context.case_number", "context.officer"]);
    assert!(!status.message().contains(AN));
    let status = get(&node, "a", "123").await.unwrap_err();
    assert_eq!(Reason::faults(&status)[0].0, "personal_id");
}

#[tokio::test]
async fn what_is_not_agreed_is_refused_by_name() {
    let grants = vec![grant(1, "a", &["verify"], &[Field::Sex]), grant(2, "b", &["lookup"], &[Field::Sex])];
    let node = Served::start(&["a", "c"], None, |directory| slice(directory, grants, vec![])).await;
    assert_eq!(reason(&node, "a", AN).await, Some(Reason::OperationNotAgreed));
    // Agreed, but this caller is not bound to it; and bound to, but not agreed.
    assert_eq!(reason(&node, "b", AN).await, Some(Reason::PurposeNotAgreed));
    assert_eq!(reason(&node, "c", AN).await, Some(Reason::PurposeNotAgreed));
}

#[tokio::test]
async fn the_state_of_the_slice_is_told() {
    let node = Served::start(&["*"], None, open).await;
    assert_eq!(reason(&node, "a", AN).await, Some(Reason::SliceLoading));
    node.slice.apply_policy(policy(1, vec![])).unwrap();
    node.slice.apply_load(load(1, vec![])).unwrap();
    assert_eq!(reason(&node, "a", AN).await, Some(Reason::NoAgreement));

    let mut hasty = grant(1, "a", BOTH, &[Field::Sex]);
    hasty.offline_limit = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let node =
        Served::start(&["*"], None, |directory| slice(directory, vec![hasty], vec![put(&an(), &[1])])).await;
    for id in [AN, UNKNOWN] {
        assert_eq!(reason(&node, "a", id).await, Some(Reason::OfflineLimitPassed));
    }
    let mut client = NodeServiceClient::new(node.channel().await);
    let status = client.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.state(), NodeState::Sealed);
}

#[tokio::test]
async fn while_loading_a_batch_does_not_pass_off_the_missing_as_absent() {
    let node = Served::start(&["*"], None, |directory| {
        let slice = slice(directory, vec![grant(1, "a", BOTH, &[Field::Sex])], vec![put(&an(), &[1])]);
        let mut widening = policy(2, vec![grant(1, "a", BOTH, &[Field::Sex, Field::Email])]);
        widening.readable = vec![grant(1, "a", BOTH, &[Field::Sex])];
        widening.zones = vec![dancu_proto::hub::v1::Zone { up_to: 0, policies: vec![1, 2] }];
        slice.apply_policy(widening).unwrap();
        slice
    })
    .await;
    assert_eq!(get(&node, "a", AN).await.unwrap().email, "");
    assert_eq!(reason(&node, "a", UNKNOWN).await, Some(Reason::SliceLoading));
    let request = BatchGetCitizensRequest {
        context: why("a"),
        personal_ids: vec![AN.into(), UNKNOWN.into()],
        fields: vec![],
    };
    let mut answers = node.client().await.batch_get_citizens(request).await.unwrap().into_inner();
    let refused = loop {
        match answers.message().await {
            Ok(answer) => assert!(answer.is_some_and(|answer| answer.citizen.is_some())),
            Err(status) => break status,
        }
    };
    assert_eq!(Reason::of(&refused), Some(Reason::SliceLoading));
}

#[tokio::test]
async fn suspended_and_revoked_nodes_say_so_in_the_operators_words() {
    for (name, reason, state) in [
        ("NODE_SUSPENDED", Reason::NodeSuspended, NodeState::Suspended),
        ("NODE_REVOKED", Reason::NodeRevoked, NodeState::Revoked),
    ] {
        let grants = vec![grant(1, "a", BOTH, &[Field::Sex])];
        let node = Served::start(&["*"], Some((name, "inspection 12/2026")), |directory| {
            slice(directory, grants, vec![put(&an(), &[1])])
        })
        .await;
        let status = get(&node, "a", AN).await.unwrap_err();
        assert_eq!(Reason::of(&status), Some(reason));
        assert!(status.message().contains("inspection 12/2026"));
        let mut client = NodeServiceClient::new(node.channel().await);
        let answer = client.get_status(GetStatusRequest {}).await.unwrap().into_inner();
        assert_eq!(answer.state(), state);
        assert!(answer.explanation.contains("inspection 12/2026"));
    }
}

/// A node whose gate is closed until removals have come.
async fn narrowing() -> Served {
    let node = Served::start(&["*"], None, |directory| {
        let grants = vec![grant(1, "a", BOTH, &[Field::Sex, Field::FullName])];
        slice(directory, grants, vec![put(&an(), &[1])])
    })
    .await;
    let mut narrower = policy(2, vec![grant(1, "a", BOTH, &[Field::Sex])]);
    narrower.readable.clone_from(&narrower.target);
    narrower.zones = vec![dancu_proto::hub::v1::Zone { up_to: 0, policies: vec![2] }];
    narrower.removals_follow = true;
    node.slice.apply_policy(narrower).unwrap();
    node
}

#[tokio::test]
async fn a_call_waits_for_a_narrowing_and_is_answered_under_the_new_policy() {
    let node = narrowing().await;
    let slice = node.slice.clone();
    let removals = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(200));
        let last = Delta { target: 2, position: 2, last: true, narrowing: true, changes: changes(vec![]) };
        slice.apply_delta(&last).unwrap();
    });
    let citizen = get(&node, "a", AN).await.unwrap();
    assert!(citizen.full_name.is_none() && citizen.sex == an().sex);
    removals.await.unwrap();
}

#[tokio::test]
async fn a_call_waits_no_longer_than_its_deadline() {
    let node = narrowing().await;
    let message =
        GetCitizenRequest { context: why("a"), personal_id: AN.into(), fields: vec![], remote: false };
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_millis(500));
    let status = node.client().await.get_citizen(request).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::SliceNarrowing), "{status}");
}

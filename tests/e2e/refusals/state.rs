//! What is refused for how it is with the node: one node, from its first day to its last; and another, whose
//! disk fails.

use std::{fs, time::Duration};

use dancu_proto::{
    Reason,
    node::v1::{
        GetCitizenResponse, VerifySliceRequest, WatchCitizensRequest, node_service_client::NodeServiceClient,
    },
    v1::{AccessOperation, Citizen},
};
use dancu_tests::testkit::{Agreement, Caller, Hub, Node, eventually};
use rocksdb::{DBWithThreadMode, IteratorMode, MultiThreaded, Options};
use serde_json::Value;
use tonic::{Response, Status, Streaming};
use tonic_types::StatusExt;

use super::{
    Met, agreement, apply_with,
    asked::{by_every_call, get},
    resident, why,
};

/// Asks until the answer is a refusal for a reason, which may be for a moment only.
async fn until(
    caller: &Caller,
    one: &Citizen,
    reason: Reason,
) -> Result<Response<GetCitizenResponse>, Status> {
    for _ in 0..1_500 {
        let answer = get(caller, "p", &one.personal_id, false).await;
        if answer.as_ref().is_err_and(|status| Reason::of(status) == Some(reason)) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} was not met", reason.name());
}

/// Asks until there is an answer: a node that was started again is connected to anew.
async fn until_answered(caller: &Caller, one: &Citizen) {
    eventually("an answer", || async { get(caller, "p", &one.personal_id, false).await.is_ok() }).await;
}

/// A node that is down believes that it last heard the hub longer ago than it did.
fn heard_ten_minutes_ago(node: &Node) {
    let file = node.data().join("contact.json");
    let mut contact: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    contact["last_heard"] = (contact["last_heard"].as_i64().unwrap() - 600).into();
    fs::write(file, contact.to_string()).unwrap();
}

pub(super) async fn of_a_node(hub: &Hub, people: &[Citizen], met: &mut Met) {
    let one = resident(people, "01", true);
    let id = one.personal_id.as_str();
    let mut node = hub.enroll("court", "court").await;
    let caller = Caller::add(&node, "clerk", "*", &[]).await;
    until(&caller, one, Reason::NoAgreement).await.unwrap_err();
    met.by_every_call(&caller, "p", one, Reason::NoAgreement, "ask the hub's operator to apply one").await;

    // What follows takes as long as the test wants.
    node.line.slow_down(Some(2_000));
    let fields = ["full_name", "date_of_birth", "sex", "permanent_residence", "father", "mother"];
    let everyone = agreement("everyone", "court", "p", &fields);
    let reconcile = ("\"verify\"", "\"verify\", \"reconcile\"");
    apply_with(hub, &everyone, reconcile.0, reconcile.1).await;
    let answer = until(&caller, one, Reason::SliceLoading).await;
    let refused =
        met.refused_on_record(AccessOperation::Get, answer, Reason::SliceLoading, "try again later");
    assert!(refused.get_details_retry_info().is_some());
    met.by_every_call(&caller, "p", one, Reason::SliceLoading, "try again later").await;
    node.line.slow_down(None);
    node.reaches(hub.head().await).await;
    get(&caller, "p", id, false).await.unwrap();

    // Who lives elsewhere is to be removed.
    node.line.slow_down(Some(300));
    let narrower = Agreement { version: 2, provinces: vec!["01".into()], ..everyone };
    apply_with(hub, &narrower, reconcile.0, reconcile.1).await;
    let answer = until(&caller, one, Reason::SliceNarrowing).await;
    let refused =
        met.refused_on_record(AccessOperation::Get, answer, Reason::SliceNarrowing, "try again shortly");
    assert!(refused.get_details_retry_info().is_some());
    node.line.slow_down(None);
    node.reaches(hub.head().await).await;
    get(&caller, "p", id, false).await.unwrap();

    // What came after is not kept any more, or never was.
    let watch = WatchCitizensRequest { context: why("p"), cursor: "0".repeat(32), fields: Vec::new() };
    let answer = caller.citizens().watch_citizens(watch).await;
    let expired = Reason::CursorExpired;
    met.refused_on_record(AccessOperation::Watch, answer, expired, "follow again without a cursor");

    node.cli(&["seal"]).await.unwrap();
    met.by_every_call(&caller, "p", one, Reason::SliceSealed, "ask the node's operator").await;
    node.cli(&["unseal"]).await.unwrap();
    node.is("serving").await;

    let hasty = Agreement { offline_limit: "1m".into(), ..agreement("hasty", "court", "hasty", &fields) };
    apply_with(hub, &hasty, reconcile.0, reconcile.1).await;
    node.reaches(hub.head().await).await;
    node.line.cut();
    node.stop();
    heard_ten_minutes_ago(&node);
    node.start().await;
    until_answered(&caller, one).await;
    let passed = Reason::OfflineLimitPassed;
    met.by_every_call(&caller, "hasty", one, passed, "restore the line to the hub").await;
    node.line.restore();
    node.is("serving").await;

    hub.cli(&["node", "suspend", "court", "--reason", "inspection 12/2026"]).await.unwrap();
    node.is("suspended").await;
    let suspended = "inspection 12/2026; look-ups are refused until that operator resumes it";
    met.by_every_call(&caller, "p", one, Reason::NodeSuspended, suspended).await;
    hub.cli(&["node", "resume", "court"]).await.unwrap();
    node.is("serving").await;
    hub.cli(&["node", "revoke", "court", "--reason", "closed 12/2026"]).await.unwrap();
    node.is("revoked").await;
    let revoked = "closed 12/2026; the slice is erased, ask that operator";
    met.by_every_call(&caller, "p", one, Reason::NodeRevoked, revoked).await;
    node.stop();
    met.are_recorded_at(&node);
}

/// What is refused for the disk of a node, and when it goes down.
pub(super) async fn of_its_disk_and_its_end(hub: &Hub, people: &[Citizen], met: &mut Met) {
    let insured = agreement("insured", "insurance", "p", &["full_name", "date_of_birth"]);
    apply_with(hub, &insured, "\"verify\"", "\"verify\", \"reconcile\"").await;
    let mut node = hub.enroll("insurance", "insurance").await;
    node.reaches(hub.head().await).await;
    let caller = Caller::add(&node, "clerk", "p", &[]).await;
    let one = &people[0];
    get(&caller, "p", &one.personal_id, false).await.unwrap();

    // A back-end that follows, and the operator's own call, which waits for the hub, when the node is told
    // to stop.
    let watch = WatchCitizensRequest { context: why("p"), ..Default::default() };
    let mut changes = caller.citizens().watch_citizens(watch).await.unwrap().into_inner();
    changes.message().await.unwrap().unwrap();
    node.line.slow_down(Some(1));
    let mut operator = NodeServiceClient::new(node.channel().await.unwrap());
    let mut proof = operator.verify_slice(VerifySliceRequest {}).await.unwrap().into_inner();
    node.stop();
    met.refused(ended(&mut changes).await, Reason::ShuttingDown, "follow again with your cursor");
    met.refused(ended(&mut proof).await, Reason::ShuttingDown, "connect again");

    damage(&node);
    node.line.cut();
    node.start().await;
    let answer = until(&caller, one, Reason::Storage).await;
    met.refused_on_record(AccessOperation::Get, answer, Reason::Storage, "tell the node's operator");
    node.stop();
    met.are_recorded_at(&node);

    node.configure("[access_log]\nreserve_mb = 1000000000").await;
    until(&caller, one, Reason::AccessNotRecorded).await.unwrap_err();
    for (_, answer) in by_every_call(&caller, "p", one).await {
        met.refused(answer, Reason::AccessNotRecorded, "make room");
    }
}

/// How a stream ends.
async fn ended<T>(stream: &mut Streaming<T>) -> Result<(), Status> {
    while stream.message().await?.is_some() {}
    Ok(())
}

/// Overwrites the records of a node that is down, as a failing disk might.
fn damage(node: &Node) {
    let path = node.data().join("slice");
    let tables = ["default", "slice", "records", "incoming", "changes"];
    let database = DBWithThreadMode::<MultiThreaded>::open_cf(&Options::default(), path, tables).unwrap();
    let records = database.cf_handle("records").unwrap();
    let keys = database.iterator_cf(&records, IteratorMode::Start).map(|row| row.unwrap().0);
    let keys: Vec<_> = keys.collect();
    assert!(!keys.is_empty());
    keys.iter().for_each(|key| database.put_cf(&records, key, [0xff; 7]).unwrap());
}

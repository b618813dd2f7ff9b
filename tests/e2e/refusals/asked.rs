//! What is refused for what is asked, for which purpose and by whom.

use std::time::Duration;

use dancu_proto::{
    Reason,
    node::v1::{
        BatchGetCitizensRequest, FindCitizenRequest, GetCitizenRequest, GetCitizenResponse,
        ListInterestsRequest, NameAndBirth, ReconcileCitizensRequest, RegisterInterestRequest,
        ReportAccessRequest, VerifyCitizenRequest, VerifySliceRequest, WatchCitizensRequest,
        WithdrawInterestRequest, find_citizen_request::Criterion,
    },
    v1::{AccessContext, AccessOperation, Citizen},
};
use dancu_tests::testkit::{Agreement, Caller, Hub, eventually};
use tonic::{Request, Response, Status};
use tonic_types::StatusExt;

use super::{Met, UNKNOWN, agreement, apply_with, resident, why};

/// Asks about somebody by number, for no longer than a narrowing is waited for.
pub(super) async fn get(
    caller: &Caller,
    purpose: &str,
    id: &str,
    remote: bool,
) -> Result<Response<GetCitizenResponse>, Status> {
    let message =
        GetCitizenRequest { context: why(purpose), personal_id: id.into(), fields: Vec::new(), remote };
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_millis(900));
    caller.citizens().get_citizen(request).await
}

/// Asks about somebody by every call there is for it.
pub(super) async fn by_every_call(
    caller: &Caller,
    purpose: &str,
    one: &Citizen,
) -> Vec<(AccessOperation, Result<(), Status>)> {
    let (context, id) = (why(purpose), one.personal_id.clone());
    let mut client = caller.citizens();
    let mut answers = vec![(AccessOperation::Get, get(caller, purpose, &id, false).await.map(drop))];
    let batch = BatchGetCitizensRequest {
        context: context.clone(),
        personal_ids: vec![id.clone()],
        ..Default::default()
    };
    let answer = match client.batch_get_citizens(batch).await {
        Ok(answers) => answers.into_inner().message().await.map(drop),
        Err(refused) => Err(refused),
    };
    answers.push((AccessOperation::Batch, answer));
    let known = NameAndBirth {
        full_name: one.full_name.clone().unwrap_or_default().full(),
        date_of_birth: one.date_of_birth,
    };
    let criterion = Some(Criterion::NameAndBirth(known));
    let find = FindCitizenRequest { context: context.clone(), criterion, fields: Vec::new() };
    answers.push((AccessOperation::Find, client.find_citizen(find).await.map(drop)));
    let verify = VerifyCitizenRequest { context: context.clone(), personal_id: id, claim: Some(one.clone()) };
    answers.push((AccessOperation::Verify, client.verify_citizen(verify).await.map(drop)));
    let reconcile = ReconcileCitizensRequest { context, disclose: true, records: vec![one.clone()] };
    let answer = match client.reconcile_citizens(tokio_stream::iter([reconcile])).await {
        Ok(answers) => answers.into_inner().message().await.map(drop),
        Err(refused) => Err(refused),
    };
    answers.push((AccessOperation::Reconcile, answer));
    let watch = WatchCitizensRequest { context: why(purpose), ..Default::default() };
    answers.push((AccessOperation::Watch, client.watch_citizens(watch).await.map(drop)));
    answers
}

impl Met {
    /// Every call about somebody is refused for the same reason.
    pub(super) async fn by_every_call(
        &mut self,
        caller: &Caller,
        purpose: &str,
        one: &Citizen,
        reason: Reason,
        says: &str,
    ) {
        for (operation, answer) in by_every_call(caller, purpose, one).await {
            self.refused_on_record(operation, answer, reason, says);
        }
    }
}

/// What a back-end of an agency with several agreements is refused.
pub(super) async fn at_a_node(hub: &Hub, people: &[Citizen], met: &mut Met) {
    let agency = "one-stop";
    let plain = agreement("plain", agency, "plain", &["full_name", "sex"]);
    apply_with(hub, &plain, "\"verify\"", "\"verify\", \"reconcile\"").await;
    let compare = agreement("compare", agency, "compare", &["sex"]);
    apply_with(hub, &compare, "\"lookup\", ", "").await;
    let listed = agreement("listed", agency, "listed", &["full_name", "date_of_birth"]);
    let document = listed.document().replace("\"verify\"", "\"verify\", \"reconcile\"");
    assert!(document.contains("officers = \"vouched\"\n"));
    std::fs::write(hub.data_dir().join("listed.toml"), document.replace("officers = \"vouched\"\n", ""))
        .unwrap();
    hub.cli(&["agreement", "apply", hub.data_dir().join("listed.toml").to_str().unwrap()]).await.unwrap();
    let scarce = agreement("scarce", agency, "scarce", &["sex"]);
    apply_with(hub, &scarce, "[scope]", "[quota]\nper_day = 1\n[scope]").await;
    let remote =
        Agreement { provinces: vec!["96".into()], ..agreement("remote", agency, "remote", &["sex"]) };
    apply_with(hub, &remote, "\"verify\"", "\"remote_lookup\"").await;
    for id in ["interest-1", "interest-2"] {
        apply_with(hub, &agreement(id, agency, "named", &["sex"]), "nation = true", "interest = true").await;
    }
    let mut node = hub.enroll("one-stop", agency).await;
    node.reaches(hub.head().await).await;
    let purposes = "plain,compare,listed,scarce,remote,named,other";
    let caller = Caller::add(&node, "portal", purposes, &[]).await;
    let (one, id) = (&people[0], people[0].personal_id.as_str());
    get(&caller, "plain", id, false).await.unwrap();

    malformed(&caller, met).await;
    met.by_every_call(&caller, "not-bound", one, Reason::PurposeNotAgreed, "add it to the caller").await;
    met.by_every_call(&caller, "other", one, Reason::PurposeNotAgreed, "ask the hub's operator").await;
    met.by_every_call(&caller, "listed", one, Reason::OfficerNotAllowed, "dancu-node officer add").await;
    lists(&caller, id, met).await;
    let answer = get(&caller, "compare", id, false).await;
    let (not_agreed, says) =
        (Reason::OperationNotAgreed, "ask the hub's operator for an agreement that does");
    met.refused_on_record(AccessOperation::Get, answer, not_agreed, says);
    let answer = get(&caller, "plain", id, true).await;
    met.refused_on_record(AccessOperation::Get, answer, not_agreed, says);
    let report = ReportAccessRequest { context: why("plain"), personal_id: id.into(), ..Default::default() };
    let answer = caller.notices().report_access(report).await;
    met.refused_on_record(AccessOperation::Report, answer, not_agreed, says);
    let criterion = Some(Criterion::OldIdNumber("012345678".into()));
    let find = FindCitizenRequest { context: why("plain"), criterion, fields: Vec::new() };
    let answer = caller.citizens().find_citizen(find).await;
    met.refused_on_record(AccessOperation::Find, answer, Reason::FieldNotAgreed, "by personal number");
    let answer = get(&caller, "plain", UNKNOWN, false).await;
    met.refused_on_record(AccessOperation::Get, answer, Reason::CitizenNotFound, "check the number");
    // Nothing of a citizen is asked, and nothing recorded.
    let answer = caller.node().verify_slice(VerifySliceRequest {}).await;
    met.refused(answer, Reason::CallerNotAllowed, "the node's operator may, at its Unix socket");

    get(&caller, "scarce", id, false).await.unwrap();
    let answer = get(&caller, "scarce", id, false).await;
    let refused = met.refused_on_record(AccessOperation::Get, answer, Reason::QuotaExceeded, "tomorrow");
    let retry = refused.get_details_retry_info().and_then(|info| info.retry_delay).unwrap();
    assert!(retry <= Duration::from_secs(86_400), "{retry:?}");
    let hasty = Caller::add(&node, "hasty", "plain", &["--per-second", "1"]).await;
    let mut refused = None;
    for _ in 0..50 {
        refused = refused.or(get(&hasty, "plain", id, false).await.err());
    }
    let answer = Err::<(), _>(refused.expect("fifty calls at once, of which a second allows one"));
    met.refused_on_record(AccessOperation::Get, answer, Reason::QuotaExceeded, "more slowly");

    let elsewhere = &resident(people, "96", false).personal_id;
    get(&caller, "remote", elsewhere, true).await.unwrap();
    node.line.cut();
    let answer = get(&caller, "remote", elsewhere, true).await;
    let refused =
        met.refused_on_record(AccessOperation::Remote, answer, Reason::HubUnreachable, "restore the line");
    assert!(refused.get_details_retry_info().is_some());
    get(&caller, "plain", id, false).await.unwrap();

    // On an open connection too.
    node.cli(&["client", "revoke", "portal"]).await.unwrap();
    eventually("the node to notice", || async { get(&caller, "plain", id, false).await.is_err() }).await;
    met.by_every_call(&caller, "plain", one, Reason::CallerUnknown, "ask for another").await;
    node.stop();
    met.are_recorded_at(&node);
}

/// Each call names all that is wrong with it.
async fn malformed(caller: &Caller, met: &mut Met) {
    let mut refused = |operation, status: Result<(), Status>, named: &[&str]| {
        let status = met.refused_on_record(operation, status, Reason::InvalidRequest, named[0]);
        let fields: Vec<_> = Reason::faults(&status).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, named);
    };
    let all = ["context.purpose", "context.case_number", "context.officer"];
    let mut client = caller.citizens();
    let whole =
        GetCitizenRequest { context: why("plain"), personal_id: UNKNOWN.into(), ..Default::default() };
    let get = GetCitizenRequest { context: None, ..whole.clone() };
    refused(AccessOperation::Get, client.get_citizen(get).await.map(drop), &all);
    let blank =
        AccessContext { purpose: "plain".into(), case_number: "a\u{1b}[2J".into(), officer: " ".into() };
    let get = GetCitizenRequest { context: Some(blank), ..whole.clone() };
    refused(AccessOperation::Get, client.get_citizen(get).await.map(drop), &all[1..]);
    let get = GetCitizenRequest { personal_id: format!("{UNKNOWN}0"), ..whole.clone() };
    refused(AccessOperation::Get, client.get_citizen(get).await.map(drop), &["personal_id"]);
    let get = GetCitizenRequest { fields: vec![3, 99], ..whole };
    refused(AccessOperation::Get, client.get_citizen(get).await.map(drop), &["fields[1]"]);
    let batch = BatchGetCitizensRequest { context: why("plain"), ..Default::default() };
    refused(AccessOperation::Batch, client.batch_get_citizens(batch).await.map(drop), &["personal_ids"]);
    let find = FindCitizenRequest { context: why("plain"), ..Default::default() };
    refused(AccessOperation::Find, client.find_citizen(find).await.map(drop), &["criterion"]);
    let verify =
        VerifyCitizenRequest { context: why("plain"), personal_id: UNKNOWN.into(), ..Default::default() };
    refused(AccessOperation::Verify, client.verify_citizen(verify).await.map(drop), &["claim"]);
    let reconcile = tokio_stream::iter([ReconcileCitizensRequest::default()]);
    refused(AccessOperation::Reconcile, client.reconcile_citizens(reconcile).await.map(drop), &all);
    let silent = client.reconcile_citizens(tokio_stream::pending()).await;
    refused(AccessOperation::Reconcile, silent.map(drop), &["context"]);
    let report = ReportAccessRequest::default();
    refused(AccessOperation::Report, caller.notices().report_access(report).await.map(drop), &all);
    let interest = RegisterInterestRequest::default();
    refused(AccessOperation::Interest, caller.interests().register_interest(interest).await.map(drop), &all);
}

/// Interest lists, by each call.
async fn lists(caller: &Caller, id: &str, met: &mut Met) {
    for (purpose, reason, says) in [
        ("plain", Reason::PurposeNotAgreed, "ask the hub's operator for an agreement"),
        ("named", Reason::Conflict, "use one that only one has"),
    ] {
        let (context, personal_ids) = (why(purpose), vec![id.to_owned()]);
        let mut client = caller.interests();
        let register = RegisterInterestRequest { context: context.clone(), personal_ids };
        let withdraw =
            WithdrawInterestRequest { context: context.clone(), personal_ids: register.personal_ids.clone() };
        let answers = [
            client.register_interest(register).await.map(drop),
            client.withdraw_interest(withdraw).await.map(drop),
            client.list_interests(ListInterestsRequest { context }).await.map(drop),
        ];
        for answer in answers {
            met.refused_on_record(AccessOperation::Interest, answer, reason, says);
        }
    }
}

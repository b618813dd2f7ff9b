//! The service, over real sockets.

use std::time::Duration;

use dancu_proto::{
    Reason,
    node::v1::{
        CompleteTaskRequest, ContributionStatus, GetContributionRequest, SubmitContributionRequest,
        WatchContributionsRequest, contribution_service_client::ContributionServiceClient,
        procedure_service_client::ProcedureServiceClient,
    },
    v1::{AccessOperation, TaskAnswer, TaskEnd},
};
use tokio::time::timeout;
use tonic::{Status, transport::Channel};

use super::*;
use crate::lookup::tests::fixture::Served;

async fn start(refusal: Option<(&str, &str)>) -> (Served, ContributionServiceClient<Channel>) {
    let node = Served::start(&["birth", "look"], refusal, agreed).await;
    let client = ContributionServiceClient::new(node.channel().await);
    (node, client)
}

async fn submit(
    client: &mut ContributionServiceClient<Channel>,
    contribution: Contribution,
) -> Result<ContributionStatus, Status> {
    let request = SubmitContributionRequest { contribution: Some(contribution) };
    Ok(client.submit_contribution(request).await?.into_inner().status.unwrap())
}

#[tokio::test]
async fn what_is_queued_is_recorded_before_it_is_told_and_repeats_change_nothing() {
    let (node, mut client) = start(None).await;
    for _ in 0..2 {
        let status = submit(&mut client, missing(1)).await.unwrap();
        assert_eq!((status.state(), status.sequence), (ContributionState::Queued, 1));
    }
    let calls = node.calls();
    assert_eq!(calls.len(), 2);
    let told = &calls[0];
    assert_eq!((told.operation(), told.outcome.as_str()), (AccessOperation::Contribute, "OK"));
    assert_eq!(
        (told.caller.as_str(), told.purpose.as_str(), told.officer.as_str()),
        ("test", "birth", "CB-7")
    );
    assert_eq!((told.subjects.len(), told.subjects[0].fields.len()), (1, 0));
}

#[tokio::test]
async fn what_is_wrong_is_said_by_field_and_without_the_value() {
    let (node, mut client) = start(None).await;
    let with = |spoil: fn(&mut Contribution)| {
        let mut contribution = missing(1);
        spoil(&mut contribution);
        contribution
    };
    let refused = [
        (with(|c| c.id = "x".into()), Reason::InvalidRequest, "contribution.id"),
        (with(|c| c.document = None), Reason::InvalidRequest, "contribution.document"),
        (with(|c| c.context = None), Reason::InvalidRequest, "contribution.context.purpose"),
        (with(|c| c.context.as_mut().unwrap().purpose = "look".into()), Reason::OperationNotAgreed, ""),
        (with(|c| c.context.as_mut().unwrap().purpose = "other".into()), Reason::PurposeNotAgreed, ""),
    ];
    for (contribution, reason, field) in refused {
        let status = submit(&mut client, contribution).await.unwrap_err();
        assert_eq!(Reason::of(&status), Some(reason), "{}", status.message());
        let faults = Reason::faults(&status);
        assert_eq!(faults.first().map(|(field, _)| field.as_str()).unwrap_or_default(), field);
        assert_eq!(node.calls().last().unwrap().outcome, reason.name());
    }
    submit(&mut client, missing(1)).await.unwrap();
    let status = submit(&mut client, with(|c| c.based_on = 9)).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::AlreadyExists));
    assert_eq!(Reason::faults(&status)[0].0, "contribution.id");
    assert_eq!(node.outbox.standing().last_sequence, 1);
}

#[tokio::test]
async fn a_sealed_node_queues_by_what_was_agreed() {
    let (node, mut client) = start(None).await;
    node.slice.seal();
    let status = submit(&mut client, missing(1)).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::SliceLoading), "nothing was ever kept");
    node.slice.unseal(&crate::lookup::tests::fixture::key()).unwrap();
    node.outbox.set_agreed(&Agreed::of(&node.slice.state()).unwrap()).unwrap();
    node.slice.seal();
    assert_eq!(submit(&mut client, missing(1)).await.unwrap().sequence, 1);
    let mut look = missing(2);
    look.context.as_mut().unwrap().purpose = "look".into();
    let status = submit(&mut client, look).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::OperationNotAgreed));
}

#[tokio::test]
async fn what_is_handed_in_again_is_the_same_however_it_is_read_by_now() {
    let (node, mut client) = start(None).await;
    let mut moved = missing(1);
    let event = format!(
        r#"{{"moved":{{"members":[{{"person":{{"personal_id":"{AN}"}}}}],
            "address":{{"commune":"00004","detail":"12 Hàng Bài"}}}}}}"#
    );
    moved.event = Some(serde_json::from_str(&event).unwrap());
    assert_eq!(submit(&mut client, moved.clone()).await.unwrap().sequence, 1);
    node.outbox.set_agreed(&Agreed::of(&node.slice.state()).unwrap()).unwrap();
    // Of a sealed slice it is not known in which province a commune lies.
    node.slice.seal();
    assert_eq!(submit(&mut client, moved).await.unwrap().sequence, 1);
}

#[tokio::test]
async fn what_ended_a_task_can_be_handed_in_again_when_the_task_has_gone() {
    let (node, _) = start(None).await;
    let mut client = ProcedureServiceClient::new(node.channel().await);
    let task = TaskAnswer {
        case_id: id(9).to_string(),
        step: "register".into(),
        end: TaskEnd::Done.into(),
        ..TaskAnswer::default()
    };
    let ends = Contribution { task: Some(task), ..missing(1) };
    let mut complete = async || {
        let request = CompleteTaskRequest { contribution: Some(ends.clone()) };
        client.complete_task(request).await.map(|answer| answer.into_inner().status.unwrap().sequence)
    };
    assert_eq!(Reason::of(&complete().await.unwrap_err()), Some(Reason::NotFound));
    node.outbox.submit(Submission::new("another".into(), ends.clone())).await.unwrap();
    assert_eq!(Reason::of(&complete().await.unwrap_err()), Some(Reason::NotFound), "it is not theirs");
    let ends = Contribution { id: id(2).to_string(), ..ends.clone() };
    let (first, again) = (Submission::new("test".into(), ends.clone()), Some(ends));
    node.outbox.submit(first).await.unwrap();
    let answer = client.complete_task(CompleteTaskRequest { contribution: again }).await.unwrap();
    assert_eq!(answer.into_inner().status.unwrap().sequence, 2);
}

#[tokio::test]
async fn a_suspended_node_takes_nothing_in() {
    let (node, mut client) = start(Some(("NODE_SUSPENDED", "audit"))).await;
    let status = submit(&mut client, missing(1)).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::NodeSuspended));
    assert_eq!(node.outbox.standing().last_sequence, 0);
}

#[tokio::test]
async fn a_caller_sees_its_own_and_a_number_that_is_told_is_recorded() {
    let (node, mut client) = start(None).await;
    submit(&mut client, missing(1)).await.unwrap();
    let theirs = Submission::new("another".into(), missing(2));
    node.outbox.submit(theirs).await.unwrap();
    let of = |number| GetContributionRequest { contribution_id: id(number).to_string() };
    let status = client.get_contribution(of(2)).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::NotFound));
    let queued = read(&node.outbox.queued(1).unwrap().unwrap().1);
    node.outbox.mail(vec![outcome(&queued, ContributionState::Accepted, AN)], 1).unwrap();
    let status = client.get_contribution(of(1)).await.unwrap().into_inner().status.unwrap();
    assert_eq!(
        (status.state(), status.outcome.unwrap().personal_id.as_str()),
        (ContributionState::Accepted, AN)
    );
    let told = node.calls().pop().unwrap();
    assert_eq!((told.purpose.as_str(), told.subjects.len()), ("birth", 1));
    assert_eq!(told.subjects[0].fields, [i32::from(dancu_proto::v1::Field::PersonalId)]);
}

#[tokio::test]
async fn who_follows_is_told_each_change_and_the_stream_ends_with_the_last() {
    let (node, mut client) = start(None).await;
    for number in 1..=3 {
        submit(&mut client, missing(number)).await.unwrap();
    }
    let ids = [1, 2].map(|number| id(number).to_string()).to_vec();
    let request = WatchContributionsRequest { contribution_ids: ids, ..Default::default() };
    let mut named = client.watch_contributions(request).await.unwrap().into_inner();
    let everything = WatchContributionsRequest::default();
    let mut all = client.watch_contributions(everything).await.unwrap().into_inner();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(named.message().await.unwrap().unwrap().status.unwrap().sequence);
    }
    assert_eq!(seen, [1, 2]);
    let queued = |place| read(&node.outbox.queued(place).unwrap().unwrap().1);
    let told = [2, 3, 1].map(|place| outcome(&queued(place), ContributionState::Accepted, ""));
    for (number, told) in (1..).zip(told) {
        node.outbox.mail(vec![told], number).unwrap();
    }
    let rest = async {
        let mut rest = Vec::new();
        while let Some(told) = named.message().await.unwrap() {
            rest.push(told.status.unwrap().sequence);
        }
        rest
    };
    assert_eq!(timeout(Duration::from_secs(10), rest).await.unwrap(), [2, 1]);
    let mut last = 0;
    let mut final_ones = 0;
    while final_ones < 3 {
        let told = timeout(Duration::from_secs(10), all.message()).await.unwrap().unwrap().unwrap();
        let status = told.status.unwrap();
        assert!(status.change > last);
        last = status.change;
        final_ones += u64::from(status.state() == ContributionState::Accepted);
    }
    let after = WatchContributionsRequest { after: last, ..Default::default() };
    let mut nothing = client.watch_contributions(after).await.unwrap().into_inner();
    assert!(timeout(Duration::from_millis(200), nothing.message()).await.is_err());
    let unknown =
        WatchContributionsRequest { contribution_ids: vec![id(9).to_string()], ..Default::default() };
    let status = client.watch_contributions(unknown).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::NotFound));
}

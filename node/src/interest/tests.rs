//! Whom an agency names, over real sockets.

use dancu_proto::{
    Field, Reason,
    node::v1::{
        ListInterestsRequest, RegisterInterestRequest, WithdrawInterestRequest,
        interest_service_client::InterestServiceClient,
    },
    v1::{AccessOperation, SubjectOutcome},
};
use tonic::{Status, transport::Channel};

use crate::lookup::tests::fixture::{AN, BINH, Served, UNKNOWN, grant, slice, why};

async fn start() -> (Served, InterestServiceClient<Channel>) {
    let list = |handle, purpose| dancu_proto::hub::v1::Grant {
        interest: true,
        ..grant(handle, purpose, &["lookup"], &[Field::Sex])
    };
    let grants = vec![list(1, "a"), list(2, "b"), grant(3, "c", &["lookup"], &[Field::Sex])];
    let node = Served::start(&["a", "b", "c"], None, |directory| slice(directory, grants, vec![])).await;
    let client = InterestServiceClient::new(node.channel().await);
    (node, client)
}

async fn register(
    client: &mut InterestServiceClient<Channel>,
    purpose: &str,
    ids: &[&str],
) -> Result<u64, Status> {
    let personal_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let request = RegisterInterestRequest { context: why(purpose), personal_ids };
    Ok(client.register_interest(request).await?.into_inner().waiting)
}

#[tokio::test]
async fn what_waits_of_one_list_is_not_told_with_another() {
    let (_node, mut client) = start().await;
    assert_eq!(register(&mut client, "a", &[AN, BINH]).await.unwrap(), 2);
    assert_eq!(register(&mut client, "b", &[UNKNOWN]).await.unwrap(), 1);
    let request = ListInterestsRequest { context: why("a") };
    let mut parts = client.list_interests(request).await.unwrap().into_inner();
    assert_eq!(parts.message().await.unwrap().unwrap().waiting, 2);
}

#[tokio::test]
async fn who_is_named_withdrawn_or_listed_is_recorded_and_so_is_what_is_refused() {
    let (node, mut client) = start().await;
    let many: Vec<String> = (0..300).map(|number| format!("001085{number:06}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    register(&mut client, "a", &many).await.unwrap();
    let request = WithdrawInterestRequest { context: why("a"), personal_ids: vec![many[7].into()] };
    client.withdraw_interest(request).await.unwrap();
    let mut parts =
        client.list_interests(ListInterestsRequest { context: why("a") }).await.unwrap().into_inner();
    assert_eq!(parts.message().await.unwrap().unwrap().personal_ids.len(), 299);
    let answered = node.calls();
    let people: Vec<_> = answered.iter().map(|entry| entry.subjects.len()).collect();
    assert_eq!(people, [128, 128, 44, 1, 128, 128, 43]);
    for entry in &answered {
        assert_eq!(entry.operation(), AccessOperation::Interest);
        let by = (entry.caller.as_str(), entry.officer.as_str(), entry.purpose.as_str());
        assert_eq!((by, entry.outcome.as_str()), (("test", "CB-7", "a"), "OK"));
        let told = |subject: &dancu_proto::v1::AccessSubject| {
            (subject.outcome(), subject.fields.len()) != (SubjectOutcome::Unspecified, 0)
        };
        assert!(!entry.subjects.iter().any(told), "nothing of them is told");
    }

    let no_number = register(&mut client, "a", &["12"]).await.unwrap_err();
    let no_list = register(&mut client, "c", &[AN]).await.unwrap_err();
    let not_bound = client.list_interests(ListInterestsRequest { context: why("z") }).await.unwrap_err();
    let refused = [no_number, no_list, not_bound].map(|status| Reason::of(&status).unwrap().name());
    assert_eq!(refused, ["INVALID_REQUEST", "PURPOSE_NOT_AGREED", "PURPOSE_NOT_AGREED"]);
    let recorded = node.calls().split_off(answered.len());
    assert_eq!(recorded.iter().map(|entry| entry.outcome.as_str()).collect::<Vec<_>>(), refused);
}

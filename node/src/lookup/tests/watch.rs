//! Following what changes: who is told what, and from where on.

use std::time::Duration;

use dancu_proto::{
    Field, Reason, Record,
    hub::v1::{Change, Delta, Policy},
    node::v1::{
        BroadChange, ChangeReason, CitizenChange, CitizenChangeKind, WatchCitizensRequest,
        WatchCitizensResponse, watch_citizens_response::Event,
    },
    v1::{Citizen, Date},
};
use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::fixture::{AN, BINH, Served, an, binh, changes, grant, key, load, policy, put, slice, why};

const WATCH: &[&str] = &["lookup", "watch"];

/// `a` gives name and residence, `b` the sex and the day of death, `c` may not follow.
fn grants() -> Vec<dancu_proto::hub::v1::Grant> {
    vec![
        grant(1, "a", WATCH, &[Field::FullName, Field::PermanentResidence]),
        grant(2, "b", WATCH, &[Field::Sex, Field::DateOfDeath, Field::DateOfBirth]),
        grant(3, "c", &["lookup"], &[Field::Sex]),
    ]
}

async fn served() -> Served {
    let people = vec![put(&alive(), &[1, 2])];
    Served::start(&["a", "b", "c"], None, |directory| slice(directory, grants(), people)).await
}

fn alive() -> Citizen {
    Citizen { date_of_death: None, ..an() }
}

fn request(purpose: &str, cursor: &str) -> WatchCitizensRequest {
    WatchCitizensRequest { context: why(purpose), cursor: cursor.into(), fields: Vec::new() }
}

async fn watch(served: &Served, purpose: &str, cursor: &str) -> Streaming<WatchCitizensResponse> {
    try_watch(served, request(purpose, cursor)).await.unwrap()
}

async fn try_watch(
    served: &Served,
    request: WatchCitizensRequest,
) -> Result<Streaming<WatchCitizensResponse>, Status> {
    Ok(served.client().await.watch_citizens(request).await?.into_inner())
}

async fn next(stream: &mut Streaming<WatchCitizensResponse>) -> WatchCitizensResponse {
    let response = timeout(Duration::from_secs(10), stream.message()).await.expect("a response in time");
    response.unwrap().unwrap()
}

async fn change(stream: &mut Streaming<WatchCitizensResponse>) -> CitizenChange {
    match next(stream).await.event {
        Some(Event::Citizen(change)) => change,
        other => panic!("{other:?}"),
    }
}

fn apply(served: &Served, target: u64, list: Vec<Change>) {
    let delta = Delta { target, position: target, last: true, changes: changes(list), ..Delta::default() };
    served.slice.apply_delta(&delta).unwrap();
}

/// New values of somebody who is held.
fn set(id: &str, citizen: &Citizen) -> Change {
    Change {
        personal_id: id.parse().unwrap(),
        set: Record::encode(citizen).into_bytes(),
        ..Change::default()
    }
}

fn died() -> Citizen {
    Citizen { date_of_death: Some(Date { year: 2026, month: 11, day: 20 }), ..Citizen::default() }
}

/// Another permanent residence, as the hub tells it of somebody who leaves.
fn moved() -> u64 {
    1 << Field::PermanentResidence.number()
}

fn fields(change: &CitizenChange) -> Vec<Field> {
    change.changed.iter().map(|number| Field::try_from(*number).unwrap()).collect()
}

#[tokio::test]
async fn each_purpose_is_told_what_it_may_know_and_why() {
    let served = served().await;
    let (mut a, mut b) = (watch(&served, "a", "").await, watch(&served, "b", "").await);
    let begun = next(&mut a).await;
    assert!(begun.event.is_none() && !begun.cursor.is_empty() && begun.freshness.is_some());
    next(&mut b).await;

    apply(&served, 2, vec![set(AN, &died())]);
    let told = change(&mut b).await;
    assert_eq!((told.personal_id.as_str(), told.kind()), (AN, CitizenChangeKind::Changed));
    assert_eq!(fields(&told), [Field::DateOfDeath]);
    assert_eq!(told.reasons().collect::<Vec<_>>(), [ChangeReason::Death]);
    let citizen = told.citizen.unwrap();
    assert_eq!(citizen.date_of_death, died().date_of_death);
    assert!(citizen.full_name.is_none() && citizen.sex.is_empty(), "what did not change is not told");

    // The next thing that `a` hears of is not that.
    let mut moved = an().permanent_residence.unwrap();
    moved.detail = "Số 9".into();
    let home = Citizen { permanent_residence: Some(moved), ..Citizen::default() };
    apply(&served, 3, vec![set(AN, &home)]);
    let told = change(&mut a).await;
    assert_eq!(fields(&told), [Field::PermanentResidence]);
    assert_eq!(told.reasons().collect::<Vec<_>>(), [ChangeReason::Move]);

    let birth = Citizen { date_of_birth: Some(Date { year: 1986, month: 1, day: 2 }), ..Citizen::default() };
    apply(&served, 4, vec![set(AN, &birth)]);
    let told = change(&mut b).await;
    assert_eq!(
        (fields(&told), told.reasons().collect::<Vec<_>>()),
        (vec![Field::DateOfBirth], vec![ChangeReason::Correction])
    );
}

#[tokio::test]
async fn people_enter_and_leave_a_purpose() {
    let served = served().await;
    let (mut a, mut b) = (watch(&served, "a", "").await, watch(&served, "b", "").await);
    next(&mut a).await;
    next(&mut b).await;
    apply(&served, 2, vec![put(&binh(), &[1])]);
    let told = change(&mut a).await;
    assert_eq!((told.personal_id.as_str(), told.kind()), (BINH, CitizenChangeKind::Entered));
    assert_eq!(fields(&told), [Field::PersonalId, Field::FullName]);
    assert!(told.reasons.is_empty() && told.citizen.unwrap().date_of_birth.is_none());

    // Covered by another agreement now: one purpose loses them, the other learns of them.
    let regranted = Change { departure: moved(), set: vec![], ..put(&binh(), &[2]) };
    apply(&served, 3, vec![regranted]);
    let told = change(&mut a).await;
    assert_eq!((told.personal_id.as_str(), told.kind()), (BINH, CitizenChangeKind::Left));
    assert_eq!(told.reasons().collect::<Vec<_>>(), [ChangeReason::Move]);
    assert!(told.changed.is_empty() && told.citizen.is_none());
    let told = change(&mut b).await;
    assert_eq!((told.kind(), told.reasons.len()), (CitizenChangeKind::Entered, 0));

    let gone =
        Change { personal_id: BINH.parse().unwrap(), drop: true, departure: moved(), ..Change::default() };
    apply(&served, 4, vec![gone]);
    let told = change(&mut b).await;
    assert_eq!(told.kind(), CitizenChangeKind::Left);
    assert!(told.reasons.is_empty(), "`b` may not know where people live");
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_was() {
    let served = served().await;
    let mut stream = watch(&served, "b", "").await;
    let start = next(&mut stream).await.cursor;
    drop(stream);
    for (revision, sex) in (2..).zip(["1", "2", "1"]) {
        apply(&served, revision, vec![set(AN, &Citizen { sex: sex.into(), ..Citizen::default() })]);
    }
    let mut stream = watch(&served, "b", &start).await;
    let (first, second) = (next(&mut stream).await, next(&mut stream).await);
    // Values are those of now.
    for told in [&first, &second] {
        let Some(Event::Citizen(change)) = &told.event else { panic!("{told:?}") };
        assert_eq!(change.citizen.as_ref().unwrap().sex, "1");
    }
    let mut again = watch(&served, "b", &first.cursor).await;
    assert_eq!(next(&mut again).await.event, second.event);
    // Over a restart of the slice.
    served.slice.seal();
    served.slice.unseal(&key()).unwrap();
    let mut again = watch(&served, "b", &first.cursor).await;
    assert_eq!(next(&mut again).await.event, second.event);
    // Only what is of interest.
    let fields = vec![dancu_proto::v1::Field::from(Field::DateOfDeath).into()];
    let request = WatchCitizensRequest { fields, ..request("b", &start) };
    let mut narrow = try_watch(&served, request).await.unwrap();
    assert!(next(&mut narrow).await.event.is_none());
    apply(&served, 5, vec![set(AN, &died())]);
    assert_eq!(fields_of(&next(&mut narrow).await), [Field::DateOfDeath]);
}

fn fields_of(response: &WatchCitizensResponse) -> Vec<Field> {
    match &response.event {
        Some(Event::Citizen(change)) => fields(change),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn who_may_not_follow_is_told_why() {
    let served = served().await;
    let reason = |request| async {
        let refused = try_watch(&served, request).await.unwrap_err();
        Reason::of(&refused).unwrap()
    };
    assert_eq!(reason(request("c", "")).await, Reason::OperationNotAgreed);
    assert_eq!(reason(request("d", "")).await, Reason::PurposeNotAgreed);
    assert_eq!(reason(request("a", "?")).await, Reason::InvalidRequest);
    assert_eq!(reason(request("a", &"A".repeat(60))).await, Reason::CursorExpired);
    assert_eq!(reason(WatchCitizensRequest::default()).await, Reason::InvalidRequest);
    // Each is on record.
    let recorded = served.calls();
    let names = ["OPERATION_NOT_AGREED", "PURPOSE_NOT_AGREED", "INVALID_REQUEST", "CURSOR_EXPIRED"];
    names.iter().for_each(|name| assert!(recorded.iter().any(|entry| entry.outcome == *name), "{name}"));
}

#[tokio::test]
async fn what_concerns_many_is_told_as_one() {
    let served = served().await;
    let mut stream = watch(&served, "a", "").await;
    let begun = next(&mut stream).await.cursor;
    // A wider agreement, and what it brings.
    let mut wider = grants();
    wider[0] = grant(1, "a", WATCH, &[Field::FullName, Field::PermanentResidence, Field::Email]);
    served.slice.apply_policy(Policy { readable: grants(), ..policy(2, wider) }).unwrap();
    let more = put(&binh(), &[1]);
    served.slice.apply_load(load(2, vec![put(&alive(), &[1, 2]), more])).unwrap();
    assert_eq!(next(&mut stream).await.event, Some(Event::Broad(BroadChange::Agreements.into())));
    // An agreement that may not be followed any more: what was kept is gone, and so is the series.
    served.slice.apply_policy(policy(3, vec![grant(1, "a", &["lookup"], &[Field::FullName])])).unwrap();
    let ended = timeout(Duration::from_secs(10), stream.message()).await.unwrap().unwrap_err();
    assert_eq!(Reason::of(&ended), Some(Reason::OperationNotAgreed));
    served.slice.apply_policy(policy(4, grants())).unwrap();
    served.slice.apply_load(load(4, vec![])).unwrap();
    let refused = try_watch(&served, request("a", &begun)).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::CursorExpired));
}

#[tokio::test]
async fn a_seal_ends_it() {
    let served = served().await;
    let mut stream = watch(&served, "a", "").await;
    next(&mut stream).await;
    served.slice.seal();
    let ended = timeout(Duration::from_secs(10), stream.message()).await.unwrap().unwrap_err();
    assert_eq!(Reason::of(&ended), Some(Reason::SliceSealed));
}

#[tokio::test]
async fn what_came_under_another_version_of_an_agreement_is_told_to_nobody() {
    let served = served().await;
    let mut stream = watch(&served, "a", "").await;
    let cursor = next(&mut stream).await.cursor;
    drop(stream);
    apply(&served, 2, vec![put(&binh(), &[1])]);
    // The agreement goes to another purpose, and gives more than it did.
    let mut others = grants();
    others[0] = grant(1, "c", WATCH, &[Field::FullName, Field::PermanentResidence, Field::DateOfBirth]);
    others[2] = grant(3, "a", WATCH, &[Field::Sex]);
    served.slice.apply_policy(Policy { readable: grants(), ..policy(3, others) }).unwrap();
    served.slice.apply_load(load(3, vec![])).unwrap();
    for purpose in ["a", "c"] {
        let mut stream = watch(&served, purpose, &cursor).await;
        let told = next(&mut stream).await.event;
        assert_eq!(told, Some(Event::Broad(BroadChange::Agreements.into())), "{purpose}");
    }
    // Whose agreements are as they were goes on as before.
    apply(&served, 4, vec![set(AN, &died())]);
    let mut stream = watch(&served, "b", &cursor).await;
    assert_eq!(change(&mut stream).await.personal_id, AN);
}

#[tokio::test]
async fn a_purpose_with_two_agreements_is_told_what_one_of_them_takes_away() {
    let both = vec![
        grant(1, "a", WATCH, &[Field::FullName]),
        grant(2, "a", WATCH, &[Field::Sex, Field::Email]),
        grant(3, "b", &["lookup"], &[Field::Email]),
    ];
    let fill = |directory: &std::path::Path| slice(directory, both, vec![put(&alive(), &[1, 2, 3])]);
    let served = Served::start(&["a"], None, fill).await;
    let mut stream = watch(&served, "a", "").await;
    next(&mut stream).await;
    // The third agreement still has the address held.
    let marks = put(&alive(), &[1, 3]).grants;
    let cleared = 1 << Field::Sex.number();
    let narrower = Change { personal_id: AN.parse().unwrap(), grants: marks, cleared, ..Change::default() };
    apply(&served, 2, vec![narrower]);
    let told = change(&mut stream).await;
    assert_eq!((told.kind(), fields(&told)), (CitizenChangeKind::Changed, vec![Field::Sex, Field::Email]));
    let citizen = told.citizen.unwrap();
    assert!(citizen.sex.is_empty() && citizen.email.is_empty());
}

#[tokio::test]
async fn who_may_know_a_field_is_told_that_it_came_into_question() {
    let served = served().await;
    let (mut a, mut b) = (watch(&served, "a", "").await, watch(&served, "b", "").await);
    next(&mut a).await;
    next(&mut b).await;
    let mut revision = 1;
    let mut question = |fields: &[Field]| {
        revision += 1;
        let mut told = dancu_proto::Delta::default();
        told.tell_in_question(fields.iter().copied().collect());
        let personal_id = AN.parse().unwrap();
        apply(&served, revision, vec![Change { personal_id, set: told.set, ..Change::default() }]);
    };
    let listed = |fields: &[Field]| -> Vec<i32> {
        fields.iter().map(|field| dancu_proto::v1::Field::from(*field).into()).collect()
    };
    // Neither a move nor a correction.
    question(&[Field::PermanentResidence]);
    let told = change(&mut a).await;
    assert_eq!(fields(&told), [Field::PermanentResidence]);
    assert_eq!(told.reasons().collect::<Vec<_>>(), [ChangeReason::Question]);
    let citizen = told.citizen.unwrap();
    assert_eq!(citizen.in_question, listed(&[Field::PermanentResidence]));
    assert_eq!(citizen.permanent_residence, an().permanent_residence);

    // One of each; the day of death has no value.
    question(&[Field::PermanentResidence, Field::FullName, Field::DateOfBirth, Field::DateOfDeath]);
    let told = change(&mut a).await;
    assert_eq!(
        (fields(&told), told.citizen.unwrap().in_question),
        (vec![Field::FullName], listed(&[Field::FullName]))
    );
    let told = change(&mut b).await;
    assert_eq!(fields(&told), [Field::DateOfBirth, Field::DateOfDeath]);
    assert_eq!(told.reasons().collect::<Vec<_>>(), [ChangeReason::Question]);
    assert_eq!(told.citizen.unwrap().in_question, listed(&[Field::DateOfBirth, Field::DateOfDeath]));

    question(&[Field::FullName, Field::DateOfBirth, Field::DateOfDeath]);
    let told = change(&mut a).await;
    assert_eq!(fields(&told), [Field::PermanentResidence]);
    assert!(told.citizen.unwrap().in_question.is_empty(), "it is settled");
    question(&[]);
    assert!(change(&mut a).await.citizen.unwrap().in_question.is_empty());
    assert_eq!(fields(&change(&mut b).await), [Field::DateOfBirth, Field::DateOfDeath]);
}

#[tokio::test]
async fn who_enters_is_told_with_what_is_in_question() {
    let served = served().await;
    let mut b = watch(&served, "b", "").await;
    next(&mut b).await;
    let in_question = [Field::DateOfDeath, Field::FullName].into_iter().collect();
    let set = Record::encode(&binh()).with_in_question(in_question).into_bytes();
    apply(&served, 2, vec![Change { set, ..put(&binh(), &[2]) }]);
    let told = change(&mut b).await;
    assert_eq!(told.kind(), CitizenChangeKind::Entered);
    let known = [Field::PersonalId, Field::DateOfBirth, Field::Sex, Field::DateOfDeath];
    assert_eq!(fields(&told), known, "also what may have a value");
    let death: i32 = dancu_proto::v1::Field::DateOfDeath.into();
    assert_eq!(told.citizen.unwrap().in_question, [death]);
}

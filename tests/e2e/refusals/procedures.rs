//! What is refused of tasks, cases and forms: at the node for what it knows, and by the hub for the rest.

use std::collections::HashMap;

use dancu_proto::{
    Reason,
    node::v1::{
        CompleteTaskRequest, GetCaseRequest, ListTasksRequest, PrefillFormRequest, SubmitContributionRequest,
        WatchContributionsRequest,
    },
    v1::{
        AccessContext, AccessOperation, Citizen, Contribution, ContributionOutcome, ContributionState,
        RejectionReason, Task, TaskAnswer, TaskEnd,
    },
};
use dancu_tests::testkit::{Caller, Hub, Node, eventually};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::offset};
use tonic::Status;
use uuid::Uuid;

use super::{Met, UNKNOWN, why};

const BIRTHS: &str = "3.000722";
/// The same procedure, under an agreement whose officers the node's operator lists.
const LISTED: &str = "2.002621";
const RESIDENCE: &str = "permanent-residence";
const CARD: &str = "health-insurance-card";

/// An agreement of the nation: id, agency, purpose, what may be done, and by which officers.
async fn agree(hub: &Hub, id: &str, agency: &str, purpose: &str, operations: &str, officers: &str) {
    let document = format!(
        "id = {id:?}\nversion = 1\nagency = {agency:?}\ntitle = \"A test\"\nlegal_basis = [\"63/2024/NĐ-CP\"]\n\
         valid_from = 2020-01-01\n{operations}\nfields = [\"full_name\", \"permanent_residence\"]\n\
         offline_limit = \"30d\"\nofficers = {officers:?}\n[[purposes]]\ncode = {purpose:?}\ntitle = \"A test\"\n\
         [scope]\nnation = true\n"
    );
    let file = hub.data_dir().join("procedures.toml");
    std::fs::write(&file, document).unwrap();
    hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap();
}

fn in_role(role: &str) -> String {
    format!("operations = [\"lookup\", \"contribute\"]\ncontributes_as = [{role:?}]")
}

/// The day, Asia/Ho_Chi_Minh.
fn today() -> String {
    OffsetDateTime::now_utc().to_offset(offset!(+7)).date().to_string()
}

/// What an office hands in.
fn contribution(purpose: &str, event: Value) -> Contribution {
    let today = today();
    let written = json!({
        "id": Uuid::now_v7().to_string(),
        "context": { "purpose": purpose, "case_number": "H-1", "officer": "lan" },
        "effective_date": today, "event": event,
        "document": { "number": "7/2026", "date": today, "issued_by": "UBND" },
    });
    serde_json::from_value(written).unwrap()
}

/// An end of a task, without an event.
fn answer(purpose: &str, case: &str, step: &str, answers: &[(&str, &str)]) -> Contribution {
    let answers = answers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let task = TaskAnswer {
        case_id: case.into(),
        step: step.into(),
        end: TaskEnd::Done.into(),
        answers: answers.collect(),
        ..TaskAnswer::default()
    };
    Contribution {
        id: Uuid::now_v7().to_string(),
        context: why(purpose),
        task: Some(task),
        ..Contribution::default()
    }
}

/// The tasks under a purpose.
async fn tasks(caller: &Caller, context: Option<AccessContext>) -> Result<Vec<Task>, Status> {
    let request = ListTasksRequest { context, procedure: String::new() };
    let mut stream = caller.procedures().list_tasks(request).await?.into_inner();
    let mut tasks = Vec::new();
    while let Some(row) = stream.message().await? {
        tasks.extend(row.task);
    }
    Ok(tasks)
}

async fn complete(caller: &Caller, contribution: Contribution) -> Result<(), Status> {
    let request = CompleteTaskRequest { contribution: Some(contribution) };
    caller.procedures().complete_task(request).await.map(drop)
}

async fn fill(caller: &Caller, purpose: &str, form: &str, persons: &[(&str, &str)]) -> Result<(), Status> {
    let persons = persons.iter().map(|(role, number)| ((*role).to_owned(), (*number).to_owned()));
    let request = PrefillFormRequest { context: why(purpose), form: form.into(), persons: persons.collect() };
    caller.procedures().prefill_form(request).await.map(drop)
}

async fn case(caller: &Caller, purpose: &str, id: &str) -> Result<(), Status> {
    let request = GetCaseRequest { context: why(purpose), case_id: id.into(), ..Default::default() };
    caller.procedures().get_case(request).await.map(drop)
}

/// What became of a contribution.
async fn outcome(caller: &Caller, id: &str) -> ContributionOutcome {
    let request = WatchContributionsRequest { contribution_ids: vec![id.to_owned()], ..Default::default() };
    let mut stream = caller.contributions().watch_contributions(request).await.unwrap().into_inner();
    let mut last = None;
    while let Some(told) = stream.message().await.unwrap() {
        last = told.status.and_then(|status| status.outcome);
    }
    last.expect("an outcome")
}

fn is_rejected(outcome: &ContributionOutcome, reason: RejectionReason, fields: &[&str]) {
    assert_eq!((outcome.state(), outcome.reason()), (ContributionState::Rejected, reason), "{outcome:?}");
    assert_eq!(outcome.fields, fields);
}

/// Residence and insurance, and civil status that opens a case.
struct Offices {
    police: (Node, Caller),
    vss: (Node, Caller),
    justice: (Node, Caller),
}

impl Offices {
    async fn open(hub: &Hub) -> Offices {
        agree(hub, "justice", "justice", BIRTHS, &in_role("civil-status"), "vouched").await;
        agree(hub, "police", "police", BIRTHS, &in_role("residence"), "vouched").await;
        agree(hub, "police-listed", "police", LISTED, &in_role("residence"), "listed").await;
        agree(hub, "police-health", "police", "health", &in_role("health"), "vouched").await;
        agree(hub, "police-moves", "police", "1.004222", &in_role("residence"), "vouched").await;
        agree(hub, "police-asks", "police", "asks", "operations = [\"lookup\"]", "vouched").await;
        let hands_in = "operations = [\"contribute\"]\ncontributes_as = [\"residence\"]";
        agree(hub, "police-tells", "police", "tells", hands_in, "vouched").await;
        agree(hub, "insurer", "insurer", BIRTHS, &in_role("social-insurance"), "vouched").await;
        let office = async |agency: &str| {
            let node = hub.enroll(&format!("{agency}-n"), agency).await;
            node.reaches(hub.head().await).await;
            let purposes = format!("{BIRTHS},{LISTED},health,1.004222,asks,tells,other");
            let caller = Caller::add(&node, "office", &purposes, &[]).await;
            (node, caller)
        };
        Offices {
            police: office("police").await,
            vss: office("insurer").await,
            justice: office("justice").await,
        }
    }

    /// A birth, and the case that it opens.
    async fn birth(&self, mother: &Citizen) -> String {
        let today = OffsetDateTime::now_utc().to_offset(offset!(+7)).date().to_string();
        let commune = &mother.permanent_residence.as_ref().unwrap().commune;
        let child = json!({
            "full_name": "Nguyễn Thị Hoa", "date_of_birth": today, "sex": "2",
            "place_of_birth": { "commune": commune }, "place_of_birth_registration": { "commune": commune },
        });
        let event = json!({ "birth": { "child": child, "mother": { "personal_id": mother.personal_id } } });
        let mut birth = contribution(BIRTHS, event);
        birth.opens = serde_json::from_value(json!({ "procedure": "lien-thong-khai-sinh" })).unwrap();
        let id = birth.id.clone();
        let request = SubmitContributionRequest { contribution: Some(birth) };
        self.justice.1.contributions().submit_contribution(request).await.unwrap();
        assert_eq!(outcome(&self.justice.1, &id).await.state(), ContributionState::Accepted);
        id
    }
}

/// A mother who lives in a commune.
fn mother(people: &[Citizen]) -> &Citizen {
    let fits = |one: &&Citizen| {
        let born = one.date_of_birth.map_or(0, |date| date.year);
        let lives = one.permanent_residence.as_ref().is_some_and(|home| !home.commune.is_empty());
        lives && one.sex == "2" && (1985..=2004).contains(&born) && one.date_of_death.is_none()
    };
    people.iter().find(fits).unwrap()
}

pub(super) async fn of_two_offices(hub: &Hub, people: &[Citizen], met: &mut Met) {
    let mut offices = Offices::open(hub).await;
    let case_id = offices.birth(mother(people)).await;
    let police = offices.police.1.clone();
    let has = |caller: Caller| async move { !tasks(&caller, why(BIRTHS)).await.unwrap().is_empty() };
    eventually("the task of the residence office", || has(police.clone())).await;

    of_tasks(&offices, &case_id, met).await;
    of_forms(&police, people, met).await;
    of_cases(hub, &police, &case_id, met).await;
    done_twice(&offices, &case_id, met).await;
    eventually("the task of the insurer", || has(offices.vss.1.clone())).await;
    without_what_is_asked(&offices, &case_id, met).await;
    for node in [&mut offices.police.0, &mut offices.vss.0, &mut offices.justice.0] {
        node.stop();
    }
    met.are_recorded_at(&offices.police.0);
}

/// Whoever may not see or end a task; each refusal is in the record of the residence office.
async fn of_tasks(offices: &Offices, case_id: &str, met: &mut Met) {
    use AccessOperation::{Contribute, Procedure};
    let police = &offices.police.1;
    for (purpose, reason, says) in [
        ("not-bound", Reason::PurposeNotAgreed, "add it to the caller"),
        ("other", Reason::PurposeNotAgreed, "ask the hub's operator"),
        (LISTED, Reason::OfficerNotAllowed, "dancu-node officer add"),
        ("asks", Reason::OperationNotAgreed, "ask the hub's operator for an agreement that does"),
    ] {
        met.refused_on_record(Procedure, tasks(police, why(purpose)).await, reason, says);
    }
    let nameless = met.refused_on_record(
        Procedure,
        tasks(police, None).await,
        Reason::InvalidRequest,
        "context.purpose",
    );
    assert_eq!(Reason::faults(&nameless).len(), 3);
    // Another role, and the role under a purpose that is not the procedure's.
    for purpose in ["health", "1.004222"] {
        assert_eq!(tasks(police, why(purpose)).await.unwrap(), []);
    }
    let seen = tasks(police, why(BIRTHS)).await.unwrap();
    assert_eq!((seen.len(), seen[0].case_id.as_str(), seen[0].step.as_str()), (1, case_id, RESIDENCE));

    let not_bound = complete(police, answer("not-bound", case_id, RESIDENCE, &[])).await;
    met.refused_on_record(Contribute, not_bound, Reason::PurposeNotAgreed, "add it to the caller");
    let unlisted = complete(police, answer(LISTED, case_id, RESIDENCE, &[])).await;
    met.refused_on_record(Contribute, unlisted, Reason::OfficerNotAllowed, "dancu-node officer add");
    let none = Contribution { task: None, ..answer(BIRTHS, case_id, RESIDENCE, &[]) };
    let none = complete(police, none).await;
    let status = met.refused_on_record(Contribute, none, Reason::InvalidRequest, "contribution.task");
    assert_eq!(Reason::faults(&status)[0].0, "contribution.task");
    let unnamed = Contribution { id: "7".into(), ..answer(BIRTHS, case_id, RESIDENCE, &[]) };
    met.refused_on_record(Contribute, complete(police, unnamed).await, Reason::InvalidRequest, "id");
    let other_case = Uuid::now_v7().to_string();
    for (purpose, case, step) in [
        (BIRTHS, other_case.as_str(), RESIDENCE),
        (BIRTHS, case_id, "household"),
        // The insurer's, and not open.
        (BIRTHS, case_id, CARD),
        ("health", case_id, RESIDENCE),
        ("1.004222", case_id, RESIDENCE),
        ("other", case_id, RESIDENCE),
    ] {
        let answered = complete(police, answer(purpose, case, step, &[])).await;
        met.refused_on_record(Contribute, answered, Reason::NotFound, "no such task is open here");
    }
    // Another agency's: not at its node, and not by handing it in as anything else.
    let vss = &offices.vss.1;
    let theirs = answer(BIRTHS, case_id, RESIDENCE, &[]);
    met.refused(complete(vss, theirs.clone()).await, Reason::NotFound, "no such task is open here");
    let id = theirs.id.clone();
    let request = SubmitContributionRequest { contribution: Some(theirs) };
    vss.contributions().submit_contribution(request).await.unwrap();
    is_rejected(&outcome(vss, &id).await, RejectionReason::TaskNotOpen, &["task"]);
}

async fn of_forms(police: &Caller, people: &[Citizen], met: &mut Met) {
    let one = people[0].personal_id.as_str();
    let (form, person) = ("ct01", [("person", one)]);
    eventually("the forms", || async { fill(police, BIRTHS, form, &person).await.is_ok() }).await;
    let mut refused = |answer, reason, says| {
        met.refused_on_record(AccessOperation::Prefill, answer, reason, says);
    };
    for (purpose, reason, says) in [
        ("not-bound", Reason::PurposeNotAgreed, "add it to the caller"),
        ("other", Reason::PurposeNotAgreed, "ask the hub's operator"),
        (LISTED, Reason::OfficerNotAllowed, "dancu-node officer add"),
        ("tells", Reason::OperationNotAgreed, "ask the hub's operator for an agreement that does"),
    ] {
        refused(fill(police, purpose, form, &person).await, reason, says);
    }
    refused(fill(police, BIRTHS, "ct99", &person).await, Reason::NotFound, "no form of this id");
    let number = fill(police, BIRTHS, form, &[("person", "12")]).await;
    refused(number, Reason::InvalidRequest, "persons");
    let role = fill(police, BIRTHS, form, &[("child", one)]).await;
    refused(role, Reason::InvalidRequest, "this form is about head, person");
    let roles: Vec<_> = (0..17).map(|place| format!("role-{place}")).collect();
    let many: Vec<_> = roles.iter().map(|role| (role.as_str(), one)).collect();
    refused(fill(police, BIRTHS, form, &many).await, Reason::InvalidRequest, "at most 16 people");
    // Nobody: the fields are to be asked, and it is not told why.
    let persons = HashMap::from([("person".to_owned(), UNKNOWN.to_owned())]);
    let request = PrefillFormRequest { context: why(BIRTHS), form: form.into(), persons };
    let filled = police.procedures().prefill_form(request).await.unwrap().into_inner();
    assert_eq!(filled.values, []);
    assert!(filled.missing.iter().any(|field| field.name == "person_name"));
}

async fn of_cases(hub: &Hub, police: &Caller, case_id: &str, met: &mut Met) {
    eventually("the case", || async { case(police, BIRTHS, case_id).await.is_ok() }).await;
    for (purpose, id, reason, says) in [
        ("not-bound", case_id, Reason::PurposeNotAgreed, "add it to the caller"),
        ("other", case_id, Reason::PurposeNotAgreed, "ask the hub's operator"),
        (LISTED, case_id, Reason::OfficerNotAllowed, "dancu-node officer add"),
        // What it looks people up for is not what it takes part for.
        ("asks", case_id, Reason::NotFound, "no such case is known here"),
        (BIRTHS, "7", Reason::InvalidRequest, "is no UUID"),
        (BIRTHS, &Uuid::now_v7().to_string(), Reason::NotFound, "no such case is known here"),
    ] {
        met.refused_on_record(AccessOperation::Procedure, case(police, purpose, id).await, reason, says);
    }
    // An agency that takes no part in it.
    agree(hub, "stranger", "stranger", BIRTHS, "operations = [\"lookup\"]", "vouched").await;
    let stranger = hub.enroll("stranger-n", "stranger").await;
    stranger.reaches(hub.head().await).await;
    let caller = Caller::add(&stranger, "office", BIRTHS, &[]).await;
    let answer = case(&caller, BIRTHS, case_id).await;
    met.refused(answer, Reason::NotFound, "no such case is known here");
}

/// A task that two clerks end while the line is cut: one of them counts. Once it is known there is none.
async fn done_twice(offices: &Offices, case_id: &str, met: &mut Met) {
    let (node, police) = &offices.police;
    let seen = tasks(police, why(BIRTHS)).await.unwrap();
    let event = json!({ "permanent_residence_registered": {
        "members": [{ "person": { "personal_id": seen[0].persons["child"] }, "relation": "con" }],
        "address": { "commune": seen[0].address.as_ref().unwrap().commune, "detail": "Số 1" },
    } });
    node.line.cut();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let task = answer(BIRTHS, case_id, RESIDENCE, &[]).task;
        let done = Contribution { task, ..contribution(BIRTHS, event.clone()) };
        ids.push(done.id.clone());
        complete(police, done).await.unwrap();
    }
    node.line.restore();
    assert_eq!(outcome(police, &ids[0]).await.state(), ContributionState::Accepted);
    is_rejected(&outcome(police, &ids[1]).await, RejectionReason::TaskNotOpen, &["task"]);
    let gone = || async { tasks(police, why(BIRTHS)).await.unwrap().is_empty() };
    eventually("the task to be gone", gone).await;
    let again = complete(police, answer(BIRTHS, case_id, RESIDENCE, &[])).await;
    met.refused_on_record(AccessOperation::Contribute, again, Reason::NotFound, "no such task is open here");
}

/// What a step asks for is checked at the hub, which knows the procedure.
async fn without_what_is_asked(offices: &Offices, case_id: &str, met: &mut Met) {
    let vss = &offices.vss.1;
    let number = ("health_insurance_card_number", "TE1012600000001");
    for (answers, fields) in [
        (vec![], "task.answers.health_insurance_card_number"),
        (vec![(number.0, " ")], "task.answers.health_insurance_card_number"),
        (vec![number, ("colour", "red")], "task.answers"),
    ] {
        let done = answer(BIRTHS, case_id, CARD, &answers);
        let id = done.id.clone();
        complete(vss, done).await.unwrap();
        is_rejected(&outcome(vss, &id).await, RejectionReason::Invalid, &[fields]);
    }
    let with_event = json!({ "death": { "person": { "personal_id": UNKNOWN }, "date_of_death": today() } });
    let task = answer(BIRTHS, case_id, CARD, &[number]).task;
    let with_event = Contribution { task, ..contribution(BIRTHS, with_event) };
    let id = with_event.id.clone();
    complete(vss, with_event).await.unwrap();
    assert_eq!(outcome(vss, &id).await.state(), ContributionState::Rejected);
    let done = answer(BIRTHS, case_id, CARD, &[number]);
    let id = done.id.clone();
    complete(vss, done).await.unwrap();
    assert_eq!(outcome(vss, &id).await.state(), ContributionState::Accepted);
    let gone = || async { tasks(vss, why(BIRTHS)).await.unwrap().is_empty() };
    eventually("the task to be gone", gone).await;
    let again = complete(vss, answer(BIRTHS, case_id, CARD, &[number])).await;
    met.refused(again, Reason::NotFound, "no such task is open here");
}

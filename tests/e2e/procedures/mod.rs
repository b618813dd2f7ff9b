//! Procedures that run across agencies, through their own nodes: a birth and a death from their registration
//! to the last step, with an office that is out of reach for a week, a portal that follows, and an insurer
//! whose back-end is written in Python; and by the agreements that are shipped, as they are.

mod office;
mod shipped;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration as Wall,
};

use dancu_hub::{config::Config, lifecycle};
use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Hub, eventually, people};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, macros::offset};
use tokio_util::sync::CancellationToken;

use self::office::{Office, home, registered, value};
use super::python_client::{python, run};

const CARD: &str = "TE1012600000001";

/// A hub with a clock that the test moves.
struct Clocked {
    hub: Hub,
    now: Arc<Mutex<OffsetDateTime>>,
    cancel: CancellationToken,
}

impl Clocked {
    async fn start() -> Clocked {
        let hub = Hub::prepare().await;
        let mut config = Config { data_dir: hub.data_dir(), ..Config::default() };
        config.listen.nodes = ([127, 0, 0, 1], hub.port()).into();
        config.listen.admin_socket = hub.socket();
        config.sync.heartbeat = Wall::from_millis(200);
        config.day_check = Wall::from_millis(100);
        config.case_check = Wall::from_millis(200);
        let now = Arc::new(Mutex::new(OffsetDateTime::now_utc()));
        let (cancel, time) = (CancellationToken::new(), Arc::clone(&now));
        let clock = Arc::new(move || *time.lock().unwrap());
        tokio::spawn(lifecycle::run(config, clock, cancel.clone()));
        hub.ready().await;
        Clocked { hub, now, cancel }
    }

    fn pass(&self, days: i64) {
        *self.now.lock().unwrap() += Duration::days(days);
    }

    async fn agree(&self, agency: &str, operations: &str, fields: &str, scope: &str) {
        let document = format!(
            "id = \"{agency}\"\nversion = 1\nagency = \"{agency}\"\ntitle = \"A test\"\n\
             legal_basis = [\"63/2024/NĐ-CP\"]\nvalid_from = 2020-01-01\n{operations}\nfields = [{fields}]\n\
             offline_limit = \"30d\"\nofficers = \"vouched\"\n[[purposes]]\ncode = \"3.000722\"\ntitle = \"Births\"\n\
             [[purposes]]\ncode = \"2.002622\"\ntitle = \"Deaths\"\n[scope]\n{scope}\n"
        );
        let file = self.hub.data_dir().join("agreement.toml");
        std::fs::write(&file, document).unwrap();
        self.hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap();
    }
}

impl Drop for Clocked {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Two people of one commune, one of them a woman who may have a child, and the other with no spouse.
fn two_of_a_commune(people: &[Citizen]) -> (&Citizen, &Citizen) {
    let lives = |person: &&Citizen| {
        person.permanent_residence.as_ref().is_some_and(|home| !home.commune.is_empty())
            && person.date_of_death.is_none()
            && person.date_missing.is_none()
    };
    let born = |person: &Citizen| person.date_of_birth.map_or(0, |date| date.year);
    let mothers = people
        .iter()
        .filter(lives)
        .filter(|person| person.sex == "2" && (1985..=2004).contains(&born(person)));
    for mother in mothers {
        let neighbour = people.iter().filter(lives).find(|other| {
            other.personal_id != mother.personal_id
                && home(other).commune == home(mother).commune
                && other.spouse.is_none()
                && (1930..=1960).contains(&born(other))
        });
        if let Some(neighbour) = neighbour {
            return (mother, neighbour);
        }
    }
    panic!("a commune with both")
}

async fn agree(clocked: &Clocked, province: &str, commune: &str) {
    let contributes =
        |role: &str| format!("operations = [\"lookup\", \"contribute\"]\ncontributes_as = [\"{role}\"]");
    let here = format!("communes = [{commune:?}]");
    clocked.agree("justice", &contributes("civil-status"), "\"full_name\"", &here).await;
    let fields = r#""full_name", "date_of_birth", "sex", "permanent_residence", "household_head""#;
    let wide = format!("provinces = [{province:?}]");
    clocked.agree("police", &contributes("residence"), fields, &wide).await;
    let fields = r#""full_name", "date_of_birth", "date_of_death""#;
    clocked.agree("vss", &contributes("social-insurance"), fields, "nation = true").await;
    clocked.agree("national-portal", "operations = [\"lookup\"]", "\"full_name\"", "nation = true").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_birth_and_a_death_go_their_way_through_the_agencies() {
    let clocked = Clocked::start().await;
    let people = people(71, 4_000);
    clocked.hub.import(&people).await;
    let (mother, neighbour) = two_of_a_commune(&people);
    let (province, commune) = (&home(mother).province, &home(mother).commune);
    agree(&clocked, province, commune).await;
    let justice = Office::open(&clocked.hub, "justice", "3.000722").await;
    let police = Office::open(&clocked.hub, "police", "3.000722").await;
    let vss = Office::open(&clocked.hub, "vss", "3.000722").await;
    let portal = Office::open(&clocked.hub, "national-portal", "3.000722").await;

    // The residence office is out of reach from before the birth on.
    police.node.line.cut();
    let today = OffsetDateTime::now_utc().to_offset(offset!(+7)).date().to_string();
    let child = json!({
        "full_name": "Nguyễn Thị Hoa", "date_of_birth": today, "sex": "2",
        "place_of_birth": { "commune": commune },
        "place_of_birth_registration": { "commune": commune },
    });
    let birth = json!({ "birth": { "child": child, "mother": { "personal_id": mother.personal_id } } });
    let clinic = json!({ "first_clinic": "Trạm y tế" });
    let case =
        justice.register(birth, json!({ "procedure": "lien-thong-khai-sinh", "answers": clinic })).await;
    portal.sees(&case, &["done", "open", "waiting"]).await;

    // A week goes by: the step is late, everybody who follows knows, and nothing else waits for it.
    clocked.pass(7);
    let late = || async {
        let late = clocked.hub.json(&["case", "list", "--late"]).await;
        late.as_array().unwrap().iter().any(|late| late["case_id"] == case.as_str())
    };
    eventually("the case to be late", late).await;
    let escalated = || async {
        let seen = portal.sees(&case, &["done", "open", "waiting"]).await;
        seen["steps"][1]["escalated"] == true
    };
    eventually("the portal to know", escalated).await;
    assert!(clocked.hub.cli(&["case", "show", &case]).await.unwrap().contains("late"));

    // The office is back: its task is there, with what its agreement gives, and no more.
    police.node.line.restore();
    let task = police.task(&case).await;
    assert_eq!(
        (task["escalated"].clone(), task["event"].clone()),
        (json!(true), json!("permanent_residence_registered"))
    );
    let number = task["persons"]["child"].as_str().unwrap().to_owned();
    assert_eq!(task["persons"]["mother"], mother.personal_id.as_str());
    let name = mother.full_name.as_ref().unwrap().full();
    assert_eq!(value(&task, "mother_name"), Some(json!(name)));
    assert!(value(&task, "address").is_some());
    assert_eq!(value(&task, "child_name"), None, "who lives nowhere is in no province");
    assert!(task["missing"].as_array().unwrap().contains(&json!("child_name")));
    // The form of the change of residence, from the slice.
    let forms: Value =
        serde_json::from_str(&police.node.cli(&["form", "list", "--json"]).await.unwrap()).unwrap();
    assert!(forms.as_array().unwrap().iter().any(|form| form["form"] == "ct01"), "{forms}");
    let person = format!("person={}", mother.personal_id);
    let filled = police.json(&["form", "fill", "ct01", "--person", &person]).await;
    let found = filled["values"].as_array().unwrap().iter().find(|value| value["name"] == "person_name");
    assert_eq!(found.unwrap()["value"], json!(name));
    let missing: Vec<_> = filled["missing"].as_array().unwrap().iter().map(|field| &field["name"]).collect();
    assert!(missing.contains(&&json!("person_mobile_number")) && missing.contains(&&json!("request")));

    let home = json!({ "commune": commune, "detail": "Số 1" });
    let lives = json!({ "permanent_residence_registered": {
        "members": [{ "person": { "personal_id": number }, "relation": "con" }], "address": home,
    } });
    let file = police.file(&registered(lives));
    let event = ["task", "complete", &case, "permanent-residence", "--event", file.to_str().unwrap()];
    // Answered without a line: the task is still there, and says so.
    police.node.line.cut();
    assert_eq!(police.task(&case).await["stands"], "open");
    police.cli(&event).await.unwrap();
    assert_eq!(police.task(&case).await["stands"], "answered, waiting for the hub");
    police.node.line.restore();

    // The insurer's back-end is in Python.
    let task = vss.task(&case).await;
    assert_eq!(value(&task, "child_name"), Some(json!("Nguyễn Thị Hoa")));
    assert_eq!(value(&task, "first_clinic"), Some(json!("Trạm y tế")));
    issue_card(&vss, &case).await;
    let seen = portal.sees(&case, &["done", "done", "done"]).await;
    assert!(seen["closed_at"].is_string());
    assert!(clocked.hub.json(&["case", "list"]).await.as_array().unwrap().is_empty());
    assert_eq!(vss.json(&["task", "list"]).await, json!([]));

    let [justice, police, vss, portal] =
        [justice, police, vss, portal].map(|office| Office { purpose: "2.002622".into(), ..office });
    a_death(&justice, &police, &vss, &portal, neighbour).await;
}

/// A death: the residence is removed, and the allowance is granted once what was missing came.
async fn a_death(justice: &Office, police: &Office, vss: &Office, portal: &Office, deceased: &Citizen) {
    let today = OffsetDateTime::now_utc().to_offset(offset!(+7)).date().to_string();
    let who = json!({ "personal_id": deceased.personal_id });
    let death = json!({ "death": { "person": who, "date_of_death": today } });
    let case = justice.register(death, json!({ "procedure": "lien-thong-khai-tu" })).await;
    police.task(&case).await;
    let removed = json!({ "permanent_residence_removed": { "persons": [who] } });
    let file = police.file(&registered(removed));
    let event = ["task", "complete", &case, "remove-permanent-residence", "--event", file.to_str().unwrap()];
    police.cli(&event).await.unwrap();

    let task = vss.task(&case).await;
    assert_eq!(task["persons"]["deceased"], deceased.personal_id.as_str());
    let returned = ["task", "complete", &case, "funeral-allowance", "--return", "thiếu quyết định"];
    vss.cli(&returned).await.unwrap();
    portal.sees(&case, &["done", "open", "returned"]).await;
    assert_eq!(police.task(&case).await["note"], "thiếu quyết định");
    police.cli(&["task", "complete", &case, "remove-permanent-residence"]).await.unwrap();
    vss.task(&case).await;
    // Only whose task it is may end it.
    let refused = ["task", "complete", &case, "funeral-allowance", "--refuse", "x"];
    assert!(police.cli(&refused).await.unwrap_err().contains("no such task"));
    let answers = ["--answer", "allowance_decision_number=12/QĐ", "--answer", "allowance_amount=25300000"];
    let wrong = ["task", "complete", &case, "funeral-allowance", "--answer", "colour=red", "--wait"];
    assert!(vss.cli(&wrong).await.unwrap_err().contains("rejected"));
    let granted = [&["task", "complete", &case, "funeral-allowance", "--wait"], &answers[..]].concat();
    assert!(vss.cli(&granted).await.unwrap().contains("accepted"));
    portal.sees(&case, &["done", "done", "done"]).await;
}

/// Ends the insurer's task from a client with stubs that are generated from the `.proto` files; with the
/// command line where Python cannot be had.
async fn issue_card(vss: &Office, case: &str) {
    let Some(python) = python() else {
        assert!(std::env::var_os("CI").is_none(), "python3 with venv and grpcio-tools is needed");
        println!("skipped: python3 with venv, or the package grpcio-tools, cannot be had here");
        let answer = format!("health_insurance_card_number={CARD}");
        let ends = ["task", "complete", case, "health-insurance-card", "--answer", &answer];
        vss.cli(&ends).await.unwrap();
        return;
    };
    let client = vss.files.path().join("client");
    let out = client.to_str().unwrap();
    vss.node
        .cli(&["client", "add", "--name", "python", "--purposes", &vss.purpose, "--out", out])
        .await
        .unwrap();
    // Asked at run time: a build may be shared by several copies of the tree.
    let tests = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let stubs = stubs(&python, &tests.join("../proto"), vss.files.path());
    let mut printed = None;
    // The node notices the new client within seconds.
    for _ in 0..10 {
        let mut command = Command::new(&python);
        command.arg(tests.join("e2e/python/procedures.py"));
        command.args([&vss.node.address, out, &vss.purpose, case, CARD]).env("PYTHONPATH", &stubs);
        printed = run(&mut command);
        if printed.is_some() {
            break;
        }
        tokio::time::sleep(Wall::from_secs(1)).await;
    }
    let result: Value = serde_json::from_str(&printed.expect("a client that runs")).unwrap();
    assert_eq!(result["asks"], json!(["health_insurance_card_number", "health_insurance_valid_from"]));
    assert_eq!(result["state"], "CONTRIBUTION_STATE_ACCEPTED");
    assert_eq!(result["steps"], json!(["STEP_STATE_DONE", "STEP_STATE_DONE", "STEP_STATE_DONE"]));
    assert_eq!(result["form"], "Tờ khai thay đổi thông tin cư trú (mẫu CT01)");
}

fn stubs(python: &Path, proto: &Path, dir: &Path) -> PathBuf {
    let files = [
        "dancu/v1/citizen.proto",
        "dancu/v1/access.proto",
        "dancu/v1/signed.proto",
        "dancu/v1/procedure.proto",
        "dancu/v1/contribution.proto",
        "dancu/node/v1/contribution_service.proto",
        "dancu/node/v1/procedure_service.proto",
    ];
    let stubs = dir.join("stubs");
    std::fs::create_dir(&stubs).unwrap();
    let mut protoc = Command::new(python);
    protoc.args(["-m", "grpc_tools.protoc"]).arg(format!("-I{}", proto.display()));
    protoc.arg(format!("--python_out={}", stubs.display()));
    protoc.arg(format!("--grpc_python_out={}", stubs.display())).args(files).current_dir(proto);
    run(&mut protoc).expect("stubs");
    stubs
}

//! The agreements and procedures that are shipped, as they are: each agency sees its own tasks under the
//! purposes of the procedure, with what its agreement gives.

use std::{fs, path::PathBuf};

use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Hub, eventually, people};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::offset};

use super::office::{Office, home, registered, value};

const BIRTHS: &str = "3.000722";
const DEATHS: &str = "2.002622";
/// The commune whose civil status has an agreement: Phường Hà Giang 2, Tuyên Quang.
const COMMUNE: &str = "00691";

/// Puts every shipped agreement in force.
async fn apply_all(hub: &Hub) {
    // Asked at run time: a build may be shared by several copies of the tree.
    let tests = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let files = fs::read_dir(tests.join("../deploy/agreements")).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().is_some_and(|is| is == "toml")).collect();
    files.sort_unstable();
    for file in files {
        hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap();
    }
}

/// A woman of Tuyên Quang who may have a child, and somebody old who lives there.
fn of_tuyen_quang(people: &[Citizen]) -> (&Citizen, &Citizen) {
    let lives = |person: &&Citizen| {
        person.permanent_residence.as_ref().is_some_and(|home| home.province == "08")
            && person.date_of_death.is_none()
            && person.date_missing.is_none()
    };
    let born = |person: &Citizen| person.date_of_birth.map_or(0, |date| date.year);
    let of = |of: &dyn Fn(&Citizen) -> bool| people.iter().filter(lives).find(|person| of(person)).unwrap();
    let mother = of(&|person| person.sex == "2" && (1985..=2004).contains(&born(person)));
    let elder = of(&|person| (1930..=1960).contains(&born(person)));
    (mother, elder)
}

/// The case of a task, where a purpose shows it.
async fn shows(office: &Office, purpose: &str, case: &str) -> bool {
    let why = ["--purpose", purpose, "--case", "1", "--officer", "CB-01"];
    let tasks = office.node.cli(&[&["task", "list", "--json"], &why[..]].concat()).await.unwrap();
    let tasks: Value = serde_json::from_str(&tasks).unwrap();
    tasks.as_array().unwrap().iter().any(|task| task["case_id"] == case)
}

/// Ends a task with an event.
async fn ends(office: &Office, case: &str, step: &str, event: Value) {
    let file = office.file(&registered(event));
    office.cli(&["task", "complete", case, step, "--event", file.to_str().unwrap()]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_agreements_carry_the_shipped_procedures() {
    // Forms go out when the hub looks.
    let hub = Hub::start_with(&[("DANCU_HUB__CASE_CHECK", "200ms")]).await;
    let people = people(73, 6_000);
    hub.import(&people).await;
    apply_all(&hub).await;
    let (mother, elder) = of_tuyen_quang(&people);
    let commune = Office::open(&hub, "tuyen-quang-00691", BIRTHS).await;
    let province = Office::open(&hub, "tuyen-quang", BIRTHS).await;
    let insurer = Office::open(&hub, "vss", BIRTHS).await;
    let portal = Office::open(&hub, "national-portal", BIRTHS).await;

    a_declaration_is_filled_in(&portal, mother).await;
    a_birth(&commune, &province, &insurer, &portal, mother).await;
    let [commune, province, insurer, portal] =
        [commune, province, insurer, portal].map(|office| Office { purpose: DEATHS.into(), ..office });
    a_death(&commune, &province, &insurer, &portal, elder).await;
}

/// The portal names the mother, who signed in, and fills in what is known of her; of nobody else.
async fn a_declaration_is_filled_in(portal: &Office, mother: &Citizen) {
    let number = &mother.personal_id;
    let as_who = [format!("applicant={number}"), format!("mother={number}")];
    let form = "to-khai-dang-ky-khai-sinh";
    let fill = ["form", "fill", form, "--person", &as_who[0], "--person", &as_who[1]];
    portal.cli(&["interest", "add", number]).await.unwrap();
    let name = json!(mother.full_name.as_ref().unwrap().full());
    eventually("the portal to have her", || async {
        // The form may not be here yet either.
        let Ok(filled) = portal.cli(&[&fill[..], &["--json"]].concat()).await else { return false };
        value(&serde_json::from_str(&filled).unwrap(), "applicant_name") == Some(name.clone())
    })
    .await;
    let filled = portal.json(&fill).await;
    assert_eq!(value(&filled, "mother_name"), Some(name));
    assert!(value(&filled, "mother_residence").is_some() && value(&filled, "applicant_residence").is_some());
    let missing: Vec<_> = filled["missing"].as_array().unwrap().iter().map(|of| &of["name"]).collect();
    assert!(missing.contains(&&json!("child_name")) && missing.contains(&&json!("father_name")));
}

async fn a_birth(commune: &Office, province: &Office, insurer: &Office, portal: &Office, mother: &Citizen) {
    let today = OffsetDateTime::now_utc().to_offset(offset!(+7)).date().to_string();
    let child = json!({
        "full_name": "Nguyễn Thị Hoa", "date_of_birth": today, "sex": "2",
        "place_of_birth": { "commune": COMMUNE }, "place_of_birth_registration": { "commune": COMMUNE },
    });
    let birth = json!({ "birth": { "child": child, "mother": { "personal_id": mother.personal_id } } });
    let said = json!({ "procedure": "lien-thong-khai-sinh", "answers": { "first_clinic": "Trạm y tế" } });
    let case = commune.register(birth, said).await;
    portal.sees(&case, &["done", "open", "waiting"]).await;

    let task = province.task(&case).await;
    assert_eq!(task["purposes"], json!(["2.002621", BIRTHS]));
    assert!(!shows(province, "1.004222", &case).await, "it is carried out under its own purpose alone");
    assert_eq!(value(&task, "mother_name"), Some(json!(mother.full_name.as_ref().unwrap().full())));
    assert!(value(&task, "mother_permanent_residence").is_some() && value(&task, "address").is_some());
    let number = task["persons"]["child"].as_str().unwrap();
    let lives = json!({ "permanent_residence_registered": {
        "members": [{ "person": { "personal_id": number }, "relation": "con" }],
        "address": { "commune": home(mother).commune, "detail": "Số 1" },
    } });
    ends(province, &case, "permanent-residence", lives).await;

    let task = insurer.task(&case).await;
    assert_eq!(task["purposes"], json!(["2.002621", BIRTHS]));
    assert!(!shows(insurer, DEATHS, &case).await, "the agreement on funerals is for something else");
    for (name, expected) in [("child_name", "Nguyễn Thị Hoa"), ("first_clinic", "Trạm y tế")] {
        assert_eq!(value(&task, name), Some(json!(expected)));
    }
    // By the child's record: of the mother's own its agreement on newborns gives nothing.
    assert_eq!(value(&task, "mother_name"), Some(json!(mother.full_name.as_ref().unwrap().full())));
    assert_eq!(value(&task, "mother_mobile_number"), None);
    let card = "health_insurance_card_number=TE1082600000001";
    let done = ["task", "complete", &case, "health-insurance-card", "--answer", card];
    insurer.cli(&done).await.unwrap();
    portal.sees(&case, &["done", "done", "done"]).await;
}

async fn a_death(commune: &Office, province: &Office, insurer: &Office, portal: &Office, deceased: &Citizen) {
    let today = OffsetDateTime::now_utc().to_offset(offset!(+7)).date().to_string();
    let who = json!({ "personal_id": deceased.personal_id });
    let death = json!({ "death": { "person": who, "date_of_death": today } });
    let case = commune.register(death, json!({ "procedure": "lien-thong-khai-tu" })).await;
    let task = province.task(&case).await;
    let name = json!(deceased.full_name.as_ref().unwrap().full());
    assert_eq!(
        (task["purposes"].clone(), value(&task, "deceased_name")),
        (json!([DEATHS]), Some(name.clone()))
    );
    let removed = json!({ "permanent_residence_removed": { "persons": [who] } });
    ends(province, &case, "remove-permanent-residence", removed).await;

    let task = insurer.task(&case).await;
    assert_eq!((task["purposes"].clone(), value(&task, "deceased_name")), (json!([DEATHS]), Some(name)));
    assert!(!shows(insurer, BIRTHS, &case).await, "the agreement on newborns is for something else");
    let answers = ["--answer", "allowance_decision_number=12/QĐ", "--answer", "allowance_amount=25300000"];
    insurer.cli(&[&["task", "complete", &case, "funeral-allowance"], &answers[..]].concat()).await.unwrap();
    portal.sees(&case, &["done", "done", "done"]).await;
}

//! SIGKILL at random moments: of the hub in an import, of both sides in a load.

use std::time::Duration;

use dancu_tests::testkit::{Agreement, Hub, people};
use rand::{Rng, SeedableRng, rngs::SmallRng};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_killed_is_whole_or_not_there() {
    let mut rng = SmallRng::seed_from_u64(1);
    let people = people(31, 60_000);
    let rows: Vec<String> = people.iter().map(|p| serde_json::to_string(p).unwrap()).collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("people.jsonl");
    std::fs::write(&file, rows.join("\n")).unwrap();
    let file = file.to_str().unwrap().to_owned();
    for _ in 0..3 {
        let mut hub = Hub::start().await;
        for _ in 0..3 {
            let wait = Duration::from_millis(rng.random_range(50..900));
            let broken = tokio::time::timeout(wait, hub.cli(&["import", &file])).await;
            hub.kill();
            hub.restart().await;
            let citizens = hub.json(&["status"]).await["citizens"].as_u64().unwrap();
            assert!(citizens == 0 || citizens == 60_000, "{citizens} after {broken:?}");
        }
        let done = hub.json(&["import", &file]).await;
        assert_eq!(done["added"].as_u64().unwrap() + done["unchanged"].as_u64().unwrap(), 60_000);
        let again = hub.json(&["import", &file]).await;
        assert_eq!(again["unchanged"], 60_000, "the same file again changes nothing");
        assert_eq!(again["revision"], done["revision"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_killed_goes_on_and_ends_whole() {
    let mut rng = SmallRng::seed_from_u64(2);
    let mut hub = Hub::start().await;
    let people = people(32, 60_000);
    hub.import(&people).await;
    let agreement = Agreement {
        id: "everyone".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: ["full_name", "date_of_birth", "sex", "permanent_residence", "father", "mother"]
            .map(str::to_owned)
            .into(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    };
    hub.apply(&agreement).await;
    let mut node = hub.enroll("node", "agency").await;
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(rng.random_range(20..300))).await;
        match round % 3 {
            0 => {
                node.kill();
                node.start().await;
            }
            1 => {
                hub.kill();
                hub.restart().await;
            }
            _ => node.line.break_after(rng.random_range(0..500_000)),
        }
    }
    node.line.restore();
    node.reaches(hub.head().await).await;
    assert_eq!(node.status().await["citizens"], 60_000);
    let ids: Vec<String> = people.iter().step_by(7).map(|p| p.personal_id.clone()).collect();
    let answers = node.batch("p", &ids).await.unwrap();
    for (answer, person) in answers.iter().zip(people.iter().step_by(7)) {
        let citizen = answer.citizen.as_ref().unwrap();
        assert_eq!((&citizen.full_name, &citizen.mother), (&person.full_name, &person.mother));
    }
    // What was loaded before a break is not sent again: all in all little more than once.
    let before = node.line.bytes();
    node.kill();
    node.start().await;
    node.reaches(hub.head().await).await;
    assert!(node.line.bytes() - before < 12_000, "a node that is whole is sent nothing again");
}

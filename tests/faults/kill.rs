//! SIGKILL at random moments: of the hub in an import and among commits, of both sides in a load.

use std::{collections::BTreeMap, time::Duration};

use dancu_proto::{
    hub::v1::{ChangeCitizenRequest, GetCitizenRecordRequest},
    v1::{Citizen, Date},
};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_a_kill() {
    acknowledged_outlives(4, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: some minutes; part of `make test-slow`"]
async fn what_was_acknowledged_outlives_many_kills() {
    acknowledged_outlives(5, 60).await;
}

async fn acknowledged_outlives(seed: u64, rounds: u32) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut hub = Hub::start().await;
    let people = people(34, 2_000);
    hub.import(&people).await;
    let mut last: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for round in 0..rounds {
        // Eight at once hand in changes, each of people of their own, until the hub is gone.
        let writers: Vec<_> = (0..8_usize)
            .map(|writer| {
                let mine: Vec<_> =
                    people.iter().skip(writer).step_by(8).map(|one| one.personal_id.clone()).collect();
                let admin = hub.admin();
                async move { (mine, admin.await) }
            })
            .collect();
        let mut tasks = tokio::task::JoinSet::new();
        for writer in writers {
            let (mine, mut admin) = writer.await;
            tasks.spawn(async move {
                let mut done = Vec::new();
                for (count, id) in mine.iter().cycle().enumerate() {
                    let name = format!("Tên {round} {count}");
                    let request = ChangeCitizenRequest {
                        personal_id: id.clone(),
                        set: Some(Citizen { other_name: name.clone(), ..Citizen::default() }),
                        reason: "a test".into(),
                        document_number: "T/1".into(),
                        effective_date: Some(Date { year: 2026, month: 1, day: 1 }),
                        contribution_id: uuid::Uuid::now_v7().to_string(),
                        ..ChangeCitizenRequest::default()
                    };
                    match admin.change_citizen(request).await {
                        Ok(answer) => done.push((id.clone(), answer.into_inner().revision, name)),
                        Err(_) => break,
                    }
                }
                done
            });
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..700))).await;
        hub.kill();
        let done: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert!(!done.is_empty(), "nothing was acknowledged before the kill");
        for (id, revision, name) in done {
            last.insert(id, (revision, name));
        }
        hub.restart().await;
        let mut admin = hub.admin().await;
        for (id, (revision, name)) in &last {
            let request = GetCitizenRecordRequest {
                personal_id: id.clone(),
                at_revision: *revision,
                ..GetCitizenRecordRequest::default()
            };
            let shown = admin.get_citizen_record(request).await.expect("an acknowledged revision is there");
            assert_eq!(&shown.into_inner().citizen.unwrap().other_name, name, "as of revision {revision}");
        }
    }
    assert!(last.len() > 100, "{} people changed", last.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_among_changes_stays_exact() {
    let mut rng = SmallRng::seed_from_u64(6);
    let hub = Hub::start().await;
    let people = people(35, 3_000);
    hub.import(&people).await;
    hub.apply(&Agreement {
        id: "everyone".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: vec!["full_name".into(), "email".into()],
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    })
    .await;
    let mut node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    for round in 0..10 {
        let mut changed = people.clone();
        for person in &mut changed {
            person.email = format!("round{round}x{}@example.vn", rng.random_range(0..1_000_000));
        }
        let wait = Duration::from_millis(rng.random_range(30..130));
        tokio::join!(hub.import(&changed), async {
            tokio::time::sleep(wait).await;
            node.kill();
        });
        node.start().await;
        node.reaches(hub.head().await).await;
        let proof = node.cli(&["verify-slice", "--json"]).await.unwrap();
        let proof: serde_json::Value = serde_json::from_str(&proof).unwrap();
        let digest = hub.json(&["slice", "digest", "--node", "node"]).await;
        assert_eq!(digest["digest"], proof["digest"]);
        // By itself, that is: no proof had anything to repair.
        assert_eq!(node.status().await["repaired"], 0);
    }
}

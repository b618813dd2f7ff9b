//! Law 7: offline is a state, not an error. And law 6, as a node sees it: a change costs what it touches.

use std::time::Duration;

use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Agreement, Hub, people};

fn agreement(id: &str, agency: &str, provinces: &[&str]) -> Agreement {
    Agreement {
        id: id.into(),
        version: 1,
        agency: agency.into(),
        purpose: "p".into(),
        fields: vec!["full_name".into(), "permanent_residence".into()],
        provinces: provinces.iter().map(|code| (*code).to_owned()).collect(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    }
}

fn lives_in<'a>(people: &'a [Citizen], province: &'a str) -> impl Iterator<Item = &'a Citizen> {
    people.iter().filter(move |p| p.permanent_residence.as_ref().is_some_and(|a| a.province == province))
}

#[tokio::test]
async fn a_node_goes_on_without_the_hub() {
    let mut hub = Hub::start().await;
    let people = people(11, 2_000);
    hub.import(&people).await;
    hub.apply(&agreement("only", "agency", &["79"])).await;
    let mut node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    let held: Vec<String> = lives_in(&people, "79").map(|p| p.personal_id.clone()).collect();
    assert!(held.len() > 20);
    // Once it has answered it has all that it needs for that, the hub's key for its log too.
    node.batch("p", &held[..1]).await.unwrap();

    node.line.cut();
    node.is("offline").await;
    node.stop();
    hub.kill();
    node.start().await;
    let answers = node.batch("p", &held[..5]).await.unwrap();
    assert!(answers.iter().all(|answer| answer.citizen.is_some()));
    assert!(answers[0].freshness.unwrap().offline.is_some(), "every answer says how old it is");

    hub.restart().await;
    for id in &held[..3] {
        let args = [
            "change",
            id,
            "--set",
            "permanent_residence.detail=Số mới",
            "--set",
            "permanent_residence.commune=25747",
            "--reason",
            "r",
            "--document",
            "d",
            "--effective",
            "2026-01-01",
        ];
        hub.cli(&args).await.unwrap();
    }
    let before = node.line.bytes();
    node.line.restore();
    node.reaches(hub.head().await).await;
    let answers = node.batch("p", &held[..5]).await.unwrap();
    let moved = |at: usize| {
        let citizen = answers[at].citizen.as_ref().unwrap();
        citizen.permanent_residence.as_ref().unwrap().detail == "Số mới"
    };
    assert!(moved(0) && moved(1) && moved(2) && !moved(3));
    assert!(answers[0].freshness.unwrap().offline.is_none());
    // Handshake, policy and three small changes: nothing like the slice again.
    let caught_up = node.line.bytes() - before;
    assert!(caught_up < 12_000, "{caught_up} bytes to catch up with three changes");
}

#[tokio::test]
async fn a_node_hears_nothing_of_what_it_does_not_see() {
    let hub = Hub::start().await;
    let people = people(12, 2_000);
    hub.import(&people).await;
    hub.apply(&agreement("only", "agency", &["79"])).await;
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    let change = |id: &str, set: &str| {
        let args =
            ["change", id, "--set", set, "--reason", "r", "--document", "d", "--effective", "2026-01-01"];
        args.map(str::to_owned)
    };
    let quiet = async |seconds: u64| {
        let before = node.line.bytes();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        node.line.bytes() - before
    };
    let idle = quiet(3).await;
    let elsewhere = lives_in(&people, "01").next().unwrap().personal_id.clone();
    let here = lives_in(&people, "79").next().unwrap().personal_id.clone();
    let before = node.line.bytes();
    let began = std::time::Instant::now();
    for count in 0..20 {
        // Someone of another province; and a field that the agreement does not give.
        for (id, set) in [(&elsewhere, "permanent_residence.detail"), (&here, "other_name")] {
            let set = format!("{set}={count}");
            let args = change(id, &set);
            hub.cli(&args.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
        }
    }
    let during = node.line.bytes() - before;
    let expected = idle as f64 * began.elapsed().as_secs_f64() / 3.0;
    // Heartbeats as ever, and no frame beside them: forty frames would be thousands of bytes.
    assert!((during as f64) < expected * 1.5 + 600.0, "{during} bytes, idle would be {expected:.0}");
}

#[tokio::test]
async fn a_commune_lives_in_a_hundred_mebibytes() {
    let hub = Hub::start().await;
    let people = people(13, 30_000);
    hub.import(&people).await;
    hub.apply(&agreement("only", "agency", &[])).await;
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    let ids: Vec<String> = people.iter().take(9_000).map(|p| p.personal_id.clone()).collect();
    assert_eq!(node.batch("p", &ids).await.unwrap().len(), ids.len());
    assert_eq!(node.status().await["citizens"], 30_000);
    let memory = node.memory();
    println!("a node of 30,000 citizens uses {memory} KiB");
    assert!(memory < 100 * 1024, "{memory} KiB");
}

#[tokio::test]
async fn a_long_absence_is_caught_up_whole() {
    let hub = Hub::start().await;
    let mut people = people(14, 20_000);
    hub.import(&people).await;
    let mut everyone = agreement("only", "agency", &[]);
    everyone.fields.push("other_name".into());
    hub.apply(&everyone).await;
    let mut node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    node.line.cut();
    // More than one frame takes, with a break in the middle and a node that is killed.
    for (number, person) in people.iter_mut().enumerate() {
        person.other_name = format!("Một tên gọi khác khá dài, để đầy nhiều khung, số {number}");
    }
    let done = hub.import(&people).await;
    assert_eq!(done["changed"], 20_000);
    node.line.restore();
    node.line.break_after(120_000);
    tokio::time::sleep(Duration::from_millis(400)).await;
    node.kill();
    node.start().await;
    node.reaches(hub.head().await).await;
    assert_eq!(node.status().await["citizens"], 20_000);
    for chunk in people.chunks(9_000) {
        let ids: Vec<String> = chunk.iter().map(|person| person.personal_id.clone()).collect();
        let answers = node.batch("p", &ids).await.unwrap();
        for (answer, person) in answers.iter().zip(chunk) {
            assert_eq!(answer.citizen.as_ref().unwrap().other_name, person.other_name);
        }
    }
}

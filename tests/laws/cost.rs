//! Law 6: a change costs what it touches. What a node does not see costs it not one frame.

use std::time::Duration;

use dancu_proto::v1::Citizen;
use dancu_tests::testkit::{Agreement, Hub, Simulated, Traffic, people};

async fn node_of(hub: &Hub, name: &str, fields: &[&str], provinces: &[&str], communes: &[&str]) -> Simulated {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    let agreement = Agreement {
        id: name.into(),
        version: 1,
        agency: name.into(),
        purpose: "p".into(),
        fields: list(fields),
        provinces: list(provinces),
        communes: list(communes),
        offline_limit: "1d".into(),
    };
    let revision = hub.apply(&agreement).await;
    let node = hub.simulate(name, name).await;
    node.wait_until_at(revision).await;
    node
}

/// What came since, once the node stands at a revision: streams, frames, changes.
async fn since(node: &Simulated, before: Traffic, revision: u64) -> (u64, u64, u64) {
    node.wait_until_at(revision).await;
    assert_eq!(node.faults(), Vec::<String>::new());
    let now = node.traffic();
    (now.streams - before.streams, now.frames - before.frames, now.changes - before.changes)
}

/// People of a province who live there alone.
fn of<'a>(people: &'a [Citizen], province: &'a str) -> impl Iterator<Item = &'a str> {
    let alone = move |person: &&Citizen| {
        person.temporary_residence.is_none()
            && person.current_dwelling.is_none()
            && person.permanent_residence.as_ref().is_some_and(|home| home.province == province)
    };
    people.iter().filter(alone).map(|person| person.personal_id.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_sent_to_those_who_see_it_and_to_no_one_else() {
    let hub = Hub::start().await;
    let people = people(21, 3_000);
    hub.import(&people).await;
    let fields = ["full_name", "sex", "permanent_residence"];
    let ha_noi = node_of(&hub, "ha-noi", &fields, &["01"], &[]).await;
    let tuyen_quang = node_of(&hub, "tuyen-quang", &fields, &["08"], &[]).await;
    let commune = node_of(&hub, "commune", &fields, &[], &["00694"]).await;
    let names = node_of(&hub, "names", &["full_name"], &[], &[]).await;
    let nodes = [&ha_noi, &tuyen_quang, &commune, &names];
    let came = async |id: &str, set: &str| {
        let before = nodes.map(Simulated::traffic);
        let revision = hub.change(id, &[set]).await.unwrap();
        let mut came = Vec::new();
        for (node, before) in nodes.iter().zip(before) {
            came.push(since(node, before, revision).await);
        }
        came
    };
    let one = (0, 1, 1);
    let none = (0, 0, 0);
    let someone = of(&people, "01").next().unwrap();
    // A name in Hà Nội: to Hà Nội and to who has all names.
    assert_eq!(came(someone, "full_name=Nguyễn Văn Thử").await, [one, none, none, one]);
    // A field that no agreement gives: to no one.
    assert_eq!(came(someone, "other_name=Thử").await, [none; 4]);
    // Within a province, into the commune; then past it: to the province alone.
    let neighbour = of(&people, "08").next().unwrap();
    let to = |province: &str, commune: &str| {
        format!("permanent_residence={{\"province\":\"{province}\",\"commune\":\"{commune}\"}}")
    };
    assert_eq!(came(neighbour, &to("08", "00694")).await, [none, one, one, none]);
    assert_eq!(came(neighbour, &to("08", "00691")).await, [none, one, one, none]);
    assert_eq!(came(neighbour, &to("08", "00700")).await, [none, one, none, none]);
    // From one province to another: to both, and to the commune.
    assert_eq!(came(someone, &to("08", "00694")).await, [one, one, one, none]);
    // A new number: to all who hold the person, as two changes.
    let two = (0, 1, 2);
    assert_eq!(came(someone, "personal_id=001199999991").await, [none, two, two, two]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_of_others_costs_a_node_nothing() {
    let hub = Hub::start().await;
    hub.import(&people(22, 1_000)).await;
    let node = node_of(&hub, "ha-noi", &["full_name"], &["01"], &[]).await;
    let before = node.traffic();
    let other = node_of(&hub, "other", &["sex"], &[], &[]).await;
    let revision = other.holding().cursor;
    assert_eq!(since(&node, before, revision).await, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_gets_what_changed_once_and_nothing_more() {
    let hub = Hub::start().await;
    let people = people(23, 2_000);
    hub.import(&people).await;
    let fields = ["full_name", "blood_type", "permanent_residence"];
    let node = node_of(&hub, "all", &fields, &["01", "08"], &[]).await;
    let ids: Vec<&str> = of(&people, "01").take(3).collect();
    hub.change(ids[1], &["blood_type=01"]).await.unwrap();
    let revision = hub.head().await;
    node.wait_until_at(revision).await;
    node.line.cut();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = node.traffic();
    // One person five times, and another who ends as they began.
    for given in ["Bình", "Chi", "Dung", "Em", "Giang"] {
        hub.change(ids[0], &[&format!("full_name=Nguyễn Văn {given}")]).await.unwrap();
    }
    hub.change(ids[1], &["blood_type=04"]).await.unwrap();
    hub.change(ids[1], &["blood_type=01"]).await.unwrap();
    let revision = hub.change(ids[2], &["other_name=Thử"]).await.unwrap();
    node.line.restore();
    let (streams, frames, changes) = since(&node, before, revision).await;
    assert_eq!((streams, changes), (1, 1), "one person, once");
    assert_eq!(frames, 2, "the policy, and one delta");
}

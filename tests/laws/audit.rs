//! Every answered call is in the hub's log exactly once, nobody alters it unnoticed, and whoever kept a
//! head can tell.

use std::{collections::BTreeMap, fs, path::Path};

use dancu_proto::{
    Reason,
    v1::{Citizen, LogRecord},
};
use dancu_tests::testkit::{Agreement, Hub, Node, eventually, people};
use prost::Message;
use rocksdb::{DB, IteratorMode, Options};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

async fn start(settings: &'static [(&'static str, &'static str)]) -> (Hub, Node, Vec<Citizen>) {
    let hub = Hub::start_with(settings).await;
    let people = people(71, 300);
    hub.import(&people).await;
    hub.apply(&Agreement {
        id: "everyone".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: vec!["full_name".into(), "sex".into()],
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    })
    .await;
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    (hub, node, people)
}

async fn get(node: &Node, case: &str, officer: &str, id: &str) -> Result<String, String> {
    let args = ["get", id, "--purpose", "p", "--case", case, "--officer", officer, "--json"];
    node.cli(&args).await
}

/// The calls that the hub has of the node, by case.
async fn by_case(hub: &Hub) -> BTreeMap<String, Vec<Value>> {
    let mut cases: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for row in hub.json(&["audit", "node", "node"]).await.as_array().unwrap() {
        cases.entry(row["case_number"].as_str().unwrap().to_owned()).or_default().push(row.clone());
    }
    cases
}

async fn has(hub: &Hub, case: &str) {
    eventually("the hub to have a call", || async { by_case(hub).await.contains_key(case) }).await;
}

async fn alarms(hub: &Hub) -> Vec<(String, u64)> {
    let alarms = hub.json(&["audit", "alarms"]).await;
    let alarm =
        |alarm: &Value| (alarm["kind"].as_str().unwrap().to_owned(), alarm["record"].as_u64().unwrap());
    alarms.as_array().unwrap().iter().map(alarm).collect()
}

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_reaches_the_hub_once_and_can_be_proved() {
    let (mut hub, mut node, people) = start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let (an, binh) = (&people[0].personal_id, &people[1].personal_id);
    let kept = path(&dir, "kept.head");
    get(&node, "C-1", "lan", an).await.unwrap();
    get(&node, "C-2", "minh", binh).await.unwrap();
    get(&node, "C-3", "lan", "001099999999").await.unwrap_err();
    has(&hub, "C-3").await;
    hub.cli(&["audit", "head", "--out", &kept]).await.unwrap();

    // Offline, through a kill of the node and one of the hub.
    node.line.cut();
    for count in 4..8 {
        get(&node, &format!("C-{count}"), "lan", an).await.unwrap();
    }
    node.kill();
    node.start().await;
    get(&node, "C-8", "lan", an).await.unwrap();
    hub.kill();
    hub.restart().await;
    node.line.restore();
    has(&hub, "C-8").await;
    let cases = by_case(&hub).await;
    assert_eq!(
        cases.keys().cloned().collect::<Vec<_>>(),
        (1..=8).map(|n| format!("C-{n}")).collect::<Vec<_>>()
    );
    assert!(cases.values().all(|calls| calls.len() == 1), "each once: {cases:?}");
    assert_eq!(alarms(&hub).await, []);

    // A person sees who looked, and what was told.
    let of_an = hub.json(&["audit", "citizen", an]).await;
    let seen: Vec<_> =
        of_an.as_array().unwrap().iter().map(|row| row["case_number"].as_str().unwrap()).collect();
    assert_eq!(seen, ["C-1", "C-4", "C-5", "C-6", "C-7", "C-8"]);
    let first = &of_an[0];
    assert_eq!((first["officer"].as_str(), first["purpose"].as_str()), (Some("lan"), Some("p")));
    assert_eq!(first["people"][0]["personal_id"], an.as_str());
    assert_eq!(first["people"][0]["fields"], serde_json::json!(["personal_id", "full_name", "sex"]));
    let of_binh = hub.json(&["audit", "citizen", binh]).await;
    assert_eq!(of_binh.as_array().unwrap().len(), 1);
    let of_nobody = hub.json(&["audit", "citizen", "001099999999"]).await;
    assert_eq!(of_nobody[0]["outcome"], "CITIZEN_NOT_FOUND");
    let of_lan = hub.json(&["audit", "officer", "lan"]).await;
    assert_eq!(of_lan.as_array().unwrap().len(), 7);
    let table = hub.cli(&["audit", "citizen", an]).await.unwrap();
    assert!(
        table.contains("Thời gian") && table.contains("Tra cứu") && table.contains("Đã cung cấp"),
        "{table}"
    );
    let table = hub.cli(&["audit", "citizen", an, "--lang", "en"]).await.unwrap();
    assert!(table.contains("Officer") && table.contains("answered"), "{table}");

    // What is shown is proved against the head that was kept before.
    let proofs = path(&dir, "proofs.jsonl");
    hub.cli(&["audit", "citizen", an, "--proofs", &proofs, "--head", &kept]).await.unwrap();
    let verified = hub.cli(&["audit", "verify", &proofs, "--head", &kept]).await.unwrap();
    assert!(verified.contains("6 records"), "{verified}");
    hub.cli(&["audit", "consistency", "--from", &kept]).await.unwrap();
    let export = path(&dir, "all.jsonl.zst");
    hub.cli(&["audit", "export", "--out", &export, "--head", &kept]).await.unwrap();
    let verified = hub.cli(&["audit", "verify", &export, "--head", &kept]).await.unwrap();
    assert!(verified.contains("8 records"), "{verified}");

    // Whatever is changed in the file is found.
    let whole = fs::read_to_string(&proofs).unwrap();
    for (from, to) in [("\"lan\"", "\"hoa\""), ("\"C-4\"", "\"C-9\""), ("\"index\":1,", "\"index\":2,")] {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole, "{from}");
        fs::write(&proofs, changed).unwrap();
        hub.cli(&["audit", "verify", &proofs, "--head", &kept]).await.unwrap_err();
    }
    fs::write(&proofs, &whole).unwrap();
    // A head of another hub is not taken.
    let (other, _node, _) = start(&[]).await;
    let foreign = path(&dir, "foreign.head");
    other.cli(&["audit", "head", "--out", &foreign]).await.unwrap();
    hub.cli(&["audit", "verify", &proofs, "--head", &foreign]).await.unwrap_err();
}

/// The log of a node that is down, opened as someone with the disk in hand would.
struct Disk(DB);

impl Disk {
    fn open(node: &Node) -> Disk {
        let tables = ["default", "standing"];
        Disk(DB::open_cf(&Options::default(), node.data().join("access-log"), tables).unwrap())
    }

    /// All records and their keys.
    fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let rows = self.0.iterator(IteratorMode::Start).map(Result::unwrap);
        rows.map(|(key, value)| (key.into_vec(), value.into_vec())).collect()
    }

    /// Writes the chain anew from a record on, as someone who knows how it is made.
    fn rechain(&self, from: usize, change: impl Fn(&mut LogRecord)) {
        let records = self.records();
        let hash = |record: &[u8]| Sha256::new().chain_update([0]).chain_update(record).finalize().to_vec();
        let mut previous = from.checked_sub(1).map_or(vec![0; 32], |before| hash(&records[before].1));
        let mut last = LogRecord::default();
        for (key, value) in &records[from..] {
            let mut record = LogRecord::decode(&value[..]).unwrap();
            record.previous.clone_from(&previous);
            change(&mut record);
            let encoded = record.encode_to_vec();
            previous = hash(&encoded);
            self.0.put(key, encoded).unwrap();
            last = record;
        }
        let head = [&last.sequence.to_be_bytes()[..], &last.time_ms.to_be_bytes(), &previous].concat();
        self.0.put_cf(&self.0.cf_handle("standing").unwrap(), [4], head).unwrap();
    }
}

/// A node with some calls that the hub has, and some that it has not, and which is down.
async fn interrupted() -> (Hub, Node, Vec<Citizen>) {
    let (hub, mut node, people) = start(&[]).await;
    let id = &people[0].personal_id;
    for count in 0..3 {
        get(&node, &format!("before-{count}"), "lan", id).await.unwrap();
    }
    has(&hub, "before-2").await;
    node.line.cut();
    for count in 0..5 {
        get(&node, &format!("after-{count}"), "lan", id).await.unwrap();
    }
    node.stop();
    (hub, node, people)
}

/// Starts the node again, whose log was changed; the alarm that this raises.
async fn raised(hub: &Hub, node: &mut Node) -> (String, u64) {
    node.start().await;
    node.line.restore();
    eventually("the hub to raise an alarm", || async { !alarms(hub).await.is_empty() }).await;
    let alarms = alarms(hub).await;
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    // Nothing of what was changed is taken over.
    assert!(by_case(hub).await.keys().all(|case| !case.starts_with("after")));
    alarms[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_changed_on_the_disk_are_found() {
    // The key of the run, three calls, and five that the hub has not: records 5 to 9.
    for (kind, at, change) in [
        ("DROPPED", 6, (|disk| disk.0.delete(&disk.records()[5].0).unwrap()) as fn(&Disk)),
        ("EDITED", 7, |disk| {
            let (key, value) = disk.records()[5].clone();
            let text = String::from_utf8_lossy(&value).into_owned();
            let at = text.find("lan").unwrap();
            let at = value.windows(3).position(|bytes| bytes == b"lan").unwrap_or(at);
            let mut value = value;
            value[at..at + 3].copy_from_slice(b"hoa");
            disk.0.put(key, value).unwrap();
        }),
        ("REORDERED", 7, |disk| {
            let records = disk.records();
            disk.0.put(&records[5].0, &records[6].1).unwrap();
            disk.0.put(&records[6].0, &records[5].1).unwrap();
        }),
        ("BACK_DATED", 5, |disk| disk.rechain(4, |record| record.time_ms -= 86_400_000)),
        // Before the place where the hub stands: the chain behind it is another.
        ("FORKED", 9, |disk| disk.rechain(2, |record| record.time_ms += 1)),
    ] {
        let (hub, mut node, _) = interrupted().await;
        change(&Disk::open(&node));
        assert_eq!(raised(&hub, &mut node).await.0, kind, "at {at}");
        assert!(kind == "FORKED" || alarms(&hub).await[0].1 == at, "{:?}", alarms(&hub).await);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_put_back_or_lost_is_found() {
    let (hub, mut node, people) = start(&[]).await;
    let id = &people[0].personal_id;
    get(&node, "C-1", "lan", id).await.unwrap();
    has(&hub, "C-1").await;
    node.stop();
    let log = node.data().join("access-log");
    let older = node.data().join("older");
    copy(&log, &older);
    node.start().await;
    get(&node, "C-2", "lan", id).await.unwrap();
    has(&hub, "C-2").await;
    node.stop();
    fs::remove_dir_all(&log).unwrap();
    copy(&older, &log);
    node.start().await;
    eventually("the hub to raise an alarm", || async { !alarms(&hub).await.is_empty() }).await;
    assert_eq!(alarms(&hub).await[0].0, "WITHHELD");
    // Without a log at all it begins anew, which is said, and goes on.
    node.stop();
    fs::remove_dir_all(&log).unwrap();
    node.start().await;
    eventually("the node to answer", || async { get(&node, "C-3", "lan", id).await.is_ok() }).await;
    has(&hub, "C-3").await;
    let kinds: Vec<_> = alarms(&hub).await.into_iter().map(|alarm| alarm.0).collect();
    assert!(kinds.contains(&"RESTARTED".to_owned()), "{kinds:?}");
    assert_eq!(by_case(&hub).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_are_found_by_their_rules() {
    let settings = [
        ("DANCU_HUB__AUDIT__PATTERNS__BURST", "5"),
        ("DANCU_HUB__AUDIT__PATTERNS__OFFICERS", "3"),
        ("DANCU_HUB__AUDIT__PATTERNS__NIGHT", "100000"),
    ];
    let (hub, node, people) = start(Box::leak(Box::new(settings))).await;
    let ids: Vec<_> = people[..10].iter().map(|one| one.personal_id.clone()).collect();
    node.batch("p", &ids).await.unwrap();
    for officer in ["a", "b", "c", "d"] {
        get(&node, "C-1", officer, &people[20].personal_id).await.unwrap();
    }
    eventually("the hub to have all calls", || async {
        hub.json(&["audit", "node", "node"]).await.as_array().unwrap().len() == 5
    })
    .await;
    let found = hub.json(&["audit", "patterns"]).await;
    let found: Vec<_> = found.as_array().unwrap().iter().map(|one| (&one["rule"], &one["count"])).collect();
    assert_eq!(found, [(&"burst".into(), &10.into()), (&"many_officers".into(), &4.into())]);
}

/// An agreement whose nodes may show citizens who looked.
fn portal() -> String {
    let agreement = Agreement {
        id: "portal".into(),
        version: 1,
        agency: "portal".into(),
        purpose: "notice".into(),
        fields: vec!["full_name".into()],
        provinces: vec!["01".into()],
        communes: Vec::new(),
        offline_limit: "1d".into(),
    };
    agreement.document().replace("\"verify\"", "\"access_report\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_citizen_is_shown_who_looked_but_for_what_the_law_withholds() {
    let (hub, node, people) = start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let id = &people[0].personal_id;
    get(&node, "C-1", "lan", id).await.unwrap();
    get(&node, "C-2", "minh", &people[1].personal_id).await.unwrap();
    has(&hub, "C-2").await;
    fs::write(dir.path().join("portal.toml"), portal()).unwrap();
    hub.cli(&["agreement", "apply", &path(&dir, "portal.toml")]).await.unwrap();
    let shows = hub.enroll("portal", "portal").await;
    shows.reaches(hub.head().await).await;

    let accesses = async |node: &Node, purpose: &str| node.access_report(purpose, id).await;
    let shown = accesses(&shows, "notice").await.unwrap();
    assert_eq!(shown.accesses.len(), 1, "{shown:?}");
    let one = &shown.accesses[0];
    assert_eq!(
        (one.agency.as_str(), one.purpose.as_str(), one.purpose_title.as_str()),
        ("agency", "p", "A test")
    );
    assert_eq!(one.fields.len(), 3);
    // Only for whom that is agreed.
    let refused = accesses(&node, "p").await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::OperationNotAgreed));
    // That it was shown is in the log too.
    eventually("the hub to have the report", || async {
        let of = hub.json(&["audit", "node", "portal"]).await;
        of.as_array().unwrap().iter().any(|row| row["operation"] == "report")
    })
    .await;

    // What an agreement withholds is left out until its day has passed.
    let withheld = |version: u32, until: &str| {
        let agreement = Agreement {
            id: "everyone".into(),
            version,
            agency: "agency".into(),
            purpose: "p".into(),
            fields: vec!["full_name".into(), "sex".into()],
            provinces: Vec::new(),
            communes: Vec::new(),
            offline_limit: "1d".into(),
        };
        format!("{}\n[withhold]\nlegal_basis = \"BLTTHS\"\nuntil = {until}\n", agreement.document())
    };
    for (version, until, expected) in [(2, "2399-12-31", 0), (3, "2026-01-01", 1)] {
        fs::write(dir.path().join("w.toml"), withheld(version, until)).unwrap();
        hub.cli(&["agreement", "apply", &path(&dir, "w.toml")]).await.unwrap();
        let shown = accesses(&shows, "notice").await.unwrap();
        let of_agency = shown.accesses.iter().filter(|access| access.agency == "agency").count();
        assert_eq!(of_agency, expected, "{until}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_outside_the_slice_is_answered_by_the_hub_and_not_kept() {
    let hub = Hub::start().await;
    let people = people(72, 400);
    hub.import(&people).await;
    let dir = tempfile::tempdir().unwrap();
    let agreement = Agreement {
        id: "nowhere".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: vec!["full_name".into()],
        provinces: vec!["96".into()],
        communes: Vec::new(),
        offline_limit: "1d".into(),
    };
    let document = agreement.document().replace("\"verify\"", "\"remote_lookup\"");
    fs::write(dir.path().join("a.toml"), document).unwrap();
    hub.cli(&["agreement", "apply", &path(&dir, "a.toml")]).await.unwrap();
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    let of_elsewhere = people.iter().find(|one| {
        one.permanent_residence.as_ref().is_some_and(|address| address.province != "96")
            && one.temporary_residence.is_none()
    });
    let one = of_elsewhere.unwrap();
    let id = &one.personal_id;
    assert!(get(&node, "C-1", "lan", id).await.is_err());
    let args = ["get", id, "--purpose", "p", "--case", "C-2", "--officer", "lan", "--remote", "--json"];
    let answer: Value = serde_json::from_str(&node.cli(&args).await.unwrap()).unwrap();
    assert_eq!(answer["remote"], true);
    assert_eq!(answer["citizen"]["full_name"], one.full_name.as_ref().unwrap().full());
    assert_eq!(answer["authorised"], serde_json::json!(["personal_id", "full_name"]));
    assert!(get(&node, "C-3", "lan", id).await.is_err(), "nothing is kept");
    has(&hub, "C-3").await;
    let of_one = hub.json(&["audit", "citizen", id]).await;
    let calls: Vec<_> =
        of_one.as_array().unwrap().iter().map(|row| row["operation"].as_str().unwrap()).collect();
    assert_eq!(calls, ["get", "remote", "get"]);
    // Without the hub there is no answer, and that is said.
    node.line.cut();
    let refused = node.cli(&args).await.unwrap_err();
    assert!(refused.contains("the hub cannot be reached"), "{refused}");
}

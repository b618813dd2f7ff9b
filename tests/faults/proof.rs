//! A slice that is damaged behind the node's back is found out, named, and repaired.

use std::{collections::BTreeSet, fs, path::Path};

use dancu_tests::testkit::{Agreement, Hub, Node, eventually, people};
use rocksdb::{DBWithThreadMode, IteratorMode, MultiThreaded, Options};
use serde_json::Value;

const CITIZENS: u32 = 6_000;

async fn start() -> (Hub, Node) {
    let hub = Hub::start().await;
    let mut people = people(51, CITIZENS);
    people.sort_by(|a, b| a.personal_id.cmp(&b.personal_id));
    hub.import(&people).await;
    let fields = ["full_name", "date_of_birth", "sex", "old_id_number", "permanent_residence"];
    hub.apply(&Agreement {
        id: "everyone".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: fields.map(str::to_owned).into(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    })
    .await;
    // Some people with another number and another place in the order of numbers.
    for (count, citizen) in people.iter().step_by(900).enumerate() {
        let number = format!("0{:02}199{:06}", [1, 48, 79][count % 3], 900_000 + count);
        hub.change(&citizen.personal_id, &[&format!("personal_id={number}")]).await.unwrap();
    }
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    (hub, node)
}

async fn proof(node: &Node) -> Value {
    serde_json::from_str(&node.cli(&["verify-slice", "--json"]).await.unwrap()).unwrap()
}

/// Opens the database of a node that is down, as someone with the disk in hand would.
fn tamper(node: &Node, with: impl FnOnce(&DBWithThreadMode<MultiThreaded>)) {
    let path = node.data().join("slice");
    let options = Options::default();
    let database = DBWithThreadMode::<MultiThreaded>::open_cf(
        &options,
        path,
        ["default", "slice", "records", "incoming", "changes"],
    );
    with(&database.unwrap());
}

/// A key and its value.
type Row = (Box<[u8]>, Box<[u8]>);

/// The rows of a table. Whose a record is, its key does not tell.
fn rows(database: &DBWithThreadMode<MultiThreaded>, table: &str) -> Vec<Row> {
    let table = database.cf_handle(table).unwrap();
    database.iterator_cf(&table, IteratorMode::Start).map(Result::unwrap).collect()
}

fn names(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_altered_on_the_disk_is_named_and_repaired() {
    let (hub, mut node) = start().await;
    let whole = proof(&node).await;
    assert_eq!((&whole["citizens"], &whole["unrepaired"]), (&CITIZENS.into(), &0.into()));
    for list in ["missing", "different", "foreign"] {
        assert_eq!(whole[list].as_array().unwrap().len(), 0, "{list}");
    }
    let digest = hub.json(&["slice", "digest", "--node", "node"]).await;
    assert_eq!(digest["digest"], whole["digest"], "the hub and the node fold the same");

    let report = node.data().join("report");
    let signed = async |node: &Node| node.cli(&["verify-slice", "--report", report.to_str().unwrap()]).await;
    signed(&node).await.unwrap();
    let checked = hub.json(&["slice", "check", report.to_str().unwrap()]).await;
    assert_eq!((&checked["node"], &checked["right"]), (&"node".into(), &true.into()), "{checked}");

    node.stop();
    tamper(&node, |database| {
        let records = database.cf_handle("records").unwrap();
        let held = rows(database, "records");
        assert_eq!(held.len(), CITIZENS as usize);
        database.delete_cf(&records, &held[11].0).unwrap();
        database.delete_cf(&records, &held[5_001].0).unwrap();
        let (key, mut altered) = held[2_501].clone();
        let last = altered.len() - 1;
        altered[last] ^= 1;
        database.put_cf(&records, key, &altered).unwrap();
        // One person's row in another's place opens nothing there; and so does a row of nobody.
        database.put_cf(&records, &held[77].0, &held[78].1).unwrap();
        database.put_cf(&records, [0x55; 16], &held[79].1).unwrap();
        // An entry of an index.
        let slice = database.cf_handle("slice").unwrap();
        let entry = rows(database, "slice").into_iter().find(|(key, _)| key[0] == 2).unwrap().0;
        database.delete_cf(&slice, entry).unwrap();
    });
    node.start().await;
    node.reaches(hub.head().await).await;
    let found = node.cli(&["verify-slice", "--json", "--report", report.to_str().unwrap()]).await.unwrap();
    let found: Value = serde_json::from_str(&found).unwrap();
    let wrong = hub.cli(&["slice", "check", report.to_str().unwrap()]).await.unwrap_err();
    assert!(wrong.contains("was not what it should have been"), "{wrong}");
    let altered_report = fs::read_to_string(&report).unwrap().replacen('A', "B", 1);
    fs::write(&report, altered_report).unwrap();
    assert!(hub.cli(&["slice", "check", report.to_str().unwrap()]).await.is_err());
    let (gone, altered) = (names(&found["missing"]), names(&found["different"]));
    assert_eq!((gone.len(), altered.len(), names(&found["foreign"]).len()), (2, 2, 0), "{found}");
    assert!(found["index_entries"].as_u64() >= Some(2), "{found}");
    assert_eq!(found["unrepaired"], 0);
    let again = proof(&node).await;
    assert_eq!((&again["digest"], &again["index_entries"]), (&whole["digest"], &0.into()));
    assert_eq!(names(&again["missing"]).len() + names(&again["different"]).len(), 0);
    let status = node.status().await;
    assert_eq!(status["citizens"], CITIZENS);
    assert!(status["repaired"].as_u64() >= Some(5));
    let metrics = node.metrics().await;
    for (kind, number) in [("missing", 2.0), ("different", 2.0), ("foreign", 0.0)] {
        let series = format!("dancu_node_proof_differences_total{{kind=\"{kind}\"}}");
        assert_eq!(metrics[&series], number, "{metrics:?}");
    }
    assert_eq!(metrics["dancu_node_proofs_total"], 2.0);
    assert_eq!(metrics["dancu_node_citizens"], f64::from(CITIZENS));
    let mended: Vec<String> = gone.into_iter().chain(altered).collect();
    let answers = node.batch("p", &mended).await.unwrap();
    assert!(answers.iter().all(|answer| answer.citizen.is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_killed_proves_its_slice_by_itself() {
    let (hub, mut node) = start().await;
    node.kill();
    tamper(&node, |database| {
        let records = database.cf_handle("records").unwrap();
        let held = rows(database, "records");
        held[100..1_100].iter().for_each(|(key, _)| database.delete_cf(&records, key).unwrap());
    });
    node.start().await;
    node.reaches(hub.head().await).await;
    let repaired = || async { node.status().await["repaired"].as_u64() >= Some(990) };
    eventually("the proof after an unclean start", repaired).await;
    assert_eq!(node.status().await["citizens"], CITIZENS);
    assert_eq!(proof(&node).await["missing"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_read_is_thrown_away_and_the_slice_loaded_anew() {
    let (hub, mut node) = start().await;
    // So that the records are in files, and not in the log of writes alone.
    node.stop();
    tamper(&node, |database| {
        let records = database.cf_handle("records").unwrap();
        database.flush_cf(&records).unwrap();
        database.compact_range_cf(&records, None::<&[u8]>, None::<&[u8]>);
    });
    let file = largest(&node.data().join("slice"));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte = !*byte);
    fs::write(&file, bytes).unwrap();
    node.start().await;
    node.reaches(hub.head().await).await;
    assert_eq!(proof(&node).await["reloading"], true);
    let whole = || async {
        let out = node.cli(&["verify-slice", "--json"]).await.unwrap_or_default();
        let proof: Value = serde_json::from_str(&out).unwrap_or_default();
        proof["reloading"] == false && proof["citizens"] == CITIZENS
    };
    eventually("the slice to be whole again", whole).await;
}

fn largest(dir: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let tables = files.filter(|path| path.extension().is_some_and(|kind| kind == "sst"));
    tables.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

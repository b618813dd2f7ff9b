//! Look-ups by the thousand while node and hub are killed at random: every call that was answered is in
//! the hub's access log exactly once, none is there twice, and the proofs hold against a head kept earlier.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dancu_proto::{
    node::v1::{
        BatchGetCitizensRequest, GetCitizenRequest, VerifyCitizenRequest,
        citizen_service_client::CitizenServiceClient,
    },
    v1::{AccessContext, Citizen},
};
use dancu_tests::testkit::{Agreement, Caller, Hub, Node, people};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Deserialize;
use tokio::task::JoinSet;
use tonic::{Status, transport::Channel};

/// Callers at once.
const CALLERS: usize = 64;
/// Connections that they share.
const CONNECTIONS: usize = 8;
/// People in a batch: its answers are recorded in two parts.
const BATCH: usize = 100;
const PARTS: usize = 2;
/// A call that takes longer is given up.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longer than this the hub does not take to have what the nodes recorded.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_look_ups_with_kills_are_each_in_the_log_once() {
    look_ups(81, 20_000, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "slow: some minutes; part of `make test-slow`"]
async fn a_million_look_ups_with_kills_are_each_in_the_log_once() {
    look_ups(82, 1_000_000, 40).await;
}

/// What the callers share.
struct Work {
    ids: Vec<String>,
    /// Look-ups that are still to be answered.
    wanted: u64,
    /// Look-ups that were.
    answered: AtomicU64,
    ended: AtomicBool,
}

/// A call: its case number, and how many records it should leave, if it was answered.
struct Made {
    case: String,
    records: Option<usize>,
}

/// A caller, who asks one thing after the other, each under a case number of its own.
async fn ask(work: Arc<Work>, channel: Channel, caller: usize, seed: u64) -> Vec<Made> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut client = CitizenServiceClient::new(channel);
    let mut made = Vec::new();
    while !work.ended.load(Ordering::Relaxed) {
        let case = format!("{caller}-{}", made.len());
        let call = one(&work, &mut client, &case, &mut rng);
        let answered = tokio::time::timeout(DEADLINE, call).await;
        let records = match answered {
            Ok(Ok((people, records))) => {
                if work.answered.fetch_add(people, Ordering::Relaxed) + people >= work.wanted {
                    work.ended.store(true, Ordering::Relaxed);
                }
                Some(records)
            }
            Ok(Err(_)) | Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                None
            }
        };
        made.push(Made { case, records });
    }
    made
}

/// Mostly a single look-up; now and then a batch or a comparison. How many people were asked about, and
/// how many records that makes.
async fn one(
    work: &Work,
    client: &mut CitizenServiceClient<Channel>,
    case: &str,
    rng: &mut SmallRng,
) -> Result<(u64, usize), Status> {
    let context = AccessContext { purpose: "p".into(), case_number: case.to_owned(), officer: "lan".into() };
    let place = rng.random_range(0..work.ids.len() - BATCH);
    let personal_id = work.ids[place].clone();
    match rng.random_range(0..1_000) {
        0..2 => {
            let personal_ids = work.ids[place..place + BATCH].to_vec();
            let request =
                BatchGetCitizensRequest { context: Some(context), personal_ids, fields: Vec::new() };
            let mut answers = client.batch_get_citizens(request).await?.into_inner();
            let mut people = 0;
            while let Some(answer) = answers.message().await? {
                assert!(answer.citizen.is_some());
                people += 1;
            }
            assert_eq!(people, BATCH as u64);
            Ok((people, PARTS))
        }
        2..100 => {
            let claim = Some(Citizen { sex: "1".into(), ..Citizen::default() });
            let request = VerifyCitizenRequest { context: Some(context), personal_id, claim };
            client.verify_citizen(request).await?;
            Ok((1, 1))
        }
        _ => {
            let request =
                GetCitizenRequest { context: Some(context), personal_id, fields: Vec::new(), remote: false };
            client.get_citizen(request).await?;
            Ok((1, 1))
        }
    }
}

async fn start() -> (Hub, Node, Vec<String>) {
    let hub = Hub::start().await;
    let people = people(83, 5_000);
    hub.import(&people).await;
    hub.apply(&Agreement {
        id: "everyone".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: ["full_name", "date_of_birth", "sex", "permanent_residence"].map(str::to_owned).into(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    })
    .await;
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    (hub, node, people.into_iter().map(|one| one.personal_id).collect())
}

async fn look_ups(seed: u64, wanted: u64, kills: u64) {
    let (mut hub, mut node, ids) = start().await;
    let caller = Caller::add(&node, "one-stop", "p", &[]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let work = Arc::new(Work { ids, wanted, answered: AtomicU64::new(0), ended: AtomicBool::new(false) });
    let began = Instant::now();
    let channels: Vec<_> = (0..CONNECTIONS).map(|_| caller.another_channel()).collect();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let channel = channels[caller % CONNECTIONS].clone();
        callers.spawn(ask(Arc::clone(&work), channel, caller, seed * 1_000 + caller as u64));
    }

    // Each at a random place of its part of the way.
    let mut rng = SmallRng::seed_from_u64(seed);
    let (mut of_node, mut of_hub) = (0, 0);
    let kept = path("kept.head");
    for kill in 0..kills {
        let at = (wanted * kill + rng.random_range(0..wanted)) / (kills + 1);
        while work.answered.load(Ordering::Relaxed) < at {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let which = (kill + rng.random_range(0..2)) % 3;
        if which != 1 {
            of_node += 1;
            node.kill();
        }
        if which != 0 {
            of_hub += 1;
            hub.kill();
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
            hub.restart().await;
        }
        if which != 1 {
            node.start().await;
        }
        if kill == kills / 2 {
            hub.cli(&["audit", "head", "--out", &kept]).await.unwrap();
        }
    }
    let made: Vec<Made> = callers.join_all().await.into_iter().flatten().collect();
    let (answered, took) = (work.answered.load(Ordering::Relaxed), began.elapsed());
    let calls = made.iter().filter(|made| made.records.is_some()).count();
    println!(
        "{answered} people in {calls} answered calls, {} not answered, {of_node} kills of the node and {of_hub} of the hub, {:.1} s, {:.0} people a second",
        made.len() - calls,
        took.as_secs_f64(),
        answered as f64 / took.as_secs_f64()
    );

    let last = work.ids[0].as_str();
    let args = ["get", last, "--purpose", "p", "--case", "last", "--officer", "the-last"];
    node.cli(&args).await.unwrap();
    let waited = Instant::now();
    while hub.json(&["audit", "officer", "the-last"]).await.as_array().unwrap().is_empty() {
        assert!(waited.elapsed() < PATIENCE, "the hub has not got all");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("the hub has all {:.1} s later", waited.elapsed().as_secs_f64());

    let proved = Instant::now();
    let export = path("all.jsonl.zst");
    hub.cli(&["audit", "export", "--out", &export, "--head", &kept]).await.unwrap();
    let verified = hub.cli(&["audit", "verify", &export, "--head", &kept]).await.unwrap();
    print!("{verified}");
    hub.cli(&["audit", "consistency", "--from", &kept]).await.unwrap();
    assert_eq!(hub.json(&["audit", "alarms"]).await.as_array().unwrap().len(), 0);
    println!("exported and proved in {:.1} s", proved.elapsed().as_secs_f64());
    compare(&made, recorded(Path::new(&export)));
}

/// How many records there are of each case.
fn recorded(export: &Path) -> HashMap<String, usize> {
    #[derive(Deserialize)]
    struct Row {
        shown: Shown,
    }
    #[derive(Deserialize)]
    struct Shown {
        case_number: String,
        outcome: String,
    }
    let lines = BufReader::new(zstd::Decoder::new(File::open(export).unwrap()).unwrap()).lines();
    let mut cases = HashMap::new();
    for line in lines.skip(1) {
        let row: Row = serde_json::from_str(&line.unwrap()).unwrap();
        if row.shown.outcome == "OK" {
            *cases.entry(row.shown.case_number).or_default() += 1;
        }
    }
    cases
}

fn compare(made: &[Made], mut recorded: HashMap<String, usize>) {
    let mut unanswered = 0;
    for made in made {
        let records = recorded.remove(&made.case).unwrap_or(0);
        match made.records {
            Some(expected) => assert_eq!(records, expected, "records of {}, which was answered", made.case),
            None => {
                unanswered += usize::from(records > 0);
                assert!(records <= PARTS, "records of {}, which was not answered: {records}", made.case);
            }
        }
    }
    println!("{unanswered} calls were recorded whose answers a kill cut off");
    let others: Vec<_> = recorded.into_keys().collect();
    assert_eq!(others, ["last"], "calls that nobody made");
}

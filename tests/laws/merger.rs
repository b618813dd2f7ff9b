//! The merger of 1 July 2025, replayed on a live hub: agreements follow their areas, nodes of merged
//! provinces come to hold the union and no one else, no citizen is lost and no record is touched, and
//! look-ups go on all along.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use dancu_proto::{
    node::v1::ListAreasResponse,
    v1::{Address, Citizen, RegisteredArea},
};
use dancu_tests::{
    population::{Codes, Population},
    testkit::{Agreement, Hub, Node, eventually},
};
use serde_json::Value;

const CITIZENS: u32 = 20_000;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../proto/data").join(name)
}

fn path(name: &str) -> String {
    data(name).to_str().unwrap().to_owned()
}

fn rows(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect());
    rows.collect()
}

/// What the published tables say, and nothing of the hub's own reading of them.
#[derive(Default)]
struct Tables {
    /// Province and district of each old commune.
    old: HashMap<String, (String, String)>,
    /// New province and commune of each old one, by its largest part.
    went_to: HashMap<String, (String, String)>,
    /// The new province of each old one.
    province: HashMap<String, String>,
    /// Communes that are what they were.
    same: BTreeSet<String>,
}

impl Tables {
    fn read() -> Tables {
        let mut tables = Tables::default();
        let mut made_of: HashMap<String, usize> = HashMap::new();
        let mut divided = BTreeSet::new();
        for row in rows("administrative_units_before_2025-07-01.csv") {
            tables.old.insert(row[4].clone(), (row[0].clone(), row[2].clone()));
        }
        for row in rows("merger_2025-07-01.csv") {
            tables.province.insert(row[0].clone(), row[3].clone());
            if row[5] != "part" {
                tables.went_to.insert(row[2].clone(), (row[3].clone(), row[4].clone()));
                *made_of.entry(row[4].clone()).or_default() += usize::from(!row[2].is_empty());
            } else {
                divided.insert(row[2].clone());
            }
        }
        for (old, (province, now)) in &tables.went_to {
            let whole = old == now && made_of[now] == 1 && !divided.contains(old);
            if whole && *province == tables.old[old].0 {
                tables.same.insert(old.clone());
            }
        }
        tables
    }

    /// A commune with many residents whose code means another commune after, and where it goes.
    fn reused(&self, people: &[Citizen]) -> (String, String) {
        let new: BTreeSet<&String> = self.went_to.values().map(|(_, commune)| commune).collect();
        let lives = |code: &str| {
            people.iter().filter(|one| one.permanent_residence.as_ref().unwrap().commune == code).count()
        };
        let reused = self.went_to.iter().filter(|(old, (_, now))| *old != now && new.contains(old));
        let most = reused.max_by_key(|(old, _)| (lives(old), (*old).clone())).unwrap();
        (most.0.clone(), most.1.1.clone())
    }

    /// An address of before as it is answered before, and after.
    fn answered(&self, written: &Address, merged: bool) -> Address {
        let mut address = written.clone();
        if address.country.is_empty() && !address.commune.is_empty() {
            address.province.clone_from(&self.old[&address.commune].0);
        }
        if !merged || address.province.is_empty() {
            return address;
        }
        let district = self.old.get(&address.commune).filter(|_| !address.commune.is_empty());
        let registered = RegisteredArea {
            province: address.province.clone(),
            district: district.map(|(_, district)| district.clone()).unwrap_or_default(),
            commune: address.commune.clone(),
        };
        match self.went_to.get(&address.commune).filter(|_| !address.commune.is_empty()) {
            Some((province, commune)) => {
                address.province.clone_from(province);
                address.commune.clone_from(commune);
            }
            None => address.province = self.province[&address.province].clone(),
        }
        let same = match registered.commune.as_str() {
            "" => registered.province == address.province,
            commune => self.same.contains(commune),
        };
        address.as_registered = (!same).then_some(registered);
        address
    }
}

/// Whom an office of provinces and communes should hold, with the addresses as they should be.
fn expected(
    people: &[Citizen],
    tables: &Tables,
    merged: bool,
    lives_in: impl Fn(&Address) -> bool,
) -> HashMap<String, Address> {
    let held = people.iter().filter_map(|citizen| {
        let permanent = tables.answered(citizen.permanent_residence.as_ref()?, merged);
        let temporary = citizen.temporary_residence.as_ref().and_then(|stay| stay.address.as_ref());
        let temporary = temporary.map(|address| tables.answered(address, merged));
        let covered = lives_in(&permanent) || temporary.is_some_and(|address| lives_in(&address));
        covered.then(|| (citizen.personal_id.clone(), permanent))
    });
    held.collect()
}

async fn held(node: &Node, people: &[Citizen]) -> HashMap<String, Address> {
    let ids: Vec<String> = people.iter().map(|citizen| citizen.personal_id.clone()).collect();
    let mut held = HashMap::new();
    for ids in ids.chunks(5_000) {
        for answer in node.batch("work", ids).await.unwrap() {
            if let Some(citizen) = answer.citizen {
                held.insert(answer.personal_id, citizen.permanent_residence.unwrap());
            }
        }
    }
    held
}

/// Who looks up all along, and how it goes.
struct Caller {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

async fn call(node: &Node, id: String) -> Caller {
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut client = node.client().await.unwrap();
    let (until, count) = (Arc::clone(&stop), Arc::clone(&answered));
    let task = tokio::spawn(async move {
        let mut refused = Vec::new();
        while !until.load(Ordering::Relaxed) {
            let context = dancu_proto::v1::AccessContext {
                purpose: "work".into(),
                case_number: "T-1".into(),
                officer: "tester".into(),
            };
            let request = dancu_proto::node::v1::GetCitizenRequest {
                context: Some(context),
                personal_id: id.clone(),
                fields: Vec::new(),
                remote: false,
            };
            match client.get_citizen(request).await {
                Ok(_) => _ = count.fetch_add(1, Ordering::Relaxed),
                Err(status) => refused.push(status.to_string()),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        refused
    });
    Caller { stop, answered, task }
}

fn agreement(agency: &str, provinces: &[&str], communes: &[&str]) -> Agreement {
    let list = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    Agreement {
        id: format!("{agency}-work"),
        version: 1,
        agency: agency.into(),
        purpose: "work".into(),
        fields: vec!["full_name".into(), "permanent_residence".into()],
        provinces: list(provinces),
        communes: list(communes),
        offline_limit: "9d".into(),
    }
}

async fn settled(node: &Node, citizens: usize) {
    eventually("the whole slice", || async {
        let status = node.status().await;
        status["state"] == "serving" && status["citizens"].as_u64() == Some(citizens as u64)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_merger_of_2025_is_replayed_on_a_live_hub() {
    let mut hub = Hub::start_under(&data("administrative_units_before_2025-07-01.csv")).await;
    let people: Vec<Citizen> = Population::new(7, CITIZENS).with_codes(Codes::Before).iter().collect();
    let imported = hub.import(&people).await;
    assert_eq!((&imported["added"], &imported["rejected"]), (&CITIZENS.into(), &0.into()));
    let tables = Tables::read();

    let (code, now) = tables.reused(&people);
    // Hà Giang and Tuyên Quang merge.
    let signed = hub.apply(&agreement("ha-giang", &["02"], &[])).await;
    for agreement in [
        agreement("tuyen-quang", &["08"], &[]),
        agreement("commune", &[], &[&code]),
        agreement("nation", &[], &[]),
    ] {
        hub.apply(&agreement).await;
    }
    let mut nodes = Vec::new();
    for agency in ["ha-giang", "tuyen-quang", "commune", "nation"] {
        nodes.push(hub.enroll(agency, agency).await);
    }
    let in_province = |code: &'static str| move |address: &Address| address.province == code;
    let in_commune = |code: &str| {
        let code = code.to_owned();
        move |address: &Address| address.commune == code
    };
    let before = [
        expected(&people, &tables, false, in_province("02")),
        expected(&people, &tables, false, in_province("08")),
        expected(&people, &tables, false, in_commune(&code)),
        expected(&people, &tables, false, |_| true),
    ];
    assert!(before.iter().all(|held| !held.is_empty()));
    for (node, expected) in nodes.iter().zip(&before) {
        settled(node, expected.len()).await;
        assert_eq!(&held(node, &people).await, expected);
    }

    let (merger, units) = (path("merger_2025-07-01.csv"), path("administrative_units.csv"));
    let merge = |last: &'static [&'static str]| {
        let (merger, units) = (merger.clone(), units.clone());
        let args = ["area", "merge", &merger, "--units", &units, "--from", "2025-07-01"].map(str::to_owned);
        let document = ["--document", "202/2025/QH15"].map(str::to_owned);
        let last = last.iter().map(|word| (*word).to_owned());
        args.into_iter().chain(document).chain(last).collect::<Vec<_>>()
    };
    let args = merge(&["--preview"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let head = hub.head().await;
    let preview = hub.json(&args).await;
    assert_eq!(hub.head().await, head, "a preview changes nothing");
    assert_eq!(
        (&preview["before"]["communes"], &preview["after"]["communes"]),
        (&10_035.into(), &3321.into())
    );
    let of = |id: &str| -> &Value {
        let agreements = preview["agreements"].as_array().unwrap();
        agreements.iter().find(|one| one["agreement"] == format!("{id}-work")).unwrap()
    };
    let union = expected(&people, &tables, true, in_province("08"));
    // By addresses of every kind, of which a scope may count fewer.
    assert!(of("ha-giang")["residents_before"].as_u64() >= Some(before[0].len() as u64));
    assert!(of("ha-giang")["residents_after"].as_u64() >= Some(union.len() as u64));
    assert!(of("ha-giang")["after"].as_str().unwrap().starts_with("Tỉnh Tuyên Quang"));
    assert_ne!(of("commune")["after"], of("commune")["before"]);
    assert!(!of("commune")["not_followed"].as_array().unwrap().is_empty());

    let args = merge(&[]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let unasked = hub.cli(&args).await.unwrap_err();
    assert!(unasked.contains("--yes"), "{unasked}");

    // Look-ups, and a change, go on through it.
    let mut callers = Vec::new();
    for (node, held) in nodes.iter().zip(&before) {
        callers.push(call(node, held.keys().next().unwrap().clone()).await);
    }
    let args = merge(&["--yes"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let merged = hub.json(&args).await["revision"].as_u64().unwrap();
    assert_eq!(merged, head + 1, "one commit, and no record is touched");

    let after = [
        union.clone(),
        union.clone(),
        expected(&people, &tables, true, in_commune(&now)),
        expected(&people, &tables, true, |_| true),
    ];
    assert!(union.len() > before[0].len().max(before[1].len()));
    assert_eq!(after[3].len(), people.len(), "no one is lost");
    for (node, expected) in nodes.iter().zip(&after) {
        node.reaches(merged).await;
        settled(node, expected.len()).await;
        assert_eq!(&held(node, &people).await, expected);
    }
    for caller in callers {
        caller.stop.store(true, Ordering::Relaxed);
        let refused: BTreeSet<String> = caller.task.await.unwrap().into_iter().collect();
        assert!(refused.is_empty(), "look-ups refused: {refused:?}");
        assert!(caller.answered.load(Ordering::Relaxed) > 10);
    }

    // What a node held before and after, of someone whom the merger brought it.
    let came = union.keys().find(|id| !before[0].contains_key(*id)).unwrap().clone();
    let shown = |at: u64| {
        let (hub, at, came) = (&hub, at.to_string(), came.clone());
        async move { hub.json(&["slice", "show", "--node", "ha-giang", "--citizen", &came, "--at", &at]).await }
    };
    assert!(shown(head).await["citizen"].is_null());
    assert_eq!(shown(merged).await["citizen"]["permanent_residence"]["province"], "08");

    // Codes of now, of before, and of never.
    let (id, elsewhere) = (people[0].personal_id.clone(), "permanent_residence=");
    let written = |code: &str| format!("{elsewhere}{{\"commune\":\"{code}\",\"detail\":\"x\"}}");
    let mut revision = merged;
    for (code, now, registered) in [(code.as_str(), code.as_str(), None), ("00001", "00097", Some("00001"))] {
        revision = hub.change(&id, &[&written(code)]).await.unwrap();
        nodes[3].reaches(revision).await;
        let address = held(&nodes[3], &people[..1]).await.remove(&id).unwrap();
        assert_eq!(address.commune, now);
        assert_eq!(address.as_registered.map(|area| area.commune).as_deref(), registered);
        let on_hub = hub.json(&["citizen", "show", &id]).await;
        assert_eq!(on_hub["citizen"]["permanent_residence"]["commune"], now);
    }
    assert!(hub.change(&id, &[&written("99999")]).await.is_err());
    let late = Agreement { version: 2, ..agreement("ha-giang", &["02"], &[]) };
    let file = hub.data_dir().join("late.toml");
    std::fs::write(&file, late.document()).unwrap();
    let refused = hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap_err();
    assert!(refused.contains("it was lies in 08"), "{refused}");
    // The document in force is still the one that was signed.
    assert_eq!(hub.apply(&agreement("ha-giang", &["02"], &[])).await, signed);

    // The small one of 2026: names change, codes do not, and no one moves.
    let names = path("changes_2026-04-30.csv");
    let rename = ["area", "rename", &names, "--from", "2026-04-30", "--document", "30/2026/QH16", "--yes"];
    let renamed = hub.json(&rename).await["revision"].as_u64().unwrap();
    assert_eq!(renamed, revision + 1);
    let dong_nai = |areas: &ListAreasResponse| {
        areas.provinces.iter().find(|province| province.code == 75).unwrap().name.clone()
    };
    eventually("the new name", || async {
        dong_nai(&nodes[3].areas().await.unwrap()) == "Thành phố Đồng Nai"
    })
    .await;
    hub.kill();
    hub.restart().await;
    for (place, node) in nodes.iter_mut().enumerate() {
        node.reaches(renamed).await;
        if place == 0 {
            node.kill();
            node.start().await;
            node.reaches(renamed).await;
        }
        let areas = node.areas().await.unwrap();
        assert_eq!(dong_nai(&areas), "Thành phố Đồng Nai");
        assert_eq!(areas.communes.len(), 3321);
        node.cli(&["verify-slice"]).await.unwrap();
    }
    assert_eq!(held(&nodes[0], &people[1..]).await.len(), union.keys().filter(|of| **of != id).count());
}

//! Sealed at rest: a disk tells nobody who is held or what of them; without a lease nothing is answered,
//! and a new one restores all of it with nothing sent again.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use dancu_proto::{Reason, name::fold, v1::Citizen};
use dancu_tests::testkit::{Agreement, Hub, Node, eventually, people};

async fn start(seed: u64) -> (Hub, Node, Vec<Citizen>) {
    let hub = Hub::start().await;
    let people = people(seed, 3_000);
    hub.import(&people).await;
    let fields = ["full_name", "date_of_birth", "old_id_number", "permanent_residence", "other_name"];
    hub.apply(&Agreement {
        id: "only".into(),
        version: 1,
        agency: "agency".into(),
        purpose: "p".into(),
        fields: fields.map(str::to_owned).into(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    })
    .await;
    let node = hub.enroll("node", "agency").await;
    node.reaches(hub.head().await).await;
    // Once it has answered, it also has what its log is sealed for.
    assert_eq!(answered(&node, &people).await, Ok(50));
    (hub, node, people)
}

async fn answered(node: &Node, people: &[Citizen]) -> Result<usize, Option<Reason>> {
    let ids: Vec<String> = people.iter().take(50).map(|one| one.personal_id.clone()).collect();
    let answers = node.batch("p", &ids).await.map_err(|status| Reason::of(&status))?;
    Ok(answers.iter().filter(|answer| answer.citizen.is_some()).count())
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A number as protobuf has it.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// How a citizen may be written on a disk: each at least five bytes long, so that none is there by chance.
fn spellings(citizen: &Citizen) -> Vec<Vec<u8>> {
    let mut texts =
        vec![citizen.personal_id.clone(), citizen.old_id_number.clone(), citizen.other_name.clone()];
    if let Some(name) = &citizen.full_name {
        let name = name.full();
        // A short name may be that of a province or of an officer.
        if name.chars().count() > 12 {
            texts.extend([name.to_uppercase(), fold(&name), name]);
        }
    }
    texts.extend(citizen.permanent_residence.iter().map(|address| address.detail.clone()));
    texts.retain(|text| text.len() >= 9);
    let mut spellings: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    spellings.extend(texts.iter().map(|text| utf16(text)));
    let number: u64 = citizen.personal_id.parse().unwrap();
    spellings.extend([
        number.to_be_bytes()[3..].to_vec(),
        number.to_le_bytes()[..5].to_vec(),
        varint(number),
    ]);
    spellings.retain(|spelling| spelling.len() >= 5);
    spellings
}

/// Windows of five bytes, of which each spelling begins with one: to look at a file once for all people.
fn found_in(content: &[u8], spellings: &[Vec<u8>], beginnings: &BTreeSet<[u8; 5]>) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (at, window) in content.windows(5).enumerate() {
        if beginnings.contains(window) {
            let here = spellings.iter().filter(|spelling| content[at..].starts_with(spelling));
            found.extend(here.cloned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_on_the_disk_of_a_node_tells_whom_it_holds() {
    let (hub, mut node, people) = start(71).await;
    // Answers, changes that go through the log of writes, a search, a killed process: all leave traces.
    assert_eq!(answered(&node, &people).await.unwrap(), 50);
    for citizen in &people[..5] {
        hub.change(&citizen.personal_id, &["other_name=Người được tìm trên đĩa"]).await.unwrap();
    }
    node.reaches(hub.head().await).await;
    let name = people[0].full_name.as_ref().unwrap().full();
    let birth = people[0].date_of_birth.unwrap().year.to_string();
    let find =
        ["find", "--name", &name, "--birth", &birth, "--purpose", "p", "--case", "T-1", "--officer", "t"];
    node.cli(&find).await.unwrap();
    node.kill();

    let mut spellings: Vec<Vec<u8>> = people.iter().flat_map(spellings).collect();
    spellings.push("Người được tìm trên đĩa".as_bytes().to_vec());
    let beginnings: BTreeSet<[u8; 5]> =
        spellings.iter().map(|spelling| spelling[..5].try_into().unwrap()).collect();
    // The search finds what is there: the hub's own disk is not sealed.
    let looked_at = |dir: &Path| {
        files(dir)
            .into_iter()
            .flat_map(|path| {
                let found = found_in(&fs::read(&path).unwrap(), &spellings, &beginnings);
                found.into_iter().map(move |spelling| (path.clone(), spelling))
            })
            .collect::<Vec<_>>()
    };
    let plain = tempfile::tempdir().unwrap();
    fs::write(plain.path().join("plain"), people[7].personal_id.as_bytes()).unwrap();
    assert_eq!(looked_at(plain.path()).len(), 1);
    let told = looked_at(&node.data());
    // Five bytes may be there by chance; a spelling of nine may not.
    let surely: Vec<_> = told.iter().filter(|(_, spelling)| spelling.len() >= 9).collect();
    assert!(surely.is_empty(), "{:?}", surely.iter().map(|(path, _)| path).collect::<Vec<_>>());
    assert!(told.len() <= 2, "{} numbers as five bytes: more than by chance", told.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_by_its_operator_a_node_answers_nothing_until_it_is_unsealed() {
    let (hub, mut node, people) = start(72).await;
    assert_eq!(answered(&node, &people).await.unwrap(), 50);
    node.cli(&["seal"]).await.unwrap();
    assert_eq!(answered(&node, &people).await, Err(Some(Reason::SliceSealed)));
    node.is("sealed").await;
    assert!(!node.data().join("lease").exists(), "the key that was kept is gone");
    node.stop();
    node.start().await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(node.status().await["state"], "sealed");
    assert_eq!(answered(&node, &people).await, Err(Some(Reason::SliceSealed)));
    let before = node.line.bytes();
    node.cli(&["unseal"]).await.unwrap();
    let began = Instant::now();
    node.reaches(hub.head().await).await;
    assert_eq!(answered(&node, &people).await.unwrap(), 50);
    println!("unsealed and answering after {:?}", began.elapsed());
    let sent = node.line.bytes() - before;
    assert!(sent < 12_000, "{sent} bytes: a handshake and a policy, and nothing of the slice again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_node_forgets_its_key_and_goes_on_when_it_is_resumed() {
    let (hub, node, people) = start(73).await;
    hub.cli(&["node", "suspend", "node", "--reason", "audit"]).await.unwrap();
    node.is("suspended").await;
    eventually("the key to be forgotten", || async { !node.data().join("lease").exists() }).await;
    assert_eq!(answered(&node, &people).await, Err(Some(Reason::NodeSuspended)));
    let before = node.line.bytes();
    hub.cli(&["node", "resume", "node"]).await.unwrap();
    node.reaches(hub.head().await).await;
    assert_eq!(answered(&node, &people).await.unwrap(), 50);
    let sent = node.line.bytes() - before;
    assert!(sent < 20_000, "{sent} bytes: some handshakes and a policy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_memory_alone_is_gone_with_the_process() {
    let (hub, mut node, people) = start(74).await;
    node.keep_the_key_in_memory();
    node.line.cut();
    node.stop();
    node.start().await;
    assert_eq!(answered(&node, &people).await, Err(Some(Reason::SliceSealed)));
    assert_eq!(node.status().await["state"], "sealed");
    let before = node.line.bytes();
    node.line.restore();
    node.reaches(hub.head().await).await;
    assert_eq!(answered(&node, &people).await.unwrap(), 50);
    assert!(node.line.bytes() - before < 12_000);
}

/// A key of the operator's, sealed for this host and opened again, as systemd does for a service; none where
/// there is no systemd-creds, or it may not do that.
fn credential(name: &str, key: [u8; 32], directory: &Path) -> Option<()> {
    let plain = directory.join("plain");
    let sealed = directory.join("sealed");
    let opened = directory.join("credentials");
    fs::create_dir_all(&opened).unwrap();
    fs::write(&plain, key).unwrap();
    let creds = |deed: &str, from: &Path, to: &Path| {
        let named = format!("--name={name}");
        let mut command = Command::new("systemd-creds");
        if deed == "encrypt" {
            command.arg("--with-key=host");
        }
        let done = command.arg(named).arg(deed).arg(from).arg(to).output();
        let told = match &done {
            Ok(done) if done.status.success() => return Some(()),
            Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        println!("skipped: systemd-creds {deed}: {told}");
        None
    };
    creds("encrypt", &plain, &sealed)?;
    fs::remove_file(&plain).unwrap();
    assert!(!fs::read(&sealed).unwrap().windows(32).any(|part| part == key));
    let _ = fs::remove_file(opened.join(name));
    creds("decrypt", &sealed, &opened.join(name))?;
    assert_eq!(fs::read(opened.join(name)).unwrap(), key);
    Some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_credential_of_the_system_a_node_opens_its_slice_offline_and_with_no_other() {
    let place = tempfile::tempdir().unwrap();
    if credential("slice-key", [1; 32], place.path()).is_none() {
        return;
    }
    let (hub, mut node, people) = start(75).await;
    node.keep_the_key_with("slice-key", &place.path().join("credentials"));
    node.stop();
    node.start().await;
    node.reaches(hub.head().await).await;
    node.line.cut();
    node.stop();
    node.start().await;
    assert_eq!(answered(&node, &people).await, Ok(50), "the hub is out of reach");

    // Another key by the same name, as on another machine.
    let elsewhere = tempfile::tempdir().unwrap();
    credential("slice-key", [2; 32], elsewhere.path()).unwrap();
    node.keep_the_key_with("slice-key", &elsewhere.path().join("credentials"));
    node.stop();
    node.start().await;
    assert_eq!(answered(&node, &people).await, Err(Some(Reason::SliceSealed)));
    assert!(node.log().contains("wrapped otherwise"), "{}", node.log());
    // And none at all: it says what is missing.
    node.stop();
    let refused = node.cli(&["serve"]).await.unwrap_err();
    assert!(refused.contains("LoadCredentialEncrypted="), "{refused}");
    // The hub has the key still.
    node.line.restore();
    node.start().await;
    node.reaches(hub.head().await).await;
    assert_eq!(answered(&node, &people).await, Ok(50));
}

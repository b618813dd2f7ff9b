//! Nodes that read slowly, or not at all: they slow nobody else, and the hub does not keep for them
//! what they do not take.

use std::time::{Duration, Instant};

use dancu_proto::{
    hub::v1::ChangeCitizenRequest,
    v1::{Citizen, Date},
};
use dancu_tests::testkit::{Agreement, Hub, Simulated, people};

/// Nodes that read nothing, and as many whose line lets through a few bytes now and then.
const SLOW: usize = 64;
/// The first of them bring the hub's allocator to what it keeps for itself.
const FIRST: usize = 16;
/// So long that nothing is read while the test runs.
const NEVER: Duration = Duration::from_secs(3_600);

fn everyone(name: &str) -> Agreement {
    let fields = ["full_name", "email", "permanent_residence", "place_of_birth", "place_of_origin"];
    Agreement {
        id: name.into(),
        version: 1,
        agency: name.into(),
        purpose: "p".into(),
        fields: fields.map(str::to_owned).into(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    }
}

/// Makes changes one after the other: how long it takes until each is at a node, sorted.
async fn latencies(hub: &Hub, node: &Simulated, ids: &[String]) -> Vec<Duration> {
    let (mut admin, mut latencies) = (hub.admin().await, Vec::new());
    for (count, id) in ids.iter().enumerate() {
        let request = ChangeCitizenRequest {
            personal_id: id.clone(),
            set: Some(Citizen { email: format!("fast{count}@example.vn"), ..Citizen::default() }),
            reason: "a test".into(),
            document_number: "T/1".into(),
            effective_date: Some(Date { year: 2026, month: 1, day: 1 }),
            ..ChangeCitizenRequest::default()
        };
        let asked = Instant::now();
        let revision = admin.change_citizen(request).await.unwrap().into_inner().revision;
        while node.holding().cursor < revision {
            assert!(asked.elapsed() < Duration::from_secs(20), "a change does not come");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        latencies.push(asked.elapsed());
    }
    latencies.sort_unstable();
    latencies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_slowly_slows_nobody_and_holds_no_memory() {
    // What is freed goes back at once, so that what is held can be seen.
    let mut hub = Hub::start_with(&[("MIMALLOC_PURGE_DELAY", "0")]).await;
    let mut people = people(71, 20_000);
    for (count, person) in people.iter_mut().enumerate() {
        // Texts that nothing compresses well, so that much is pending.
        let places =
            [&mut person.permanent_residence, &mut person.place_of_birth, &mut person.place_of_origin];
        for (place, address) in places.into_iter().flatten().enumerate() {
            address.detail = (0..4).map(|part| digits(count * 12 + place * 4 + part)).collect();
        }
    }
    hub.import(&people).await;
    let ids: Vec<String> = people.iter().take(60).map(|one| one.personal_id.clone()).collect();
    hub.apply(&everyone("fast")).await;
    let fast = hub.simulate("fast", "fast").await;
    fast.wait_until_at(hub.head().await).await;
    let before = latencies(&hub, &fast, &ids[..30]).await;
    for count in 0..SLOW {
        hub.apply(&everyone(&format!("slow-{count}"))).await;
    }
    let mut slow = Vec::new();
    for count in 0..SLOW {
        let name = format!("slow-{count}");
        let token = hub.token(&name, &name).await;
        slow.push(Simulated::join(&token, hub.line().await).await.unwrap());
    }
    // What an import leaves to the allocator would hide what is held now. Someone who reads everything
    // brings the records into the cache.
    hub.kill();
    hub.restart().await;
    let warm = hub.simulate("warm", "fast").await;
    warm.wait_until_at(hub.head().await).await;
    fast.wait_until_at(hub.head().await).await;

    let mut memory = 0;
    for (count, node) in slow.iter_mut().enumerate() {
        if count == FIRST {
            tokio::time::sleep(Duration::from_secs(3)).await;
            memory = hub.memory();
        }
        if count % 2 == 0 {
            node.slow_down(NEVER);
        } else {
            node.line.slow_down(Some(10));
        }
        node.start();
    }
    // Time for the hub to make all it would for them.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let meanwhile = latencies(&hub, &fast, &ids[30..]).await;
    let grown = hub.memory().saturating_sub(memory) >> 10;
    let (pending, more) = (fast.traffic().bytes >> 20, (SLOW - FIRST) as u64);
    eprintln!("pending for each of {more}: {pending} MiB; the hub has grown by {grown} MiB");
    let (median, worst) = (meanwhile[meanwhile.len() / 2], meanwhile[meanwhile.len() - 1]);
    eprintln!("latency: {:?} before, {median:?} meanwhile, at the worst {worst:?}", before[before.len() / 2]);
    assert!(slow.iter().all(|node| !node.holding().settled()), "nobody has taken everything");
    assert!(pending >= 8, "much is pending");
    // A frame in the making, and one on its way, for each: and not what is pending.
    assert!(grown < 4 * more, "{grown} MiB are held for those who do not read");
    assert!(median < Duration::from_millis(100) && worst < Duration::from_secs(2), "{meanwhile:?}");

    for node in &slow {
        node.slow_down(Duration::ZERO);
        node.line.slow_down(None);
    }
    let head = hub.head().await;
    let right = fast.holding();
    for node in &slow {
        node.wait_until_at(head).await;
        assert_eq!(node.faults(), Vec::<String>::new());
        let holding = node.holding();
        assert_eq!(holding.citizens.len(), 20_000);
        let same = holding.citizens.iter().all(|(id, held)| held.record == right.citizens[id].record);
        assert!(same, "{} holds what the fast node holds", node.name());
    }
}

/// Sixty-four digits that look random.
fn digits(number: usize) -> String {
    let mut state = number as u64 + 1;
    let parts = (0..4).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state ^ (state >> 29))
    });
    parts.collect()
}

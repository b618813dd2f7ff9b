//! What goes wrong meanwhile: nodes and hub are killed, lines are cut and slow, disks are full, and a
//! file goes by hand what also goes by the line.

use std::{sync::Arc, time::Duration};

use dancu_tests::testkit::{Disk, Hub};
use rand::{Rng, rngs::SmallRng};
use tokio::sync::Mutex;

use super::offices::Office;

/// The hub, which may be killed at any time.
pub(super) struct Headquarters {
    pub hub: Mutex<Hub>,
    pub disk: Option<Disk>,
}

/// Makes trouble so many times, and mends everything. What it did, for people.
pub(super) async fn trouble(
    place: &Headquarters,
    offices: &[Office],
    times: u32,
    mut rng: SmallRng,
) -> Vec<String> {
    let mut did = Vec::new();
    let mut full = false;
    for _ in 0..times {
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..600))).await;
        let office = &offices[rng.random_range(0..offices.len())];
        match rng.random_range(0..9) {
            0 | 1 => {
                let mut node = office.node.lock().await;
                node.kill();
                did.push(format!("kill of {}", office.name));
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
                node.start().await;
            }
            2 => {
                let mut hub = place.hub.lock().await;
                hub.kill();
                did.push("kill of the hub".into());
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..300))).await;
                hub.restart().await;
            }
            3 => {
                let node = office.node.lock().await;
                node.line.cut();
                did.push(format!("cut of {}", office.name));
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..500))).await;
                node.line.restore();
            }
            4 => {
                office.node.lock().await.line.break_after(rng.random_range(0..20_000));
                did.push(format!("break of {}", office.name));
            }
            5 => {
                let pace = rng.random_bool(0.6).then(|| rng.random_range(200..3_000));
                office.node.lock().await.line.slow_down(pace);
                did.push(format!("pace of {}: {pace:?}", office.name));
            }
            6 => {
                // The one office that has a disk of its own.
                let Some(disk) = offices.last().and_then(|last| last.disk.as_ref()) else { continue };
                if full {
                    disk.make_room();
                    did.push("a node's disk has room".into());
                } else {
                    // The slice stands still; or the outbox takes nothing in either.
                    let room = if rng.random_bool(0.3) { 80 } else { 24 };
                    disk.fill(room);
                    did.push(format!("a node's disk is full but for {room} MiB"));
                }
                full = !full;
            }
            7 => {
                let Some(disk) = &place.disk else { continue };
                // Within its reserve; or the database itself runs dry.
                let room = if rng.random_bool(0.5) { 250 } else { 0 };
                disk.fill(room);
                did.push(format!("the hub's disk is full but for {room} MiB for a while"));
                tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_000))).await;
                disk.make_room();
            }
            _ => did.push(by_hand(place, office).await),
        }
    }
    if full && let Some(disk) = offices.last().and_then(|last| last.disk.as_ref()) {
        disk.make_room();
    }
    for office in offices {
        let node = office.node.lock().await;
        node.line.restore();
        node.line.slow_down(None);
    }
    did
}

/// The outbox of an office goes to the hub on a stick, too.
pub(super) async fn by_hand(place: &Headquarters, office: &Office) -> String {
    let stick = tempfile::tempdir().unwrap();
    let file = stick.path().join("outbox.dancu");
    let path = file.to_str().unwrap();
    let exported = office.node.lock().await.cli(&["outbox", "export", path]).await;
    let Ok(_) = exported else { return format!("export at {}: {exported:?}", office.name) };
    let imported = place.hub.lock().await.cli(&["contribution", "import", path]).await;
    // Nothing may be wrong with it but that the hub cannot store it now.
    if let Err(error) = &imported {
        assert!(error.contains("disk") || error.contains("store this now"), "{error}");
    }
    format!("by hand from {}: {imported:?}", office.name)
}

impl Headquarters {
    /// With a disk of its own, where that can be.
    pub(super) async fn found(own_disk: bool) -> Arc<Headquarters> {
        let disk = if own_disk { Disk::mount(1_200) } else { None };
        let hub = match &disk {
            Some(disk) => Hub::start_on(disk, &[("DANCU_HUB__STORAGE__RESERVE_MB", "300")]).await,
            None => Hub::start().await,
        };
        Arc::new(Headquarters { hub: Mutex::new(hub), disk })
    }
}

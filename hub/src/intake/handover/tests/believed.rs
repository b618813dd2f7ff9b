//! Batches in which not everything is to be believed.

use std::{path::Path, sync::Arc, time::Duration};

use dancu_proto::{
    Areas,
    channel::{SigningRequest, SwappableIdentity},
    contribution::{Place, Sealer},
    signed::{Verifier, sign, sign_together},
    v1::{Contribution, ContributionState, QueuedContribution, Signed},
};
use prost_types::Timestamp;
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use super::super::{Barred, Handover, evidence, handed_in};
use crate::{
    audit::AuditLog,
    enrollment::{Authority, NodeRoll, RollRows},
    intake::event,
    procedures::Office,
    projection::Ledger,
    registry::Registry,
    router::Router,
};

const NOW: OffsetDateTime = datetime!(2026-11-28 10:00 UTC);
const DAY: Duration = Duration::from_secs(86_400);

fn handover(data: &Path) -> Handover {
    Registry::create(data, &Areas::shipped().in_force().to_message()).unwrap();
    let registry = Registry::open(data, 0, Arc::new(Router::default()), Arc::new(|| NOW)).unwrap();
    let registry = Arc::new(registry);
    let authority = Arc::new(Authority::create(&data.join("authority"), NOW).unwrap());
    let (_, chain, key) = authority.certify_hub(&[], DAY, NOW).unwrap();
    let rows = Arc::new(RollRows(Arc::clone(registry.store())));
    let roll = Arc::new(NodeRoll::open(Arc::clone(&authority), rows, DAY).unwrap());
    roll.add("ba-dinh", "ubnd-ba-dinh", DAY, NOW).unwrap();
    let ledger = Arc::new(Ledger::new(registry.first_order().unwrap()));
    let office = Office::load(None, None, &registry, Arc::clone(&ledger), Arc::clone(&roll)).unwrap();
    Handover {
        ledger,
        roll,
        authority: Arc::new(event::Authority::load(None).unwrap()),
        office: Arc::new(office),
        verifier: Arc::new(Verifier::new(authority.certificate().clone())),
        log: Arc::new(AuditLog::open(data, 0, Arc::clone(&registry)).unwrap()),
        identity: SwappableIdentity::new(chain, key).unwrap(),
        bells: Arc::default(),
        clock: Arc::new(|| NOW),
        registry,
    }
}

/// A node that was certified by the authority of a hub, or of another.
fn node(name: &str, authority: &Path) -> Arc<SwappableIdentity> {
    let request = SigningRequest::new(name).unwrap();
    let authority = Authority::open(authority).unwrap();
    let issued = authority.certify_node(name, &request.csr, DAY, NOW).unwrap();
    SwappableIdentity::new(vec![issued.certificate], request.key()).unwrap()
}

#[tokio::test]
async fn what_is_not_to_be_believed_holds_nothing_else_up() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let handover = handover(dir.path());
    Authority::create(elsewhere.path(), NOW).unwrap();
    let ours = node("ba-dinh", &dir.path().join("authority"));
    let stranger = node("ba-dinh", elsewhere.path());
    let ids: Vec<_> = (0..4).map(|_| Uuid::now_v7()).collect();
    let queued = |place: usize, at: OffsetDateTime, by: &SwappableIdentity| -> Signed {
        let contribution = Contribution { id: ids[place].to_string(), ..Contribution::default() };
        let time = Timestamp { seconds: at.unix_timestamp(), nanos: 0 };
        let registry_id = handover.registry.id();
        let sequence = place as u64 + 1;
        let place = Place { node: "ba-dinh", registry_id: &registry_id, outbox: &[7; 16], sequence, time };
        let queued: QueuedContribution =
            Sealer::default().seal(&contribution, &place, handover.log.recipient()).unwrap();
        sign(&queued, by).unwrap()
    };
    // A clock was slow, and somebody else has a certificate with that name.
    let batch = vec![
        queued(0, NOW, &ours),
        queued(1, NOW - DAY, &ours),
        queued(2, NOW, &stranger),
        queued(3, NOW, &ours),
    ];
    let taken = handover.take(batch.into(), Barred::Refused).await.unwrap();
    let refused: Vec<_> = taken.refused.iter().map(|one| one.index).collect();
    assert_eq!((taken.new, taken.known, refused), (2, 0, vec![1, 2]));
    let stands = |place: usize| {
        let row = handed_in::in_view(&handover.registry.view(), ids[place]).unwrap();
        row.map(|row| row.state())
    };
    let told = Some(ContributionState::Rejected);
    assert_eq!([stands(0), stands(1), stands(2), stands(3)], [told, None, None, told]);
    // Signed anew it counts as the others do.
    let taken = handover.take(vec![queued(1, NOW, &ours)].into(), Barred::Refused).await.unwrap();
    assert_eq!((taken.new, taken.refused.len(), stands(1)), (1, 0, told));
}

#[tokio::test]
async fn what_a_stolen_key_signs_counts_only_if_an_operator_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let handover = handover(dir.path());
    let ours = node("ba-dinh", &dir.path().join("authority"));
    let contribution = Contribution { id: Uuid::now_v7().to_string(), ..Contribution::default() };
    let time = Timestamp { seconds: NOW.unix_timestamp(), nanos: 0 };
    let registry_id = handover.registry.id();
    let place = Place { node: "ba-dinh", registry_id: &registry_id, outbox: &[7; 16], sequence: 1, time };
    let signed =
        sign(&Sealer::default().seal(&contribution, &place, handover.log.recipient()).unwrap(), &ours)
            .unwrap();
    handover.roll.revoke("ba-dinh", "stolen").unwrap();
    let taken = handover.take(vec![signed.clone()].into(), Barred::Refused).await.unwrap();
    assert_eq!((taken.new, taken.refused.len()), (0, 1));
    let taken = handover.take(vec![signed].into(), Barred::TakenOver).await.unwrap();
    assert_eq!((taken.new, taken.refused.len()), (1, 0));
}

#[tokio::test]
async fn what_was_signed_is_kept_as_evidence_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let handover = handover(dir.path());
    let data = dir.path().join("authority");
    let (first, renewed) = (node("ba-dinh", &data), node("ba-dinh", &data));
    let (sealer, registry_id) = (Sealer::default(), handover.registry.id());
    let queued = |sequence: u64| {
        let contribution = Contribution { id: Uuid::now_v7().to_string(), ..Contribution::default() };
        let time = Timestamp { seconds: NOW.unix_timestamp(), nanos: 0 };
        let place = Place { node: "ba-dinh", registry_id: &registry_id, outbox: &[7; 16], sequence, time };
        sealer.seal(&contribution, &place, handover.log.recipient()).unwrap()
    };
    let together: Vec<_> = (1..=5).map(queued).collect();
    let mut came = sign_together(&together, &first).unwrap().into_signed();
    came.push(sign(&queued(6), &renewed).unwrap());
    // An outbox that was put back gives a place again.
    came.push(sign(&queued(3), &renewed).unwrap());
    let taken = handover.take(came.clone().into(), Barred::Refused).await.unwrap();
    assert_eq!((taken.new, taken.refused.len()), (7, 0));
    // Of those that were signed together not all come, or one before the others, or one that is not believed.
    let signed = |from: u64| {
        let together: Vec<_> = (from..from + 5).map(&queued).collect();
        sign_together(&together, &first).unwrap().into_signed()
    };
    let some: Vec<_> = signed(11).into_iter().step_by(2).collect();
    let taken = handover.take(some.clone().into(), Barred::Refused).await.unwrap();
    assert_eq!((taken.new, taken.refused.len()), (3, 0));
    let all = signed(21);
    let taken = handover.take(vec![all[3].clone()].into(), Barred::Refused).await.unwrap();
    assert_eq!((taken.new, taken.refused.len()), (1, 0));
    let taken = handover.take(all.clone().into(), Barred::Refused).await.unwrap();
    assert_eq!((taken.new, taken.known, taken.refused.len()), (4, 1, 0));
    let mut others: Vec<_> = (31..=33).map(queued).collect();
    others[1].node = "hoan-kiem".into();
    let mixed = sign_together(&others, &first).unwrap();
    let taken = handover.take(mixed.clone(), Barred::Refused).await.unwrap();
    assert_eq!((taken.new, taken.refused[0].index, taken.refused.len()), (2, 1, 1));
    let mut mixed = mixed.into_signed();
    mixed.remove(1);
    came.extend(some.into_iter().chain(all).chain(mixed));
    let view = handover.registry.view();
    for signed in came {
        let (queued, _) = handover.verifier.verify::<QueuedContribution>(&signed).unwrap();
        let row = handed_in::in_view(&view, queued.contribution_id.parse().unwrap()).unwrap().unwrap();
        assert_eq!(evidence::evidence(&view, &row).unwrap(), Some(signed.clone()));
        assert_eq!(row.hash, Sha256::digest(&signed.content).to_vec());
    }
}

//! Signatures that nobody would believe, of clocks and certificates that were wrong.

use std::sync::Mutex;

use dancu_proto::{
    channel::{PeerIdentity, SwappableIdentity},
    signed::{gather, sign, verify},
};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use super::*;

struct Authority(CertificateDer<'static>, Issuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap();
        Authority(certificate.der().clone(), Issuer::new(params, key))
    }

    /// A certificate and its key, for ninety days.
    fn certify(&self, since: OffsetDateTime) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI("dancu:node:ha-giang".try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (since, since + Duration::days(90));
        let certificate = params.signed_by(&key, &self.1).unwrap();
        (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

/// A node with a key, and a clock that is put.
struct Node {
    authority: Authority,
    identity: Arc<SwappableIdentity>,
    clock: Arc<Mutex<OffsetDateTime>>,
    outbox: Outbox,
    _directory: tempfile::TempDir,
}

impl Node {
    fn new() -> Node {
        let directory = tempfile::tempdir().unwrap();
        let (authority, clock) = (Authority::new(), Arc::new(Mutex::new(NOW)));
        let (chain, key) = authority.certify(NOW);
        let identity = SwappableIdentity::new(chain, key).unwrap();
        let (signer, gatherer, time) = (Arc::clone(&identity), Arc::clone(&identity), Arc::clone(&clock));
        let setup = Setup {
            node: "ha-giang".into(),
            slice: agreed(directory.path()),
            log: None,
            sign: Box::new(move |queued| sign(queued, &signer)),
            gather: Box::new(move |signed| gather::<QueuedContribution>(signed, &gatherer)),
            check: Box::new(|_| Err(VerifyError::Content)),
            clock: Arc::new(move || *time.lock().unwrap()),
            reserve: 0,
        };
        let outbox = Outbox::open(&directory.path().join("outbox"), setup).unwrap();
        outbox.set_recipient(&super::key().public).unwrap();
        Node { authority, identity, clock, outbox, _directory: directory }
    }

    fn queue_at(&self, time: OffsetDateTime, number: u64) -> QueuedContribution {
        *self.clock.lock().unwrap() = time;
        queue(&self.outbox, number..=number);
        read(&self.outbox.queued(number).unwrap().unwrap().1)
    }

    /// What is handed on of a place, which everybody must believe.
    fn believed(&self, place: u64) -> QueuedContribution {
        let signed = self.outbox.to_send(place).unwrap().unwrap();
        let exported = self.outbox.export(place - 1).next().unwrap().unwrap();
        assert_eq!(exported, (place, signed.clone()), "it stays as it was signed anew");
        let (queued, signer) = verify::<QueuedContribution>(&signed, &self.authority.0).unwrap();
        assert_eq!(signer, PeerIdentity::Node("ha-giang".into()));
        queued
    }
}

fn seconds(queued: &QueuedContribution) -> i64 {
    queued.time.unwrap().seconds
}

#[test]
fn what_was_signed_by_a_slow_clock_is_signed_anew_for_the_same_place() {
    let node = Node::new();
    let before = node.queue_at(OffsetDateTime::UNIX_EPOCH, 1);
    // The clock is still slow: no certificate is younger than what is signed with it.
    let after = node.believed(1);
    assert_eq!(seconds(&after), NOW.unix_timestamp());
    assert_eq!(after, QueuedContribution { time: after.time, ..before });
    assert_eq!(node.outbox.status(id(1), "test").unwrap().0.queued_at.unwrap().seconds, 0);
    // What is right is left as it is.
    let before = node.queue_at(NOW + Duration::days(1), 2);
    *node.clock.lock().unwrap() = NOW + Duration::days(2);
    assert_eq!(node.believed(2), before);
}

#[test]
fn what_was_queued_after_the_certificate_had_run_out_is_signed_with_the_next_one() {
    let node = Node::new();
    let before = node.queue_at(NOW + Duration::days(100), 1);
    let (chain, key) = node.authority.certify(NOW + Duration::days(110));
    node.identity.replace(chain, key).unwrap();
    *node.clock.lock().unwrap() = NOW + Duration::days(111);
    let after = node.believed(1);
    assert_eq!(seconds(&after), (NOW + Duration::days(111)).unix_timestamp());
    assert_eq!((after.sequence, after.sealed), (before.sequence, before.sealed));
}

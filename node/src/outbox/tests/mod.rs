//! The outbox on disk, the exchange with a hub over lines that break, and the service over real sockets.

mod exchange;
mod restored;
mod service;
mod signing;
mod store;

use std::{path::Path, sync::Arc};

use dancu_proto::{
    Field,
    signed::{Statement, VerifyError},
    v1::{AccessContext, Contribution, ContributionOutcome, ContributionState, QueuedContribution, Signed},
};
use prost::Message;
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{Hpke, HpkePrivateKey},
};
use uuid::Uuid;

use super::*;
use crate::{
    lookup::tests::fixture::{AN, NOW, grant, slice},
    slice::Slice,
};

/// The key pair of a hub.
struct Key {
    public: Vec<u8>,
    secret: HpkePrivateKey,
}

fn key() -> Key {
    let (public, secret) = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().unwrap();
    Key { public: public.0, secret }
}

/// A slice whose agreement lets the agency hand in.
fn agreed(directory: &Path) -> Slice {
    let grants = vec![
        grant(1, "birth", &["lookup", "contribute"], &[Field::Sex]),
        grant(2, "look", &["lookup"], &[Field::Sex]),
    ];
    slice(directory, grants, vec![])
}

fn open(directory: &Path, slice: &Slice, reserve: u64) -> Outbox {
    let setup = Setup {
        node: "ha-giang".into(),
        slice: slice.clone(),
        log: None,
        sign: Box::new(|queued| Ok(unsigned(queued))),
        gather: Box::new(Ok),
        check: Box::new(|signed| {
            if signed.kind != QueuedContribution::KIND {
                return Err(VerifyError::Content);
            }
            Ok(read(signed))
        }),
        clock: Arc::new(|| NOW),
        reserve,
    };
    Outbox::open(&directory.join("outbox"), setup).unwrap()
}

/// The outbox as it lies on the disk, put somewhere else. Nobody has it open.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// As a node signs it, which has no key.
fn unsigned(queued: &QueuedContribution) -> Signed {
    let kind = QueuedContribution::KIND.into();
    Signed { kind, content: queued.encode_to_vec(), ..Signed::default() }
}

fn read(signed: &Signed) -> QueuedContribution {
    QueuedContribution::decode(&signed.content[..]).unwrap()
}

/// The n-th contribution of a test.
fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(0x0190_0000_0000_7000 | (number >> 32), 0x8000_0000_0000_0000 | number)
}

fn missing(number: u64) -> Contribution {
    let json = format!(
        r#"{{"id":"{}","context":{{"purpose":"birth","case_number":"HS-{number}","officer":"CB-7"}},
            "effective_date":"2026-01-02",
            "document":{{"number":"12/KS","date":"2026-01-05","issued_by":"UBND"}},
            "event":{{"missing":{{"persons":[{{"personal_id":"{AN}"}}]}}}}}}"#,
        id(number)
    );
    serde_json::from_str(&json).unwrap()
}

fn submission(number: u64) -> Submission {
    Submission::new("test".into(), missing(number))
}

/// Queues some, which all go well.
fn queue(outbox: &Outbox, numbers: std::ops::RangeInclusive<u64>) {
    let all: Vec<_> = numbers.map(submission).collect();
    outbox.submit_all(&all).into_iter().for_each(|one| drop(one.unwrap()));
}

fn outcome(of: &QueuedContribution, state: ContributionState, number: &str) -> ContributionOutcome {
    ContributionOutcome {
        contribution_id: of.contribution_id.clone(),
        node: of.node.clone(),
        outbox: of.outbox.clone(),
        sequence: of.sequence,
        state: state.into(),
        revision: 9,
        personal_id: number.into(),
        ..ContributionOutcome::default()
    }
}

fn context() -> Option<AccessContext> {
    missing(1).context
}

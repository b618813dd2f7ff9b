//! The log as the hub finds it: whole, in order, and readable to the hub alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use dancu_proto::{
    Field, FieldSet, PersonalId, Reason,
    v1::{AccessContext, AccessEntry, AccessOperation, LogKey, LogRecord, SubjectOutcome, log_record::Body},
};
use prost::Message;
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey},
};
use time::macros::datetime;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;

const INTERVAL: Sync = Sync::Interval(Duration::from_millis(10));

fn person(number: u64) -> PersonalId {
    format!("001185{number:06}").parse().unwrap()
}

fn call(case_number: &str, people: &[u64]) -> Entry {
    let context =
        AccessContext { purpose: "1.001193".into(), case_number: case_number.into(), officer: "CB-7".into() };
    let mut entry = Entry::new(AccessOperation::Get, Some(&context));
    for number in people {
        entry.tells(person(*number), [Field::FullName].into_iter().collect(), SubjectOutcome::Answered);
    }
    entry
}

/// A log in a directory, and the hub that it is sealed for.
struct Bench {
    directory: tempfile::TempDir,
    secret: HpkePrivateKey,
    public: Vec<u8>,
}

impl Bench {
    fn new() -> Bench {
        let (public, secret) = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().unwrap();
        Bench { directory: tempfile::tempdir().unwrap(), secret, public: public.0 }
    }

    fn open(&self) -> LogStore {
        let store = LogStore::open(self.directory.path(), 0).unwrap();
        store.set_recipient(&self.public).unwrap();
        store
    }

    /// A run of a node in which something is recorded.
    async fn run<F: Future<Output = ()>>(&self, sync: Sync, recording: impl FnOnce(AccessLog) -> F) {
        let (store, tasks, cancel) = (self.open(), TaskTracker::new(), CancellationToken::new());
        let clock = Arc::new(|| datetime!(2026-11-23 08:00 UTC));
        let (log, _) = start(&store, "ha-giang", sync, clock, &tasks, &cancel).unwrap();
        recording(log).await;
        cancel.cancel();
        tasks.close();
        tasks.wait().await;
    }

    fn records(&self) -> Vec<Vec<u8>> {
        LogStore::open(self.directory.path(), 0).unwrap().after(0, usize::MAX).unwrap()
    }

    /// What the hub reads: the calls, with the numbers opened.
    fn read(&self) -> Vec<(AccessEntry, Vec<u64>)> {
        let (mut calls, mut key): (Vec<_>, Option<(u64, LessSafeKey)>) = (Vec::new(), None);
        for record in self.records() {
            let record = LogRecord::decode(&record[..]).unwrap();
            match record.body.unwrap() {
                Body::Key(told) => key = Some((told.key, self.open_key(&told))),
                Body::Access(entry) => {
                    let (number, key) = key.as_ref().unwrap();
                    assert_eq!(entry.key, *number);
                    let numbers = entry.subjects.iter().enumerate();
                    let numbers = numbers.map(|(place, subject)| {
                        let mut nonce = [0; 12];
                        nonce[..8].copy_from_slice(&record.sequence.to_be_bytes());
                        nonce[8..].copy_from_slice(&(place as u32).to_be_bytes());
                        let mut sealed = subject.sealed.clone();
                        let nonce = Nonce::assume_unique_for_key(nonce);
                        let opened = key.open_in_place(nonce, Aad::empty(), &mut sealed).unwrap();
                        u64::from_be_bytes((&*opened).try_into().unwrap())
                    });
                    let numbers = numbers.collect();
                    calls.push((entry, numbers));
                }
            }
        }
        calls
    }

    fn open_key(&self, told: &LogKey) -> LessSafeKey {
        let encapsulated = EncapsulatedSecret(told.encapsulated.clone());
        let secret = DH_KEM_X25519_HKDF_SHA256_AES_256
            .open(&encapsulated, b"dancu.v1.LogKey\0ha-giang", &[], &told.sealed, &self.secret)
            .unwrap();
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).unwrap())
    }

    /// Where the chain stands if it is whole, or the record at which it breaks.
    fn chain(records: &[Vec<u8>]) -> Result<Head, usize> {
        let next = |head: Head, (place, record): (usize, &Vec<u8>)| head.follow(record).ok_or(place);
        records.iter().enumerate().try_fold(Head::default(), next)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_at_the_same_time_is_there_once_and_in_a_chain() {
    let bench = Bench::new();
    for sync in [INTERVAL, Sync::Always] {
        let recorded = |log: AccessLog| async move {
            let calls = (0..300).map(|number| {
                let log = log.clone();
                async move { log.record(call(&format!("H-{number}"), &[number, number + 1])).await.unwrap() }
            });
            futures::future::join_all(calls).await;
        };
        bench.run(sync, recorded).await;
    }
    let records = bench.records();
    let head = Bench::chain(&records).unwrap();
    // A key for each run.
    assert_eq!((records.len(), head.sequence), (602, 602));
    assert_eq!(head, bench.open().head().unwrap());
    let calls = bench.read();
    for number in 0..300 {
        let case = format!("H-{number}");
        let of_case: Vec<_> = calls.iter().filter(|(entry, _)| entry.case_number == case).collect();
        assert_eq!(of_case.len(), 2, "one in each run");
        for (entry, numbers) in of_case {
            let expected = [person(number), person(number + 1)].map(PersonalId::as_u64);
            assert_eq!(numbers[..], expected);
            assert_eq!(entry.outcome, "OK");
            assert_eq!(entry.subjects[0].fields, [i32::from(dancu_proto::v1::Field::FullName)]);
        }
    }
}

#[tokio::test]
async fn calls_that_come_together_are_written_together_also_after_a_lonely_hour() {
    let bench = Bench::new();
    let before = bench.open().writes().unwrap();
    let recorded = |log: AccessLog| async move {
        for number in 0..300 {
            log.record(call("H-1", &[number])).await.unwrap();
        }
        // Each asks again as soon as it is answered, on its own.
        let callers = (0..64).map(|caller| {
            let log = log.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    log.record(call("H-2", &[caller])).await.unwrap();
                }
            })
        });
        futures::future::try_join_all(callers).await.unwrap();
    };
    bench.run(INTERVAL, recorded).await;
    let writes = bench.open().writes().unwrap() - before;
    assert_eq!(bench.records().len(), 1 + 300 + 64 * 50);
    // Some are made alone until it is noticed.
    assert!(writes < 300 + 256 + 64 * 50 / 16, "{writes} writes");
}

#[tokio::test]
async fn a_panic_leaves_nobody_waiting_and_the_log_goes_on() {
    let bench = Bench::new();
    let (store, tasks, cancel) = (bench.open(), TaskTracker::new(), CancellationToken::new());
    let panics = Arc::new(AtomicBool::new(false));
    let clock = {
        let panics = Arc::clone(&panics);
        Arc::new(move || {
            assert!(!panics.swap(false, Ordering::Relaxed), "as the test wants it");
            datetime!(2026-11-23 08:00 UTC)
        })
    };
    let (log, _) = start(&store, "ha-giang", INTERVAL, clock, &tasks, &cancel).unwrap();
    for number in 0..3 {
        log.record(call("H-1", &[number])).await.unwrap();
        panics.store(true, Ordering::Relaxed);
        let calls: Vec<_> = (0..9)
            .map(|number| {
                let log = log.clone();
                tokio::spawn(async move { log.record(call("H-2", &[number])).await })
            })
            .collect();
        let mut broken_off = 0;
        for call in calls {
            let answered = tokio::time::timeout(Duration::from_secs(10), call).await.unwrap();
            match answered {
                Ok(Ok(())) => {}
                Ok(Err(error)) => assert_eq!(error, LogError::Closed),
                Err(panic) => broken_off += u32::from(panic.is_panic()),
            }
        }
        assert_eq!(broken_off, 1);
    }
    log.record(call("H-3", &[1])).await.unwrap();
    cancel.cancel();
    tasks.close();
    tasks.wait().await;
    drop((log, store));
    assert!(Bench::chain(&bench.records()).is_ok());
    let cases: Vec<_> = bench.read().into_iter().map(|(entry, _)| entry.case_number).collect();
    assert_eq!(cases.iter().filter(|case| *case == "H-1").count(), 3);
    assert_eq!(cases.last().map(String::as_str), Some("H-3"));
}

#[tokio::test]
async fn every_change_to_a_chain_breaks_it() {
    let bench = Bench::new();
    let run = bench.run(INTERVAL, |log| async move {
        for number in 0..6 {
            log.record(call("H-1", &[number])).await.unwrap();
        }
    });
    run.await;
    let whole = bench.records();
    assert!(Bench::chain(&whole).is_ok());
    let broken = |change: fn(&mut Vec<Vec<u8>>)| {
        let mut records = whole.clone();
        change(&mut records);
        Bench::chain(&records).unwrap_err()
    };
    assert_eq!(broken(|records| drop(records.remove(3))), 3);
    assert_eq!(broken(|records| records.swap(3, 4)), 3);
    assert_eq!(broken(|records| records.insert(3, records[2].clone())), 3);
    // The change itself may read well; the next record names another hash.
    let edit = |records: &mut Vec<Vec<u8>>| {
        let mut record = LogRecord::decode(&records[3][..]).unwrap();
        if let Some(Body::Access(entry)) = &mut record.body {
            entry.officer = "CB-8".into();
        }
        records[3] = record.encode_to_vec();
    };
    assert_eq!(broken(edit), 4);
}

#[tokio::test]
async fn nobody_but_the_hub_reads_a_number() {
    let bench = Bench::new();
    bench.run(Sync::Always, |log| async move { log.record(call("H-1", &[7])).await.unwrap() }).await;
    let id = person(7);
    let forms: [Vec<u8>; 3] = [
        id.to_string().into_bytes(),
        id.as_u64().to_be_bytes()[3..].to_vec(),
        id.as_u64().to_le_bytes()[..5].to_vec(),
    ];
    for file in std::fs::read_dir(bench.directory.path()).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        for form in &forms {
            assert!(!content.windows(form.len()).any(|window| window == form));
        }
    }
}

#[tokio::test]
async fn without_the_hubs_key_nothing_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let store = LogStore::open(directory.path(), 0).unwrap();
    let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
    let clock = Arc::new(|| datetime!(2026-11-23 08:00 UTC));
    let (log, _) = start(&store, "ha-giang", INTERVAL, clock, &tasks, &cancel).unwrap();
    assert_eq!(log.record(call("H-1", &[1])).await, Err(LogError::NoRecipient));
    let (public, _) = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().unwrap();
    store.set_recipient(&public.0).unwrap();
    assert_eq!(log.record(call("H-1", &[1])).await, Ok(()));
    assert_eq!(store.head().unwrap().sequence, 2);
}

#[tokio::test]
async fn a_full_disk_records_nothing() {
    let bench = Bench::new();
    let store = LogStore::open(bench.directory.path(), u64::MAX).unwrap();
    store.set_recipient(&bench.public).unwrap();
    let (tasks, cancel) = (TaskTracker::new(), CancellationToken::new());
    let clock = Arc::new(|| datetime!(2026-11-23 08:00 UTC));
    let (log, _) = start(&store, "ha-giang", INTERVAL, clock, &tasks, &cancel).unwrap();
    // Each of those that come together is told why.
    let calls = futures::future::join_all((0..9).map(|number| log.record(call("H-1", &[number])))).await;
    assert_eq!(calls, vec![Err(LogError::Full); 9]);
    assert_eq!(store.head().unwrap(), Head::default());
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_take_the_log_back() {
    let bench = Bench::new();
    let (store, tasks, cancel) = (bench.open(), TaskTracker::new(), CancellationToken::new());
    for time in [datetime!(2026-11-23 08:00 UTC), datetime!(2026-11-23 07:00 UTC)] {
        let (log, _) = start(&store, "ha-giang", INTERVAL, Arc::new(move || time), &tasks, &cancel).unwrap();
        log.record(call("H-1", &[1])).await.unwrap();
    }
    assert!(Bench::chain(&store.after(0, usize::MAX).unwrap()).is_ok());
}

#[tokio::test]
async fn what_the_hub_has_is_not_kept_for_ever() {
    let bench = Bench::new();
    let run = bench.run(INTERVAL, |log| async move {
        for number in 0..20_100 {
            log.record(call("H-1", &[number])).await.unwrap();
        }
    });
    run.await;
    let store = bench.open();
    assert_eq!(store.taken_over().unwrap(), 0);
    store.set_taken_over(9_000, 5).unwrap();
    assert_eq!(store.taken_over().unwrap(), 9_000);
    assert!(store.record(5).unwrap().is_some(), "a few are not worth a removal");
    store.set_taken_over(12_000, 10_050).unwrap();
    assert_eq!(store.record(10_050).unwrap(), None);
    let left = store.after(0, usize::MAX).unwrap();
    assert_eq!(LogRecord::decode(&left[0][..]).unwrap().sequence, 10_051);
    // What the hub has not is kept, whatever else is said.
    store.set_taken_over(20_090, 30_000).unwrap();
    assert_eq!(store.record(20_090).unwrap(), None);
    assert!(store.record(20_091).unwrap().is_some());
}

#[test]
fn a_refused_call_tells_nothing_of_anybody() {
    let mut entry = call("H-1", &[1, 2]);
    entry.refused(Reason::PurposeNotAgreed);
    assert_eq!(entry.outcome, "PURPOSE_NOT_AGREED");
    for subject in &entry.subjects {
        assert_eq!((subject.fields, subject.outcome), (FieldSet::EMPTY, SubjectOutcome::Refused));
    }
    entry.refused(Reason::CitizenNotFound);
    assert_eq!(entry.subjects[0].outcome, SubjectOutcome::NotFound);
    let long = AccessContext { officer: "x".repeat(10_000), ..AccessContext::default() };
    assert_eq!(Entry::new(AccessOperation::Get, Some(&long)).context.officer.len(), 64);
}

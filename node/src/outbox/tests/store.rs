//! The outbox on disk.

use std::fs;

use dancu_proto::contribution::Opener;
use futures::FutureExt;

use super::*;
use crate::lookup::tests::fixture;

fn files(directory: &Path) -> Vec<u8> {
    let files = fs::read_dir(directory.join("outbox")).unwrap();
    files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn what_was_queued_is_there_after_a_restart_in_order_without_a_gap_and_for_the_hub_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (slice, hub) = (agreed(directory.path()), key());
    let identity = {
        let outbox = open(directory.path(), &slice, 0);
        outbox.set_recipient(&hub.public).unwrap();
        queue(&outbox, 1..=3);
        slice.seal();
        queue(&outbox, 4..=600);
        outbox.standing().outbox
    };
    let bytes = files(directory.path());
    assert!(has(&bytes, "ha-giang"));
    assert!(!has(&bytes, AN) && !has(&bytes, "12/KS"), "somebody's number can be read");
    let outbox = open(directory.path(), &slice, 0);
    let standing = outbox.standing();
    assert_eq!((standing.outbox, standing.last_sequence), (identity, 600));
    assert_eq!(standing.tally, Tally { queued: 600, ..Tally::default() });
    assert_eq!(outbox.oldest().unwrap().unwrap().seconds, NOW.unix_timestamp());
    let places: Vec<u64> = outbox.unsent(0).map(Result::unwrap).collect();
    assert_eq!(places, (1..=600).collect::<Vec<_>>());
    let opener = Opener::new(&hub.public, hub.secret);
    for place in places {
        let (at, signed) = outbox.queued(place).unwrap().unwrap();
        let queued = read(&signed);
        assert_eq!((at, queued.sequence), (id(place), place));
        assert_eq!(opener.open(&queued).unwrap(), missing(place));
    }
    queue(&outbox, 601..=601);
    assert_eq!(outbox.standing().last_sequence, 601);
}

#[test]
fn another_disk_is_another_outbox() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = |directory: &Path| open(directory, &agreed(directory), 0).standing().outbox;
    assert_ne!(identity(one.path()), identity(other.path()));
}

#[test]
fn an_id_counts_once_and_is_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = open(directory.path(), &agreed(directory.path()), 0);
    outbox.set_recipient(&key().public).unwrap();
    let other = Contribution { based_on: 7, ..missing(1) };
    let other = Submission::new("test".into(), other);
    let stranger = Submission::new("stranger".into(), missing(1));
    let answers = outbox.submit_all(&[submission(1), submission(1), other.clone(), submission(2)]);
    let places: Vec<_> = answers.into_iter().map(|one| one.map(|status| status.sequence)).collect();
    assert_eq!(places, [Ok(1), Ok(1), Err(OutboxError::Reused), Ok(2)]);
    assert_eq!(outbox.submit_all(&[stranger])[0], Err(OutboxError::Reused));
    assert_eq!(outbox.submit_all(&[other])[0], Err(OutboxError::Reused));
    assert_eq!(outbox.submit_all(&[submission(2)])[0].as_ref().unwrap().sequence, 2);
    assert_eq!(outbox.standing().last_sequence, 2);
    assert_eq!(outbox.status(id(1), "stranger").unwrap_err(), OutboxError::Unknown);
}

#[test]
fn a_full_disk_refuses_before_acceptance_and_never_after() {
    let directory = tempfile::tempdir().unwrap();
    let slice = agreed(directory.path());
    {
        let outbox = open(directory.path(), &slice, 0);
        outbox.set_recipient(&key().public).unwrap();
        queue(&outbox, 1..=2);
    }
    let outbox = open(directory.path(), &slice, u64::MAX);
    let answers = outbox.submit_all(&[submission(3), submission(2)]);
    assert_eq!(answers[0], Err(OutboxError::Full));
    assert_eq!(answers[1].as_ref().unwrap().sequence, 2, "what is here can be told of");
    assert_eq!(outbox.status(id(3), "test").unwrap_err(), OutboxError::Unknown);
    assert_eq!((outbox.standing().last_sequence, outbox.unsent(0).count()), (2, 2));
}

#[test]
fn without_the_key_of_the_hub_nothing_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = open(directory.path(), &agreed(directory.path()), 0);
    assert_eq!(outbox.submit_all(&[submission(1)])[0], Err(OutboxError::NotReady));
    outbox.set_recipient(&key().public).unwrap();
    queue(&outbox, 1..=1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_together_gets_a_place_each() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = open(directory.path(), &agreed(directory.path()), 0);
    outbox.set_recipient(&key().public).unwrap();
    let submit = |number| {
        let outbox = outbox.clone();
        tokio::spawn(async move { outbox.submit(submission(number)).await.unwrap().sequence })
    };
    let all: Vec<_> = (1..=500).map(submit).collect();
    let mut places = Vec::new();
    for one in all {
        places.push(one.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (1..=500).collect::<Vec<_>>());
}

#[test]
fn what_waits_to_be_written_takes_room_whether_its_caller_waits_or_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let directory = tempfile::tempdir().unwrap();
    let outbox = open(directory.path(), &agreed(directory.path()), 0);
    outbox.set_recipient(&key().public).unwrap();
    let room = || outbox.0.desk.places.available_permits();
    let all = room();
    // Nothing can be written while something else changes.
    let changing = outbox.changing();
    for number in 1..=3 {
        // Its caller goes at once.
        assert!(outbox.submit(submission(number)).now_or_never().is_none());
    }
    assert_eq!(room(), all - 3);
    drop(changing);
    while room() < all {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(outbox.standing().last_sequence, 3, "what was let go of is queued all the same");
}

#[test]
fn an_outcome_comes_with_its_mail_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let slice = agreed(directory.path());
    let outbox = open(directory.path(), &slice, 0);
    outbox.set_recipient(&key().public).unwrap();
    queue(&outbox, 1..=3);
    let queued = |place| read(&outbox.queued(place).unwrap().unwrap().1);
    outbox.taken(&[1, 2]).unwrap();
    let state = |number| outbox.status(id(number), "test").unwrap().0.state();
    assert_eq!(
        [state(1), state(2), state(3)],
        [ContributionState::HandedOver, ContributionState::HandedOver, ContributionState::Queued]
    );
    let told = vec![
        outcome(&queued(1), ContributionState::Accepted, AN),
        outcome(&queued(2), ContributionState::InReview, ""),
    ];
    slice.seal();
    assert_eq!(outbox.mail(told.clone(), 7), Err(OutboxError::Sealed));
    assert_eq!((state(1), outbox.standing().mail), (ContributionState::HandedOver, 0));
    slice.unseal(&fixture::key()).unwrap();
    outbox.mail(told, 7).unwrap();
    // Whichever way it came to the hub.
    outbox.mail(vec![outcome(&queued(3), ContributionState::Rejected, "")], 9).unwrap();
    assert_eq!(outbox.standing().mail, 9);
    assert_eq!(outbox.standing().tally, Tally { in_review: 1, accepted: 1, rejected: 1, ..Tally::default() });
    assert!(outbox.queued(1).unwrap().is_none() && outbox.queued(3).unwrap().is_none());
    assert!(outbox.queued(2).unwrap().is_some(), "what is in review is kept");
    assert_eq!(outbox.unsent(0).count(), 0);
    let (status, kept) = outbox.status(id(1), "test").unwrap();
    assert_eq!((status.outcome.unwrap().personal_id.as_str(), kept), (AN, context()));
    assert!(!has(&files(directory.path()), AN), "the number can be read");
    slice.seal();
    assert_eq!(outbox.status(id(1), "test").unwrap().0.outcome.unwrap().personal_id, "");
    // Each once, at its latest change.
    let (changes, last) = outbox.changed(0, "test", 100).unwrap();
    let order: Vec<_> = changes.iter().map(|(status, _)| status.sequence).collect();
    assert_eq!((order, last), (vec![1, 2, 3], 8));
    assert_eq!(outbox.changed(last, "test", 100).unwrap().0.len(), 0);
    assert_eq!(outbox.changed(0, "stranger", 100).unwrap().0.len(), 0);
    assert_eq!(outbox.prune(NOW.unix_timestamp()).unwrap(), 0);
    assert_eq!(outbox.prune(NOW.unix_timestamp() + 1).unwrap(), 2);
    assert_eq!(outbox.status(id(1), "test").unwrap_err(), OutboxError::Unknown);
    assert_eq!(state(2), ContributionState::InReview);
}

#[test]
fn what_another_node_brings_is_kept_once_and_dropped_when_it_is_taken_over() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (slice, hub) = (agreed(here.path()), key());
    let outbox = open(here.path(), &slice, 0);
    let other = open(there.path(), &agreed(there.path()), 0);
    for outbox in [&outbox, &other] {
        outbox.set_recipient(&hub.public).unwrap();
        queue(outbox, 1..=2);
    }
    let file: Vec<_> = [&other, &outbox]
        .iter()
        .flat_map(|outbox| [1, 2].map(|place| outbox.queued(place).unwrap().unwrap().1))
        .collect();
    for _ in 0..2 {
        let brought = outbox.bring(&file).unwrap();
        assert_eq!((brought.kept, brought.own, outbox.brought().unwrap()), (2, 2, 2));
    }
    let (keys, found) = outbox.foreign(10, 1 << 20, &Default::default()).unwrap();
    assert_eq!(found, file[..2]);
    outbox.foreign_taken(&keys).unwrap();
    assert_eq!(outbox.brought().unwrap(), 0);
    assert!(outbox.bring(&[Signed::default()]).is_err());
    let mut elsewhere = read(&file[0]);
    elsewhere.registry_id = vec![8];
    assert!(outbox.bring(&[unsigned(&elsewhere)]).is_err());
}

//! Disks that were lost, or put back from a copy, at the node and at the hub.

use std::sync::atomic::Ordering::SeqCst;

use dancu_proto::hub::v1::{
    HubStanding, Mail, MailBatch, mail::Content, submit_contributions_response::Response,
};

use super::{
    exchange::{Chance, Hub, said, talk},
    *,
};

/// Keeps nothing, and says for a while that something is gone.
#[derive(Default)]
struct Forgetful(std::sync::atomic::AtomicBool);

impl MailSink for Forgetful {
    fn put(&self, _: &Mail) -> Result<(), MailError> {
        Ok(())
    }

    fn has_kept(&self) -> Result<bool, MailError> {
        Ok(self.0.load(SeqCst))
    }

    fn begin_anew(&self) -> Result<(), MailError> {
        self.0.store(true, SeqCst);
        Ok(())
    }
}

#[test]
fn an_outbox_restored_from_an_older_copy_loses_nothing() {
    // Whether so much is queued after that the hub's last place is passed, or not.
    for (seed, last) in (0..8).flat_map(|seed| [(seed, 8), (seed, 13)]) {
        println!("seed {seed}, {last}");
        let (directory, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (slice, mut hub, mut chance) = (agreed(directory.path()), Hub::new(), Chance(seed));
        let on_disk = directory.path().join("outbox");
        let mut hand_over = |breaks| {
            let outbox = open(directory.path(), &slice, 0);
            let mut protocol = Protocol::new(outbox, Arc::new(Discarded));
            while !talk(&mut protocol, &mut hub, &mut chance, breaks) {}
        };
        let more = |numbers| {
            let outbox = open(directory.path(), &slice, 0);
            outbox.set_recipient(&key().public).unwrap();
            queue(&outbox, numbers);
        };
        more(1..=3);
        hand_over(0);
        copy(&on_disk, kept.path());
        more(4..=6);
        hand_over(0);
        copy(kept.path(), &on_disk);
        more(7..=last);
        hand_over(4);
        assert_eq!(hub.decided.len() as u64, last);
        assert!(hub.decided.values().all(|times| *times == 1));
        let outbox = open(directory.path(), &slice, 0);
        let state = |number| outbox.status(id(number), "test").unwrap().0.state();
        assert!((7..=last).all(|number| state(number) == ContributionState::Accepted));
        assert_eq!((outbox.places(1).count(), outbox.unsent(0).count()), (0, 0));
    }
}

#[test]
fn an_outbox_restored_from_an_older_copy_takes_no_place_twice() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = open(directory.path(), &agreed(directory.path()), 0);
    outbox.set_recipient(&key().public).unwrap();
    queue(&outbox, 1..=2);
    // The line may break before they are taken.
    for _ in 0..2 {
        outbox.hub_stands(&HubStanding { last_sequence: 5, ..HubStanding::default() }).unwrap();
        assert_eq!(outbox.unsent(0).count(), 2, "what is here may be another than what the hub has");
    }
    queue(&outbox, 3..=3);
    assert_eq!(outbox.status(id(3), "test").unwrap().0.sequence, 6);
}

#[test]
fn what_became_of_one_contribution_leaves_another_at_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = open(directory.path(), &agreed(directory.path()), 0);
    outbox.set_recipient(&key().public).unwrap();
    queue(&outbox, 1..=1);
    let mut lost = read(&outbox.queued(1).unwrap().unwrap().1);
    lost.contribution_id = id(7).to_string();
    outbox.mail(vec![outcome(&lost, ContributionState::Accepted, AN)], 1).unwrap();
    assert_eq!(outbox.queued(1).unwrap().unwrap().0, id(1));
    assert_eq!(outbox.unsent(0).count(), 1);
    assert_eq!(outbox.status(id(1), "test").unwrap().0.state(), ContributionState::Queued);
}

#[test]
fn what_was_queued_on_a_lost_disk_is_handed_in_again_by_whoever_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let slice = agreed(directory.path());
    let outbox = open(directory.path(), &slice, 0);
    outbox.set_recipient(&key().public).unwrap();
    let mut before =
        QueuedContribution { contribution_id: id(1).to_string(), sequence: 7, ..Default::default() };
    before.outbox = vec![9; 16];
    outbox.mail(vec![outcome(&before, ContributionState::Accepted, AN)], 1).unwrap();
    assert_eq!(outbox.status(id(1), "test").unwrap_err(), OutboxError::Unknown);
    queue(&outbox, 1..=1);
    assert_eq!(outbox.status(id(1), "test").unwrap().0.sequence, 1);
    assert_eq!(outbox.standing().tally, Tally { queued: 1, ..Tally::default() });
    // The hub tells it as it stands, and then it has gone.
    let queued = read(&outbox.queued(1).unwrap().unwrap().1);
    outbox.mail(vec![outcome(&before, ContributionState::Accepted, AN)], 1).unwrap();
    assert_eq!(outbox.unsent(0).count(), 1);
    outbox.mail(vec![outcome(&queued, ContributionState::Accepted, AN)], 2).unwrap();
    assert_eq!((outbox.places(1).count(), outbox.unsent(0).count()), (0, 0));
    assert_eq!(outbox.status(id(1), "test").unwrap().0.outcome.unwrap().personal_id, AN);
}

#[test]
fn mail_of_a_hub_that_was_put_back_comes_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (slice, mut hub, mut chance) = (agreed(directory.path()), Hub::new(), Chance(3));
    let outbox = open(directory.path(), &slice, 0);
    outbox.set_recipient(&hub.key.public).unwrap();
    queue(&outbox, 1..=5);
    let sink = Arc::new(Forgetful::default());
    let mut protocol = Protocol::new(outbox.clone(), sink.clone());
    assert!(talk(&mut protocol, &mut hub, &mut chance, 0));
    assert_eq!(outbox.standing().mail, 10);
    hub.mail.truncate(4);
    queue(&outbox, 6..=6);
    sink.0.store(true, SeqCst);
    let stands = HubStanding { last_sequence: 5, last_mail: Some(4), ..Default::default() };
    protocol.step(Input::Connected { mail: true }).unwrap();
    let ended = protocol.step(said(Response::Standing(stands)));
    assert!(matches!(ended, Err(ProtocolError::MailTakenBack)));
    assert_eq!(outbox.standing().mail, 0);
    protocol.step(Input::Disconnected).unwrap();
    assert!(talk(&mut protocol, &mut hub, &mut chance, 0));
    assert_eq!(outbox.standing().mail, 6);
    assert_eq!(outbox.status(id(6), "test").unwrap().0.state(), ContributionState::Accepted);
}

#[test]
fn mail_begins_anew_where_what_came_before_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (slice, mut hub, mut chance) = (agreed(directory.path()), Hub::new(), Chance(4));
    let outbox = open(directory.path(), &slice, 0);
    outbox.set_recipient(&hub.key.public).unwrap();
    queue(&outbox, 1..=3);
    let sink = Arc::new(Forgetful::default());
    let mut protocol = Protocol::new(outbox.clone(), sink.clone());
    assert!(talk(&mut protocol, &mut hub, &mut chance, 0));
    assert_eq!(outbox.standing().mail, 6);
    sink.0.store(false, SeqCst);
    protocol.step(Input::Connected { mail: false }).unwrap();
    assert_eq!(outbox.standing().mail, 6, "nothing can be kept by a node that is sealed");
    protocol.step(Input::Connected { mail: true }).unwrap();
    assert_eq!(outbox.standing().mail, 0);
    protocol.step(said(Response::Standing(HubStanding { last_sequence: 3, ..Default::default() }))).unwrap();
    let again = Mail { number: 1, content: Some(Content::Form(Default::default())) };
    protocol.step(said(Response::Mail(MailBatch { mail: vec![again], receipts: None }))).unwrap();
    assert_eq!(outbox.standing().mail, 1);
}

#[test]
fn a_number_that_was_sealed_with_another_key_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let slice = agreed(directory.path());
    let outbox = open(directory.path(), &slice, 0);
    outbox.set_recipient(&key().public).unwrap();
    queue(&outbox, 1..=1);
    let queued = read(&outbox.queued(1).unwrap().unwrap().1);
    outbox.mail(vec![outcome(&queued, ContributionState::Accepted, AN)], 1).unwrap();
    slice.seal();
    slice.unseal(&crate::slice::SliceKey::from_bytes(&[3; 32]).unwrap()).unwrap();
    let told = outbox.status(id(1), "test").unwrap().0;
    assert_eq!(
        (told.state(), told.outcome.unwrap().personal_id),
        (ContributionState::Accepted, String::new())
    );
    outbox.mail(vec![outcome(&queued, ContributionState::Accepted, AN)], 1).unwrap();
    assert_eq!(outbox.status(id(1), "test").unwrap().0.outcome.unwrap().personal_id, AN);
}

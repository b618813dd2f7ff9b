//! The exchange with a hub: a model of one, over a line that loses what is on it whenever it breaks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dancu_proto::hub::v1::{
    BatchTaken, HubStanding, Mail, MailBatch, RefusedContribution, SequenceRange, SubmitContributionsRequest,
    SubmitContributionsResponse, mail::Content, submit_contributions_request::Request,
    submit_contributions_response::Response,
};

use super::*;

/// What a hub does, as the protocol says.
pub(super) struct Hub {
    pub(super) key: Key,
    /// Contributions that were taken over, by outbox and place: how often each was decided on.
    taken: BTreeMap<(Vec<u8>, u64), Signed>,
    pub(super) decided: BTreeMap<String, u64>,
    /// Ids of contributions that it does not believe, and how often it was handed one.
    refuses: BTreeSet<String>,
    refused: u64,
    pub(super) mail: Vec<Mail>,
    /// Of the stream: whose, and up to where mail was sent.
    stream: Option<(Vec<u8>, u64, bool)>,
}

impl Hub {
    pub(super) fn new() -> Hub {
        Hub {
            key: key(),
            taken: BTreeMap::new(),
            decided: BTreeMap::new(),
            refuses: BTreeSet::new(),
            refused: 0,
            mail: Vec::new(),
            stream: None,
        }
    }

    fn last(&self, outbox: &[u8]) -> u64 {
        let of = self.taken.keys().filter(|(of, _)| of == outbox);
        of.map(|(_, place)| *place).max().unwrap_or_default()
    }

    fn hear(&mut self, request: SubmitContributionsRequest) -> Vec<Response> {
        match request.request.unwrap() {
            Request::Begin(begin) => {
                let last_sequence = self.last(&begin.outbox);
                let gap = |place: &u64| !self.taken.contains_key(&(begin.outbox.clone(), *place));
                let missing = (1..last_sequence).filter(gap);
                let missing = missing.map(|place| SequenceRange { from: place, until: place }).collect();
                self.stream = Some((begin.outbox, begin.mail_after, begin.no_mail));
                let recipient = self.key.public.clone();
                let mut said = vec![Response::Standing(HubStanding {
                    last_sequence,
                    missing,
                    recipient,
                    last_mail: Some(self.mail.len() as u64),
                })];
                said.extend(self.news());
                said
            }
            Request::Batch(batch) => {
                let mut refused = Vec::new();
                let contributions = batch.contributions.unwrap_or_default();
                for (index, signed) in (0..).zip(contributions.into_signed()) {
                    if self.refuses.contains(&read(&signed).contribution_id) {
                        refused.push(RefusedContribution { index, message: "who?".into() });
                    } else {
                        self.take(signed);
                    }
                }
                self.refused += refused.len() as u64;
                let last_sequence = self.last(&self.stream.as_ref().unwrap().0);
                let mut said = vec![Response::Taken(BatchTaken { last_sequence, refused })];
                said.extend(self.news());
                said
            }
            Request::MailReceived(_) => Vec::new(),
        }
    }

    fn take(&mut self, signed: Signed) {
        let queued = read(&signed);
        let place = (queued.outbox.clone(), queued.sequence);
        if self.decided.contains_key(&queued.contribution_id) {
            return;
        }
        // An outbox that was put back may give a place again.
        self.taken.entry(place).or_insert(signed);
        *self.decided.entry(queued.contribution_id.clone()).or_default() += 1;
        let number = self.mail.len() as u64 + 1;
        let content = outcome(&queued, ContributionState::Accepted, AN);
        self.mail.push(Mail { number, content: Some(Content::Outcome(content)) });
        let task = dancu_proto::v1::Task { case_id: queued.contribution_id, ..Default::default() };
        self.mail.push(Mail { number: number + 1, content: Some(Content::Task(task)) });
    }

    fn news(&mut self) -> Option<Response> {
        let (_, sent, no_mail) = self.stream.as_mut()?;
        let mail: Vec<_> = self.mail.iter().filter(|mail| mail.number > *sent).take(7).cloned().collect();
        if *no_mail || mail.is_empty() {
            return None;
        }
        *sent = mail.last().unwrap().number;
        Some(Response::Mail(MailBatch { mail, receipts: None }))
    }
}

/// Remembers mail.
#[derive(Default)]
struct Tasks(std::sync::Mutex<Vec<u64>>);

impl MailSink for Tasks {
    fn put(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.lock().unwrap().push(mail.number);
        Ok(())
    }
}

/// Numbers that look random, and are the same for a seed.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

pub(super) fn said(response: Response) -> Input {
    Input::Response(SubmitContributionsResponse { response: Some(response) })
}

/// Lets both talk until neither has more to say, on a line that breaks once in `breaks` steps.
pub(super) fn talk(protocol: &mut Protocol, hub: &mut Hub, chance: &mut Chance, breaks: u64) -> bool {
    let mut to_hub: VecDeque<_> = protocol.step(Input::Connected { mail: true }).unwrap().into();
    let mut to_node = VecDeque::new();
    while !to_hub.is_empty() || !to_node.is_empty() {
        if breaks > 0 && chance.below(breaks) == 0 {
            protocol.step(Input::Disconnected).unwrap();
            return false;
        }
        if to_node.is_empty() || (!to_hub.is_empty() && chance.below(2) == 0) {
            to_node.extend(hub.hear(to_hub.pop_front().unwrap()));
        } else {
            to_hub.extend(protocol.step(said(to_node.pop_front().unwrap())).unwrap());
        }
        if to_hub.is_empty() && to_node.is_empty() {
            to_node.extend(hub.news());
        }
    }
    true
}

#[test]
fn everything_counts_once_however_often_the_line_breaks() {
    for seed in 0..20 {
        println!("seed {seed}");
        let directory = tempfile::tempdir().unwrap();
        let (slice, mut hub, mut chance) = (agreed(directory.path()), Hub::new(), Chance(seed));
        let (tasks, mut queued) = (Arc::new(Tasks::default()), 0);
        let mut outbox = open(directory.path(), &slice, 0);
        outbox.set_recipient(&hub.key.public).unwrap();
        for _ in 0..12 {
            let more = chance.below(40);
            queue(&outbox, queued + 1..=queued + more);
            queued += more;
            if chance.below(3) == 0 {
                drop(outbox);
                outbox = open(directory.path(), &slice, 0);
            }
            let mut protocol = Protocol::new(outbox.clone(), tasks.clone());
            talk(&mut protocol, &mut hub, &mut chance, 6);
        }
        let mut protocol = Protocol::new(outbox.clone(), tasks.clone());
        assert!(talk(&mut protocol, &mut hub, &mut chance, 0));
        assert_eq!(hub.decided.len() as u64, queued);
        assert!(hub.decided.values().all(|times| *times == 1));
        let standing = outbox.standing();
        assert_eq!(standing.tally, Tally { accepted: queued, ..Tally::default() });
        assert_eq!((standing.hub_sequence, standing.mail), (queued, 2 * queued));
        assert_eq!(outbox.places(1).count(), 0);
        let seen: std::collections::BTreeSet<_> = tasks.0.lock().unwrap().iter().copied().collect();
        assert_eq!(seen.len() as u64, queued, "each task came");
    }
}

#[test]
fn what_the_hub_has_not_is_sent_again_and_what_it_took_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let outbox = open(directory.path(), &agreed(directory.path()), 0);
    outbox.set_recipient(&key().public).unwrap();
    queue(&outbox, 1..=10);
    let range = |from, until| SequenceRange { from, until };
    let mut protocol = Protocol::new(outbox.clone(), Arc::new(Discarded));
    let mut sent_with = |last_sequence, missing| {
        protocol.step(Input::Connected { mail: false }).unwrap();
        let standing = HubStanding { last_sequence, missing, ..HubStanding::default() };
        let mut requests = protocol.step(said(Response::Standing(standing))).unwrap();
        let mut batches = Vec::new();
        while let Some(request) = requests.pop() {
            let Some(Request::Batch(batch)) = &request.request else { panic!("{request:?}") };
            assert_eq!(batch.last_sequence, 10);
            let contributions = batch.contributions.clone().unwrap_or_default().into_signed();
            batches.push(contributions.iter().map(|one| read(one).sequence).collect::<Vec<_>>());
            requests = protocol.step(said(Response::Taken(BatchTaken::default()))).unwrap();
        }
        protocol.step(Input::Disconnected).unwrap();
        batches
    };
    // Some came by file: that they are these, the hub does not say.
    assert_eq!(sent_with(8, vec![range(1, 2), range(5, 7)]), [(1..=10).collect::<Vec<_>>()]);
    assert_eq!(outbox.standing().tally.handed_over, 10);
    assert_eq!(sent_with(10, vec![]), [[0; 0]; 0]);
    assert_eq!(sent_with(10, vec![range(3, 4), range(8, 8)]), [vec![3, 4], vec![8]]);
    // Its disk was put back.
    let queued = read(&outbox.queued(9).unwrap().unwrap().1);
    outbox.mail(vec![outcome(&queued, ContributionState::InReview, "")], 4).unwrap();
    assert_eq!(sent_with(7, vec![]), [vec![8, 9, 10]]);
    assert_eq!(outbox.standing().tally, Tally { handed_over: 10, ..Tally::default() });
}

#[test]
fn what_the_hub_refuses_is_kept_and_holds_nothing_up() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (slice, mut hub) = (agreed(here.path()), Hub::new());
    let outbox = open(here.path(), &slice, 0);
    let other = open(there.path(), &agreed(there.path()), 0);
    for (outbox, numbers) in [(&outbox, 1..=600), (&other, 601..=602)] {
        outbox.set_recipient(&hub.key.public).unwrap();
        queue(outbox, numbers);
    }
    let file: Vec<_> = (1..=2).map(|place| other.queued(place).unwrap().unwrap().1).collect();
    outbox.bring(&file).unwrap();
    hub.refuses = [3, 601].map(|number| id(number).to_string()).into();
    let (mut protocol, mut chance) = (Protocol::new(outbox.clone(), Arc::new(Discarded)), Chance(1));
    assert!(talk(&mut protocol, &mut hub, &mut chance, 0));
    assert_eq!((hub.decided.len(), hub.refused), (600, 2));
    assert!(protocol.has_refused());
    let state = |number| outbox.status(id(number), "test").unwrap().0.state();
    assert_eq!([state(3), state(4)], [ContributionState::Queued, ContributionState::Accepted]);
    assert_eq!(outbox.brought().unwrap(), 1);
    hub.refuses.clear();
    assert!(talk(&mut protocol, &mut hub, &mut chance, 0));
    assert_eq!((hub.decided.len(), outbox.brought().unwrap()), (602, 0));
    assert!(!protocol.has_refused());
    assert_eq!(state(3), ContributionState::Accepted);
}

#[test]
fn one_batch_is_under_way_and_brought_ones_come_after_the_nodes_own() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (slice, mut hub) = (agreed(here.path()), Hub::new());
    let outbox = open(here.path(), &slice, 0);
    let other = open(there.path(), &agreed(there.path()), 0);
    outbox.set_recipient(&hub.key.public).unwrap();
    other.set_recipient(&hub.key.public).unwrap();
    queue(&outbox, 1..=600);
    queue(&other, 601..=603);
    let file: Vec<_> = (1..=3).map(|place| other.queued(place).unwrap().unwrap().1).collect();
    outbox.bring(&file).unwrap();
    let mut protocol = Protocol::new(outbox.clone(), Arc::new(Discarded));
    assert!(protocol.step(Input::Queued).unwrap().is_empty(), "nothing is said without a line");
    let begin = protocol.step(Input::Connected { mail: true }).unwrap().remove(0);
    let standing = hub.hear(begin).remove(0);
    let batch = protocol.step(said(standing)).unwrap().remove(0);
    assert!(protocol.step(Input::Queued).unwrap().is_empty(), "one batch at a time");
    assert!(protocol.step(said(Response::Standing(HubStanding::default()))).is_err());
    let mut chance = Chance(1);
    drop(batch);
    protocol.step(Input::Disconnected).unwrap();
    assert!(talk(&mut protocol, &mut hub, &mut chance, 0));
    assert_eq!((hub.decided.len(), outbox.brought().unwrap()), (603, 0));
    // The other node's line comes back: nothing counts again.
    let mut protocol = Protocol::new(other.clone(), Arc::new(Discarded));
    assert!(talk(&mut protocol, &mut hub, &mut chance, 0));
    assert!(hub.decided.values().all(|times| *times == 1));
    let state = |number| other.status(id(number), "test").unwrap().0.state();
    assert!((601..=603).all(|number| state(number) == ContributionState::Accepted));
}

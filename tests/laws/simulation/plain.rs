//! Ends of the line that are as simple as they can be, whole or with a fault: so that it is known that the
//! world is one in which faults come out.

use std::collections::BTreeMap;

use dancu_proto::{
    hub::v1::{
        BatchTaken, ContributionBatch, HubStanding, Mail, MailBatch, OutboxStanding,
        SubmitContributionsRequest, SubmitContributionsResponse, mail, submit_contributions_request::Request,
        submit_contributions_response::Response,
    },
    v1::{Contribution, ContributionOutcome, ContributionState, QueuedContribution, Signed},
};
use prost::Message;

use super::world::{HubSide, NodeSide};

/// What is wrong with an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Nothing,
    /// The node takes for handed over what it has only sent.
    SentIsEnough,
    /// The node writes its outbox to the disk later.
    QueuedInMemory,
    /// The hub does not look whether it has something already.
    Twice,
    /// The hub says that a batch is taken before it is on its disk.
    TakenEarly,
}

/// Contributions of a batch.
const BATCH: usize = 3;

pub(super) struct PlainNode {
    wrong: Wrong,
    full: bool,
    disk: Vec<Contribution>,
    /// Of the outbox, how much would survive a crash.
    synced: usize,
    outcomes: BTreeMap<String, ContributionOutcome>,
    taken: u64,
    mail: u64,
    /// Over the connection there is: a batch is under way, and mail to acknowledge.
    ready: bool,
    under_way: bool,
    acknowledge: Option<u64>,
}

impl PlainNode {
    pub(super) fn new(wrong: Wrong) -> PlainNode {
        PlainNode {
            wrong,
            full: false,
            disk: Vec::new(),
            synced: 0,
            outcomes: BTreeMap::new(),
            taken: 0,
            mail: 0,
            ready: false,
            under_way: false,
            acknowledge: None,
        }
    }

    fn signed(&self, at: usize) -> Signed {
        let queued = QueuedContribution {
            sequence: at as u64 + 1,
            contribution_id: self.disk[at].id.clone(),
            ..QueuedContribution::default()
        };
        Signed { content: queued.encode_to_vec(), ..Signed::default() }
    }
}

fn request(request: Request) -> SubmitContributionsRequest {
    SubmitContributionsRequest { request: Some(request) }
}

impl NodeSide for PlainNode {
    fn queue(&mut self, contribution: &Contribution) -> Option<u64> {
        if let Some(at) = self.disk.iter().position(|other| other.id == contribution.id) {
            return Some(at as u64 + 1);
        }
        if self.full {
            return None;
        }
        self.disk.push(contribution.clone());
        if self.wrong != Wrong::QueuedInMemory || self.disk.len().is_multiple_of(4) {
            self.synced = self.disk.len();
        }
        Some(self.disk.len() as u64)
    }

    fn connect(&mut self) -> SubmitContributionsRequest {
        let last_sequence = self.disk.len() as u64;
        request(Request::Begin(OutboxStanding {
            last_sequence,
            mail_after: self.mail,
            ..OutboxStanding::default()
        }))
    }

    fn receive(&mut self, answer: SubmitContributionsResponse) -> bool {
        match answer.response {
            Some(Response::Standing(standing)) => {
                self.ready = true;
                if self.wrong != Wrong::SentIsEnough {
                    self.taken = standing.last_sequence;
                }
            }
            Some(Response::Taken(taken)) => {
                self.under_way = false;
                self.taken = self.taken.max(taken.last_sequence);
            }
            Some(Response::Mail(batch)) => {
                for one in batch.mail {
                    if let Some(mail::Content::Outcome(outcome)) = one.content {
                        self.outcomes.insert(outcome.contribution_id.clone(), outcome);
                    }
                    self.mail = one.number;
                    self.acknowledge = Some(one.number);
                }
            }
            None => {}
        }
        true
    }

    fn next(&mut self) -> Option<SubmitContributionsRequest> {
        if let Some(mail) = self.acknowledge.take() {
            return Some(request(Request::MailReceived(mail)));
        }
        let from = self.taken as usize;
        if !self.ready || self.under_way || from >= self.disk.len() {
            return None;
        }
        let until = self.disk.len().min(from + BATCH);
        let contributions: Vec<_> = (from..until).map(|at| self.signed(at)).collect();
        self.under_way = true;
        if self.wrong == Wrong::SentIsEnough {
            self.taken = until as u64;
        }
        Some(request(Request::Batch(ContributionBatch {
            contributions: Some(contributions.into()),
            last_sequence: self.disk.len() as u64,
        })))
    }

    fn disconnected(&mut self) {
        (self.ready, self.under_way, self.acknowledge) = (false, false, None);
    }

    fn crash(&mut self) {
        self.disk.truncate(self.synced);
        self.disconnected();
    }

    fn fill(&mut self, full: bool) {
        self.full = full;
    }

    fn export(&mut self) -> Vec<Signed> {
        (0..self.disk.len()).map(|at| self.signed(at)).collect()
    }

    fn knows(&self) -> BTreeMap<String, Option<ContributionOutcome>> {
        self.disk.iter().map(|one| (one.id.clone(), self.outcomes.get(&one.id).cloned())).collect()
    }
}

#[derive(Clone, Default)]
struct Disk {
    outcomes: BTreeMap<String, ContributionOutcome>,
    times: BTreeMap<String, u32>,
    taken: BTreeMap<usize, u64>,
    mail: BTreeMap<usize, Vec<ContributionOutcome>>,
    revision: u64,
}

#[derive(Default)]
struct Session {
    begun: bool,
    taken: Option<u64>,
    told: usize,
}

pub(super) struct PlainHub {
    wrong: Wrong,
    full: bool,
    disk: Disk,
    synced: Disk,
    steps: u32,
    sessions: BTreeMap<usize, Session>,
    /// Whose a contribution is, to send it mail about what came by hand.
    owners: BTreeMap<String, usize>,
}

impl PlainHub {
    pub(super) fn new(wrong: Wrong, owners: BTreeMap<String, usize>) -> PlainHub {
        PlainHub {
            wrong,
            full: false,
            disk: Disk::default(),
            synced: Disk::default(),
            steps: 0,
            sessions: BTreeMap::new(),
            owners,
        }
    }

    fn take(&mut self, signed: &Signed) {
        let queued = QueuedContribution::decode(signed.content.as_slice()).expect("as it was sent");
        let (id, node) = (queued.contribution_id, self.owners[&queued_id(signed)]);
        let taken = self.disk.taken.entry(node).or_default();
        let known = self.disk.outcomes.contains_key(&id);
        if queued.sequence == *taken + 1 {
            *taken = queued.sequence;
        }
        if known && self.wrong != Wrong::Twice {
            return;
        }
        self.disk.revision += 1;
        let outcome = ContributionOutcome {
            contribution_id: id.clone(),
            sequence: queued.sequence,
            state: ContributionState::Accepted.into(),
            revision: self.disk.revision,
            ..ContributionOutcome::default()
        };
        *self.disk.times.entry(id.clone()).or_default() += 1;
        self.disk.mail.entry(node).or_default().push(outcome.clone());
        self.disk.outcomes.insert(id, outcome);
    }

    fn sync(&mut self) {
        self.steps += 1;
        if self.wrong != Wrong::TakenEarly || self.steps.is_multiple_of(3) {
            self.synced = self.disk.clone();
        }
    }
}

fn queued_id(signed: &Signed) -> String {
    QueuedContribution::decode(signed.content.as_slice()).expect("as it was sent").contribution_id
}

impl HubSide for PlainHub {
    fn connect(&mut self, node: usize, begin: SubmitContributionsRequest) {
        let Some(Request::Begin(begin)) = begin.request else { panic!("a node begins with where it stands") };
        self.sessions.insert(node, Session { told: begin.mail_after as usize, ..Session::default() });
    }

    fn receive(&mut self, node: usize, request: SubmitContributionsRequest) -> bool {
        let Some(Request::Batch(batch)) = request.request else { return true };
        if self.full {
            return false;
        }
        batch.contributions.clone().unwrap_or_default().into_signed().iter().for_each(|one| self.take(one));
        self.sync();
        let taken = self.disk.taken.get(&node).copied().unwrap_or_default();
        self.sessions.entry(node).or_default().taken = Some(taken);
        true
    }

    fn next(&mut self, node: usize) -> Option<SubmitContributionsResponse> {
        let session = self.sessions.get_mut(&node)?;
        let response = |response| Some(SubmitContributionsResponse { response: Some(response) });
        if !session.begun {
            session.begun = true;
            let last_sequence = self.disk.taken.get(&node).copied().unwrap_or_default();
            return response(Response::Standing(HubStanding { last_sequence, ..HubStanding::default() }));
        }
        if let Some(last_sequence) = session.taken.take() {
            return response(Response::Taken(BatchTaken { last_sequence, ..BatchTaken::default() }));
        }
        let outcome = self.disk.mail.get(&node)?.get(session.told)?.clone();
        session.told += 1;
        let content = Some(mail::Content::Outcome(outcome));
        let mail = vec![Mail { number: session.told as u64, content }];
        response(Response::Mail(MailBatch { mail, receipts: None }))
    }

    fn disconnected(&mut self, node: usize) {
        self.sessions.remove(&node);
    }

    fn crash(&mut self) {
        self.disk = self.synced.clone();
        self.sessions.clear();
    }

    fn fill(&mut self, full: bool) {
        self.full = full;
    }

    fn import(&mut self, file: Vec<Signed>) {
        if !self.full {
            file.iter().for_each(|one| self.take(one));
            self.sync();
        }
    }

    fn knows(&self) -> BTreeMap<String, ContributionOutcome> {
        self.disk.outcomes.clone()
    }

    fn carried_out(&self) -> BTreeMap<String, u32> {
        self.disk.times.clone()
    }
}

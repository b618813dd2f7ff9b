//! The hub's end: its registry, and what it takes over, on a disk; over that the conversation with each
//! node, as its service has it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use dancu_hub::{
    audit::AuditLog,
    config::Config,
    enrollment::{Authority, HubCertificate, NodeRoll, RollRows},
    intake::{
        event::Authority as SourceAuthority,
        handover::{Barred, Handover, outbox},
    },
    mail::{self, Item},
    procedures::Office,
    projection::Ledger,
    registry::{
        Commit, CommitError, Content, Decide, Decision, Origin, Registry, Rows, Standing, system_clock,
    },
    router::Router,
};
use dancu_proto::{
    hub::v1::{
        BatchTaken, Mail, MailBatch, OutboxStanding, SubmitContributionsRequest, SubmitContributionsResponse,
        mail::Content as Letter, submit_contributions_request::Request,
        submit_contributions_response::Response,
    },
    signed::Verifier,
    v1::{ContributionOutcome, Signed},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::world::HubSide;

/// Mail of one message, and mail that is under way.
const MAIL: usize = 8;
const WINDOW: u64 = 24;

pub(super) struct HubEnd {
    // Before the directory.
    handover: Option<Handover>,
    runtime: Runtime,
    _dir: TempDir,
    data: PathBuf,
    /// Of the disk, how much must be left.
    reserve: u64,
    names: Vec<String>,
    conversations: BTreeMap<usize, Conversation>,
    /// All that was ever told, by place: what is carried out is asked for by it.
    outboxes: BTreeMap<usize, Vec<u8>>,
}

struct Conversation {
    outbox: Vec<u8>,
    says: Option<Response>,
    off: bool,
    sent: u64,
    received: u64,
}

impl HubEnd {
    /// A hub whose disk begins as a copy.
    pub(super) fn new(template: &Path, names: Vec<String>) -> HubEnd {
        let dir = super::place();
        let data = dir.path().join("data");
        assert!(Command::new("cp").arg("-r").arg(template).arg(&data).status().unwrap().success());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut hub = HubEnd {
            handover: None,
            runtime,
            _dir: dir,
            data,
            reserve: 0,
            names,
            conversations: BTreeMap::new(),
            outboxes: BTreeMap::new(),
        };
        hub.open();
        hub
    }

    fn open(&mut self) {
        let (clock, data, reserve) = (system_clock(), self.data.clone(), self.reserve);
        let registry =
            Registry::open(&data, reserve, Arc::new(Router::default()), Arc::clone(&clock)).unwrap();
        let registry = Arc::new(registry);
        let authority = Arc::new(Authority::open(&data.join("authority")).unwrap());
        let config = Config::default();
        let rows = Arc::new(RollRows(Arc::clone(registry.store())));
        let lifetime = config.certificates.node_lifetime;
        let certificate = HubCertificate::issue(
            Arc::clone(&authority),
            config.names.clone(),
            config.certificates.hub_lifetime,
            clock(),
        );
        let ledger = Arc::new(Ledger::new(registry.first_order().unwrap()));
        let roll = Arc::new(NodeRoll::open(Arc::clone(&authority), rows, lifetime).unwrap());
        let office = Office::load(None, None, &registry, Arc::clone(&ledger), Arc::clone(&roll)).unwrap();
        self.handover = Some(Handover {
            ledger,
            roll,
            office: Arc::new(office),
            authority: Arc::new(SourceAuthority::load(None).unwrap()),
            verifier: Arc::new(Verifier::new(authority.certificate().clone())),
            log: Arc::new(AuditLog::open(&data, reserve, Arc::clone(&registry)).unwrap()),
            identity: certificate.unwrap().identity(),
            bells: Arc::default(),
            clock,
            registry,
        });
        // As a hub does when it starts; without room it goes on without.
        let _ = self.runtime.block_on(self.handover().look_again());
    }

    fn handover(&self) -> &Handover {
        self.handover.as_ref().expect("it runs")
    }

    fn begin(&mut self, node: usize, begin: &OutboxStanding) -> Result<Response, tonic::Status> {
        let handover = self.handover.clone().expect("it runs");
        let (name, outbox, queued) = (self.names[node].clone(), begin.outbox.clone(), begin.last_sequence);
        let by = Arc::new(move |standing: &Standing<'_>| -> Result<Decision, CommitError> {
            let mut rows = Rows::new(standing);
            outbox::begins(&mut rows, &name, &outbox, queued)?;
            Ok(Decision { rows: rows.into_writes(), ..Decision::default() })
        });
        let content = Content::Decided(Decide { alone: false, by });
        self.runtime.block_on(handover.registry.commit(Commit { origin: Origin::default(), content }))?;
        let view = handover.registry.view();
        Ok(Response::Standing(outbox::standing(
            &view,
            &self.names[node],
            &begin.outbox,
            handover.log.recipient(),
        )?))
    }

    fn take(&mut self, contributions: Vec<Signed>) -> bool {
        let handover = self.handover.clone().expect("it runs");
        self.runtime.block_on(handover.take(contributions, Barred::Refused)).is_ok()
    }

    /// The highest sequence of a node's outbox that the hub has.
    fn last_sequence(&self, node: usize, outbox: &[u8]) -> u64 {
        let view = self.handover().registry.view();
        outbox::standing(&view, &self.names[node], outbox, &[]).unwrap().last_sequence
    }
}

impl HubSide for HubEnd {
    fn connect(&mut self, node: usize, begin: SubmitContributionsRequest) {
        let Some(Request::Begin(begin)) = begin.request else { panic!("a node begins with where it stands") };
        self.outboxes.insert(node, begin.outbox.clone());
        // On a full disk the line is ended: nothing is said.
        let says = self.begin(node, &begin).ok();
        if says.is_none() {
            return;
        }
        let conversation = Conversation {
            outbox: begin.outbox,
            says,
            off: begin.no_mail,
            sent: begin.mail_after,
            received: begin.mail_after,
        };
        self.conversations.insert(node, conversation);
    }

    fn receive(&mut self, node: usize, request: SubmitContributionsRequest) -> bool {
        if !self.conversations.contains_key(&node) {
            return false;
        }
        match request.request {
            Some(Request::Batch(batch)) => {
                if !self.take(batch.contributions) {
                    return false;
                }
                let last_sequence = self.last_sequence(node, &self.conversations[&node].outbox);
                let Some(conversation) = self.conversations.get_mut(&node) else { return false };
                assert!(conversation.says.is_none(), "a node has one batch under way at a time");
                conversation.says =
                    Some(Response::Taken(BatchTaken { last_sequence, ..BatchTaken::default() }));
            }
            Some(Request::MailReceived(number)) => {
                let Some(conversation) = self.conversations.get_mut(&node) else { return false };
                conversation.received = conversation.received.max(number);
            }
            _ => return false,
        }
        true
    }

    fn next(&mut self, node: usize) -> Option<SubmitContributionsResponse> {
        let handover = self.handover.clone().expect("it runs");
        let conversation = self.conversations.get_mut(&node)?;
        let says = conversation.says.take().or_else(|| {
            if conversation.off || conversation.sent - conversation.received.min(conversation.sent) >= WINDOW
            {
                return None;
            }
            let view = handover.registry.view();
            let mail = mail::after(&view, &self.names[node], conversation.sent, MAIL).unwrap();
            conversation.sent = mail.last()?.0;
            let letter = |(number, item)| {
                let content = match item {
                    Item::Outcome(name) => handover.outcome(&view, &name).unwrap().map(Letter::Outcome),
                    Item::Other(_, content) => Some(content),
                };
                Mail { number, content }
            };
            Some(Response::Mail(MailBatch { mail: mail.into_iter().map(letter).collect() }))
        });
        Some(SubmitContributionsResponse { response: Some(says?) })
    }

    fn disconnected(&mut self, node: usize) {
        self.conversations.remove(&node);
    }

    fn crash(&mut self) {
        self.conversations.clear();
        self.handover = None;
        self.open();
    }

    fn fill(&mut self, full: bool) {
        // Started again with a reserve that no disk has.
        let reserve = if full { u64::MAX / 4 } else { 0 };
        if reserve != self.reserve {
            self.reserve = reserve;
            self.handover = None;
            self.open();
        }
    }

    fn import(&mut self, file: Vec<Signed>) {
        self.take(file);
    }

    fn knows(&self) -> BTreeMap<String, ContributionOutcome> {
        let handover = self.handover();
        let view = handover.registry.view();
        let mut all = BTreeMap::new();
        for (node, outbox) in &self.outboxes {
            for sequence in 1..=self.last_sequence(*node, outbox) {
                let name = dancu_hub::intake::handover::handed_in::name(&self.names[*node], outbox, sequence);
                if let Some(outcome) = handover.outcome(&view, &name).unwrap() {
                    all.insert(outcome.contribution_id.clone(), outcome);
                }
            }
        }
        all
    }

    fn carried_out(&self) -> BTreeMap<String, u32> {
        let view = self.handover().registry.view();
        let mut times = BTreeMap::new();
        for revision in 1..=view.revision().unwrap().0 {
            let entry = view.journal(dancu_proto::Revision(revision)).unwrap();
            if let Some(id) = entry.and_then(|entry| entry.origin().contribution) {
                *times.entry(id.to_string()).or_default() += 1;
            }
        }
        times
    }
}

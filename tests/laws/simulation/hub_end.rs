//! The hub's end: its registry, and what it takes over, on a disk; over that its conversation with each
//! node, as it is.

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
        handover::{Barred, Conversation, Handover, Window, handed_in, outbox},
    },
    procedures::Office,
    projection::Ledger,
    registry::{Registry, system_clock},
    router::Router,
};
use dancu_proto::{
    hub::v1::{
        SubmitContributionsRequest, SubmitContributionsResponse, submit_contributions_request::Request,
        submit_contributions_response::Response,
    },
    signed::Verifier,
    v1::{ContributionOutcome, Signed},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::world::HubSide;

/// Small, so that it is full at times.
const WINDOW: Window = Window { together: 8, under_way: 24 };

pub(super) struct HubEnd {
    // Before the directory.
    handover: Option<Handover>,
    runtime: Runtime,
    _dir: TempDir,
    data: PathBuf,
    /// Of the disk, how much must be left.
    reserve: u64,
    /// What no crash changes is read once.
    read: Option<Read>,
    names: Vec<String>,
    /// With each node, and what is to be said there before the mail.
    conversations: BTreeMap<usize, (Conversation, Option<Response>)>,
    /// All that was ever told, by place: what is carried out is asked for by it.
    outboxes: BTreeMap<usize, Vec<u8>>,
}

/// What a hub has beside what nodes hand in. Agreements and areas stay as they are in these worlds.
#[derive(Clone)]
struct Read {
    signs: Arc<Authority>,
    certificate: Arc<HubCertificate>,
    ledger: Arc<Ledger>,
    authority: Arc<SourceAuthority>,
}

impl Read {
    fn of(data: &Path, registry: &Registry) -> Read {
        let signs = Arc::new(Authority::open(&data.join("authority")).unwrap());
        let config = Config::default();
        let certificate = HubCertificate::issue(
            Arc::clone(&signs),
            config.names.clone(),
            config.certificates.hub_lifetime,
            system_clock()(),
        );
        Read {
            signs,
            certificate: Arc::new(certificate.unwrap()),
            ledger: Arc::new(Ledger::new(registry.first_order().unwrap())),
            authority: Arc::new(SourceAuthority::load(None).unwrap()),
        }
    }
}

impl HubEnd {
    /// A hub whose disk begins as a copy.
    pub(super) fn new(template: &Path, names: Vec<String>) -> HubEnd {
        // Not in memory: each time that it is opened its database sets 70 MB aside, which cost nothing on a disk.
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        assert!(Command::new("cp").arg("-r").arg(template).arg(&data).status().unwrap().success());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut hub = HubEnd {
            handover: None,
            runtime,
            _dir: dir,
            data,
            reserve: 0,
            read: None,
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
        let Read { signs, certificate, ledger, authority } =
            self.read.get_or_insert_with(|| Read::of(&data, &registry)).clone();
        let rows = Arc::new(RollRows(Arc::clone(registry.store())));
        let lifetime = Config::default().certificates.node_lifetime;
        let roll = Arc::new(NodeRoll::open(Arc::clone(&signs), rows, lifetime).unwrap());
        let office = Office::load(None, None, &registry, Arc::clone(&ledger), Arc::clone(&roll)).unwrap();
        self.handover = Some(Handover {
            ledger,
            roll,
            office: Arc::new(office),
            authority,
            verifier: Arc::new(Verifier::new(signs.certificate().clone())),
            log: Arc::new(AuditLog::open(&data, reserve, Arc::clone(&registry)).unwrap()),
            identity: certificate.identity(),
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
        let name = &self.names[node];
        let begun = self.runtime.block_on(Conversation::begin(self.handover(), name, begin, WINDOW));
        // On a full disk the line is ended: nothing is said.
        if let Ok((conversation, stands)) = begun {
            self.conversations.insert(node, (conversation, Some(stands)));
        }
    }

    fn receive(&mut self, node: usize, request: SubmitContributionsRequest) -> bool {
        let handover = self.handover.as_ref().expect("it runs");
        let Some((conversation, says)) = self.conversations.get_mut(&node) else { return false };
        match request.request {
            Some(Request::Batch(batch)) => {
                let taken = self
                    .runtime
                    .block_on(conversation.batch(handover, batch.contributions.unwrap_or_default()));
                let Ok(taken) = taken else { return false };
                assert!(says.is_none(), "a node has one batch under way at a time");
                *says = Some(taken);
            }
            Some(Request::MailReceived(number)) => conversation.received(number),
            _ => return false,
        }
        true
    }

    fn next(&mut self, node: usize) -> Option<SubmitContributionsResponse> {
        let handover = self.handover.as_ref().expect("it runs");
        let (conversation, says) = self.conversations.get_mut(&node)?;
        let says = says.take().or_else(|| conversation.mail(handover).unwrap());
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
        // On a full disk it is not taken over.
        let _ = self.runtime.block_on(self.handover().take(file.into(), Barred::Refused));
    }

    fn knows(&self) -> BTreeMap<String, ContributionOutcome> {
        let handover = self.handover();
        let view = handover.registry.view();
        let mut all = BTreeMap::new();
        for (node, outbox) in &self.outboxes {
            for sequence in 1..=self.last_sequence(*node, outbox) {
                let name = handed_in::name(&self.names[*node], outbox, sequence);
                if let Some(row) = handed_in::by_name(&view, &name).unwrap() {
                    let outcome = handover.with_receipt(&row).unwrap();
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

//! The node's end: its outbox on a disk, and over that the protocol, as it is.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use dancu_node::{
    outbox::{Discarded, Input, Outbox, Protocol, Setup, Submission},
    slice::{Slice, SliceKey, SliceOptions},
    state::host_clock,
};
use dancu_proto::{
    channel::SwappableIdentity,
    hub::v1::{Policy, SubmitContributionsRequest, SubmitContributionsResponse},
    signed::{VerifyError, gather, sign},
    v1::{Contribution, ContributionOutcome, QueuedContribution, Signed},
};
use tempfile::TempDir;
use uuid::Uuid;

use super::world::NodeSide;

const CALLER: &str = "one-stop";

/// A node that has joined a hub.
#[derive(Clone)]
pub(super) struct Joined {
    pub(super) name: String,
    identity: Arc<SwappableIdentity>,
    /// Has the key for the numbers that the hub tells. Nothing here changes it: it is opened once.
    slice: Slice,
    _dir: Arc<TempDir>,
}

impl Joined {
    pub(super) fn new(name: String, identity: Arc<SwappableIdentity>, registry_id: Vec<u8>) -> Joined {
        let dir = super::place();
        let options = SliceOptions {
            reserve_mb: 0,
            cache_mb: 1,
            hot_mb: 1,
            write_buffer_mb: 1,
            ..SliceOptions::default()
        };
        let slice = Slice::open(dir.path(), &options).unwrap();
        slice.unseal(&SliceKey::from_bytes(&[9; 32]).unwrap()).unwrap();
        slice.apply_policy(Policy { registry_id, revision: 1, cursor: 1, ..Policy::default() }).unwrap();
        Joined { name, identity, slice, _dir: Arc::new(dir) }
    }
}

pub(super) struct NodeEnd {
    // Before the directory.
    protocol: Option<Protocol>,
    outbox: Option<Outbox>,
    _dir: TempDir,
    data: PathBuf,
    joined: Joined,
    reserve: u64,
    to_say: VecDeque<SubmitContributionsRequest>,
    ids: Vec<String>,
}

impl NodeEnd {
    pub(super) fn new(joined: &Joined) -> NodeEnd {
        let dir = super::place();
        let mut node = NodeEnd {
            protocol: None,
            outbox: None,
            data: dir.path().to_owned(),
            _dir: dir,
            joined: joined.clone(),
            reserve: 0,
            to_say: VecDeque::new(),
            ids: Vec::new(),
        };
        node.open();
        node
    }

    fn open(&mut self) {
        let [identity, gatherer] = [&self.joined.identity; 2].map(Arc::clone);
        let setup = Setup {
            node: self.joined.name.clone(),
            slice: self.joined.slice.clone(),
            log: None,
            sign: Box::new(move |queued| sign(queued, &identity)),
            gather: Box::new(move |signed| gather::<QueuedContribution>(signed, &gatherer)),
            // Nothing is brought here.
            check: Box::new(|_| Err(VerifyError::Content)),
            clock: host_clock(),
            reserve: self.reserve,
        };
        let outbox = Outbox::open(&self.data.join("outbox"), setup).unwrap();
        self.protocol = Some(Protocol::new(outbox.clone(), Arc::new(Discarded)));
        self.outbox = Some(outbox);
    }

    fn outbox(&self) -> &Outbox {
        self.outbox.as_ref().expect("it runs")
    }

    fn step(&mut self, input: Input) -> bool {
        match self.protocol.as_mut().expect("it runs").step(input) {
            Ok(says) => {
                self.to_say.extend(says);
                true
            }
            Err(_) => false,
        }
    }
}

impl NodeSide for NodeEnd {
    fn queue(&mut self, contribution: &Contribution) -> Option<u64> {
        let submission = Submission::new(CALLER.into(), contribution.clone());
        let status = self.outbox().submit_all(&[submission]).pop()?.ok()?;
        if !self.ids.contains(&contribution.id) {
            self.ids.push(contribution.id.clone());
        }
        assert!(self.step(Input::Queued), "what was queued can be sent");
        Some(status.sequence)
    }

    fn connect(&mut self) -> SubmitContributionsRequest {
        assert!(self.step(Input::Connected { mail: true }), "it can say where it stands");
        self.to_say.pop_front().expect("it says where it stands")
    }

    fn receive(&mut self, answer: SubmitContributionsResponse) -> bool {
        self.step(Input::Response(answer))
    }

    fn next(&mut self) -> Option<SubmitContributionsRequest> {
        self.to_say.pop_front()
    }

    fn disconnected(&mut self) {
        self.to_say.clear();
        self.step(Input::Disconnected);
    }

    fn crash(&mut self) {
        self.to_say.clear();
        (self.protocol, self.outbox) = (None, None);
        self.open();
    }

    fn fill(&mut self, full: bool) {
        // Started again with a reserve that no disk has.
        let reserve = if full { u64::MAX } else { 0 };
        if reserve != self.reserve {
            self.reserve = reserve;
            self.crash();
        }
    }

    fn export(&mut self) -> Vec<Signed> {
        let exported = self.outbox().export(0).map(|one| one.map(|(_, signed)| signed));
        exported.collect::<Result<_, _>>().expect("a disk that can be read")
    }

    fn knows(&self) -> BTreeMap<String, Option<ContributionOutcome>> {
        let status = |id: &String| {
            let id = id.parse::<Uuid>().expect("an id");
            self.outbox().status(id, CALLER).ok().and_then(|(status, _)| status.outcome)
        };
        self.ids.iter().map(|id| (id.clone(), status(id))).collect()
    }
}

//! A small world in one thread: some nodes, a hub, and lines between them. What happens next is drawn from
//! a seed, so that whatever goes wrong can be made to go wrong again.

use std::collections::BTreeMap;

use dancu_proto::{
    hub::v1::{SubmitContributionsRequest, SubmitContributionsResponse},
    v1::{Contribution, ContributionOutcome, ContributionState, Signed},
};
use dancu_tests::population::draw::Chance;

use super::network::Connection;

/// A node's end: what is in memory is lost in a crash, what is on disk is not.
pub(super) trait NodeSide {
    /// Queues; the place in the outbox, or none where the disk is full.
    fn queue(&mut self, contribution: &Contribution) -> Option<u64>;
    /// What it says first over a new connection.
    fn connect(&mut self) -> SubmitContributionsRequest;
    /// Takes what the hub says. What it cannot take ends the connection: then this is false.
    fn receive(&mut self, answer: SubmitContributionsResponse) -> bool;
    /// What it says next, if it has something to say.
    fn next(&mut self) -> Option<SubmitContributionsRequest>;
    /// The connection is gone.
    fn disconnected(&mut self);
    /// Ends in the middle of whatever it does, and starts again from its disk.
    fn crash(&mut self);
    /// The disk is full, or not any more.
    fn fill(&mut self, full: bool);
    /// The file of its outbox.
    fn export(&mut self) -> Vec<Signed>;
    /// What it knows of each contribution that it queued: by id.
    fn knows(&self) -> BTreeMap<String, Option<ContributionOutcome>>;
}

/// The hub's end.
pub(super) trait HubSide {
    /// A node connects, and says what it says first.
    fn connect(&mut self, node: usize, begin: SubmitContributionsRequest);
    /// Takes what a node says. What cannot be stored ends the connection: then this is false.
    fn receive(&mut self, node: usize, request: SubmitContributionsRequest) -> bool;
    /// What it says next to a node, if it has something to say.
    fn next(&mut self, node: usize) -> Option<SubmitContributionsResponse>;
    /// The connection is gone.
    fn disconnected(&mut self, node: usize);
    /// Ends in the middle of whatever it does, and starts again from its disk.
    fn crash(&mut self);
    /// The disk is full, or not any more.
    fn fill(&mut self, full: bool);
    /// Takes over a file.
    fn import(&mut self, file: Vec<Signed>);
    /// Everything it ever took over: what became of it, by id.
    fn knows(&self) -> BTreeMap<String, ContributionOutcome>;
    /// How often each was carried out, by id.
    fn carried_out(&self) -> BTreeMap<String, u32>;
}

/// The world.
pub(super) struct World<N, H> {
    pub nodes: Vec<N>,
    pub hub: H,
    lines: Vec<Option<Connection>>,
    /// What each node has said that it has queued, in its order.
    queued: Vec<Vec<(String, u64)>>,
    /// What still comes, node by node, the next last.
    to_come: Vec<Vec<Contribution>>,
    /// What was queued, by id.
    said: BTreeMap<String, Contribution>,
    chance: Chance,
    /// What happened, the latest last.
    pub story: Vec<String>,
}

impl<N: NodeSide, H: HubSide> World<N, H> {
    pub(super) fn new(seed: u64, nodes: Vec<N>, hub: H, mut to_come: Vec<Vec<Contribution>>) -> World<N, H> {
        to_come.iter_mut().for_each(|list| list.reverse());
        World {
            lines: nodes.iter().map(|_| None).collect(),
            queued: nodes.iter().map(|_| Vec::new()).collect(),
            nodes,
            hub,
            to_come,
            said: BTreeMap::new(),
            chance: Chance::new(seed, 7 << 40),
            story: Vec::new(),
        }
    }

    /// Lets so many things happen, and then lets everything come to an end undisturbed.
    pub(super) fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            self.step();
        }
        self.story.push("all is well from here on".into());
        self.hub.fill(false);
        for at in 0..self.nodes.len() {
            self.lose(at);
            self.nodes[at].fill(false);
        }
        // A node that never heard from the hub has nothing to seal for.
        self.come_to_rest();
        for at in 0..self.nodes.len() {
            while self.to_come[at].last().is_some() {
                assert!(self.queue(at), "a node refuses though its disk has room: {}", self.told());
            }
        }
        self.come_to_rest();
    }

    fn come_to_rest(&mut self) {
        // Everything is said and answered within this, or never.
        for _ in 0..100_000 {
            let mut moved = false;
            for at in 0..self.nodes.len() {
                moved |= self.connect(at) | self.send(at) | self.arrive_at_hub(at);
                moved |= self.answer(at) | self.arrive_at_node(at);
            }
            if !moved {
                return;
            }
        }
        panic!("it does not come to an end: {}", self.told());
    }

    fn told(&self) -> String {
        let from = self.story.len().saturating_sub(40);
        self.story[from..].join("\n")
    }

    fn step(&mut self) {
        let at = self.chance.below(self.nodes.len() as u32) as usize;
        match self.chance.below(100) {
            0..20 => {
                self.queue(at);
            }
            20..30 => {
                self.connect(at);
            }
            30..48 => {
                self.send(at);
            }
            48..64 => {
                self.arrive_at_hub(at);
            }
            64..78 => {
                self.answer(at);
            }
            78..90 => {
                self.arrive_at_node(at);
            }
            90..93 => self.lose(at),
            93..95 => {
                self.story.push(format!("node {at} crashes"));
                self.lose(at);
                self.nodes[at].crash();
            }
            95 => {
                self.story.push("the hub crashes".into());
                (0..self.nodes.len()).for_each(|at| self.lose(at));
                self.hub.crash();
            }
            96 => {
                let full = self.chance.happens(0.4);
                self.story.push(format!("the disk of node {at} is full: {full}"));
                self.lose(at);
                self.nodes[at].fill(full);
            }
            97 => {
                let full = self.chance.happens(0.4);
                self.story.push(format!("the disk of the hub is full: {full}"));
                self.hub.fill(full);
            }
            98 => {
                self.story.push(format!("the outbox of node {at} goes by hand"));
                let file = self.nodes[at].export();
                self.hub.import(file);
            }
            _ => {
                // The same is handed in again.
                if let Some((id, sequence)) = self.queued[at].last().cloned() {
                    let again = self.again(at, &id);
                    assert!(again.is_none_or(|again| again == sequence), "queued twice: {}", self.told());
                }
            }
        }
    }

    fn queue(&mut self, at: usize) -> bool {
        let Some(next) = self.to_come[at].pop() else { return false };
        match self.nodes[at].queue(&next) {
            Some(sequence) => {
                self.story.push(format!("node {at} queues {sequence}"));
                self.queued[at].push((next.id.clone(), sequence));
                self.said.insert(next.id.clone(), next);
                true
            }
            None => {
                self.to_come[at].push(next);
                false
            }
        }
    }

    fn again(&mut self, at: usize, id: &str) -> Option<u64> {
        let again = self.said[id].clone();
        self.nodes[at].queue(&again)
    }

    fn connect(&mut self, at: usize) -> bool {
        if self.lines[at].is_some() {
            return false;
        }
        self.story.push(format!("node {at} connects"));
        let begin = self.nodes[at].connect();
        self.hub.connect(at, begin);
        self.lines[at] = Some(Connection::default());
        true
    }

    fn lose(&mut self, at: usize) {
        if self.lines[at].take().is_some() {
            self.story.push(format!("node {at} loses its line"));
            self.nodes[at].disconnected();
            self.hub.disconnected(at);
        }
    }

    fn send(&mut self, at: usize) -> bool {
        let Some(line) = self.lines[at].as_mut().filter(|line| line.takes_requests()) else { return false };
        let Some(request) = self.nodes[at].next() else { return false };
        line.ask(&request);
        true
    }

    fn arrive_at_hub(&mut self, at: usize) -> bool {
        let Some(request) = self.lines[at].as_mut().and_then(Connection::asked) else { return false };
        if !self.hub.receive(at, request) {
            self.story.push(format!("the hub ends the line to node {at}"));
            self.lose(at);
        }
        true
    }

    fn answer(&mut self, at: usize) -> bool {
        let Some(line) = self.lines[at].as_mut().filter(|line| line.takes_answers()) else { return false };
        let Some(answer) = self.hub.next(at) else { return false };
        line.answer(&answer);
        true
    }

    fn arrive_at_node(&mut self, at: usize) -> bool {
        let Some(answer) = self.lines[at].as_mut().and_then(Connection::answered) else { return false };
        if !self.nodes[at].receive(answer) {
            self.story.push(format!("node {at} ends the line"));
            self.lose(at);
        }
        true
    }

    /// What is not as it must be, once everything has come to an end.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (at_hub, times) = (self.hub.knows(), self.hub.carried_out());
        let ids: usize = self.queued.iter().map(Vec::len).sum();
        if at_hub.len() != ids {
            faults.push(format!("{ids} were queued, and the hub has {}", at_hub.len()));
        }
        for (id, times) in &times {
            if *times != 1 {
                faults.push(format!("{id} is carried out {times} times"));
            }
        }
        for (at, queued) in self.queued.iter().enumerate() {
            let at_node = self.nodes[at].knows();
            let mut last = (0, 0);
            for (id, sequence) in queued {
                let Some(outcome) = at_hub.get(id) else {
                    faults.push(format!("{sequence} of node {at} is lost"));
                    continue;
                };
                if *sequence <= last.0 {
                    faults.push(format!("{sequence} of node {at} comes after {}", last.0));
                }
                if outcome.state() == ContributionState::Accepted {
                    if !times.contains_key(id) {
                        faults.push(format!("{sequence} of node {at} is accepted and not carried out"));
                    }
                    if outcome.revision <= last.1 {
                        faults.push(format!("{sequence} of node {at} overtakes one before it"));
                    }
                    last = (*sequence, outcome.revision);
                }
                let known = at_node.get(id).cloned().flatten();
                let both = known.as_ref().map(|known| (known.state, known.revision, known.sequence));
                if both != Some((outcome.state, outcome.revision, outcome.sequence)) {
                    faults.push(format!(
                        "{sequence} of node {at}: the hub says {outcome:?}, the node knows {known:?}"
                    ));
                }
            }
        }
        faults
    }
}

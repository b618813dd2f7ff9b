//! Who does what where, as agreements, areas, day and roll are now: found out outside of commits, at the cost
//! of what changed, and looked up inside of them.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use dancu_proto::{Areas, Revision};

use super::routes::{NodeFacts, Routes};
use crate::{
    enrollment::{NodeRoll, NodeState},
    projection::{Day, Ledger},
    registry::{CommitError, Standing, StoreError, View},
};

/// Who does what where, and by which order and day.
#[derive(Debug)]
pub struct Surroundings {
    /// Who does what where.
    pub routes: Routes,
    /// The administrative orders.
    pub areas: Arc<Areas>,
    /// The day.
    pub day: Day,
    /// The revision as of which this is.
    at: Revision,
    /// By which agreements and which roll.
    pub mark: Mark,
}

/// Marks a state of agreements, areas, day and roll: with the same one nothing is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The latest change of the sharing policy.
    policy: Revision,
    /// The generation of the roll.
    pub roll: usize,
}

/// Keeps the surroundings as they are now. Shared.
pub struct Lookout {
    ledger: Arc<Ledger>,
    roll: Arc<NodeRoll>,
    known: RwLock<Surroundings>,
    /// Held by whoever takes in changes, so that commits wait for what is found out only once it is.
    refreshing: Mutex<()>,
}

impl Lookout {
    /// Nothing is taken in yet.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, roll: Arc<NodeRoll>) -> Lookout {
        let known = Surroundings {
            routes: Routes::default(),
            areas: ledger.areas(Revision::NONE),
            day: ledger.day(Revision::NONE),
            at: Revision::NONE,
            mark: Mark { policy: Revision::NONE, roll: 0 },
        };
        Lookout { ledger, roll, known: RwLock::new(known), refreshing: Mutex::default() }
    }

    /// Who does what where, as it was last found out.
    pub fn known(&self) -> RwLockReadGuard<'_, Surroundings> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what has changed in agreements, areas, day and roll up to a view's revision, at the cost of the
    /// nodes that it changes. To be asked outside of commits: these only look whether it was.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn refresh(&self, view: &View<'_>) -> Result<Mark, StoreError> {
        let _refreshing = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, policy) = (view.revision()?, view.policy_revision()?);
        let (before, known) = {
            let known = self.known();
            (known.at, known.mark)
        };
        let (roll, entries) = self.roll.changed_since(known.roll);
        if policy <= known.policy && entries.is_empty() {
            return Ok(known);
        }
        self.ledger.catch_up(view)?;
        // A view may be older than what was taken in by another.
        let (at, policy) = (at.max(before), policy.max(known.policy));
        let of = |name: &str, agency: &str| NodeFacts {
            name: name.to_owned(),
            agency: agency.to_owned(),
            policy: Arc::new(self.ledger.policy(name, agency, at)),
        };
        let serves = |state: &NodeState| matches!(state, NodeState::Invited | NodeState::Active);
        let (come, gone): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| serves(&entry.state));
        let mut fresh: Vec<_> = {
            let known = self.known();
            let names: Vec<&String> = match self.ledger.turned(before, at) {
                Some(agencies) => {
                    let mut names = Vec::new();
                    agencies.iter().for_each(|agency| names.extend(known.routes.of_agency(agency)));
                    names
                }
                None => known.routes.names().collect(),
            };
            let nodes = names.into_iter().filter_map(|name| known.routes.node(name));
            nodes.map(|node| of(&node.name, &node.agency)).collect()
        };
        fresh.extend(come.iter().map(|entry| of(&entry.name, &entry.agency)));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        fresh.into_iter().for_each(|node| known.routes.put(node));
        gone.iter().for_each(|entry| known.routes.remove(&entry.name));
        (known.areas, known.day) = (self.ledger.areas(at), self.ledger.day(at));
        (known.at, known.mark) = (at, Mark { policy, roll });
        Ok(known.mark)
    }

    /// Who does what where, for a commit.
    ///
    /// # Errors
    /// It is not as of now: it must be taken in first.
    pub(super) fn now(
        &self,
        standing: &Standing<'_>,
    ) -> Result<RwLockReadGuard<'_, Surroundings>, CommitError> {
        let known = self.known();
        let now = Mark { policy: standing.policy_revision(), roll: self.roll.generation() };
        if known.mark == now { Ok(known) } else { Err(CommitError::Stale) }
    }
}

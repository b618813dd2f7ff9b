//! The agreements, the day and the administrative order as of any revision: the events of the journal,
//! by agreement and by agency, so that a node's policy costs its agency's agreements and not the
//! nation's.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use dancu_proto::{Areas, Revision};

use super::{Day, Grant, Policy, scope::Coverage};
use crate::{
    agreements::{self, Agreement, AreaScope},
    registry::{JournalContent, JournalEntry, ListId, StoreError, View},
};

/// All that ever happened to the sharing policy.
#[derive(Debug)]
pub struct Ledger {
    events: RwLock<Events>,
}

#[derive(Debug)]
struct Events {
    /// The last one taken in.
    latest: Revision,
    agreements: BTreeMap<String, History>,
    /// Ids of each agency's agreements.
    of_agency: HashMap<String, Vec<String>>,
    /// The revisions at which an agency's policy changed, ascending.
    turns: HashMap<String, Vec<Revision>>,
    /// The same in order; none where every agency's changed.
    turned: Vec<(Revision, Option<String>)>,
    days: Vec<(Revision, Day)>,
    /// The administrative orders, from a revision on; the first from the beginning.
    areas: Vec<(Revision, Arc<Areas>)>,
    /// The interest list of an agreement and a node, and since when there is one.
    lists: HashMap<(String, String), (Revision, ListId)>,
}

/// One agreement, through all its versions.
#[derive(Debug)]
struct History {
    /// Its short number, in order of first appearance.
    handle: u32,
    events: Vec<(Revision, Event)>,
}

#[derive(Debug)]
enum Event {
    Applied(Version),
    Withdrawn,
}

/// A version of an agreement.
#[derive(Clone, Debug)]
struct Version {
    agreement: Arc<Agreement>,
    document: Arc<str>,
    /// See [`AgreementState::written_under`].
    written_under: u32,
}

/// An agreement as of a revision.
#[derive(Clone, Debug)]
pub struct AgreementState {
    /// The latest version applied.
    pub agreement: Arc<Agreement>,
    /// Its document.
    pub document: Arc<str>,
    /// Number of the administrative order by which it names areas: the one in force when it was applied.
    pub written_under: u32,
    /// When it was applied.
    pub applied: Revision,
    /// When it was withdrawn.
    pub withdrawn: Option<Revision>,
    /// Applied, not withdrawn, and valid on the day.
    pub in_force: bool,
}

impl Ledger {
    /// Of a registry that began with an administrative order.
    #[must_use]
    pub fn new(first_order: Areas) -> Ledger {
        let events = Events {
            latest: Revision::NONE,
            agreements: BTreeMap::new(),
            of_agency: HashMap::new(),
            turns: HashMap::new(),
            turned: Vec::new(),
            days: Vec::new(),
            areas: vec![(Revision::NONE, Arc::new(first_order))],
            lists: HashMap::new(),
        };
        Ledger { events: RwLock::new(events) }
    }

    /// Takes in what happened up to a view's revision.
    ///
    /// # Errors
    /// If the disk refuses, or a document of old can no longer be read.
    pub fn catch_up(&self, view: &View<'_>) -> Result<(), StoreError> {
        let known = self.read().latest;
        if view.policy_revision()? <= known {
            return Ok(());
        }
        let fresh = view.policy_events_after(known)?;
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        for (at, entry) in fresh {
            // Another stream may have taken it in meanwhile.
            if at > events.latest {
                events.take_in(at, &entry)?;
            }
        }
        Ok(())
    }

    /// The latest event taken in.
    #[must_use]
    pub fn latest(&self) -> Revision {
        self.read().latest
    }

    /// The last revision up to one at which an agency's policy changed: in between it is the same.
    #[must_use]
    pub fn last_turn(&self, agency: &str, up_to: Revision) -> Revision {
        let events = self.read();
        let turns = events.turns.get(agency).map_or(&[][..], Vec::as_slice);
        let after = turns.partition_point(|at| *at <= up_to);
        let of_agency = turns[..after].last().copied().unwrap_or(Revision::NONE);
        // A change of the administrative order is one of every agency's policy.
        of_agency.max(events.areas(up_to).0)
    }

    /// The agencies whose policy changed after a revision and up to another; none where all did.
    #[must_use]
    pub fn turned(&self, after: Revision, up_to: Revision) -> Option<BTreeSet<String>> {
        let events = self.read();
        let from = events.turned.partition_point(|(at, _)| *at <= after);
        let turned = events.turned[from..].iter().take_while(|(at, _)| *at <= up_to);
        turned.map(|(_, agency)| agency.clone()).collect()
    }

    /// The policy of a node of an agency as of a revision.
    #[must_use]
    pub fn policy(&self, node: &str, agency: &str, at: Revision) -> Policy {
        let events = self.read();
        let (day, (_, areas)) = (events.day(at), events.areas(at));
        let ids = events.of_agency.get(agency).into_iter().flatten();
        let grants = ids.filter_map(|id| {
            let history = events.agreements.get(id)?;
            let state = history.state(at, day)?;
            let agreement = &state.agreement;
            let named = agreement.nodes.is_empty() || agreement.nodes.iter().any(|name| name == node);
            let applies = state.in_force && named;
            let list = events.lists.get(&(id.clone(), node.to_owned()));
            let list = list.filter(|(since, _)| *since <= at).map(|(_, list)| *list);
            applies.then(|| Grant::new(history.handle, state, areas, list))
        });
        Policy::new(grants.collect())
    }

    /// All agreements as of a revision, by id.
    #[must_use]
    pub fn agreements(&self, at: Revision) -> Vec<AgreementState> {
        let events = self.read();
        let day = events.day(at);
        events.agreements.values().filter_map(|history| history.state(at, day)).collect()
    }

    /// One version of an agreement; the latest where `version` is 0.
    #[must_use]
    pub fn agreement(&self, id: &str, version: u32, at: Revision) -> Option<AgreementState> {
        let events = self.read();
        let history = events.agreements.get(id)?;
        let latest = history.state(at, events.day(at))?;
        if version == 0 || latest.agreement.version == version {
            return Some(latest);
        }
        history.version(version, at)
    }

    /// The day as of a revision.
    #[must_use]
    pub fn day(&self, at: Revision) -> Day {
        self.read().day(at)
    }

    /// The administrative orders as of a revision.
    #[must_use]
    pub fn areas(&self, at: Revision) -> Arc<Areas> {
        Arc::clone(self.read().areas(at).1)
    }

    /// The agencies that have an agreement which begins or ends between two days.
    #[must_use]
    pub fn turning(&self, from: Day, to: Day) -> Vec<String> {
        self.read().turning(from, to)
    }

    /// Every scope by age that there ever was, under every administrative order since: a node may still
    /// hold someone under an old one.
    #[must_use]
    pub(super) fn scopes_by_age(&self) -> Vec<Coverage> {
        let events = self.read();
        let mut scopes = Vec::new();
        for (id, history) in &events.agreements {
            for (_, event) in &history.events {
                let Event::Applied(version) = event else { continue };
                let scope = &version.agreement.scope;
                if !scope.depends_on_the_day() {
                    continue;
                }
                let lists: Vec<Option<ListId>> = match scope.areas {
                    AreaScope::Interest => events.lists_of(id).map(Some).collect(),
                    _ => vec![None],
                };
                for (_, areas) in &events.areas {
                    let known = version.written_under <= areas.number();
                    let of = |list| Coverage::of(scope, version.written_under, areas, list);
                    scopes.extend(lists.iter().filter(|_| known).map(|list| of(*list)));
                }
            }
        }
        scopes.dedup();
        scopes
    }

    fn read(&self) -> RwLockReadGuard<'_, Events> {
        self.events.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    fn take_in(&mut self, at: Revision, entry: &JournalEntry) -> Result<(), StoreError> {
        match &entry.content {
            Some(JournalContent::Applied(applied)) => {
                let areas = self.areas(at).1;
                let written_under = areas.number();
                let agreement = agreements::parse(&applied.document, areas)
                    .map_err(|_| StoreError::Corrupt("the document of an agreement"))?;
                let (agreement, document) = (Arc::new(agreement), applied.document.as_str().into());
                self.applied(at, Version { agreement, document, written_under });
            }
            Some(JournalContent::Withdrawn(id)) => {
                if let Some(history) = self.agreements.get_mut(id) {
                    history.events.push((at, Event::Withdrawn));
                    let agency = history.agency();
                    self.turn(agency, at);
                }
            }
            Some(JournalContent::Day(number)) => {
                let day = Day::from_number(*number);
                for agency in self.turning(self.day(at), day) {
                    self.turn(Some(agency), at);
                }
                self.days.push((at, day));
            }
            Some(JournalContent::Interest(change)) => {
                let agency = self.agreements.get(&change.agreement).and_then(History::agency);
                let of = (change.agreement.clone(), change.node.clone());
                self.lists.insert(of, (at, ListId(change.list)));
                self.turn(agency, at);
            }
            Some(JournalContent::Areas(change)) => {
                let areas = self.areas(at).1.after(change);
                let areas = areas.map_err(|_| StoreError::Corrupt("a change of the administrative order"))?;
                self.areas.push((at, Arc::new(areas)));
                self.turned.push((at, None));
            }
            // The founding load changes no agreement.
            _ => {}
        }
        self.latest = at;
        Ok(())
    }

    fn applied(&mut self, at: Revision, version: Version) {
        let (id, agency) = (version.agreement.id.to_string(), version.agreement.agency.to_string());
        if !self.agreements.contains_key(&id) {
            let handle = self.agreements.len() as u32 + 1;
            self.agreements.insert(id.clone(), History { handle, events: Vec::new() });
            self.of_agency.entry(agency.clone()).or_default().push(id.clone());
        }
        if let Some(history) = self.agreements.get_mut(&id) {
            history.events.push((at, Event::Applied(version)));
        }
        self.turn(Some(agency), at);
    }

    fn turn(&mut self, agency: Option<String>, at: Revision) {
        if let Some(agency) = agency {
            self.turned.push((at, Some(agency.clone())));
            self.turns.entry(agency).or_default().push(at);
        }
    }

    fn day(&self, at: Revision) -> Day {
        let after = self.days.partition_point(|(begun, _)| *begun <= at);
        self.days[..after].last().map_or(Day::NONE, |(_, day)| *day)
    }

    /// The administrative orders as of a revision, and since when they are so.
    fn areas(&self, at: Revision) -> (Revision, &Arc<Areas>) {
        let after = self.areas.partition_point(|(begun, _)| *begun <= at);
        // The first one is from the beginning.
        let (begun, areas) = &self.areas[after.max(1) - 1];
        (*begun, areas)
    }

    fn lists_of(&self, agreement: &str) -> impl Iterator<Item = ListId> {
        self.lists.iter().filter(move |((of, _), _)| of == agreement).map(|(_, (_, list))| *list)
    }

    fn turning(&self, from: Day, to: Day) -> Vec<String> {
        let turns = |history: &&History| {
            let of = |day| history.state(Revision(u64::MAX), day).is_some_and(|state| state.in_force);
            of(from) != of(to)
        };
        let mut agencies: Vec<_> =
            self.agreements.values().filter(turns).filter_map(History::agency).collect();
        agencies.sort_unstable();
        agencies.dedup();
        agencies
    }
}

impl History {
    /// The agency, the same for all versions.
    fn agency(&self) -> Option<String> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Applied(version) => Some(version.agreement.agency.to_string()),
            Event::Withdrawn => None,
        })
    }

    fn state(&self, at: Revision, day: Day) -> Option<AgreementState> {
        let after = self.events.partition_point(|(when, _)| *when <= at);
        let mut withdrawn = None;
        for (when, event) in self.events[..after].iter().rev() {
            match event {
                Event::Withdrawn => withdrawn = Some(*when),
                Event::Applied(version) => {
                    let in_force = withdrawn.is_none() && day.is_within(&version.agreement);
                    return Some(version.clone().state(*when, withdrawn, in_force));
                }
            }
        }
        None
    }

    /// A version that is no longer the latest.
    fn version(&self, version: u32, at: Revision) -> Option<AgreementState> {
        self.events.iter().rev().filter(|(applied, _)| *applied <= at).find_map(
            |(applied, event)| match event {
                Event::Applied(of) if of.agreement.version == version => {
                    Some(of.clone().state(*applied, None, false))
                }
                _ => None,
            },
        )
    }
}

impl Version {
    fn state(self, applied: Revision, withdrawn: Option<Revision>, in_force: bool) -> AgreementState {
        let Version { agreement, document, written_under } = self;
        AgreementState { agreement, document, written_under, applied, withdrawn, in_force }
    }
}

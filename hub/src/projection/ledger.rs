//! The agreements as of any revision: the events of the journal, replayed.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use dancu_proto::{Revision, v1::Date};

use super::{Grant, Policy};
use crate::{
    agreements::{self, Agreement},
    registry::{AgreementEvent, JournalContent, StoreError, View},
};

/// All that ever happened to the sharing policy.
#[derive(Debug, Default)]
pub struct Ledger {
    events: RwLock<Events>,
}

#[derive(Debug, Default)]
struct Events {
    /// In order of revision.
    list: Vec<(Revision, Event)>,
    /// Short numbers, in order of first appearance.
    handles: BTreeMap<String, u32>,
}

#[derive(Clone, Debug)]
enum Event {
    Applied(Arc<Agreement>, Arc<str>),
    Withdrawn(String),
    Day(Date),
    /// The founding load, which changes no agreement.
    Other,
}

/// An agreement as of a revision.
#[derive(Clone, Debug)]
pub struct AgreementState {
    /// The latest version applied.
    pub agreement: Arc<Agreement>,
    /// Its document.
    pub document: Arc<str>,
    /// When it was applied.
    pub applied: Revision,
    /// When it was withdrawn.
    pub withdrawn: Option<Revision>,
    /// Applied, not withdrawn, and valid on the day.
    pub in_force: bool,
}

impl Ledger {
    /// Takes in what happened up to a view's revision.
    ///
    /// # Errors
    /// If the disk refuses, or a document of old can no longer be read.
    pub fn catch_up(&self, view: &View<'_>) -> Result<(), StoreError> {
        let known = self.read().list.last().map_or(Revision::NONE, |(at, _)| *at);
        let mut fresh = Vec::new();
        for (at, entry) in view.policy_events_after(known)? {
            let event = match (entry.agreement_event(), &entry.content) {
                (Some(AgreementEvent::Apply { document, .. }), _) => {
                    let agreement = agreements::parse(&document)
                        .map_err(|_| StoreError::Corrupt("the document of an agreement"))?;
                    Event::Applied(Arc::new(agreement), document.into())
                }
                (Some(AgreementEvent::Withdraw { agreement }), _) => Event::Withdrawn(agreement),
                (None, Some(JournalContent::Day(number))) => Event::Day(Date::from_number(*number)),
                (None, _) => Event::Other,
            };
            fresh.push((at, event));
        }
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        let known = events.list.last().map_or(Revision::NONE, |(at, _)| *at);
        for (at, event) in fresh.into_iter().filter(|(at, _)| *at > known) {
            if let Event::Applied(agreement, _) = &event {
                let next = events.handles.len() as u32 + 1;
                events.handles.entry(agreement.id.to_string()).or_insert(next);
            }
            events.list.push((at, event));
        }
        Ok(())
    }

    /// The revision of the last event up to a revision: policies in between are all the same.
    #[must_use]
    pub fn last_event(&self, up_to: Revision) -> Revision {
        let events = self.read();
        let after = events.list.partition_point(|(at, _)| *at <= up_to);
        events.list[..after].last().map_or(Revision::NONE, |(at, _)| *at)
    }

    /// The policy of a node of an agency as of a revision.
    #[must_use]
    pub fn policy(&self, node: &str, agency: &str, at: Revision) -> Policy {
        let events = self.read();
        let (states, _) = events.replay(at);
        let grants = states.into_iter().filter_map(|(id, state)| {
            let agreement = &state.agreement;
            let named = agreement.nodes.is_empty() || agreement.nodes.iter().any(|name| name == node);
            let applies = state.in_force && agreement.agency.to_string() == agency && named;
            let handle = *events.handles.get(&id)?;
            applies.then(|| Grant::new(handle, Arc::clone(agreement), state.applied))
        });
        Policy::new(grants.collect())
    }

    /// All agreements as of a revision, by id.
    #[must_use]
    pub fn agreements(&self, at: Revision) -> Vec<AgreementState> {
        self.read().replay(at).0.into_values().collect()
    }

    /// One version of an agreement; the latest where `version` is 0.
    #[must_use]
    pub fn agreement(&self, id: &str, version: u32, at: Revision) -> Option<AgreementState> {
        let latest = self.read().replay(at).0.remove(id)?;
        if version == 0 || latest.agreement.version == version {
            return Some(latest);
        }
        let events = self.read();
        events.list.iter().rev().filter(|(applied, _)| *applied <= at).find_map(
            |(applied, event)| match event {
                Event::Applied(agreement, document)
                    if agreement.id.to_string() == id && agreement.version == version =>
                {
                    Some(AgreementState {
                        agreement: Arc::clone(agreement),
                        document: Arc::clone(document),
                        applied: *applied,
                        withdrawn: None,
                        in_force: false,
                    })
                }
                _ => None,
            },
        )
    }

    /// The day as of a revision, Asia/Ho_Chi_Minh.
    #[must_use]
    pub fn day(&self, at: Revision) -> Option<Date> {
        self.read().replay(at).1
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Events> {
        self.events.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    fn replay(&self, up_to: Revision) -> (BTreeMap<String, AgreementState>, Option<Date>) {
        let mut states: BTreeMap<String, AgreementState> = BTreeMap::new();
        let mut day = None;
        for (at, event) in self.list.iter().take_while(|(at, _)| *at <= up_to) {
            match event {
                Event::Applied(agreement, document) => {
                    let state = AgreementState {
                        agreement: Arc::clone(agreement),
                        document: Arc::clone(document),
                        applied: *at,
                        withdrawn: None,
                        in_force: true,
                    };
                    states.insert(agreement.id.to_string(), state);
                }
                Event::Withdrawn(id) => {
                    if let Some(state) = states.get_mut(id) {
                        state.withdrawn = Some(*at);
                    }
                }
                Event::Day(date) => day = Some(*date),
                Event::Other => {}
            }
        }
        let today = day.map_or(0, |date| date.as_number());
        for state in states.values_mut() {
            let agreement = &state.agreement;
            let begun = agreement.valid_from.as_number() <= today;
            let ended = agreement.valid_until.is_some_and(|date| date.as_number() < today);
            state.in_force = state.withdrawn.is_none() && begun && !ended;
        }
        (states, day)
    }
}

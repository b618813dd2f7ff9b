//! Where the slice stands.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::quota::Quota;
use dancu_proto::{
    Areas, FieldSet, Revision,
    hub::v1::{self as wire, AreaNews, PendingDelta, Zone},
};
use prost::Message;

use super::{SliceError, changes, value::Stored};

/// Where the slice stands. Kept in one row, written with the records it speaks of.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceState {
    /// The registry the slice comes from; empty for a new node.
    pub registry_id: Vec<u8>,
    /// The revision at which the slice is exact.
    pub cursor: Revision,
    /// Under which policies each range of citizens is held: the hub's words, kept and echoed.
    pub zones: Vec<Zone>,
    /// The revision of the policy the slice works towards.
    pub policy_revision: Revision,
    /// The revision of the last policy that was loaded completely.
    pub settled: Revision,
    /// What the node may come to hold.
    pub target: Vec<Arc<Grant>>,
    /// What may be read now.
    pub readable: Vec<Arc<Grant>>,
    /// What goes on.
    pub phase: Phase,
    /// Citizens held.
    pub citizens: u64,
    /// The administrative orders as of the cursor; none until the hub has told them. Kept in rows of
    /// their own.
    pub areas: Option<Arc<Areas>>,
    /// A delta of several frames, received in part.
    pub pending: Option<PendingDelta>,
    /// A narrowing under way: the policy it leads to.
    pub(super) narrowing: Option<wire::Policy>,
    /// A delta of several frames is complete and being applied.
    pub(super) applying: bool,
    /// Agreements, by handle, under which something changed that those who follow were not told one by one: they are
    /// told of it when everything is settled.
    pub(super) untold: BTreeSet<u32>,
}

/// What goes on with the slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The key is not here, so that nothing can be read.
    Sealed,
    /// Nothing was ever received.
    Empty,
    /// A widening is being loaded.
    Loading {
        /// Citizens received.
        received: u64,
        /// The hub's estimate of those to come.
        remaining: u64,
        /// How many are received in a second; 0 while that is not known.
        per_second: u64,
    },
    /// What may no longer be held is being removed.
    Narrowing,
    /// The slice is what its policy gives.
    Settled,
}

/// What one agreement gives this node.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Short number of the agreement.
    pub handle: u32,
    /// Its id.
    pub agreement: String,
    /// Its version.
    pub version: u32,
    /// Its title.
    pub title: String,
    /// Purposes: procedure or task codes.
    pub purposes: Vec<String>,
    /// Operations allowed.
    pub operations: Vec<String>,
    /// Fields given.
    pub fields: FieldSet,
    /// How long look-ups may go on after the hub was last heard.
    pub offline_limit: Duration,
    /// It covers those whom the agency names.
    pub interest: bool,
    /// The caller vouches for its officers; otherwise they are listed at the node.
    pub officers_vouched: bool,
    /// How many people may be asked about.
    pub quota: Quota,
}

impl Grant {
    fn from_wire(grant: &wire::Grant) -> Grant {
        Grant {
            handle: grant.handle,
            agreement: grant.agreement.clone(),
            version: grant.version,
            title: grant.title.clone(),
            purposes: grant.purposes.clone(),
            operations: grant.operations.clone(),
            fields: FieldSet::from_bits(grant.fields),
            offline_limit: grant.offline_limit.and_then(|limit| limit.try_into().ok()).unwrap_or_default(),
            interest: grant.interest,
            officers_vouched: grant.officers_vouched,
            quota: Quota { per_second: grant.per_second, per_day: grant.per_day },
        }
    }

    fn to_wire(&self) -> wire::Grant {
        wire::Grant {
            handle: self.handle,
            agreement: self.agreement.clone(),
            version: self.version,
            title: self.title.clone(),
            purposes: self.purposes.clone(),
            operations: self.operations.clone(),
            fields: self.fields.bits(),
            offline_limit: self.offline_limit.try_into().ok(),
            interest: self.interest,
            officers_vouched: self.officers_vouched,
            per_second: self.quota.per_second,
            per_day: self.quota.per_day,
        }
    }
}

/// The grants of a policy.
pub(super) fn grants(list: &[wire::Grant]) -> Vec<Arc<Grant>> {
    list.iter().map(|grant| Arc::new(Grant::from_wire(grant))).collect()
}

/// The row as stored.
#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(bytes = "vec", tag = "1")]
    registry_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    cursor: u64,
    #[prost(message, repeated, tag = "3")]
    zones: Vec<Zone>,
    #[prost(uint64, tag = "4")]
    policy_revision: u64,
    #[prost(uint64, tag = "5")]
    settled: u64,
    #[prost(message, repeated, tag = "6")]
    target: Vec<wire::Grant>,
    #[prost(message, repeated, tag = "7")]
    readable: Vec<wire::Grant>,
    #[prost(uint64, tag = "8")]
    citizens: u64,
    #[prost(message, optional, tag = "9")]
    pending: Option<PendingDelta>,
    #[prost(message, optional, tag = "10")]
    narrowing: Option<wire::Policy>,
    #[prost(bool, tag = "11")]
    applying: bool,
    #[prost(uint32, repeated, tag = "12")]
    untold: Vec<u32>,
}

impl SliceState {
    /// A slice that holds nothing.
    pub(super) fn empty() -> SliceState {
        SliceState {
            registry_id: Vec::new(),
            cursor: Revision::NONE,
            zones: Vec::new(),
            policy_revision: Revision::NONE,
            settled: Revision::NONE,
            target: Vec::new(),
            readable: Vec::new(),
            phase: Phase::Empty,
            citizens: 0,
            areas: None,
            pending: None,
            narrowing: None,
            applying: false,
            untold: BTreeSet::new(),
        }
    }

    /// A slice of which nothing is known but where it comes from.
    pub(super) fn sealed(registry_id: Vec<u8>) -> SliceState {
        SliceState { registry_id, phase: Phase::Sealed, ..SliceState::empty() }
    }

    /// Whether everyone is held under the policy that the slice works towards.
    pub(super) fn is_settled(&self) -> bool {
        match self.zones.as_slice() {
            [zone] => zone.up_to == 0 && zone.policies == [self.policy_revision.0],
            _ => false,
        }
    }

    /// Handles of the agreements that let somebody follow what changes.
    pub(super) fn watched(&self) -> Vec<u32> {
        let grants = self.target.iter().chain(&self.readable);
        let watched = |grant: &&Arc<Grant>| grant.operations.iter().any(|name| name == changes::WATCH);
        let mut handles: Vec<u32> = grants.filter(watched).map(|grant| grant.handle).collect();
        handles.sort_unstable();
        handles.dedup();
        handles
    }

    /// The purposes whose readable agreements are others than in another state.
    pub(super) fn purposes_unlike(&self, other: &SliceState) -> Vec<String> {
        let alone = |a: &SliceState, b: &SliceState| {
            let unlike = a.readable.iter().filter(|grant| !b.readable.contains(grant));
            unlike.flat_map(|grant| grant.purposes.clone()).collect::<Vec<_>>()
        };
        [alone(self, other), alone(other, self)].concat()
    }

    /// Agreements under which somebody is another than before, of whom nothing is said by themselves: those that
    /// cover them otherwise, and those that give a field whose value is another.
    pub(super) fn touched(&self, old: Option<&Stored>, new: Option<&Stored>) -> Vec<u32> {
        let nobody = Stored::default();
        let (before, after) = (old.unwrap_or(&nobody), new.unwrap_or(&nobody));
        let (fields, questioned) = before.record.differences(&after.record);
        let differ = fields.union(questioned);
        let marks = before.marks.iter().filter(|mark| !after.marks.contains(mark));
        let marks = marks.chain(after.marks.iter().filter(|mark| !before.marks.contains(mark)));
        let gives = |handle| {
            let of_it = self.target.iter().chain(&self.readable).filter(move |grant| grant.handle == handle);
            of_it.fold(FieldSet::EMPTY, |fields, grant| fields.union(grant.fields))
        };
        let values = after.marks.iter().filter(|mark| !gives(mark.handle).intersection(differ).is_empty());
        marks.chain(values).map(|mark| mark.handle).collect()
    }

    /// The purposes of agreements under which something changed that nobody was told of, once everything is settled;
    /// they are told then. Also of agreements that let nobody follow: what a purpose is told is what all of its
    /// agreements give.
    pub(super) fn tell_untold(&mut self) -> Vec<String> {
        if !self.is_settled() || self.narrowing.is_some() {
            return Vec::new();
        }
        let untold = std::mem::take(&mut self.untold);
        let of_it = self.readable.iter().filter(|grant| untold.contains(&grant.handle));
        of_it.flat_map(|grant| grant.purposes.clone()).collect()
    }

    /// The administrative orders; the one that ships with this version until the hub has told its own.
    #[must_use]
    pub fn areas(&self) -> &Areas {
        self.areas.as_deref().unwrap_or(Areas::shipped())
    }

    /// Takes in what is new in the administrative order.
    pub(super) fn learn_areas(&mut self, news: &AreaNews) -> Result<(), SliceError> {
        let known = self.areas.as_ref().map(|areas| areas.changes().to_vec()).unwrap_or_default();
        let known = known.get(..news.known as usize).unwrap_or_default();
        let areas = Areas::unpack(&[known, &news.changes].concat());
        let areas = areas.map_err(|_| SliceError::Corrupt("the administrative order as the hub told it"))?;
        self.areas = Some(Arc::new(areas));
        Ok(())
    }

    /// What goes on, by what is stored.
    pub(super) fn with_phase(mut self) -> SliceState {
        self.phase = if self.narrowing.is_some() {
            Phase::Narrowing
        } else if self.registry_id.is_empty() {
            // The first policy may be that nothing is agreed: it is of revision 0.
            Phase::Empty
        } else if self.is_settled() {
            Phase::Settled
        } else {
            match self.phase {
                loading @ Phase::Loading { .. } => loading,
                _ => Phase::Loading { received: 0, remaining: 0, per_second: 0 },
            }
        };
        self
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let row = Row {
            registry_id: self.registry_id.clone(),
            cursor: self.cursor.0,
            zones: self.zones.clone(),
            policy_revision: self.policy_revision.0,
            settled: self.settled.0,
            target: self.target.iter().map(|grant| grant.to_wire()).collect(),
            readable: self.readable.iter().map(|grant| grant.to_wire()).collect(),
            citizens: self.citizens,
            pending: self.pending,
            narrowing: self.narrowing.clone(),
            applying: self.applying,
            untold: self.untold.iter().copied().collect(),
        };
        row.encode_to_vec()
    }

    pub(super) fn decode(bytes: &[u8], areas: Option<Arc<Areas>>) -> Result<SliceState, SliceError> {
        let row = Row::decode(bytes).map_err(|_| SliceError::Corrupt("its state"))?;
        let state = SliceState {
            registry_id: row.registry_id,
            cursor: Revision(row.cursor),
            zones: row.zones,
            policy_revision: Revision(row.policy_revision),
            settled: Revision(row.settled),
            target: grants(&row.target),
            readable: grants(&row.readable),
            phase: Phase::Empty,
            citizens: row.citizens,
            areas,
            pending: row.pending,
            narrowing: row.narrowing,
            applying: row.applying,
            untold: row.untold.into_iter().collect(),
        };
        Ok(state.with_phase())
    }
}

//! A node's holding as a staircase of zones: ranges of citizens in the order of keys that cover
//! everyone, each held under the meet of the policies of some revisions. A settled node has one
//! zone under one policy.

use dancu_proto::{FieldSet, Revision, hub::v1 as wire};

use crate::{
    projection::Policy,
    registry::{CitizenKey, StoreError, View},
};

/// One range of citizens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Zone {
    /// The last key of the range; none for "to the end".
    pub(super) up_to: Option<CitizenKey>,
    /// How the node knows the end: the number in force of the last citizen it holds in the range.
    pub(super) up_to_number: u64,
    /// The revisions whose policies meet here; none where nothing is held.
    pub(super) revisions: Vec<Revision>,
    /// Their meet.
    pub(super) policy: Policy,
    /// Fields that a node may still hold in the range: each of the policies gave them, be it by another
    /// agreement. A node strips fields by what the agreements that remain give together.
    pub(super) kept: FieldSet,
}

/// The staircase.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Zones(Vec<Zone>);

impl Zones {
    /// Nothing is held of anyone.
    pub(super) fn nothing() -> Zones {
        Zones(vec![Zone {
            up_to: None,
            up_to_number: 0,
            revisions: Vec::new(),
            policy: Policy::default(),
            kept: FieldSet::EMPTY,
        }])
    }

    /// What a node says it holds. `policy_at` gives the node's policy as of a revision.
    pub(super) fn from_wire(
        zones: &[wire::Zone],
        view: &View<'_>,
        policy_at: impl Fn(Revision) -> Policy,
    ) -> Result<Zones, StoreError> {
        let mut list = Vec::with_capacity(zones.len());
        for zone in zones {
            let revisions: Vec<_> = zone.policies.iter().map(|at| Revision(*at)).collect();
            let up_to = if zone.up_to == 0 { None } else { Some(view.key_of(zone.up_to)?) };
            let (policy, kept) = (meet_of(&revisions, &policy_at), kept_of(&revisions, &policy_at));
            list.push(Zone { up_to, up_to_number: zone.up_to, revisions, policy, kept });
        }
        // A node's word is not to be relied on for order: what is amiss is held as nothing.
        let to_the_end = list.last().is_some_and(|zone| zone.up_to.is_none());
        let ascending = list.windows(2).all(|pair| match (pair[0].up_to, pair[1].up_to) {
            (Some(end), Some(next)) => end < next,
            (Some(_), None) => true,
            (None, _) => false,
        });
        if to_the_end && ascending { Ok(Zones(list)) } else { Ok(Zones::nothing()) }
    }

    pub(super) fn to_wire(&self) -> Vec<wire::Zone> {
        let zone = |zone: &Zone| wire::Zone {
            up_to: zone.up_to_number,
            policies: zone.revisions.iter().map(|at| at.0).collect(),
        };
        // The end of a zone in which the node holds no one has no name it may know: the zone is told
        // as a part of the next, where nothing is held in that range either.
        self.0.iter().filter(|zone| zone.up_to.is_none() || zone.up_to_number != 0).map(zone).collect()
    }

    /// Whether the same is held of the same ranges, whatever revisions name it.
    pub(super) fn hold_like(&self, other: &Zones) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a.up_to == b.up_to && a.policy.gives_like(&b.policy))
    }

    /// The policy under which a citizen is held.
    pub(super) fn policy_of(&self, key: CitizenKey) -> &Policy {
        &self.zone_of(key).policy
    }

    /// The zone that a citizen lies in.
    pub(super) fn zone_of(&self, key: CitizenKey) -> &Zone {
        let index = self.0.partition_point(|zone| zone.up_to.is_some_and(|end| end < key));
        // The last zone has no end, so there is one for every key.
        &self.0[index.min(self.0.len() - 1)]
    }

    /// The policy of the zone in which a range ends.
    pub(super) fn policy_up_to(&self, end: Option<CitizenKey>) -> &Policy {
        self.policy_of(end.unwrap_or(CitizenKey(u64::MAX)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Zone> {
        self.0.iter()
    }

    /// Whether everything is held under the policy of one revision.
    pub(super) fn settled(&self) -> Option<Revision> {
        match self.0.as_slice() {
            [zone] if zone.revisions.len() == 1 => Some(zone.revisions[0]),
            _ => None,
        }
    }

    /// Whether nothing is held at all.
    pub(super) fn hold_nothing(&self) -> bool {
        self.0.iter().all(|zone| zone.policy.is_empty())
    }

    /// Narrows every zone by a policy.
    pub(super) fn narrow(
        &self,
        revision: Revision,
        policy: &Policy,
        policy_at: impl Fn(Revision) -> Policy,
    ) -> Zones {
        let mut zones: Vec<Zone> = Vec::with_capacity(self.0.len());
        for zone in &self.0 {
            let narrowed = narrow_zone(zone, revision, policy, &policy_at);
            match zones.last_mut() {
                Some(last) if last.revisions == narrowed.revisions => {
                    (last.up_to, last.up_to_number) = (narrowed.up_to, narrowed.up_to_number);
                }
                _ => zones.push(narrowed),
            }
        }
        Zones(zones)
    }

    /// What all zones give alike.
    pub(super) fn meet(&self) -> Policy {
        let mut policies = self.0.iter().map(|zone| &zone.policy);
        let first = policies.next().cloned().unwrap_or_default();
        policies.fold(first, |meet, policy| meet.meet(policy))
    }

    /// The first key that is not held under a policy alone: where a load goes on.
    pub(super) fn load_from(&self, revision: Revision) -> Option<CitizenKey> {
        let loaded = self.0.iter().take_while(|zone| zone.revisions == [revision]);
        loaded.last().and_then(|zone| zone.up_to)
    }

    /// Everyone up to a key is now held under a policy alone.
    pub(super) fn advance(&mut self, revision: Revision, policy: &Policy, key: CitizenKey, number: u64) {
        let rest = self.0.iter().filter(|zone| zone.up_to.is_none_or(|end| end > key)).cloned();
        let done = Zone {
            up_to: Some(key),
            up_to_number: number,
            revisions: vec![revision],
            policy: policy.clone(),
            kept: policy.fields(),
        };
        self.0 = std::iter::once(done).chain(rest).collect();
    }

    /// Everyone is held under a policy alone.
    pub(super) fn settle(&mut self, revision: Revision, policy: &Policy) {
        let (revisions, kept) = (vec![revision], policy.fields());
        self.0 = vec![Zone { up_to: None, up_to_number: 0, revisions, policy: policy.clone(), kept }];
    }
}

fn meet_of(revisions: &[Revision], policy_at: &impl Fn(Revision) -> Policy) -> Policy {
    let mut policies = revisions.iter().map(|at| policy_at(*at));
    let first = policies.next().unwrap_or_default();
    policies.fold(first, |meet, policy| meet.meet(&policy))
}

fn kept_of(revisions: &[Revision], policy_at: &impl Fn(Revision) -> Policy) -> FieldSet {
    let fields = revisions.iter().map(|at| policy_at(*at).fields());
    fields.reduce(FieldSet::intersection).unwrap_or(FieldSet::EMPTY)
}

/// A zone narrowed by a policy, named by as few revisions as give the same meet.
fn narrow_zone(
    zone: &Zone,
    revision: Revision,
    policy: &Policy,
    policy_at: &impl Fn(Revision) -> Policy,
) -> Zone {
    if zone.revisions.is_empty() {
        return zone.clone();
    }
    let meet = zone.policy.meet(policy);
    let mut revisions = zone.revisions.clone();
    revisions.retain(|at| *at != revision);
    revisions.push(revision);
    let mut index = 0;
    while index < revisions.len() && revisions.len() > 1 {
        let mut fewer = revisions.clone();
        fewer.remove(index);
        if meet_of(&fewer, policy_at).gives_like(&meet) {
            revisions = fewer;
        } else {
            index += 1;
        }
    }
    let policy = if revisions == [revision] { policy.clone() } else { meet };
    let kept = kept_of(&revisions, policy_at);
    Zone { up_to: zone.up_to, up_to_number: zone.up_to_number, revisions, policy, kept }
}

//! The policy of one node at one revision.

use std::sync::Arc;

use dancu_proto::{Areas, FieldSet, Revision, hub::v1 as wire};

use super::{
    AgreementState, Day, Place, Reach,
    scope::{self, Coverage, Facts},
};
use crate::{
    agreements::{Agreement, AreaScope, Officers},
    registry::{ListId, Partition, Subject},
};

/// What the agreements in force give one node, by handle.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    grants: Vec<Grant>,
}

/// What one agreement gives.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The agreement's short number, the same for all its versions.
    pub handle: u32,
    /// The agreement whose purposes, operations and limits count.
    pub agreement: Arc<Agreement>,
    /// The fields.
    pub fields: FieldSet,
    /// The scopes: a citizen is covered by all of them. One, but for a meet.
    scopes: Vec<Coverage>,
    /// The revision the version was applied at.
    applied: Revision,
    /// Changes of the administrative order that the scopes follow.
    areas: usize,
}

/// Two grants are equal if they give the same: what they let hold, and what for.
impl PartialEq for Grant {
    fn eq(&self, other: &Grant) -> bool {
        self.gives_like(other) && self.applied == other.applied
    }
}

impl Grant {
    /// `list` is the node's interest list, which is the scope of an agreement that asks for one.
    pub(super) fn new(handle: u32, state: AgreementState, areas: &Areas, list: Option<ListId>) -> Grant {
        let AgreementState { agreement, applied, written_under, .. } = state;
        let scopes = vec![Coverage::of(&agreement.scope, written_under, areas, list)];
        let (fields, areas) = (agreement.fields, areas.changes().len());
        Grant { handle, agreement, fields, scopes, applied, areas }
    }

    /// How its areas cover a place.
    #[must_use]
    pub fn reach(&self, place: Place) -> Option<Reach> {
        self.scopes.iter().map(|scope| scope::reach(scope, place)).min().flatten()
    }

    /// The places by which its areas are named: none in particular for the nation, else a province or a commune
    /// each.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        self.scopes.iter().flat_map(scope::places).collect()
    }

    fn gives_like(&self, other: &Grant) -> bool {
        self.handle == other.handle
            && self.fields == other.fields
            && self.scopes.len() == other.scopes.len()
            && self.scopes.iter().all(|scope| other.scopes.contains(scope))
    }

    fn covers(&self, facts: &Facts<'_>, day: Day) -> bool {
        self.scopes.iter().all(|scope| scope::covers(scope, facts, day))
    }

    fn meet(&self, other: &Grant) -> Grant {
        let mut scopes = self.scopes.clone();
        scopes.extend(other.scopes.iter().cloned());
        Grant {
            handle: self.handle,
            agreement: Arc::clone(&other.agreement),
            fields: self.fields.intersection(other.fields),
            scopes: narrowest(scopes),
            applied: other.applied,
            areas: other.areas,
        }
    }
}

/// A conjunction of scopes without those that another implies.
fn narrowest(scopes: Vec<Coverage>) -> Vec<Coverage> {
    let mut kept: Vec<Coverage> = Vec::new();
    for scope in scopes {
        if kept.iter().any(|narrow| scope::contains(&scope, narrow)) {
            continue;
        }
        kept.retain(|wide| !scope::contains(wide, &scope));
        kept.push(scope);
    }
    kept
}

/// What tells policies apart: two with the same key let hold the same of everyone, in the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicyKey(Vec<(u32, Revision, usize, Option<ListId>)>);

impl Policy {
    /// The key; none for a meet of policies.
    #[must_use]
    pub fn key(&self) -> Option<PolicyKey> {
        let of = |grant: &Grant| match grant.scopes.as_slice() {
            [scope] => Some((grant.handle, grant.applied, grant.areas, scope.list())),
            _ => None,
        };
        self.grants.iter().map(of).collect::<Option<_>>().map(PolicyKey)
    }

    /// What agreements in force give, by their documents.
    #[cfg(test)]
    pub(crate) fn of_documents(documents: &[String]) -> Policy {
        let areas = Areas::shipped();
        let grant = |(place, document): (usize, &String)| {
            let agreement = Arc::new(crate::agreements::parse(document, areas).expect("a good document"));
            let state = AgreementState {
                agreement,
                document: document.as_str().into(),
                written_under: areas.number(),
                applied: Revision(1),
                withdrawn: None,
                in_force: true,
            };
            Grant::new(place as u32 + 1, state, areas, None)
        };
        Policy::new(documents.iter().enumerate().map(grant).collect())
    }

    pub(super) fn new(mut grants: Vec<Grant>) -> Policy {
        grants.sort_by_key(|grant| grant.handle);
        Policy { grants }
    }

    /// The grants, by handle.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// All fields that any agreement gives of anyone.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        self.grants.iter().fold(FieldSet::EMPTY, |fields, grant| fields.union(grant.fields))
    }

    /// The fields that some of the agreements, by handle, give of a citizen on a day; none where they do
    /// not cover them.
    #[must_use]
    pub fn given(&self, handles: &[u32], citizen: Subject<'_>, day: Day) -> FieldSet {
        let facts = Facts::of(citizen);
        let some = self.grants.iter().filter(|grant| handles.contains(&grant.handle));
        let cover = some.filter(|grant| grant.covers(&facts, day));
        cover.fold(FieldSet::EMPTY, |fields, grant| fields.union(grant.fields))
    }

    /// Whether it gives nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// What both policies give; purposes and limits are those of the other.
    #[must_use]
    pub fn meet(&self, other: &Policy) -> Policy {
        let of_other = |handle| other.grants.iter().find(|grant| grant.handle == handle);
        let grants = self.grants.iter().filter_map(|grant| Some(grant.meet(of_other(grant.handle)?)));
        Policy { grants: grants.collect() }
    }

    /// Whether both let hold the same, whatever for.
    #[must_use]
    pub fn gives_like(&self, other: &Policy) -> bool {
        self.grants.len() == other.grants.len()
            && self.grants.iter().zip(&other.grants).all(|(a, b)| a.gives_like(b))
    }

    /// The partitions that together have everyone the policy may cover.
    #[must_use]
    pub fn partitions(&self) -> Vec<Partition> {
        let scopes = self.grants.iter().filter_map(|grant| grant.scopes.first());
        let mut partitions: Vec<_> = scopes.flat_map(scope::partitions).collect();
        partitions.sort_unstable();
        partitions.dedup();
        if partitions.first() == Some(&Partition::Nation) {
            partitions.truncate(1);
        }
        partitions
    }

    /// The partitions whose members may lose something to a narrower policy by its scopes. What is
    /// lost by fields or by whole agreements needs no list: the node removes that by itself.
    #[must_use]
    pub fn scopes_lost_to(&self, narrower: &Policy) -> Vec<Partition> {
        let mut lost = Vec::new();
        for old in &self.grants {
            let Some(new) = narrower.grants.iter().find(|grant| grant.handle == old.handle) else { continue };
            for (old, new) in old.scopes.iter().flat_map(|o| new.scopes.iter().map(move |n| (o, n))) {
                lost.extend(scope::lost(old, new));
            }
        }
        lost.sort_unstable();
        lost.dedup();
        if lost.first() == Some(&Partition::Nation) {
            lost.truncate(1);
        }
        lost
    }

    /// The grants that cover someone on a day.
    pub(super) fn covering(&self, facts: &Facts<'_>, day: Day) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.covers(facts, day))
    }

    /// As nodes are told.
    #[must_use]
    pub fn to_wire(&self) -> Vec<wire::Grant> {
        let grant = |grant: &Grant| {
            let agreement = &grant.agreement;
            wire::Grant {
                handle: grant.handle,
                agreement: agreement.id.to_string(),
                version: agreement.version,
                title: agreement.title.clone(),
                purposes: agreement.purposes.iter().map(|purpose| purpose.code.clone()).collect(),
                operations: agreement.operations.iter().map(|operation| operation.to_string()).collect(),
                fields: grant.fields.bits(),
                offline_limit: prost_types::Duration::try_from(agreement.offline_limit).ok(),
                interest: agreement.scope.areas == AreaScope::Interest,
                officers_vouched: agreement.officers == Officers::Vouched,
                per_second: agreement.quota.per_second.unwrap_or(0),
                per_day: agreement.quota.per_day.unwrap_or(0),
            }
        };
        self.grants.iter().map(grant).collect()
    }
}

//! From a purpose and an operation to the grants that may be used, or the reason why none may.

use std::{sync::Arc, time::Duration};

use dancu_proto::{Field, FieldSet, Revision};

use super::{context::Asked, refusal::Refusal};
use crate::{
    quota::{Account, Quota},
    slice::{Grant, Held, Phase, SliceState},
};

/// What a call does, as agreements name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Discloses fields.
    Lookup,
    /// Compares, and discloses nothing.
    Verify,
    /// Compares an agency's own records.
    Reconcile,
    /// Follows what changes.
    Watch,
    /// Shows who looked.
    Report,
    /// Asks the hub for one person outside the slice.
    Remote,
    /// Hands in, and does tasks.
    Contribute,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Operation::Lookup => "lookup",
            Operation::Verify => "verify",
            Operation::Reconcile => "reconcile",
            Operation::Watch => "watch",
            Operation::Report => "access_report",
            Operation::Remote => "remote_lookup",
            Operation::Contribute => "contribute",
        }
    }
}

/// What a call may use.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    grants: Vec<Arc<Grant>>,
    settled: Revision,
    absence: Absence,
}

/// What it means that no one is found: the same for everyone, whether held or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    NotFound,
    Loading,
    PastLimit,
}

/// The grants a call may use: readable, for its purpose, with its operation, open to its officer, within
/// their offline limits. `offline` is how long the hub has been out of reach.
pub(super) fn authorise(
    state: &SliceState,
    asked: &Asked,
    operation: Operation,
    offline: Option<Duration>,
) -> Result<Permit, Refusal> {
    let for_purpose = |grant: &&Arc<Grant>| grant.purposes.contains(&asked.purpose);
    let with_operation =
        |grant: &&Arc<Grant>| grant.operations.iter().any(|agreed| agreed == operation.name());
    // A grant's scope is the hub's alone to know, so while anything loads no absence is certain.
    let settled = matches!(state.phase, Phase::Settled);

    // What the grants for the purpose get to: the refusal says which step none of them passes.
    let (mut readable, mut agreed, mut usable) = (0, 0, 0);
    let mut grants = Vec::new();
    for grant in state.readable.iter().filter(for_purpose) {
        readable += 1;
        if !with_operation(&grant) {
            continue;
        }
        agreed += 1;
        if !(asked.listed || grant.officers_vouched) {
            continue;
        }
        usable += 1;
        if offline.is_none_or(|offline| offline <= grant.offline_limit) {
            grants.push(Arc::clone(grant));
        }
    }
    if grants.is_empty() {
        let targets = || state.target.iter().filter(for_purpose);
        return Err(match state.phase {
            _ if usable > 0 => Refusal::OfflineLimitPassed,
            _ if agreed > 0 => Refusal::OfficerNotAllowed,
            _ if targets().any(|grant| with_operation(&grant)) => Refusal::Loading,
            _ if readable > 0 || targets().next().is_some() => Refusal::OperationNotAgreed(operation.name()),
            Phase::Empty => Refusal::Loading,
            _ if state.target.is_empty() => Refusal::NoAgreement,
            _ => Refusal::PurposeNotAgreed(
                "no agreement of this node has that purpose; check its code, or ask the hub's operator for an agreement",
            ),
        });
    }
    let absence = if grants.len() < usable {
        Absence::PastLimit
    } else if settled {
        Absence::NotFound
    } else {
        Absence::Loading
    };
    Ok(Permit { grants, settled: state.settled, absence })
}

impl Permit {
    /// The quotas that a call counts to.
    pub(super) fn quotas(&self) -> impl Iterator<Item = (Account, Quota)> + '_ {
        let limited = self.grants.iter().filter(|grant| grant.quota != Quota::default());
        limited.map(|grant| (Account::Agreement(grant.agreement.clone()), grant.quota))
    }

    /// The fields that the agreements give for one citizen; none where none covers them, which is
    /// the same as not knowing them.
    pub(super) fn fields_for(&self, held: &Held) -> Option<FieldSet> {
        let usable = |grant: &&Arc<Grant>| {
            let mut marks = held.marks.iter().filter(|mark| mark.handle == grant.handle);
            marks.any(|mark| mark.pending == Revision::NONE || mark.pending <= self.settled)
        };
        let covering = self.grants.iter().filter(usable);
        let mut fields = covering.map(|grant| grant.fields).reduce(FieldSet::union)?;
        // The number in force is part of every projection.
        fields.insert(Field::PersonalId);
        // To be found by a former number is to be told of it.
        if held.former_number && !fields.contains(Field::FormerPersonalIds) {
            return None;
        }
        Some(fields)
    }

    /// The fields that the agreements give of anybody.
    pub(super) fn fields(&self) -> FieldSet {
        self.grants.iter().fold(FieldSet::EMPTY, |fields, grant| fields.union(grant.fields))
    }

    /// The fields that the agreements of these handles give; none where none of them may be used.
    pub(super) fn fields_of(&self, handles: &[u32]) -> Option<FieldSet> {
        let of_handles = self.grants.iter().filter(|grant| handles.contains(&grant.handle));
        of_handles.map(|grant| grant.fields).reduce(FieldSet::union)
    }

    /// Whether any citizen at all may be asked for by a field.
    pub(super) fn need(&self, field: Field) -> Result<(), Refusal> {
        if self.grants.iter().any(|grant| grant.fields.contains(field)) {
            Ok(())
        } else {
            Err(Refusal::FieldNotAgreed(field.name()))
        }
    }

    /// The answer when no one is found.
    pub(super) fn nobody(&self) -> Refusal {
        match self.absence {
            Absence::NotFound => Refusal::NotFound,
            Absence::Loading => Refusal::Loading,
            Absence::PastLimit => Refusal::OfflineLimitPassed,
        }
    }

    /// Whether not being found means not being there for this purpose.
    pub(super) fn absence_is_certain(&self) -> bool {
        self.absence == Absence::NotFound
    }
}

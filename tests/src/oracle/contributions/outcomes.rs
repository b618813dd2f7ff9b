//! What must be true of what became of contributions: law 3, as a plain list of faults.

use std::collections::{BTreeMap, BTreeSet};

use dancu_proto::{
    signed,
    v1::{ContributionOutcome, ContributionReceipt, ContributionState},
};
use rustls::pki_types::CertificateDer;

/// A contribution of which a node said that it is queued.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Its id.
    pub id: String,
    /// The node.
    pub node: String,
    /// Its place in the node's outbox.
    pub sequence: u64,
}

/// What is wrong with what became of contributions; nothing if nothing is. Those that were in review
/// were carried out when somebody decided it, the others in the order they were queued in.
#[must_use]
pub fn faults(
    queued: &[Queued],
    outcomes: &BTreeMap<String, ContributionOutcome>,
    reviewed: &BTreeSet<String>,
    authority: &CertificateDer<'static>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let ids: BTreeSet<&String> = queued.iter().map(|queued| &queued.id).collect();
    for stranger in outcomes.keys().filter(|id| !ids.contains(id)) {
        faults.push(format!("{stranger} has an outcome and was never queued"));
    }
    let mut revisions = BTreeMap::new();
    let mut last: BTreeMap<(&str, &[u8]), u64> = BTreeMap::new();
    let mut in_order: Vec<&Queued> = queued.iter().collect();
    in_order.sort_by_key(|queued| queued.sequence);
    for one in in_order {
        let Some(outcome) = outcomes.get(&one.id) else {
            faults.push(format!("{} of {} ({}) has no outcome", one.id, one.node, one.sequence));
            continue;
        };
        faults.extend(wrong_with(outcome, authority).map(|fault| format!("{}: {fault}", one.id)));
        if outcome.state() != ContributionState::Accepted {
            continue;
        }
        if let Some(other) = revisions.insert(outcome.revision, &one.id) {
            faults.push(format!("{} and {other} have one revision", one.id));
        }
        if reviewed.contains(&one.id) {
            continue;
        }
        let before = last.insert((&outcome.node, &outcome.outbox), outcome.revision);
        if before.is_some_and(|before| before > outcome.revision) {
            faults.push(format!("{} is carried out before one that was queued before it", one.id));
        }
    }
    faults
}

fn wrong_with(
    outcome: &ContributionOutcome,
    authority: &CertificateDer<'static>,
) -> impl Iterator<Item = String> {
    let mut faults = Vec::new();
    match outcome.state() {
        ContributionState::Accepted if outcome.revision == 0 => faults.push("accepted at no revision".into()),
        ContributionState::Rejected | ContributionState::InReview if outcome.revision != 0 => {
            faults.push("not accepted, and at a revision".into());
        }
        ContributionState::Accepted | ContributionState::Rejected | ContributionState::InReview => {}
        other => faults.push(format!("its outcome is {other:?}")),
    }
    let receipt = outcome.receipt.clone().unwrap_or_default();
    match signed::verify::<ContributionReceipt>(&receipt, authority) {
        Ok((receipt, _)) => {
            let said = (receipt.contribution_id.as_str(), receipt.state, receipt.revision, receipt.sequence);
            let is = (outcome.contribution_id.as_str(), outcome.state, outcome.revision, outcome.sequence);
            if said != is || receipt.reason != outcome.reason || receipt.outbox != outcome.outbox {
                faults.push(format!("its receipt says {said:?}, its outcome {is:?}"));
            }
        }
        Err(error) => faults.push(format!("its receipt: {error}")),
    }
    faults.into_iter()
}

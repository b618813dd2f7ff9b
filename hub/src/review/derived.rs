//! What others derived from the time between the day from which something holds and when it became known:
//! the events that were registered meanwhile, and the calls that were answered without it.

use dancu_proto::{
    FieldSet, PersonalId, Revision,
    hub::v1::{DerivedAccess, DerivedEvent},
    v1,
};

use super::service::moment;
use crate::{
    audit::{Answered, Gap, Unaware},
    intake::handover::{Handover, handed_in::HandedIn},
    projection::Grant,
    registry::{CitizenKey, JournalContent, JournalEntry, StoreError, View},
    sync::timestamp,
};

/// The journal's entry of a contribution; none unless it was accepted.
fn entry_of(view: &View<'_>, row: &HandedIn) -> Result<Option<(Revision, JournalEntry)>, StoreError> {
    if row.revision == 0 {
        return Ok(None);
    }
    let at = Revision(row.revision);
    Ok(Some((at, view.journal(at)?.ok_or(StoreError::Corrupt("the journal"))?)))
}

/// Events of the same people that hold from a later day and were known before.
pub(super) fn events(view: &View<'_>, row: &HandedIn) -> Result<Vec<DerivedEvent>, StoreError> {
    let Some((at, entry)) = entry_of(view, row)? else { return Ok(Vec::new()) };
    let Some(JournalContent::Citizens(changes)) = &entry.content else { return Ok(Vec::new()) };
    let mut derived = Vec::new();
    for change in &changes.changes {
        let history = view.history(CitizenKey(change.key), Revision::NONE)?;
        for revision in history.into_iter().filter(|revision| *revision < at) {
            let other = view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
            if other.effective_date <= entry.effective_date || other.event.is_empty() {
                continue;
            }
            let origin = other.origin();
            derived.push(DerivedEvent {
                revision: revision.0,
                contribution_id: origin.contribution.map(|id| id.to_string()).unwrap_or_default(),
                source: origin.source,
                event: origin.event,
                effective_date: origin.effective_date,
                known_at: Some(timestamp(other.time())),
                personal_id: PersonalId::from_u64(change.key).map(|id| id.to_string()).unwrap_or_default(),
            });
        }
    }
    Ok(derived)
}

/// The calls that told of what the contribution changed, and did not know it.
pub(super) fn accesses(view: &View<'_>, handover: &Handover, row: &HandedIn) -> Result<Unaware, StoreError> {
    let Some((known, entry)) = entry_of(view, row)? else { return Ok(Unaware::default()) };
    let Some(JournalContent::Citizens(changes)) = &entry.content else { return Ok(Unaware::default()) };
    // Whoever entered the registry by it could not be asked for before. What it claims and another source's
    // word outweighs changed nothing for anybody.
    let changed = changes.changes.iter().filter(|change| !change.entered);
    let changed = changed.map(|change| (CitizenKey(change.key), change.delta().fields())).collect();
    handover.ledger.catch_up(view)?;
    let deciding = |node: &str, purpose: &str, at: Revision| {
        let agency = handover.roll.get(node).map(|node| node.agency).unwrap_or_default();
        let policy = handover.ledger.policy(node, &agency, at);
        let under = |grant: &&Grant| grant.agreement.purposes.iter().any(|agreed| agreed.code == purpose);
        let fields = policy.grants().iter().filter(under).map(|grant| grant.agreement.scope.fields());
        fields.fold(FieldSet::EMPTY, FieldSet::union)
    };
    Gap { from: entry.origin().effective_date, known, changed }.find(&handover.log, view, &deciding)
}

/// A call, as it is told.
pub(super) fn shown(call: Answered) -> DerivedAccess {
    DerivedAccess {
        index: call.index,
        time: moment(i64::try_from(call.time_ms).unwrap_or(i64::MAX)),
        node: call.node,
        caller: call.caller,
        officer: call.officer,
        purpose: call.purpose,
        case_number: call.case_number,
        operation: call.operation.into(),
        revision: call.revision,
        personal_id: call.person.to_string(),
        fields: call.fields.iter().map(|field| v1::Field::from(field).into()).collect(),
    }
}

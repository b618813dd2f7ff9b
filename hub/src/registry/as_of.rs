//! What held on a day, by what was known at a revision. The date of a fact and the revision at
//! which it became known are two things (DOMAIN: three deaths in ten are registered late).

use std::collections::BTreeMap;

use dancu_proto::{Delta, Field, FieldSet, Record, Revision, v1::Date};

use super::{CitizenKey, StoreError, StoredCitizen, View};

/// A citizen's record as it held on a day, by what was known at a revision. What is in question is what
/// was so at the revision.
///
/// For each field the change with the latest effective date up to the day counts, among those
/// known at the revision; of two with the same date, the one known later. A change without an
/// effective date has always held. A field all of whose changes take effect after the day has the
/// value from before the first of them.
///
/// # Errors
/// If the disk refuses.
pub fn known_on(
    view: &View<'_>,
    key: CitizenKey,
    citizen: &StoredCitizen,
    at: Revision,
    day: &Date,
) -> Result<Option<Record>, StoreError> {
    let Some(mut record) = view.record_at(key, citizen, at)? else { return Ok(None) };
    let mut revisions = view.history(key, Revision::NONE)?;
    revisions.retain(|revision| *revision <= at);
    revisions.reverse();
    // For each field: the best change so far, as (effective date, delta of this field alone).
    let mut best: BTreeMap<Field, (u32, Delta)> = BTreeMap::new();
    for revision in revisions {
        let entry = view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
        let change = entry.change_of(key).ok_or(StoreError::Corrupt("the journal"))?;
        for field in change.delta().fields().iter() {
            let holds = entry.effective_date <= day.as_number();
            let known = best.get(&field);
            if known.is_none() && !holds {
                // Before its first change the field had what that change replaced.
                best.insert(field, (0, only(&change.undo(), field)));
            } else if holds && known.is_none_or(|(date, _)| *date <= entry.effective_date) {
                best.insert(field, (entry.effective_date, only(&change.delta(), field)));
            }
        }
    }
    for (_, delta) in best.into_values() {
        record = record.apply(&delta).map_err(|_| StoreError::Corrupt("the journal"))?;
    }
    Ok(Some(record))
}

/// The part of a delta that concerns the value of one field.
fn only(delta: &Delta, field: Field) -> Delta {
    let one: FieldSet = [field].into_iter().collect();
    let set = Record::trusted(delta.set.clone()).values(one).into_bytes();
    let cleared = if set.is_empty() { one } else { FieldSet::EMPTY };
    Delta { set, cleared }
}

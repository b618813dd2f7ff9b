//! What held on a day, by what was known at a revision. The date of a fact and the revision at
//! which it became known are two things (DOMAIN: three deaths in ten are registered late).

use std::collections::{BTreeMap, HashSet};

use dancu_proto::{Delta, Field, FieldSet, Record, Revision, v1::Date};

use super::{CitizenKey, JournalEntry, StoreError, StoredCitizen, View};

/// How much what an entry of the journal says of a field weighs; nothing for what an import says.
pub(super) type Weigh<'a, W> = &'a dyn Fn(&JournalEntry, Revision, Field) -> Option<W>;

/// What holds so far, and what it weighs; nothing for what was there before.
type Best<W> = (Option<(u32, Option<W>)>, Delta);

/// A citizen's record as it held on a day, by what was known at a revision.
///
/// For each field the weightiest of what was claimed from a day up to this one counts, among what was known
/// at the revision and is not taken back; of two that weigh the same, the one known later. A change without
/// an effective date has always held. A field of which everything holds from a later day has the value from
/// before the first change.
///
/// # Errors
/// If the disk refuses.
pub fn known_on<W: Ord>(
    view: &View<'_>,
    key: CitizenKey,
    citizen: &StoredCitizen,
    at: Revision,
    day: &Date,
    weigh: Weigh<'_, W>,
) -> Result<Option<Record>, StoreError> {
    let Some(mut record) = view.record_at(key, citizen, at)? else { return Ok(None) };
    let mut history = Vec::new();
    for revision in view.history(key, Revision::NONE)?.into_iter().filter(|revision| *revision <= at).rev() {
        history.push((revision, view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?));
    }
    let taken_back: HashSet<u64> = history.iter().map(|(_, entry)| entry.takes_back).collect();
    // For each field what holds so far, and what it weighs; nothing for what was there before.
    let mut best: BTreeMap<Field, Best<W>> = BTreeMap::new();
    for (revision, entry) in &history {
        let change = entry.change_of(key).ok_or(StoreError::Corrupt("the journal"))?;
        let delta = change.delta();
        for field in delta.fields().iter() {
            // Before its first change the field had what that change replaced.
            best.entry(field).or_insert_with(|| (None, only(&change.undo(), field)));
        }
        let claims = change.claims();
        // Items of lists are claimed one by one, and hold together.
        let lists = delta.fields().intersection(claims.added.fields());
        let said = if claims.is_empty() {
            delta
        } else {
            let set = merged(&claims.set, &Record::trusted(delta.set).values(lists));
            Delta { set: set.into_bytes(), cleared: claims.cleared }
        };
        if taken_back.contains(&revision.0) || entry.effective_date > day.as_number() {
            continue;
        }
        for field in said.fields().iter() {
            let weight = weigh(entry, *revision, field);
            // What weighs nothing is told apart by its day, as an import is.
            let mine = Some((if weight.is_none() { entry.effective_date } else { 0 }, weight));
            let greater = best.get(&field).is_none_or(|(known, _)| match (known, &mine) {
                (Some((_, Some(known))), Some((_, Some(mine)))) => mine >= known,
                (Some((known, None)), Some((mine, None))) => mine >= known,
                (Some((_, known)), Some((_, mine))) => mine.is_some() && known.is_none(),
                (None, _) => true,
                (_, None) => false,
            });
            if greater {
                best.insert(field, (mine, only(&said, field)));
            }
        }
    }
    for (_, delta) in best.into_values() {
        record = record.apply(&delta).map_err(|_| StoreError::Corrupt("the journal"))?;
    }
    Ok(Some(record))
}

fn merged(a: &Record, b: &Record) -> Record {
    let delta = Delta { set: b.as_bytes().to_vec(), cleared: FieldSet::EMPTY };
    // Both are of the journal, and canonical.
    a.apply(&delta).unwrap_or_else(|_| a.clone())
}

/// The part of a delta that concerns one field.
fn only(delta: &Delta, field: Field) -> Delta {
    let one: FieldSet = [field].into_iter().collect();
    let set = Record::trusted(delta.set.clone()).values(one).into_bytes();
    let cleared = if set.is_empty() { one } else { FieldSet::EMPTY };
    Delta { set, cleared }
}

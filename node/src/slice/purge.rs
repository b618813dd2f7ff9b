//! The local strip of a narrowing: what no remaining agreement gives is removed.

use std::collections::HashMap;

use dancu_proto::{Field, FieldSet, PersonalId};

use super::{Grant, SliceError, SliceState, batch::Batch, keys, store::Store, value::Stored};

/// Records looked at in one batch.
const BATCH: usize = 4096;

/// Strips every record to what some grants give. The state's count is kept; the rest of it stays.
pub(super) fn strip(store: &Store, state: &mut SliceState, target: &[Grant]) -> Result<(), SliceError> {
    let fields: HashMap<u32, FieldSet> = target.iter().map(|grant| (grant.handle, grant.fields)).collect();
    let mut from = keys::records().0.to_vec();
    loop {
        let mut batch = Batch::new(store);
        let mut last: Option<PersonalId> = None;
        let mut count = 0;
        for row in store.records(&from)?.take(BATCH) {
            let (id, stored) = row?;
            let kept = stripped(&stored, &fields);
            if kept.as_ref() != Some(&stored) {
                batch.replace(id, stored, kept);
            }
            last = Some(id);
            count += 1;
        }
        batch.write(state, false)?;
        match last {
            Some(id) if count == BATCH => from = [&keys::record(id)[..], &[0]].concat(),
            _ => return Ok(()),
        }
    }
}

fn stripped(stored: &Stored, fields: &HashMap<u32, FieldSet>) -> Option<Stored> {
    let mut kept: FieldSet = [Field::PersonalId].into_iter().collect();
    let mut marks = stored.marks.clone();
    marks.retain(|mark| fields.contains_key(&mark.handle));
    for mark in &marks {
        kept = kept.union(fields.get(&mark.handle).copied().unwrap_or_default());
    }
    let record = stored.record.project(kept).into_record();
    (!marks.is_empty()).then_some(Stored { marks, record })
}

/// Removes every record and index entry.
pub(super) fn erase(store: &Store, state: &mut SliceState) -> Result<(), SliceError> {
    let mut batch = Batch::new(store);
    let (slice, records, incoming) = (store.slice()?, store.record_table()?, store.incoming()?);
    batch.raw().delete_cf(&slice, keys::LANDING);
    batch.raw().delete_range_cf(&slice, keys::AFTER_STATE, keys::END);
    batch.raw().delete_range_cf(&records, keys::AFTER_STATE, keys::END);
    batch.raw().delete_range_cf(&incoming, &[][..], keys::END);
    state.citizens = 0;
    batch.write(state, true)
}

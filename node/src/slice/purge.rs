//! The local strip of a narrowing: what no remaining agreement gives is removed.

use std::{collections::HashMap, sync::Arc};

use dancu_proto::{Field, FieldSet};

use super::{
    Grant, SliceError, SliceState,
    batch::Batch,
    keys::{self, Person},
    store::Store,
    value::Stored,
};

/// Records looked at in one batch.
const BATCH: usize = 4096;

/// Strips every record to what some grants give. The state's count is kept; the rest of it stays.
pub(super) fn strip(store: &Store, state: &mut SliceState, target: &[Arc<Grant>]) -> Result<(), SliceError> {
    let fields: HashMap<u32, FieldSet> = target.iter().map(|grant| (grant.handle, grant.fields)).collect();
    let cipher = store.cipher()?;
    let mut from = Vec::new();
    loop {
        let mut batch = Batch::new(store);
        let mut last: Option<Person> = None;
        let mut count = 0;
        for row in store.rows(None, &from)?.take(BATCH) {
            let (person, row) = row?;
            let (id, stored) = Stored::with_number(&cipher, &person, &row)?;
            let kept = stripped(&stored, &fields);
            if kept.as_ref() != Some(&stored) {
                batch.replace(id, stored, kept);
            }
            last = Some(person);
            count += 1;
        }
        batch.write(state, false)?;
        match last {
            Some(person) if count == BATCH => from = [&person[..], &[0]].concat(),
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

/// Removes every record and index entry, and what was kept of changes.
pub(super) fn erase(store: &Store, state: &mut SliceState) -> Result<(), SliceError> {
    store.hot().clear();
    let mut batch = Batch::new(store);
    let (slice, records, incoming) = (store.slice()?, store.record_table()?, store.incoming()?);
    batch.raw().delete_cf(&slice, keys::LANDING);
    batch.raw().delete_range_cf(&slice, keys::INDEXES, keys::END);
    batch.raw().delete_range_cf(&records, &[][..], keys::AFTER_ALL);
    batch.raw().delete_range_cf(&incoming, &[][..], keys::AFTER_ALL);
    state.citizens = 0;
    batch.write(state, true)
}

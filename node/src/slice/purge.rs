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

#[cfg(test)]
mod tests {
    use dancu_proto::{
        PersonalId, Record, frame,
        hub::v1::{self as wire, Change, ChangeList, Delta, GrantList, GrantMark, Policy, Zone},
        v1::Citizen,
    };
    use rocksdb::WriteBatch;

    use super::*;
    use crate::slice::tests::unsealed;

    fn policy(revision: u64, fields: &[Field], removals_follow: bool) -> Policy {
        let fields = fields.iter().copied().collect::<FieldSet>().bits();
        Policy {
            revision,
            target: vec![wire::Grant { handle: 1, fields, ..wire::Grant::default() }],
            zones: vec![Zone { up_to: 0, policies: vec![revision] }],
            registry_id: vec![7],
            cursor: 1,
            removals_follow,
            ..Policy::default()
        }
    }

    fn person(number: u64) -> Change {
        let id = PersonalId::from_u64(1_185_000_000 + number).unwrap();
        let citizen = Citizen { personal_id: id.to_string(), email: "a@b.vn".into(), ..Citizen::default() };
        Change {
            personal_id: id.as_u64(),
            grants: Some(GrantList { marks: vec![GrantMark { handle: 1, pending: 0 }] }),
            set: Record::encode(&citizen).into_bytes(),
            ..Change::default()
        }
    }

    #[test]
    fn a_narrowing_that_breaks_off_while_it_overtakes_another_stays_marked() {
        let dir = tempfile::tempdir().unwrap();
        let slice = unsealed(dir.path());
        slice.apply_policy(policy(1, &[Field::FullName, Field::Email], false)).unwrap();
        // More than are stripped in one write.
        let changes = (0..BATCH as u64 + 9).map(person).collect();
        let changes = Some(frame::pack(&ChangeList { changes }));
        slice.apply_delta(&Delta { target: 2, position: 2, last: true, narrowing: false, changes }).unwrap();
        slice.apply_policy(policy(3, &[Field::FullName], true)).unwrap();
        // It breaks off after the first: the last row cannot be opened.
        let store = &slice.0.store;
        let (last, _) = store.rows(None, &[]).unwrap().last().unwrap().unwrap();
        let mut batch = WriteBatch::default();
        batch.put_cf(&store.record_table().unwrap(), last, b"damaged");
        store.write(batch, true).unwrap();
        slice.apply_policy(policy(4, &[Field::FullName, Field::Email], true)).unwrap_err();
        drop(slice);
        let slice = unsealed(dir.path());
        assert!(slice.state().narrowing.is_some());
        assert!(slice.read().is_err(), "what is withdrawn is told to nobody");
    }
}

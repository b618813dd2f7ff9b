//! What a node holds of one citizen, and the difference between two holdings.

use dancu_proto::{
    Delta, Digest, Field, FieldSet, PersonalId, Record, Revision,
    hub::v1::{Change, GrantList, GrantMark},
};

use super::{Day, Policy, scope::Facts};
use crate::registry::Subject;

/// What a node holds of one citizen: the agreements that cover them, and the record projected on
/// the union of those agreements' fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The number in force, by which the node knows the person.
    pub id: PersonalId,
    /// Handles, ascending, and whether each is still being loaded.
    marks: Vec<(u32, bool)>,
    /// The fields that the agreements give, with a value or without.
    fields: FieldSet,
    /// The values.
    record: Record,
}

impl Held {
    /// Adds the citizen to a digest.
    pub fn fold(&self, digest: &mut Digest) {
        let handles: Vec<u32> = self.marks.iter().map(|(handle, _)| *handle).collect();
        digest.add(self.id, &handles, &self.record);
    }

    /// The record as held.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Handles of the agreements that cover the citizen.
    pub fn handles(&self) -> impl Iterator<Item = u32> {
        self.marks.iter().map(|(handle, _)| *handle)
    }
}

/// The record under a policy on a day. `readable` is what the node may already read: a mark beyond
/// it is pending until the load is complete.
#[must_use]
pub fn hold(policy: &Policy, readable: &Policy, citizen: Option<Subject<'_>>, day: Day) -> Option<Held> {
    let citizen = citizen?;
    let record = citizen.record;
    if policy.is_empty() {
        return None;
    }
    let facts = Facts::of(citizen);
    let mut fields: FieldSet = [Field::PersonalId].into_iter().collect();
    let mut marks = Vec::new();
    for grant in policy.covering(&facts, day) {
        fields = fields.union(grant.fields);
        marks.push((grant.handle, true));
    }
    if marks.is_empty() {
        return None;
    }
    for grant in readable.covering(&facts, day) {
        if let Some((_, pending)) = marks.iter_mut().find(|(handle, _)| *handle == grant.handle) {
            *pending = false;
        }
    }
    Some(Held { id: record.personal_id()?, marks, fields, record: record.project(fields).into_record() })
}

/// What leads from one holding of a citizen to another; nothing where they look the same. Pending
/// marks are marked with the revision of the policy that is being loaded.
#[must_use]
pub fn difference(old: Option<&Held>, new: Option<&Held>, loading: Revision) -> Vec<Change> {
    match (old, new) {
        (None, None) => Vec::new(),
        (Some(old), None) => vec![dropped(old.id)],
        (None, Some(new)) => vec![whole(new, loading)],
        (Some(old), Some(new)) if old.id != new.id => vec![dropped(old.id), whole(new, loading)],
        (Some(old), Some(new)) => {
            let delta = old.record.delta_to(&new.record);
            let regranted = old.marks != new.marks;
            if delta.is_empty() && !regranted {
                return Vec::new();
            }
            vec![Change {
                personal_id: new.id.as_u64(),
                drop: false,
                grants: regranted.then(|| marks(new, loading)),
                set: delta.set,
                cleared: delta.cleared.bits(),
                ..Change::default()
            }]
        }
    }
}

/// Fields that say why somebody leaves.
const TELLING: [Field; 4] =
    [Field::DateOfDeath, Field::PermanentResidence, Field::TemporaryResidence, Field::CurrentDwelling];

/// Of a citizen who is covered by less than before: which of the fields that say why have another value
/// than the node held. It cannot compare what it is not sent any more.
#[must_use]
pub fn departure(old: &Held, new: Option<&Held>, record: &Record) -> FieldSet {
    let stays = |handle| new.is_some_and(|new| new.handles().any(|kept| kept == handle));
    if old.handles().all(stays) {
        return FieldSet::EMPTY;
    }
    let changed =
        |field: &Field| old.fields.contains(*field) && old.record.value(*field) != record.value(*field);
    // A death that is taken back is no reason to leave.
    let is_reason = |field: &Field| *field != Field::DateOfDeath || record.value(*field).is_some();
    TELLING.into_iter().filter(changed).filter(is_reason).collect()
}

/// The same, for a node that may still hold more than `old`: fields that it kept from another agreement
/// when the one that gave them was narrowed. It may hold them again now, so they are made right.
#[must_use]
pub fn difference_in_load(
    old: Option<&Held>,
    new: Option<&Held>,
    kept: FieldSet,
    loading: Revision,
) -> Vec<Change> {
    let mut changes = difference(old, new, loading);
    if let (Some(old), Some(new)) = (old, new) {
        let regained = kept.intersection(new.fields).difference(old.fields);
        if regained.is_empty() {
            return changes;
        }
        let stale = regained.difference(new.record.fields());
        if changes.is_empty() {
            changes.push(Change { personal_id: new.id.as_u64(), ..Change::default() });
        }
        if let [change] = changes.as_mut_slice() {
            change.cleared |= stale.bits();
            // Of what it kept it may say that it is in question.
            let mut told = Delta { set: std::mem::take(&mut change.set), ..Delta::default() };
            told.tell_in_question(new.record.in_question());
            change.set = told.set;
        }
    }
    changes
}

fn dropped(id: PersonalId) -> Change {
    Change { personal_id: id.as_u64(), drop: true, ..Change::default() }
}

fn whole(held: &Held, loading: Revision) -> Change {
    Change {
        personal_id: held.id.as_u64(),
        drop: false,
        grants: Some(marks(held, loading)),
        set: held.record.as_bytes().to_vec(),
        ..Change::default()
    }
}

fn marks(held: &Held, loading: Revision) -> GrantList {
    let mark = |(handle, pending): &(u32, bool)| GrantMark {
        handle: *handle,
        pending: if *pending { loading.0 } else { 0 },
    };
    GrantList { marks: held.marks.iter().map(mark).collect() }
}

//! The steps of a session that read many citizens: removals, deltas, loads. Each reads a view of
//! the registry and gives changes in frames of bounded size.

use dancu_proto::{
    Revision, frame,
    hub::v1::{Change, ChangeFrame, ChangeList, Range},
};

use super::{session::FrameSize, zones::Zones};
use crate::{
    projection::{Day, Policy, RangeReader, departure, difference, difference_in_load, hold},
    registry::{CitizenAt, CitizenKey, MERGED, Partition, StoreError, StoredCitizen, Subject, View},
};

/// Citizens that one step looks at, at the most.
const LOOKED_AT: usize = 20_000;

/// Changes on their way into a frame.
pub(super) struct Frame {
    list: ChangeList,
    bytes: usize,
    size: FrameSize,
}

impl Frame {
    fn of(size: FrameSize) -> Frame {
        Frame { list: ChangeList::default(), bytes: 0, size }
    }

    fn add(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.bytes += 32 + change.set.len();
            self.list.changes.push(change);
        }
    }

    fn full(&self) -> bool {
        self.size.is_reached(self.bytes)
    }

    fn is_empty(&self) -> bool {
        self.list.changes.is_empty()
    }

    fn pack(&self) -> ChangeFrame {
        frame::pack(&self.list)
    }
}

/// What a step compares: the zones before and after, and how marks are told.
#[derive(Clone, Copy)]
pub(super) struct Stairs<'a> {
    pub(super) zones: &'a Zones,
    pub(super) readable: &'a Policy,
    /// The policy revision that is being loaded.
    pub(super) loading: Revision,
    /// How large a frame may be.
    pub(super) frame: FrameSize,
}

/// A revision, and the day as of it.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Revision,
    pub(super) day: Day,
}

/// Part of a delta.
pub(super) struct DeltaPart {
    pub(super) changes: ChangeFrame,
    pub(super) empty: bool,
    pub(super) position: Revision,
    /// Everything up to the target was looked at.
    pub(super) last: bool,
}

/// The next part of the delta between two moments, after a position. A citizen that changed again
/// after the second is sent as of the second.
pub(super) fn delta(
    view: &View<'_>,
    stairs: Stairs<'_>,
    partitions: &[Partition],
    from: Moment,
    to: Moment,
    position: Revision,
) -> Result<DeltaPart, StoreError> {
    let mut frame = Frame::of(stairs.frame);
    let mut part = DeltaPart { changes: ChangeFrame::default(), empty: true, position, last: true };
    let mut at = position;
    for (looked_at, entry) in view.feed_after(partitions, position).enumerate() {
        let (revision, key) = entry?;
        // A part ends between two revisions, so that its position says what was sent.
        if revision != at && (frame.full() || looked_at >= LOOKED_AT) {
            part.last = false;
            break;
        }
        at = revision;
        let Some(citizen) = view.citizen(key)? else { continue };
        if !latest_in(&citizen, partitions, revision) {
            continue;
        }
        if revision > to.at && from.day == to.day && !changed_between(view, key, &citizen, from.at, to.at)? {
            continue;
        }
        frame.add(change(view, stairs, key, &citizen, from, to)?);
    }
    part.position = if part.last { to.at.max(at) } else { at };
    part.empty = frame.is_empty();
    part.changes = frame.pack();
    Ok(part)
}

/// Whether a revision is a citizen's latest in any of the partitions: earlier entries are stale.
fn latest_in(citizen: &StoredCitizen, partitions: &[Partition], revision: Revision) -> bool {
    let positions = citizen.feed.iter().filter(|(partition, _)| partitions.contains(partition));
    positions.map(|(_, at)| *at).max() == Some(revision)
}

fn changed_between(
    view: &View<'_>,
    key: CitizenKey,
    citizen: &StoredCitizen,
    after: Revision,
    up_to: Revision,
) -> Result<bool, StoreError> {
    if citizen.lists_at(after) != citizen.lists_at(up_to) {
        return Ok(true);
    }
    Ok(view.history(key, after)?.iter().any(|at| *at <= up_to))
}

fn change(
    view: &View<'_>,
    stairs: Stairs<'_>,
    key: CitizenKey,
    citizen: &StoredCitizen,
    from: Moment,
    to: Moment,
) -> Result<Vec<Change>, StoreError> {
    let policy = stairs.zones.policy_of(key);
    let before = view.citizen_at(key, citizen, from.at)?;
    let after = view.citizen_at(key, citizen, to.at)?;
    let old = hold(policy, stairs.readable, before.as_ref().map(CitizenAt::subject), from.day);
    let new = hold(policy, stairs.readable, after.as_ref().map(CitizenAt::subject), to.day);
    let mut changes = difference(old.as_ref(), new.as_ref(), stairs.loading);
    if let ([change], Some(old), Some(after)) = (changes.as_mut_slice(), &old, &after) {
        change.departure = departure(old, new.as_ref(), after.subject().record).bits();
    }
    Ok(changes)
}

/// Part of a load.
pub(super) struct LoadPart {
    pub(super) changes: ChangeFrame,
    /// The last key looked at, and the number of the last citizen that the node now holds.
    pub(super) up_to: Option<(CitizenKey, Option<u64>)>,
    pub(super) empty: bool,
    pub(super) looked_at: u64,
    /// Everyone was looked at.
    pub(super) last: bool,
}

/// The next part of a load: who is held under `target` and not yet so. As of the view's revision,
/// at which the node's cursor must stand.
pub(super) fn load(
    view: &View<'_>,
    stairs: Stairs<'_>,
    target: &Policy,
    day: Day,
    after: Option<CitizenKey>,
) -> Result<LoadPart, StoreError> {
    let mut frame = Frame::of(stairs.frame);
    let mut part =
        LoadPart { changes: ChangeFrame::default(), up_to: None, empty: true, looked_at: 0, last: true };
    let mut last_number = None;
    for row in view.citizens_after(&target.partitions(), after) {
        if frame.full() || part.looked_at >= LOOKED_AT as u64 {
            part.last = false;
            break;
        }
        let (key, citizen) = row?;
        let lists = citizen.lists();
        let record = Some(Subject { record: &citizen.record, lists: &lists });
        let zone = stairs.zones.zone_of(key);
        let old = hold(&zone.policy, stairs.readable, record, day);
        let new = hold(target, stairs.readable, record, day);
        frame.add(difference_in_load(old.as_ref(), new.as_ref(), zone.kept, stairs.loading));
        last_number = new.map(|held| held.id.as_u64()).or(last_number);
        part.looked_at += 1;
        part.up_to = Some((key, last_number));
    }
    part.empty = frame.is_empty();
    part.changes = frame.pack();
    Ok(part)
}

/// How many citizens a load will look at.
pub(super) fn load_size(
    view: &View<'_>,
    target: &Policy,
    after: Option<CitizenKey>,
) -> Result<u64, StoreError> {
    let partitions = target.partitions();
    if partitions.contains(&Partition::Nation) || partitions.len() > MERGED {
        return view.citizens();
    }
    view.members_after(&partitions, after).try_fold(0, |count, key| key.map(|_| count + 1))
}

/// Part of a removal.
pub(super) struct RemovalPart {
    pub(super) changes: ChangeFrame,
    pub(super) up_to: Option<CitizenKey>,
    pub(super) last: bool,
}

/// The next part of what a narrowing takes away by scope, as of the cursor: the members of the lost
/// partitions then, which are those of now and those that changed since.
pub(super) fn removals(
    view: &View<'_>,
    old: Stairs<'_>,
    new: Stairs<'_>,
    lost: &[Partition],
    cursor: Moment,
    after: Option<CitizenKey>,
) -> Result<RemovalPart, StoreError> {
    let mut frame = Frame::of(new.frame);
    let mut part = RemovalPart { changes: ChangeFrame::default(), up_to: after, last: true };
    let remove = |key: CitizenKey, citizen: &StoredCitizen| -> Result<Vec<Change>, StoreError> {
        let citizen = view.citizen_at(key, citizen, cursor.at)?;
        let record = citizen.as_ref().map(CitizenAt::subject);
        let held = hold(old.zones.policy_of(key), old.readable, record, cursor.day);
        let kept = hold(new.zones.policy_of(key), new.readable, record, cursor.day);
        Ok(difference(held.as_ref(), kept.as_ref(), new.loading))
    };
    for (looked_at, row) in view.citizens_after(lost, after).enumerate() {
        if frame.full() || looked_at >= LOOKED_AT {
            part.last = false;
            break;
        }
        let (key, citizen) = row?;
        frame.add(remove(key, &citizen)?);
        part.up_to = Some(key);
    }
    if part.last {
        for entry in view.feed_after(lost, cursor.at) {
            let (_, key) = entry?;
            if let Some(citizen) = view.citizen(key)? {
                frame.add(remove(key, &citizen)?);
            }
        }
    }
    part.changes = frame.pack();
    Ok(part)
}

/// Part of a repair.
pub(super) struct RepairPart {
    pub(super) changes: ChangeFrame,
    /// The last number that this part covers.
    pub(super) up_to: u64,
}

/// Everyone held in a range of numbers, whole, or in a part of it. As of the view's revision, at
/// which the node's cursor must stand.
pub(super) fn repair(
    view: &View<'_>,
    stairs: Stairs<'_>,
    partitions: &[Partition],
    moment: Moment,
    range: &Range,
) -> Result<RepairPart, StoreError> {
    let holds = |key, citizen: Subject<'_>| {
        hold(stairs.zones.policy_of(key), stairs.readable, Some(citizen), moment.day)
    };
    let reader = RangeReader { view, partitions, changed: &[], at: moment.at, holds: &holds };
    let mut frame = Frame::of(stairs.frame);
    let mut up_to = range.up_to;
    for held in reader.within(range.after, range.up_to)? {
        let held = held?;
        if frame.full() {
            // This one and all after it are for the next part.
            up_to = held.id.as_u64() - 1;
            break;
        }
        frame.add(difference(None, Some(&held), stairs.loading));
    }
    Ok(RepairPart { changes: frame.pack(), up_to })
}

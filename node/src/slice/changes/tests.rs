//! How long changes are kept.

use std::{
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use dancu_proto::{
    hub::v1::{Change, Delta},
    v1::Citizen,
};

use crate::{
    lookup::tests::fixture::{an, changes, grant, key, policy, put},
    slice::{Extent, Slice, SliceOptions},
};

use super::*;

static NOW: AtomicI64 = AtomicI64::new(1_800_000_000);

fn open(dir: &Path) -> Slice {
    let clock = || OffsetDateTime::from_unix_timestamp(NOW.load(Ordering::Relaxed)).unwrap();
    let keep_changes = Duration::from_secs(60);
    let slice =
        Slice::open(dir, &SliceOptions { reserve_mb: 0, keep_changes, clock, ..SliceOptions::default() });
    let slice = slice.unwrap();
    slice.unseal(&key()).unwrap();
    slice
}

fn extent(slice: &Slice) -> Option<Extent> {
    slice.read().unwrap().changes().cloned()
}

#[test]
fn changes_are_kept_for_a_time_and_as_long_as_somebody_may_follow() {
    let dir = tempfile::tempdir().unwrap();
    let slice = open(dir.path());
    let agreed = |operations: &[&str], revision| {
        let grants = vec![grant(1, "a", operations, &[Field::Email])];
        slice.apply_policy(policy(revision, grants)).unwrap();
        slice.apply_load(crate::lookup::tests::fixture::load(revision, vec![put(&an(), &[1])])).unwrap();
    };
    agreed(&["lookup"], 1);
    assert_eq!(extent(&slice), None);
    agreed(&[WATCH], 2);
    let begun = extent(&slice).unwrap();
    let change = |target: u64| {
        let citizen = Citizen { email: format!("{target}@b.vn"), ..Citizen::default() };
        let set = Record::encode(&citizen).into_bytes();
        let one = Change { personal_id: an().personal_id.parse().unwrap(), set, ..Change::default() };
        let delta =
            Delta { target, position: target, last: true, changes: changes(vec![one]), ..Delta::default() };
        slice.apply_delta(&delta).unwrap();
    };
    for target in 3..6 {
        change(target);
        NOW.fetch_add(25, Ordering::Relaxed);
    }
    assert_eq!(
        extent(&slice).unwrap(),
        Extent { next: begun.next + 3, ..begun.clone() },
        "nothing is old yet"
    );
    change(6);
    // A minute is over for the beginning and the first.
    let now = extent(&slice).unwrap();
    assert_eq!((now.series, now.first, now.next), (begun.series, begun.next + 1, begun.next + 4));
    let told = slice.read().unwrap().changes_from(0, 10).unwrap();
    assert_eq!(
        told.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [now.first, now.first + 1, now.first + 2]
    );
    // They are there after a restart.
    drop(slice);
    let slice = open(dir.path());
    assert_eq!(extent(&slice), Some(now.clone()));
    let grants = vec![grant(1, "a", &["lookup"], &[Field::Email])];
    slice.apply_policy(policy(7, grants)).unwrap();
    assert_eq!(extent(&slice), None);
}

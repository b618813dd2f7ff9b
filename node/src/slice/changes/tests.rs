//! How long changes are kept, and who is told of what a load brought.

use std::{
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use dancu_proto::{
    hub::v1::{Change, Delta, GrantList, GrantMark, Load, Policy, Zone},
    v1::Citizen,
};

use crate::{
    lookup::tests::fixture::{an, binh, changes, grant, key, load, policy, put},
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

/// The purposes that the latest entries tell of, after a number.
fn told_of(slice: &Slice, after: u64) -> Vec<String> {
    let told = slice.read().unwrap().changes_from(after + 1, 100).unwrap().into_iter();
    let mut purposes: Vec<_> = told
        .flat_map(|(_, changed)| match changed {
            Changed::Agreements(purposes) => purposes,
            other => panic!("{other:?}"),
        })
        .collect();
    purposes.sort();
    purposes
}

/// Somebody comes with a load, under agreements that cover them from its end on.
fn comes(citizen: &Citizen, handles: &[u32], pending: u64) -> Change {
    let marks = handles.iter().map(|handle| GrantMark { handle: *handle, pending }).collect();
    Change { grants: Some(GrantList { marks }), ..put(citizen, &[]) }
}

#[test]
fn who_follows_is_told_of_a_load_that_concerns_them_whatever_else_it_brought() {
    let both = |version| {
        let first = grant(1, "a", &[WATCH], &[Field::Email]);
        vec![dancu_proto::hub::v1::Grant { version, ..first }, grant(2, "b", &[WATCH], &[Field::Email])]
    };
    // Of so many there is a file.
    let crowd: Vec<Citizen> = (0..4_000)
        .map(|number| Citizen {
            personal_id: format!("001285{number:06}"),
            email: format!("{}@b.vn", "a".repeat(300)),
            ..Citizen::default()
        })
        .collect();
    let one = vec![binh()];
    // Another version of the first agreement comes with it: of the other one only some are told who were not there,
    // as after a merger of provinces.
    for (of, handles, expected) in [
        (&one, &[1][..], &["a"][..]),
        (&one, &[1, 2], &["a", "b"]),
        (&crowd, &[1], &["a"]),
        (&crowd, &[2], &["a", "b"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut slice = open(dir.path());
        slice.apply_policy(policy(1, both(1))).unwrap();
        slice.apply_load(load(1, vec![put(&an(), &[1, 2])])).unwrap();
        let begun = extent(&slice).unwrap().next - 1;
        let zones = vec![Zone { up_to: 0, policies: vec![1] }];
        let wider = Policy { readable: both(1), zones, ..policy(2, both(2)) };
        slice.apply_policy(wider).unwrap();
        let people = of.iter().map(|citizen| comes(citizen, handles, 2)).collect();
        let half = of.last().unwrap().personal_id.parse().unwrap();
        let zones = vec![Zone { up_to: half, policies: vec![2] }, Zone { up_to: 0, policies: vec![1] }];
        let begins = Load { zones, complete: false, remaining: 1, ..load(2, people) };
        slice.apply_load(begins).unwrap();
        // What has landed is told of after a restart too.
        slice.holding(1, "").unwrap();
        assert_eq!(told_of(&slice, begun), [""; 0], "not before everything is there");
        drop(slice);
        slice = open(dir.path());
        slice.apply_load(load(2, vec![])).unwrap();
        assert_eq!(told_of(&slice, begun), expected, "{} under {handles:?}", of.len());
        // It is told once.
        let told = extent(&slice).unwrap().next - 1;
        slice.apply_delta(&Delta { target: 3, position: 3, last: true, ..Delta::default() }).unwrap();
        assert_eq!(told_of(&slice, told), [""; 0]);
    }
}

#[test]
fn who_is_coming_while_a_load_goes_on_is_told_of_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let slice = open(dir.path());
    let grants = || vec![grant(1, "a", &[WATCH], &[Field::Email]), grant(2, "b", &[WATCH], &[Field::Email])];
    slice.apply_policy(policy(1, grants())).unwrap();
    slice.apply_load(load(1, vec![])).unwrap();
    let begun = extent(&slice).unwrap().next - 1;
    let zones = vec![Zone { up_to: 0, policies: vec![1] }];
    slice.apply_policy(Policy { readable: grants(), zones, ..policy(2, grants()) }).unwrap();
    // Where the second agreement covers more, as of the merger, somebody moves in.
    let moves_in = changes(vec![comes(&binh(), &[2], 2)]);
    let delta = Delta { target: 3, position: 3, last: true, changes: moves_in, ..Delta::default() };
    slice.apply_delta(&delta).unwrap();
    assert_eq!(told_of(&slice, begun), [""; 0]);
    slice.apply_load(load(2, vec![])).unwrap();
    assert_eq!(told_of(&slice, begun), ["b"]);
}

use dancu_proto::Field;
use time::OffsetDateTime;

use super::*;
use crate::{
    lookup::tests::fixture::{BINH, NOW, OFFLINE, binh, contact, grant, key, put, settle},
    slice::SliceOptions,
};

fn slice(dir: &Path) -> Slice {
    Slice::open(&dir.join("slice"), &SliceOptions { reserve_mb: 0, ..SliceOptions::default() }).unwrap()
}

fn lease(dir: &Path, slice: &Slice, now: OffsetDateTime, keep: &Keep) -> Lease {
    let clock: Clock = Arc::new(move || now);
    Lease::open(slice.clone(), contact(dir, None), clock, dir, "ha-giang", keep).unwrap()
}

fn wrapping(dir: &Path) -> Keep {
    let path = dir.join("wrapping");
    fs::write(&path, [7; 32]).unwrap();
    Keep::File(path)
}

fn fill(slice: &Slice) {
    settle(slice, vec![grant(1, "a", &["lookup"], &[Field::FullName])], vec![put(&binh(), &[1])]);
}

#[test]
fn without_a_key_nothing_is_read_and_with_it_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let slice = slice(dir.path());
    let lease = lease(dir.path(), &slice, NOW, &Keep::Memory);
    assert_eq!(lease.sealed(), Some(Why::Restarted));
    assert!(matches!(slice.read(), Err(SliceError::Sealed)));
    lease.take(key()).unwrap();
    fill(&slice);
    assert!(slice.read().unwrap().get(BINH.parse().unwrap()).unwrap().is_some());
    lease.forget(Why::Withdrawn);
    assert!(matches!(slice.read(), Err(SliceError::Sealed)));
    assert!(matches!(slice.holding(1, ""), Err(SliceError::Sealed)));
    assert_eq!(slice.state().citizens, 0, "not even how many");
    assert_eq!(slice.state().registry_id, [7], "where it comes from is known");
    lease.take(key()).unwrap();
    assert!(slice.read().unwrap().get(BINH.parse().unwrap()).unwrap().is_some());
    // Another key opens nothing: what is there goes.
    lease.take(SliceKey::from_bytes(&[1; 32]).unwrap()).unwrap();
    assert_eq!((slice.state().citizens, slice.state().phase), (0, Phase::Empty));
}

#[test]
fn a_kept_key_opens_the_slice_after_a_restart_until_its_term_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let keep = wrapping(dir.path());
    {
        let slice = slice(dir.path());
        let lease = lease(dir.path(), &slice, NOW, &keep);
        lease.take(key()).unwrap();
        fill(&slice);
        lease.look();
    }
    let day = NOW - OFFLINE + time::Duration::DAY;
    {
        let slice = slice(dir.path());
        assert_eq!(lease(dir.path(), &slice, day, &keep).sealed(), None);
        assert_eq!(slice.state().citizens, 1);
    }
    // Wrapped with another key it is of no use, and not lost.
    fs::write(dir.path().join("wrapping"), [8; 32]).unwrap();
    {
        let slice = slice(dir.path());
        assert_eq!(lease(dir.path(), &slice, day, &keep).sealed(), Some(Why::Restarted));
    }
    let keep = wrapping(dir.path());
    for _ in 0..2 {
        let slice = slice(dir.path());
        let late = lease(dir.path(), &slice, day + time::Duration::SECOND, &keep);
        assert!(late.sealed().is_some());
        assert!(!dir.path().join("lease").exists(), "it is forgotten");
    }
}

#[test]
fn a_lease_that_runs_out_is_forgotten_on_the_disk_too() {
    let dir = tempfile::tempdir().unwrap();
    let (slice, keep) = (slice(dir.path()), wrapping(dir.path()));
    let lease = lease(dir.path(), &slice, NOW + time::Duration::days(2), &keep);
    lease.take(key()).unwrap();
    fill(&slice);
    lease.look();
    assert_eq!(lease.sealed(), None, "it was renewed a moment ago");
    assert!(dir.path().join("lease").exists());
    lease.held().renewed = None;
    lease.look();
    assert_eq!(lease.sealed(), Some(Why::Expired));
    assert!(!dir.path().join("lease").exists());
    assert!(matches!(slice.read(), Err(SliceError::Sealed)));
}

#[test]
fn what_the_operator_has_sealed_stays_so_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let keep = wrapping(dir.path());
    {
        let slice = slice(dir.path());
        let lease = lease(dir.path(), &slice, NOW, &keep);
        lease.take(key()).unwrap();
        fill(&slice);
        lease.seal().unwrap();
        assert!(lease.take(key()).is_err(), "the hub's word is not enough");
        assert!(!dir.path().join("lease").exists());
    }
    let slice = slice(dir.path());
    let lease = lease(dir.path(), &slice, NOW, &keep);
    assert_eq!(lease.sealed(), Some(Why::Operator));
    lease.unseal().unwrap();
    lease.take(key()).unwrap();
    assert_eq!(slice.state().citizens, 1);
}

#[test]
fn a_wrapping_key_is_not_a_password() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("short");
    fs::write(&path, "secret").unwrap();
    assert!(matches!(Wrapping::read(&Keep::File(path)), Err(WrapError::Short(_))));
    assert!(Wrapping::read(&Keep::File(dir.path().join("none"))).is_err());
    assert!(matches!(Wrapping::read(&Keep::Credential("key".into())), Err(WrapError::NoCredential(_))));
}

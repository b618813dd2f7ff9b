//! What the hub told, kept.

use super::*;
use crate::lookup::tests::fixture::{key, open};

fn task(step: &str, state: StepState) -> Mail {
    let task = Task {
        case_id: "c".into(),
        step: step.into(),
        state: state.into(),
        persons: [("child".to_owned(), "001226000001".to_owned())].into(),
        ..Task::default()
    };
    Mail { number: 0, content: Some(Content::Task(task)) }
}

fn case(version: u64) -> Mail {
    let status = CaseStatus { case_id: "c".into(), version, ..CaseStatus::default() };
    Mail { number: 0, content: Some(Content::Case(status)) }
}

#[test]
fn what_was_told_is_there_after_a_restart_for_who_has_the_key() {
    let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slice = open(held.path());
    {
        let desk = Desk::open(dir.path(), slice.clone()).unwrap();
        desk.keep(&task("a", StepState::Open)).unwrap();
        desk.keep(&task("ab", StepState::Open)).unwrap();
        desk.keep(&task("a", StepState::Open)).unwrap();
        desk.keep(&case(3)).unwrap();
        // What comes once more, of before, changes nothing.
        desk.keep(&case(2)).unwrap();
    }
    let desk = Desk::open(dir.path(), slice.clone()).unwrap();
    assert_eq!(desk.tasks().unwrap().len(), 2);
    assert_eq!(desk.case("c").unwrap().unwrap().version, 3);
    desk.answer("c", "a", "id-1").unwrap();
    desk.answer("c", "a", "id-2").unwrap();
    desk.keep(&task("a", StepState::Open)).unwrap();
    assert_eq!(desk.answered_by("c", "a").unwrap().as_deref(), Some("id-2"));
    assert_eq!(desk.answered_by("c", "ab").unwrap(), None);
    desk.keep(&task("a", StepState::Done)).unwrap();
    assert_eq!(desk.answered_by("c", "a").unwrap(), None);
    desk.keep(&task("b", StepState::Unspecified)).unwrap();
    assert_eq!(desk.task("c", "a").unwrap(), None);
    assert!(desk.task("c", "ab").unwrap().is_some());
    // Nothing on the disk reads.
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(12).any(|window| window == b"001226000001"));
    }
    slice.seal();
    assert!(matches!(desk.tasks(), Err(DeskError::Sealed)));
    assert!(matches!(desk.keep(&case(4)), Err(DeskError::Sealed)));
    slice.unseal(&key()).unwrap();
    assert_eq!(desk.tasks().unwrap().len(), 1);
}

#[test]
fn with_another_key_everything_begins_anew() {
    let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slice = open(held.path());
    let desk = Desk::open(dir.path(), slice.clone()).unwrap();
    assert!(!desk.has_kept().unwrap());
    desk.begin_anew().unwrap();
    desk.keep(&case(3)).unwrap();
    desk.keep(&task("a", StepState::Open)).unwrap();
    assert!(desk.has_kept().unwrap());
    slice.seal();
    slice.unseal(&crate::slice::SliceKey::from_bytes(&[3; 32]).unwrap()).unwrap();
    // Mail of a case that is known, and cannot be read, still comes.
    desk.keep(&case(2)).unwrap();
    assert_eq!(desk.case("c").unwrap().unwrap().version, 2);
    assert!(!desk.has_kept().unwrap());
    desk.begin_anew().unwrap();
    assert!(desk.has_kept().unwrap());
    assert_eq!((desk.case("c").unwrap(), desk.tasks().unwrap().len()), (None, 0));
}

#[test]
fn cases_that_were_closed_long_ago_are_forgotten() {
    let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let desk = Desk::open(dir.path(), open(held.path())).unwrap();
    for (id, closed) in [("old", Some(5)), ("new", Some(9)), ("open", None)] {
        let closed_at = closed.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
        let case = CaseStatus { case_id: id.into(), closed_at, ..CaseStatus::default() };
        desk.keep(&Mail { number: 0, content: Some(Content::Case(case)) }).unwrap();
    }
    desk.prune(9).unwrap();
    let known = ["old", "new", "open"].map(|id| desk.case(id).unwrap().is_some());
    assert_eq!(known, [false, true, true]);
}

#[tokio::test]
async fn nothing_is_left_where_the_slice_is_erased() {
    let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slice = open(held.path());
    let policy = dancu_proto::hub::v1::Policy {
        registry_id: vec![7; 16],
        revision: 1,
        cursor: 1,
        ..Default::default()
    };
    slice.apply_policy(policy).unwrap();
    let desk = Desk::open(dir.path(), slice.clone()).unwrap();
    desk.keep(&task("a", StepState::Open)).unwrap();
    let cancel = tokio_util::sync::CancellationToken::new();
    let (clock, day) = (crate::state::host_clock(), std::time::Duration::from_secs(86_400));
    let keeping = super::super::keep(desk.clone(), slice.clone(), day, clock, cancel.clone());
    let keeping = tokio::spawn(keeping);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(desk.tasks().unwrap().len(), 1);
    slice.erase().unwrap();
    let anything = || desk.database.iterator(IteratorMode::Start).next().is_some();
    while anything() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    cancel.cancel();
    keeping.await.unwrap();
}

#[test]
fn a_form_is_replaced_and_withdrawn() {
    let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let desk = Desk::open(dir.path(), open(held.path())).unwrap();
    let form = |title: &str, withdrawn| {
        let form = Form { id: "ct01".into(), title: title.into(), withdrawn, ..Form::default() };
        Mail { number: 0, content: Some(Content::Form(form)) }
    };
    desk.keep(&form("CT01", false)).unwrap();
    desk.keep(&form("CT01 (2027)", false)).unwrap();
    assert_eq!(desk.form("ct01").unwrap().unwrap().title, "CT01 (2027)");
    let ids: Vec<_> = desk.forms().unwrap().into_iter().map(|form| form.id).collect();
    assert_eq!(ids, ["ct01"]);
    desk.keep(&form("", true)).unwrap();
    assert_eq!(desk.form("ct01").unwrap(), None);
}

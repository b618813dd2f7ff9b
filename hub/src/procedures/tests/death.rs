//! A death: registration, removal of residence, the funeral allowance.

use super::*;

const DEATH: &str = "lien-thong-khai-tu";

#[test]
fn a_death_goes_on_after_the_residence_is_gone() {
    let mut world = World::new();
    let opened = world.open(DEATH, "death", &[("deceased", MOTHER), ("spouse", FATHER)]);
    assert_eq!(opened.tasks(), [("ba-dinh-n", "remove-permanent-residence", StepState::Open)]);
    assert_eq!(opened.task("ba-dinh-n").event, "permanent_residence_removed");
    world.people.get_mut(&number(MOTHER)).unwrap().permanent_residence = None;
    let removed = done("remove-permanent-residence", &[]);
    let removed = world.answer("ba-dinh-n", &removed, Some("permanent_residence_removed")).unwrap();
    assert_eq!(removed.task("vss-n").step, "funeral-allowance");
    // The allowance is about the place where the deceased lived.
    assert_eq!(removed.case.steps[2].address, opened.case.steps[1].address);
    assert!(removed.case.steps[2].address.is_some());
    let decision = [("allowance_decision_number", "12/QĐ-BHXH"), ("allowance_amount", "25300000")];
    let closed = world.answer("vss-n", &done("funeral-allowance", &decision), None).unwrap();
    assert!(closed.case.closed_at.is_some());
}

#[test]
fn who_has_no_residence_needs_no_removal() {
    let mut world = World::new();
    world.people.get_mut(&number(MOTHER)).unwrap().permanent_residence = None;
    let opened = world.open(DEATH, "death", &[("deceased", MOTHER)]);
    assert_eq!(opened.states(), [StepState::Done, StepState::Skipped, StepState::Open]);
    assert_eq!(opened.tasks(), [("vss-n", "funeral-allowance", StepState::Open)]);
}

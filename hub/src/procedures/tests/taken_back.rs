//! What opened a case, or completed a step, is taken back.

use super::*;

const BIRTH: &str = "lien-thong-khai-sinh";
const DEATH: &str = "lien-thong-khai-tu";
const REGISTERED: Option<&str> = Some("permanent_residence_registered");

#[test]
fn a_case_ends_with_what_opened_it() {
    let mut world = World::new();
    world.open(DEATH, "death", &[("deceased", MOTHER), ("spouse", FATHER)]);
    let ended = world.take_back(7, None).unwrap();
    assert_eq!(ended.states(), [StepState::Refused, StepState::Skipped, StepState::Skipped]);
    assert_eq!(ended.case.closed_at, Some(MONDAY));
    // The office that was to remove the residence has nothing to do, and everybody knows why.
    assert_eq!(ended.tasks(), [("ba-dinh-n", "remove-permanent-residence", StepState::Skipped)]);
    assert_eq!(ended.told(), ["ba-dinh-n", "justice-n", "portal-n"]);
    assert!(ended.status().steps.iter().all(|step| step.note.contains("thu hồi")));
    let too_late =
        world.answer("ba-dinh-n", &ending("remove-permanent-residence", TaskEnd::Refused, "x"), None);
    assert!(matches!(too_late, Err(Refusal::TaskNotOpen)));
}

#[test]
fn who_did_their_part_is_told_that_it_had_no_ground() {
    let mut world = World::new();
    world.people.get_mut(&number(MOTHER)).unwrap().permanent_residence = None;
    world.open(DEATH, "death", &[("deceased", MOTHER)]);
    let decision = [("allowance_decision_number", "12/QĐ-BHXH"), ("allowance_amount", "25300000")];
    let closed = world.answer("vss-n", &done("funeral-allowance", &decision), None).unwrap();
    world.now = datetime!(2026-03-09 09:00 +7);
    let ended = world.take_back(7, None).unwrap();
    assert_eq!(ended.states(), [StepState::Refused, StepState::Skipped, StepState::Done]);
    assert_eq!(ended.case.closed_at, closed.case.closed_at);
    assert_eq!(ended.told(), ["justice-n", "portal-n", "vss-n"]);
    assert_eq!(ended.tasks(), []);
}

#[test]
fn what_is_put_right_about_the_same_person_goes_on() {
    let mut world = World::new();
    let opened = world.open(DEATH, "death", &[("deceased", MOTHER)]);
    world.people.get_mut(&number(MOTHER)).unwrap().full_name = Some(Name::from_full("Trần Thị Mây"));
    let on = world.take_back(7, Some("death")).unwrap();
    assert_eq!(on.states(), opened.states());
    assert_eq!(on.told(), [] as [&str; 0], "how the case stands is the same");
    let name = on.task("ba-dinh-n").prefilled.iter().find(|value| value.name == "deceased_name").unwrap();
    assert_eq!(name.value, "Trần Thị Mây");
    // Of somebody else it is another death.
    world.concerns = [number(FATHER)].into();
    let ended = world.take_back(7, Some("death")).unwrap();
    assert!(ended.case.closed_at.is_some());
}

#[test]
fn a_step_whose_event_is_taken_back_stands_open_again() {
    let mut world = World::new();
    world.open(BIRTH, "birth", &[("child", CHILD), ("mother", MOTHER)]);
    world.answer("ba-dinh-n", &done("permanent-residence", &[]), REGISTERED).unwrap();
    assert!(world.take_back(99, None).is_none(), "it had no part in the case");
    let undone = world.take_back(8, None).unwrap();
    assert_eq!(undone.states(), [StepState::Done, StepState::Open, StepState::Waiting]);
    assert_eq!(
        undone.tasks(),
        [
            ("ba-dinh-n", "permanent-residence", StepState::Open),
            ("vss-n", "health-insurance-card", StepState::Waiting),
        ]
    );
    assert!(undone.task("ba-dinh-n").note.contains("thu hồi"));
    let refused = ending("permanent-residence", TaskEnd::Refused, "không đủ điều kiện");
    let on = world.answer("ba-dinh-n", &refused, None).unwrap();
    assert_eq!(on.task("vss-n").state(), StepState::Open);
}

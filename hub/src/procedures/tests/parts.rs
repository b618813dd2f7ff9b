//! Who has which part in a case, and what they are told for it.

use super::*;

const BIRTH: &str = "lien-thong-khai-sinh";
const DEATH: &str = "lien-thong-khai-tu";
const REGISTERED: Option<&str> = Some("permanent_residence_registered");

fn at(world: &World, name: &str) -> usize {
    world.nodes.iter().position(|node| node.name == name).unwrap()
}

#[test]
fn of_who_lives_there_no_more_only_the_commune_is_told() {
    let mut world = World::new();
    let fields = r#""full_name", "permanent_residence""#;
    let office = agreement("bhxh-ha-noi", "social-insurance", fields, "provinces = [\"01\"]");
    world.nodes.push(node("bhxh-n", "bhxh-ha-noi", &[office]));
    let opened = world.open(DEATH, "death", &[("deceased", MOTHER)]);
    let address = opened.task("ba-dinh-n").address.clone().unwrap();
    assert_eq!((address.commune.as_str(), address.detail.as_str()), ("00004", "12 Đội Cấn"));
    world.people.get_mut(&number(MOTHER)).unwrap().permanent_residence = None;
    let removed = done("remove-permanent-residence", &[]);
    let removed = world.answer("ba-dinh-n", &removed, Some("permanent_residence_removed")).unwrap();
    // The province's office has the task for where the deceased lived, and covers them no longer.
    let address = removed.task("bhxh-n").address.clone().unwrap();
    assert_eq!((address.commune.as_str(), address.detail.as_str()), ("00004", ""));
    assert_eq!(removed.case.steps[2].address.as_ref().unwrap().detail, "12 Đội Cấn");
}

#[test]
fn who_has_no_part_any_more_is_told_no_more() {
    let mut world = World::new();
    let opened = world.open(BIRTH, "birth", &[("child", CHILD), ("mother", MOTHER)]);
    let commune = at(&world, "ba-dinh-n");
    world.nodes[commune].policy = Arc::default();
    let moved = world.tick(&opened.case, true).unwrap();
    assert_eq!(moved.told(), ["ha-noi-n", "justice-n", "portal-n"]);
    // The registrar is gone from the roll; the commune is back, and held the step once.
    let justice = at(&world, "justice-n");
    world.nodes.remove(justice);
    let mut back = nodes();
    back.retain(|node| node.name == "ba-dinh-n");
    world.nodes.retain(|node| node.name != "ba-dinh-n");
    world.nodes.extend(back);
    let registered = world.tick(&moved.case, true).unwrap();
    assert_eq!(registered.told(), ["ba-dinh-n", "ha-noi-n", "portal-n"]);
}

#[test]
fn somebody_who_has_another_number_by_now_is_the_same_person() {
    let mut world = World::new();
    world.open(BIRTH, "birth", &[("child", CHILD), ("mother", MOTHER)]);
    world.renumber(CHILD, "001226000044");
    world.concerns = [number("001226000044")].into();
    let done = world.answer("ba-dinh-n", &done("permanent-residence", &[]), REGISTERED).unwrap();
    assert_eq!(done.states(), [StepState::Done, StepState::Done, StepState::Open]);
    assert_eq!(done.task("vss-n").persons["child"], "001226000044");
}

#[test]
fn a_first_step_that_comes_back_finds_somebody_who_can_answer() {
    let returned = |world: &mut World| {
        world.open(BIRTH, "birth", &[("child", CHILD), ("mother", MOTHER)]);
        let returned = ending("permanent-residence", TaskEnd::Returned, "thiếu giấy tờ");
        world.answer("ba-dinh-n", &returned, None).unwrap()
    };
    let registrar =
        |agency: &str| agreement(agency, "civil-status", "\"full_name\"", "communes = [\"00004\"]");
    // Its node is revoked while it has the task: another one of the agency has it.
    let mut world = World::new();
    world.nodes.push(node("justice-2-n", "justice", &[registrar("justice")]));
    let back = returned(&mut world);
    assert_eq!(back.task("justice-n").step, "register-birth");
    let justice = at(&world, "justice-n");
    world.nodes.remove(justice);
    let moved = world.tick(&back.case, true).unwrap();
    assert_eq!(moved.task("justice-2-n").note, "thiếu giấy tờ");
    assert!(world.answer("justice-2-n", &done("register-birth", &[]), None).is_ok());
    // The agency is gone: it is with who registers births there.
    let mut world = World::new();
    world.nodes[0] = node("ubnd-n", "ubnd", &[registrar("ubnd")]);
    let back = returned(&mut world);
    assert_eq!(back.task("ubnd-n").step, "register-birth");
    assert_eq!(back.status().steps[0].agency, "ubnd");
    // Nobody is there: it is late in its time, and the operator sees it.
    let mut world = World::new();
    world.nodes.remove(0);
    let back = returned(&mut world);
    assert_eq!((back.case.steps[0].state, &back.case.steps[0].agency), (StepState::Open, &None));
    assert!(back.case.late_at().is_some());
}

//! A birth: registration, residence, the card for the child under six.

use super::*;

const BIRTH: &str = "lien-thong-khai-sinh";
const FAMILY: &[(&str, &str)] = &[("child", CHILD), ("mother", MOTHER), ("father", FATHER)];
const REGISTERED: Option<&str> = Some("permanent_residence_registered");

fn values(task: &Task) -> Vec<(&str, &str)> {
    task.prefilled.iter().map(|value| (value.name.as_str(), value.value.as_str())).collect()
}

#[test]
fn a_birth_goes_through_three_agencies_and_the_portal_sees_it() {
    let mut world = World::new();
    let request = CaseRequest {
        procedure: BIRTH.into(),
        answers: [("first_clinic".to_owned(), "Trạm y tế Ba Đình".to_owned())].into(),
        address: None,
    };
    let opened = world.request(&request, "birth", FAMILY).unwrap();
    assert_eq!(opened.states(), [StepState::Done, StepState::Open, StepState::Waiting]);
    assert_eq!(opened.tasks(), [("ba-dinh-n", "permanent-residence", StepState::Open)]);
    assert_eq!(opened.told(), ["ba-dinh-n", "justice-n", "portal-n"]);
    assert_eq!(opened.status().steps[1].agency, "police-ba-dinh");
    // Two working days: until the end of Wednesday.
    assert_eq!(opened.case.steps[1].due_at, Some(datetime!(2026-03-05 00:00 +7)));

    let task = opened.task("ba-dinh-n");
    assert_eq!(task.event, "permanent_residence_registered");
    // Under that of the procedure, and not under whatever else the agency has agreed.
    assert_eq!(task.purposes, ["3.000722"]);
    // The child has no residence yet and the father lives elsewhere: this commune's agreement covers neither.
    assert_eq!(task.persons.get("child").map(String::as_str), Some(CHILD));
    assert_eq!(task.persons.get("mother").map(String::as_str), Some(MOTHER));
    assert_eq!(task.persons.get("father"), None);
    let known = values(task);
    assert!(known.contains(&("mother_name", "Trần Thị Mai")), "{known:?}");
    let residence = known.iter().find(|(name, _)| *name == "mother_permanent_residence").unwrap().1;
    assert!(residence.starts_with("12 Đội Cấn, Phường Ba Đình"), "{residence}");
    assert!(task.missing.iter().any(|name| name == "child_name"));
    assert!(task.missing.iter().any(|name| name == "father_name"));
    assert!(task.missing.iter().any(|name| name == "mother_household_head"), "nobody has it");
    let mother = task.prefilled.iter().find(|value| value.name == "mother_name").unwrap();
    assert_eq!((mother.source.as_str(), mother.revision), ("mother: full_name", 42));
    assert!(mother.as_of.is_some());

    // The child lives with the mother from now on.
    let child = world.people.get_mut(&number(CHILD)).unwrap();
    child.permanent_residence = person(MOTHER, "x", 19_950_301, Some("00004")).permanent_residence;
    let registered = world.answer("ba-dinh-n", &done("permanent-residence", &[]), REGISTERED).unwrap();
    assert_eq!(registered.states(), [StepState::Done, StepState::Done, StepState::Open]);
    let mut tasks = registered.tasks();
    tasks.retain(|(_, _, state)| *state == StepState::Open);
    assert_eq!(tasks, [("vss-n", "health-insurance-card", StepState::Open)]);
    assert_eq!(registered.task("ba-dinh-n").prefilled, []);
    let task = registered.task("vss-n");
    let known = values(task);
    assert!(known.contains(&("child_name", "Nguyễn Thị Hoa")), "{known:?}");
    assert!(known.contains(&("first_clinic", "Trạm y tế Ba Đình")), "{known:?}");
    // The insurer's agreement does not give addresses and telephones.
    assert!(task.missing.iter().any(|name| name == "child_permanent_residence"));
    assert!(task.missing.iter().any(|name| name == "mother_mobile_number"));
    assert_eq!(task.address, None);
    assert_eq!(task.asks, ["health_insurance_card_number", "health_insurance_valid_from"]);

    let card = [("health_insurance_card_number", "TE1012600000001")];
    let closed = world.answer("vss-n", &done("health-insurance-card", &card), None).unwrap();
    assert_eq!(closed.states(), [StepState::Done; 3]);
    assert_eq!(closed.case.closed_at, Some(MONDAY));
    assert_eq!(closed.told(), ["ba-dinh-n", "justice-n", "portal-n", "vss-n"]);
    assert_eq!(closed.case.answers["health_insurance_card_number"].value, "TE1012600000001");
    let again = world.answer("vss-n", &done("health-insurance-card", &card), None);
    assert!(matches!(again, Err(Refusal::TaskNotOpen)));
}

#[test]
fn a_child_of_six_gets_no_card() {
    for (born, expected) in [(20_200_302, StepState::Skipped), (20_200_303, StepState::Open)] {
        let mut world = World::new();
        world.people.get_mut(&number(CHILD)).unwrap().date_of_birth = Some(Date::from_number(born));
        world.open(BIRTH, "birth", FAMILY);
        let done = world.answer("ba-dinh-n", &done("permanent-residence", &[]), REGISTERED).unwrap();
        assert_eq!(done.states()[2], expected, "{born}");
        assert_eq!(done.case.closed_at.is_some(), expected == StepState::Skipped);
    }
}

#[test]
fn only_whose_task_it_is_may_answer_and_only_what_it_asks() {
    let mut world = World::new();
    world.open(BIRTH, "birth", FAMILY);
    let of_another = world.answer("ha-noi-n", &done("permanent-residence", &[]), REGISTERED);
    assert!(matches!(of_another, Err(Refusal::TaskNotOpen)));
    let too_early = world.answer("vss-n", &done("health-insurance-card", &[]), None);
    assert!(matches!(too_early, Err(Refusal::TaskNotOpen)));
    let field = |answer: Result<CaseEffects, Refusal>| match answer.unwrap_err() {
        Refusal::Invalid { field, .. } => field,
        other => panic!("{other}"),
    };
    let step = "permanent-residence";
    assert_eq!(field(world.answer("ba-dinh-n", &done(step, &[]), None)), "event");
    assert_eq!(field(world.answer("ba-dinh-n", &done(step, &[]), Some("moved"))), "event");
    assert_eq!(field(world.answer("ba-dinh-n", &done(step, &[("card", "1")]), REGISTERED)), "task.answers");
    assert_eq!(field(world.answer("ba-dinh-n", &ending(step, TaskEnd::Refused, " "), None)), "task.note");
    assert_eq!(field(world.answer("ba-dinh-n", &ending(step, TaskEnd::Refused, "x"), REGISTERED)), "event");
    world.answer("ba-dinh-n", &done(step, &[]), REGISTERED).unwrap();
    let card = "health-insurance-card";
    assert_eq!(
        field(world.answer("vss-n", &done(card, &[]), None)),
        "task.answers.health_insurance_card_number"
    );
    let valid_from =
        |day| done(card, &[("health_insurance_card_number", "1"), ("health_insurance_valid_from", day)]);
    for no_day in ["2026-13-45", "2026-02-30", "2026-03", "14/03/2026", " 2026-03-14", " "] {
        let refused = world.answer("vss-n", &valid_from(no_day), None);
        assert_eq!(field(refused), "task.answers.health_insurance_valid_from", "{no_day}");
    }
    world.answer("vss-n", &valid_from("2026-03-14"), None).unwrap();
}

#[test]
fn an_event_about_other_people_completes_nothing() {
    let mut world = World::new();
    let twin = person("001226000009", "Nguyễn Thị Lan", 20_260_301, None);
    world.people.insert(number(&twin.personal_id), twin);
    world.open(BIRTH, "birth", &[("child", "001226000009"), ("mother", MOTHER)]);
    let answer = world.answer("ba-dinh-n", &done("permanent-residence", &[]), REGISTERED);
    assert!(matches!(answer, Err(Refusal::Invalid { field, .. }) if field == "event"));
}

#[test]
fn a_step_is_returned_for_more_and_comes_back() {
    let mut world = World::new();
    world.open(BIRTH, "birth", FAMILY);
    let step = "permanent-residence";
    let returned =
        world.answer("ba-dinh-n", &ending(step, TaskEnd::Returned, "thiếu giấy tờ"), None).unwrap();
    assert_eq!(returned.states(), [StepState::Open, StepState::Returned, StepState::Waiting]);
    let task = returned.task("justice-n");
    assert_eq!((task.step.as_str(), task.note.as_str()), ("register-birth", "thiếu giấy tờ"));
    // It was registered under whatever purpose the agency has for it.
    assert_eq!(task.purposes, ["2.002622", "3.000722", "justice.p"]);
    world.now = datetime!(2026-03-04 09:00 +7);
    let consent = [("household_head_consent", "đồng ý")];
    let again = world.answer("justice-n", &done("register-birth", &consent), None).unwrap();
    assert_eq!(again.states(), [StepState::Done, StepState::Open, StepState::Waiting]);
    let task = again.task("ba-dinh-n");
    assert!(values(task).contains(&("household_head_consent", "đồng ý")));
    // Its days are counted anew.
    assert_eq!(again.case.steps[1].due_at, Some(datetime!(2026-03-07 00:00 +7)));
    // And the birth itself is not registered twice.
    assert_eq!(again.case.steps[0].contribution, Some(Uuid::from_u128(7)));
}

#[test]
fn a_refused_residence_does_not_take_the_card_away_and_a_withdrawn_birth_ends_the_case() {
    let mut world = World::new();
    world.open(BIRTH, "birth", FAMILY);
    let step = "permanent-residence";
    let refused =
        world.answer("ba-dinh-n", &ending(step, TaskEnd::Refused, "chỗ ở tranh chấp"), None).unwrap();
    assert_eq!(refused.states(), [StepState::Done, StepState::Refused, StepState::Open]);
    assert_eq!(refused.status().steps[1].note, "chỗ ở tranh chấp");

    let returned = ending("health-insurance-card", TaskEnd::Returned, "sai ngày sinh");
    let returned = world.answer("vss-n", &returned, None).unwrap();
    // What was refused has nothing to add: it goes back to the registration.
    assert_eq!(returned.states(), [StepState::Open, StepState::Refused, StepState::Returned]);
    let withdrawn = ending("register-birth", TaskEnd::Refused, "đăng ký nhầm");
    let ended = world.answer("justice-n", &withdrawn, None).unwrap();
    assert_eq!(ended.states(), [StepState::Refused, StepState::Refused, StepState::Skipped]);
    assert!(ended.case.closed_at.is_some());
}

#[test]
fn a_late_step_is_escalated_once_and_nothing_else_is_delayed() {
    let mut world = World::new();
    let opened = world.open(BIRTH, "birth", FAMILY);
    world.now = datetime!(2026-03-04 23:59 +7);
    assert!(world.tick(&opened.case, true).is_none());
    world.now = datetime!(2026-03-05 00:00 +7);
    let late = world.tick(&opened.case, false).unwrap();
    assert!(late.task("ba-dinh-n").escalated);
    // The province's office is told, besides those who take part and the portal.
    assert_eq!(late.told(), ["ba-dinh-n", "ha-noi-n", "justice-n", "portal-n"]);
    assert!(late.status().steps[1].escalated);
    assert!(world.tick(&late.case, true).is_none());
    // The office comes back after a week, and the case goes on.
    world.now = datetime!(2026-03-09 09:00 +7);
    let done = world.answer("ba-dinh-n", &done("permanent-residence", &[]), REGISTERED).unwrap();
    assert_eq!(done.states()[2], StepState::Open);
    assert_eq!(done.case.steps[2].due_at, Some(datetime!(2026-03-11 00:00 +7)));
}

#[test]
fn the_narrowest_areas_win_and_an_agreement_that_ends_takes_the_task_along() {
    let mut world = World::new();
    let opened = world.open(BIRTH, "birth", FAMILY);
    // The commune's agreement ends: the task is the province's.
    let commune = world.nodes.iter().position(|node| node.name == "ba-dinh-n").unwrap();
    world.nodes[commune].policy = Arc::default();
    let moved = world.tick(&opened.case, true).unwrap();
    let mut tasks = moved.tasks();
    tasks.sort_unstable();
    assert_eq!(
        tasks,
        [
            ("ba-dinh-n", "permanent-residence", StepState::Unspecified),
            ("ha-noi-n", "permanent-residence", StepState::Open)
        ]
    );
    assert_eq!(moved.task("ba-dinh-n").persons.len(), 0);
    // The province's too: nobody has it, until there is one again.
    let province = world.nodes.iter().position(|node| node.name == "ha-noi-n").unwrap();
    world.nodes[province].policy = Arc::default();
    let nobody = world.tick(&moved.case, true).unwrap();
    assert_eq!(nobody.case.steps[1].agency, None);
    world.nodes = nodes();
    let again = world.tick(&nobody.case, true).unwrap();
    assert_eq!(again.tasks(), [("ba-dinh-n", "permanent-residence", StepState::Open)]);
}

#[test]
fn an_agreement_that_gives_less_takes_values_away_from_open_tasks() {
    let mut world = World::new();
    let opened = world.open(BIRTH, "birth", FAMILY);
    assert!(opened.task("ba-dinh-n").prefilled.iter().any(|value| value.name == "mother_name"));
    assert!(world.tick(&opened.case, true).is_none(), "nothing changed");
    let commune = world.nodes.iter().position(|node| node.name == "ba-dinh-n").unwrap();
    let less = agreement("police-ba-dinh", "residence", "\"sex\"", "communes = [\"00004\"]");
    world.nodes[commune] = node("ba-dinh-n", "police-ba-dinh", &[less]);
    let told = world.tick(&opened.case, true).unwrap();
    let task = told.task("ba-dinh-n");
    assert!(!task.prefilled.iter().any(|value| value.name.starts_with("mother")), "{task:?}");
    assert_eq!(task.address, None);
    assert_eq!(told.told(), [] as [&str; 0], "how the case stands is the same");
}

#[test]
fn a_case_is_seen_under_the_purposes_of_whoever_takes_part_or_follows() {
    let mut world = World::new();
    let portal = world.nodes.iter().position(|node| node.name == "portal-n").unwrap();
    let follows = ["one", "two"].map(|id| {
        let text = agreement("national-portal", "", "\"full_name\"", "nation = true");
        text.replace("id = \"national-portal\"", &format!("id = \"{id}\"")).replace("national-portal.p", id)
    });
    world.nodes[portal] = node("portal-n", "national-portal", &follows);
    let justice = world.nodes.iter().position(|node| node.name == "justice-n").unwrap();
    let both = [
        agreement("justice", "civil-status", "\"full_name\"", "communes = [\"00004\"]"),
        follows[0].replace("national-portal", "justice"),
    ];
    world.nodes[justice] = node("justice-n", "justice", &both);
    let opened = world.open(BIRTH, "birth", FAMILY);
    let purposes = |of: &str| {
        let seen = opened.mail.iter().find_map(|(node, content)| match content {
            Content::Case(status) if node == of => Some(status.purposes.clone()),
            _ => None,
        });
        seen.unwrap()
    };
    assert_eq!(purposes("portal-n"), ["2.002622", "3.000722", "one", "two"], "it follows");
    // What it looks people up for is not what it takes part for.
    assert_eq!(purposes("justice-n"), ["2.002622", "3.000722", "justice.p"]);
    assert_eq!(purposes("ba-dinh-n"), ["3.000722"], "that the procedure names");
}

#[test]
fn a_value_is_shown_under_the_purposes_whose_agreements_give_it() {
    let mut world = World::new();
    let commune = world.nodes.iter().position(|node| node.name == "ba-dinh-n").unwrap();
    let of = |id: &str, fields: &str| {
        let text = agreement("police-ba-dinh", "residence", fields, "communes = [\"00004\"]");
        text.replace("id = \"police-ba-dinh\"", &format!("id = \"{id}\""))
    };
    let homes = of("homes", "\"permanent_residence\"").replace("3.000722", "2.002621");
    let both = [of("names", "\"full_name\""), homes];
    world.nodes[commune] = node("ba-dinh-n", "police-ba-dinh", &both);
    let opened = world.open(BIRTH, "birth", FAMILY);
    let task = opened.task("ba-dinh-n");
    assert!(task.address.is_some());
    let view = |purpose: &str| task.views.iter().find(|view| view.purpose == purpose).unwrap();
    let shows = |purpose: &str, name: &str| view(purpose).prefilled.iter().any(|shown| shown == name);
    let (names, homes) = ("3.000722", "2.002621");
    assert!(shows(names, "mother_name") && !shows(homes, "mother_name"));
    assert_eq!(view(names).address_source, "");
    assert_ne!(view(homes).address_source, "");
}

#[test]
fn the_applicants_address_decides_where_the_child_is_registered() {
    let mut world = World::new();
    let request = |commune: &str| CaseRequest {
        procedure: BIRTH.into(),
        address: Some(Address { commune: commune.into(), ..Address::default() }),
        ..CaseRequest::default()
    };
    let wrong = world.request(&request("99999"), "birth", FAMILY).unwrap_err().to_string();
    assert!(wrong.starts_with("opens.address.commune"), "{wrong}");
    // Another ward of Hà Nội: it has no node of its own.
    let opened = world.request(&request("00008"), "birth", FAMILY).unwrap();
    assert_eq!(opened.tasks(), [("ha-noi-n", "permanent-residence", StepState::Open)]);
    let address = opened.task("ha-noi-n").prefilled.iter().find(|value| value.name == "address").unwrap();
    assert_eq!(address.source, "applicant: address");
}

#[test]
fn a_request_that_cannot_be_granted_is_refused_with_the_field() {
    let mut world = World::new();
    let refused = |world: &mut World, request: CaseRequest, event| {
        world.request(&request, event, FAMILY).unwrap_err().to_string()
    };
    let of = |procedure: &str| CaseRequest { procedure: procedure.into(), ..CaseRequest::default() };
    assert!(refused(&mut world, of("x"), "birth").starts_with("opens.procedure"));
    assert!(refused(&mut world, of(BIRTH), "death").contains("is opened by a birth"));
    let answers = [("nonsense".to_owned(), "1".to_owned())].into();
    let said = refused(&mut world, CaseRequest { answers, ..of(BIRTH) }, "birth");
    assert!(said.starts_with("opens.answers") && !said.contains("nonsense"), "{said}");
    let address = Some(Address::default());
    let said = refused(&mut world, CaseRequest { address, ..of("lien-thong-khai-tu") }, "death");
    assert!(said.starts_with("opens.address"), "{said}");
}

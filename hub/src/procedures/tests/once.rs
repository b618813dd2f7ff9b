//! The same opens one case, and those open it whose step it is.

use super::*;

const DEATH: &str = "lien-thong-khai-tu";

fn again(world: &mut World, id: u128) -> Result<CaseEffects, Refusal> {
    world.contribution = Uuid::from_u128(id);
    let request = CaseRequest { procedure: DEATH.into(), ..CaseRequest::default() };
    world.request(&request, "death", &[("deceased", MOTHER)])
}

#[test]
fn two_offices_that_register_one_death_open_one_case() {
    let mut world = World::new();
    world.open(DEATH, "death", &[("deceased", MOTHER)]);
    assert!(matches!(again(&mut world, 70), Err(Refusal::OpenedBefore)));
    // Also under another number, and after it was carried to its end.
    world.renumber(MOTHER, "001195000077");
    world.answer("ba-dinh-n", &ending("remove-permanent-residence", TaskEnd::Refused, "x"), None).unwrap();
    let decision = [("allowance_decision_number", "12/QĐ-BHXH"), ("allowance_amount", "25300000")];
    world.answer("vss-n", &done("funeral-allowance", &decision), None).unwrap();
    world.contribution = Uuid::from_u128(71);
    let request = CaseRequest { procedure: DEATH.into(), ..CaseRequest::default() };
    let renumbered = world.request(&request, "death", &[("deceased", "001195000077")]);
    assert!(matches!(renumbered, Err(Refusal::OpenedBefore)));
    // Somebody else's is another one.
    assert!(world.request(&request, "death", &[("deceased", FATHER)]).is_ok());
}

#[test]
fn what_was_taken_back_may_be_registered_anew() {
    let mut world = World::new();
    world.open(DEATH, "death", &[("deceased", MOTHER)]);
    world.take_back(7, None).unwrap();
    assert!(again(&mut world, 70).is_ok());
    assert!(matches!(again(&mut world, 71), Err(Refusal::OpenedBefore)));
}

#[test]
fn what_may_be_more_than_once_in_a_life_has_a_case_each_time() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("holidays.toml"), "known_until = 2026").unwrap();
    let file = r#"
id = "chuyen-nha"
version = 1
title = "x"
legal_basis = ["x"]
opened_by = "moved"
[[steps]]
id = "move"
title = "x"
role = "residence"
event = "moved"
about = ["person"]
[[steps]]
id = "insurance"
title = "x"
role = "social-insurance"
"#;
    std::fs::write(dir.path().join("moved.toml"), file).unwrap();
    let forms = tempfile::tempdir().unwrap();
    let mut world = World::with(Catalogue::load(Some(dir.path()), Some(forms.path())).unwrap());
    world.roles = vec!["residence".into()];
    let request = CaseRequest { procedure: "chuyen-nha".into(), ..CaseRequest::default() };
    let person = [("person", MOTHER)];
    world.request(&request, "moved", &person).unwrap();
    world.contribution = Uuid::from_u128(70);
    assert!(matches!(world.request(&request, "moved", &person), Err(Refusal::OpenedBefore)));
    world.answer("vss-n", &done("insurance", &[]), None).unwrap();
    assert!(world.request(&request, "moved", &person).is_ok());
}

#[test]
fn only_in_the_role_of_the_first_step_is_a_case_opened() {
    let mut world = World::new();
    world.roles = vec!["residence".into(), "health".into()];
    let refused = again(&mut world, 7).unwrap_err();
    assert_eq!(refused.reason(), Some(dancu_proto::v1::RejectionReason::NotAuthoritative));
    assert!(refused.to_string().contains("`civil-status`"), "{refused}");
    world.roles.push("civil-status".into());
    assert!(again(&mut world, 7).is_ok());
}

#[test]
fn a_case_keeps_the_document_that_it_goes_by() {
    let mut world = World::new();
    let opened = world.open(DEATH, "death", &[("deceased", MOTHER)]);
    let name = named(DOCUMENT, &opened.case.document);
    let death = include_str!("../../../../deploy/procedures/lien-thong-khai-tu.toml");
    assert_eq!(world.rows.get(&name).map(Vec::as_slice), Some(death.as_bytes()));
    // Once is enough.
    world.contribution = Uuid::from_u128(70);
    let request = CaseRequest { procedure: DEATH.into(), ..CaseRequest::default() };
    let second = world.request(&request, "death", &[("deceased", FATHER)]).unwrap();
    assert!(!second.rows.iter().any(|row| matches!(row, Write::Row(_, row, _) if *row == name)));
}

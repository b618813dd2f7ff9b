//! Documents of procedures: what is wrong with one, and that a new one needs no code.

use std::fs;

use super::*;

const DEATH: &str = include_str!("../../../../deploy/procedures/lien-thong-khai-tu.toml");

fn problems(from: &str, to: &str) -> String {
    assert!(DEATH.contains(from), "{from}");
    parse(&DEATH.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn each_problem_names_its_line() {
    let cases = [
        ("role = \"civil-status\"", "rule = \"x\"", "role = \"civil-status\"", "did you mean \"role\"?"),
        ("opened_by = \"death\"", "opened_by = \"deaths\"", "opened_by", "did you mean \"death\"?"),
        ("event = \"death\"", "event = \"birth\"", "event = \"death\"", "completed by the event that opens"),
        (
            "\"deceased.permanent_residence\"]",
            "\"deceased.permanent_residense\"]",
            "address = [\"deceased.permanent_residence\"]",
            "did you mean \"permanent_residence\"?",
        ),
        (
            "from = \"deceased.full_name\"",
            "from = \"deceased.fullname\"",
            "from = \"deceased.full_name\"",
            "no field is called \"fullname\"",
        ),
        (
            "from = \"deceased.full_name\"",
            "from = \"dead.full_name\"",
            "from = \"deceased.full_name\"",
            "no person is called \"dead\"",
        ),
        ("may = [\"refuse\"]", "may = [\"refuze\"]", "may = [\"refuse\"]", "did you mean \"refuse\"?"),
        ("deadline = 8", "deadline = 800", "deadline = 8", "at most 260 working days"),
        (
            "\"step.remove-permanent-residence\"",
            "\"step.funeral-allowance\"",
            "\"step.remove-permanent-residence\"",
            "no step before this one is called",
        ),
        (
            "without = \"permanent_residence\"",
            "without = \"residence\"",
            "without = \"permanent_residence\"",
            "no field is called \"residence\"",
        ),
        (
            "from = \"answers.allowance_account\"",
            "from = \"answers.allowance_amount\"",
            "from = \"answers.allowance_account\"",
            "no answer before this step is called",
        ),
        ("kind = \"number\"", "kind = \"numbers\"", "kind = \"number\"", "did you mean \"number\"?"),
        ("version = 3", "version = 0", "version = 3", "versions count from 1"),
        ("[\"2.002622\"]", "[\"2,002622\"]", "purposes", "a purpose is 1 to 64 letters"),
        ("[\"2.002622\"]", "[\"1.1\", \"1.1\"]", "purposes", "purpose `1.1` stands twice"),
    ];
    for (from, to, at, expected) in cases {
        let said = problems(from, to);
        assert!(said.contains(expected), "{to}: {said}");
        let at = DEATH.lines().position(|line| line.contains(at)).unwrap() + 1;
        assert!(said.contains(&format!("line {at}, ")), "{to}: {said}");
    }
}

/// The first TOML in a page.
fn example(page: &str) -> &str {
    page.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0
}

#[test]
fn the_example_of_the_readme_is_good() {
    let procedure = parse(example(include_str!("../../../../deploy/procedures/README.md"))).unwrap();
    assert_eq!((procedure.purposes.len(), procedure.steps.len()), (2, 3));
    assert_eq!(procedure.steps[2].after, [0, 1]);
    assert_eq!(procedure.steps[1].skip.len() + procedure.steps[2].skip.len(), 4, "one of each condition");
}

#[test]
fn a_new_procedure_is_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let holidays = include_str!("../../../../deploy/procedures/holidays.toml");
    fs::write(dir.path().join("holidays.toml"), holidays).unwrap();
    // Two steps side by side after a marriage: neither waits for the other.
    let file = r#"
id = "ket-hon"
version = 1
title = "Kết hôn"
legal_basis = ["Luật Hộ tịch 2014"]
opened_by = "marriage"
address = "required"
[[steps]]
id = "register-marriage"
title = "Đăng ký kết hôn"
role = "civil-status"
event = "marriage"
about = ["one", "other"]
[[steps]]
id = "household"
title = "Đăng ký thường trú"
role = "residence"
event = "moved"
about = ["one"]
address = ["case"]
deadline = 5
[[steps]]
id = "insurance"
title = "Điều chỉnh thông tin bảo hiểm"
role = "social-insurance"
after = ["register-marriage"]
[[steps.asks]]
name = "book_number"
label = "Số sổ"
"#;
    fs::write(dir.path().join("ket-hon.toml"), file).unwrap();
    let forms = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::load(Some(dir.path()), Some(forms.path())).unwrap();
    assert_eq!(catalogue.procedures().map(|known| known.id.as_str()).collect::<Vec<_>>(), ["ket-hon"]);
    let mut world = World::with(catalogue);
    let request = CaseRequest {
        procedure: "ket-hon".into(),
        address: Some(Address { commune: "00004".into(), ..Address::default() }),
        ..CaseRequest::default()
    };
    let couple = [("one", MOTHER), ("other", FATHER)];
    let opened = world.request(&request, "marriage", &couple).unwrap();
    assert_eq!(opened.states(), [StepState::Done, StepState::Open, StepState::Open]);
    // One office is away: the other goes on.
    let insured = world.answer("vss-n", &done("insurance", &[("book_number", "7")]), None).unwrap();
    assert_eq!(insured.states(), [StepState::Done, StepState::Open, StepState::Done]);
    let moved = world.answer("ba-dinh-n", &done("household", &[]), Some("moved")).unwrap();
    assert!(moved.case.closed_at.is_some());
}

#[test]
fn files_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let said = |dir: &std::path::Path| Catalogue::load(Some(dir), None).unwrap_err().to_string();
    assert!(said(dir.path()).contains("has no holidays.toml"));
    fs::write(dir.path().join("holidays.toml"), "known_until = 2026").unwrap();
    // The forms that are built in are for procedures that this directory does not have.
    assert!(said(dir.path()).contains("no procedure is called"));
    fs::write(dir.path().join("a.toml"), DEATH).unwrap();
    fs::write(dir.path().join("b.toml"), DEATH).unwrap();
    assert!(said(dir.path()).contains("is in another file already"));
    fs::write(dir.path().join("b.toml"), DEATH.replace("deadline = 8", "deadline = \"8\"")).unwrap();
    let line = DEATH.lines().position(|line| line == "deadline = 8").unwrap() + 1;
    let said = said(dir.path());
    assert!(said.contains("b.toml: line") && said.contains(&format!("line {line}, ")), "{said}");
}

#[test]
fn a_case_goes_by_the_document_under_which_it_was_opened() {
    let mut world = World::new();
    let opened = world.open("lien-thong-khai-tu", "death", &[("deceased", MOTHER)]);
    let birth = include_str!("../../../../deploy/procedures/lien-thong-khai-sinh.toml");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holidays.toml"), "known_until = 2026").unwrap();
    // The new version has another step, before the others.
    let changed = DEATH.replace("version = 3", "version = 4").replace("funeral-allowance", "allowance");
    fs::write(dir.path().join("death.toml"), &changed).unwrap();
    fs::write(dir.path().join("birth.toml"), birth).unwrap();
    let mut catalogue = Catalogue::load(Some(dir.path()), None).unwrap();
    assert!(catalogue.document(opened.case.document).is_none());
    catalogue.remember(DEATH).unwrap();
    world.engine = Procedures::new(catalogue);
    let removed = done("remove-permanent-residence", &[]);
    let removed = world.answer("ba-dinh-n", &removed, Some("permanent_residence_removed")).unwrap();
    assert_eq!(removed.task("vss-n").step, "funeral-allowance");
}

use std::fs;

use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"id = "tuyen-quang-residence"
version = 2
agency = "tuyen-quang"
title = "Cư trú"
legal_basis = ["Decision 1911/QĐ-TTg Art. 2(1)"]
valid_from = 2026-01-01
valid_until = 2028-12-31
operations = ["lookup", "verify"]
fields = ["full_name", "date_of_birth"]
offline_limit = "7d"

[[purposes]]
code = "1.004222"
title = "Đăng ký thường trú"

[scope]
provinces = ["08"]
"#;

fn read(text: &str) -> Result<Agreement, DocumentErrors> {
    parse(text, Areas::shipped())
}

fn problems(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    read(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn a_good_document_is_read() {
    let agreement = read(GOOD).unwrap();
    assert!(agreement.fields.contains(Field::PersonalId));
    assert_eq!(agreement.offline_limit, Duration::from_secs(7 * 86_400));
    assert!(matches!(agreement.scope.areas, AreaScope::Listed { .. }));
}

#[test]
fn each_problem_names_its_line() {
    let cases = [
        (
            "\"full_name\"",
            "\"fullname\"",
            "line 9, column 11: no field is called \"fullname\"; did you mean \"full_name\"?",
        ),
        (
            "\"lookup\"",
            "\"look_up\"",
            "line 8, column 15: no operation is called \"look_up\"; did you mean \"lookup\"?",
        ),
        ("\"08\"", "\"99\"", "line 17, column 14: no province in force has the code 99"),
        ("\"08\"", "\"8\"", "line 17, column 14: the code of a province has 2 digits"),
        (
            "provinces = [\"08\"]",
            "communes = [\"99999\"]",
            "line 17, column 13: no commune in force has the code 99999",
        ),
        (
            "provinces = [\"08\"]",
            "provinces = [\"01\"]\ncommunes = [\"00004\"]",
            "line 18, column 13: Phường Ba Đình lies in province 01",
        ),
        (
            "provinces = [\"08\"]",
            "nation = true\nprovinces = [\"08\"]",
            "line 17, column 10: the nation has all areas already",
        ),
        ("provinces = [\"08\"]", "", "line 16, column 1: the scope is empty"),
        (
            "valid_until = 2028-12-31",
            "valid_until = 2025-12-31",
            "line 7, column 15: ends before it begins (2026-01-01)",
        ),
        ("\"7d\"", "\"7 moons\"", "line 10, column 17: write a duration"),
        ("\"7d\"", "\"2y\"", "line 10, column 17: an offline limit lies between 1m and 400d"),
        ("version = 2", "version = 0", "line 2, column 11: versions count from 1"),
        ("\"1.004222\"", "\"1 004222\"", "line 13, column 8: a purpose is"),
        (
            "legal_basis = [\"Decision 1911/QĐ-TTg Art. 2(1)\"]",
            "legal_basis = []",
            "line 5, column 15: name the provisions",
        ),
        (
            "agency = \"tuyen-quang\"",
            "agency = \"Tuyên Quang\"",
            "line 3, column 10: must be 2 to 60 lower-case",
        ),
        (
            "offline_limit",
            "ofline_limit",
            "line 10, column 1: no key is called \"ofline_limit\"; did you mean \"offline_limit\"?",
        ),
        (
            "provinces = [\"08\"]",
            "provinces = [\"08\"]\nresidence = [\"permanant\"]",
            "line 18, column 14: no residence is called \"permanant\"; did you mean \"permanent\"?",
        ),
        (
            "provinces = [\"08\"]",
            "provinces = [\"08\"]\nborn_from = 2020-01-01\nborn_until = 2019-01-01",
            "line 19, column 14: no one is born",
        ),
        ("version = 2", "version = two", "line 2"),
    ];
    for (from, to, expected) in cases {
        let said = problems(from, to);
        assert!(said.contains(expected), "{to}: {said}");
    }
}

#[test]
fn several_problems_are_told_at_once() {
    let text = GOOD.replace("\"08\"", "\"99\"").replace("version = 2", "version = 0");
    assert_eq!(read(&text).unwrap_err().0.len(), 2);
}

#[test]
fn a_problem_is_one_line_whatever_it_quotes() {
    let said = problems("\"lookup\"", "\"look\\nup\"");
    assert_eq!(said, r#"line 8, column 15: no operation is called "look\nup"; did you mean "lookup"?"#);
}

#[test]
fn the_agreements_we_ship_are_good() {
    // Asked at run time: a build may be shared by several copies of the tree.
    let dir = format!("{}/../deploy/agreements", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let documents: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    assert!(documents.len() >= 6);
    for path in documents {
        let text = fs::read_to_string(&path).unwrap();
        let agreement = read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), agreement.id.to_string());
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}", at in 0usize..400, cut in 0usize..40) {
        let _ = read(&text);
        let from = (0..=at.min(GOOD.len())).rev().find(|i| GOOD.is_char_boundary(*i)).unwrap();
        let to = (from..=(from + cut).min(GOOD.len())).rev().find(|i| GOOD.is_char_boundary(*i)).unwrap();
        let _ = read(&format!("{}{}{}", &GOOD[..from], text, &GOOD[to..]));
    }
}

//! What waits and what is in question, where several contributions are about the same.

use super::*;
use crate::mail;

/// Rows that tell what waits for what.
fn waiting_rows(office: &Office) -> usize {
    office.registry.view().rows_after("waiting", &[], None).count()
}

fn home_of(children: &[Uuid]) -> Value {
    let member = |id: &Uuid| json!({ "person": { "born_by": id.to_string() }, "relation": "con" });
    json!({ "permanent_residence_registered": {
        "members": children.iter().map(member).collect::<Vec<_>>(),
        "address": { "commune": "00004", "detail": "5 Hàng Bài" },
    } })
}

#[test]
fn of_what_waited_for_a_birth_nothing_is_left_when_the_last_of_it_is_judged() {
    let mut office = Office::open();
    let id = Uuid::now_v7();
    let one = office.hand_in("residence", "2026-11-22", home_of(&[id]));
    let blood = json!({ "blood_type": { "person": { "born_by": id.to_string() }, "blood_type": "01" } });
    let other = office.hand_in("health", "2026-11-23", blood);
    assert_eq!([one.reason(), other.reason()], [RejectionReason::Waits; 2]);
    // A person need not wait.
    office.decide(one.review, false);
    assert_eq!(waiting::all(&office.registry.view()).unwrap().len(), 1);
    let born = office.hand_in_as(id, "civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"));
    assert!(office.awaited, "one waits still");
    let again = office.look_again();
    assert!(again.len() == 1 && accepted(&again[0]), "{}", again[0].message);
    assert_eq!(office.citizen(&office.of(&born)).permanent_residence, None);
    assert_eq!(waiting_rows(&office), 0);
}

#[test]
fn a_birth_that_nobody_waits_for_any_more_has_nobody_looked_at_again() {
    let mut office = Office::open();
    let id = Uuid::now_v7();
    let waits = office.hand_in("residence", "2026-11-22", home_of(&[id]));
    office.decide(waits.review, false);
    office.hand_in_as(id, "civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"));
    assert!(!office.awaited);
    assert_eq!(waiting_rows(&office), 0);
}

#[test]
fn a_field_is_in_question_until_the_last_review_of_it_is_decided() {
    let residence = FieldSet::from_iter([Field::PermanentResidence]);
    for accept_first in [true, false] {
        let mut office = Office::open();
        let first = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Mới"));
        assert!(accepted(&first), "{}", first.message);
        let one = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Một"));
        let other = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Hai"));
        assert_eq!([one.reason(), other.reason()], [RejectionReason::Conflict; 2]);
        assert_eq!(office.in_question(OTHER), residence);
        // What does not touch the field leaves the mark where it is; so does another number.
        let contact = json!({ "contact_changed": { "person": { "personal_id": OTHER }, "email": "a@b.vn" } });
        assert!(accepted(&office.hand_in("portal", "2026-09-02", contact)));
        let again = json!({ "number_reestablished": { "person": { "personal_id": OTHER } } });
        assert!(accepted(&office.hand_in("citizen-id", "2026-09-03", again)));
        assert_eq!(office.in_question(OTHER), residence);
        office.decide(one.review, accept_first);
        assert_eq!(office.in_question(OTHER), residence, "the other review is open");
        office.decide(other.review, !accept_first);
        assert_eq!(office.in_question(OTHER), FieldSet::EMPTY);
        let detail = if accept_first { "9 Một" } else { "9 Hai" };
        assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, detail);
    }
}

#[test]
fn reviews_of_other_fields_of_the_same_person_keep_their_marks() {
    let mut office = Office::open();
    for event in [moved(FATHER, "9 Mới"), moved(FATHER, "9 Khác")] {
        office.hand_in("residence", "2026-09-01", event);
    }
    office.hand_in("civil-status", "2026-11-01", death(FATHER, "2026-11-01"));
    let second = office.hand_in("civil-status", "2026-11-03", death(FATHER, "2026-11-03"));
    assert_eq!(second.reason(), RejectionReason::Conflict);
    let both = FieldSet::from_iter([Field::PermanentResidence, Field::DateOfDeath]);
    assert_eq!(office.in_question(FATHER), both);
    office.decide(second.review, false);
    assert_eq!(office.in_question(FATHER), FieldSet::from_iter([Field::PermanentResidence]));
    let open = review::all(&office.registry.view(), false).unwrap();
    office.decide(open[0].number, true);
    assert!(office.in_question(FATHER).is_empty());
    assert_eq!(office.citizen(FATHER).permanent_residence.unwrap().detail, "9 Khác");
}

#[test]
fn who_leaves_the_registry_takes_the_marks_along_and_the_reviews_can_still_be_decided() {
    let mut office = Office::open();
    office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Mới"));
    let conflict = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Khác"));
    assert_eq!(conflict.reason(), RejectionReason::Conflict);
    let cancelled = json!({ "number_cancelled": { "persons": [{ "personal_id": OTHER }] } });
    assert!(accepted(&office.hand_in("citizen-id", "2026-11-03", cancelled)));
    assert!(office.decide(conflict.review, false).is_rejected());
    assert!(review::all(&office.registry.view(), false).unwrap().is_empty());
}

#[test]
fn two_claims_alike_are_decided_on_also_where_a_greater_one_is_in_force() {
    let mut office = Office::open();
    let first = office.hand_in("residence", "2026-08-01", moved(OTHER, "8 Một"));
    let greater = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Sau"));
    // The same again contradicts nothing; nor does what is of another day.
    let same = office.hand_in("residence", "2026-08-01", moved(OTHER, "8 Một"));
    let between = office.hand_in("residence", "2026-08-15", moved(OTHER, "8 Giữa"));
    assert!([&first, &greater, &same, &between].into_iter().all(accepted));
    let other = office.hand_in("residence", "2026-08-01", moved(OTHER, "8 Hai"));
    assert_eq!(other.reason(), RejectionReason::Conflict);
    assert!(office.in_question(OTHER).contains(Field::PermanentResidence));
    let decided = office.decide(other.review, true);
    assert!(accepted(&decided), "{}", decided.message);
    assert!(office.in_question(OTHER).is_empty());
    assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, "9 Sau");
    // What was decided holds when the others fall.
    for wrong in [&greater, &between] {
        let correction = json!({ "correction": { "contribution_id": wrong.uuid().to_string() } });
        assert!(accepted(&office.hand_in("residence", "2026-11-01", correction)));
    }
    assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, "8 Hai");
    // And what was taken back contradicts nothing any more.
    let again = office.hand_in("residence", "2026-07-01", moved(OTHER, "7 Một"));
    let correction = json!({ "correction": { "contribution_id": again.uuid().to_string() } });
    assert!(accepted(&office.hand_in("residence", "2026-11-01", correction)));
    let anew = office.hand_in("residence", "2026-07-01", moved(OTHER, "7 Hai"));
    assert!(accepted(&anew), "{}", anew.message);
}

/// What the node's mail has of contributions, by the names of their rows.
fn told(office: &Office, node: &str) -> Vec<Vec<u8>> {
    let mail = mail::after(&office.registry.view(), node, 0, 100).unwrap();
    let outcome = |(_, item)| match item {
        mail::Item::Outcome(name) => Some(name),
        mail::Item::Other(_) => None,
    };
    mail.into_iter().filter_map(outcome).collect()
}

#[test]
fn what_became_of_a_contribution_is_in_the_mail_once_by_each_way_that_it_came() {
    let mut office = Office::open();
    assert!(accepted(&office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Mới"))));
    let id = Uuid::now_v7();
    let one = office.prepared(id, "residence", "2026-09-01", moved(OTHER, "9 Một"), json!({}));
    let by_file = Prepared { node: "other".into(), outbox: vec![2; 16], ..one.clone() };
    let (one, copy) = (office.settle(one), office.settle(by_file));
    assert_eq!([one.reason(), copy.reason()], [RejectionReason::Conflict; 2]);
    let names = (told(&office, "node"), told(&office, "other"));
    assert_eq!((names.0.len(), &names.1), (2, &vec![copy.name()]));
    assert_eq!(names.0[1], one.name());
    // Decided: the same two things, under new numbers.
    assert!(accepted(&office.decide(one.review, true)));
    assert_eq!((told(&office, "node"), told(&office, "other")), names);
    let view = office.registry.view();
    assert_eq!([mail::latest(&view, "node").unwrap(), mail::latest(&view, "other").unwrap()], [3, 2]);
    drop(view);
    // At a place that was given again there is another one; both are told of.
    let mut again =
        office.prepared(Uuid::now_v7(), "residence", "2026-09-02", moved(MOTHER, "9 Ba"), json!({}));
    again.sequence = one.sequence;
    let again = office.settle(again);
    assert!(again.place_again && accepted(&again));
    assert_eq!(told(&office, "node"), [&names.0[..], &[again.name()]].concat());
}

#[test]
fn what_waited_is_in_the_mail_once_when_it_is_judged() {
    let mut office = Office::open();
    let id = Uuid::now_v7();
    let waits = office.hand_in("residence", "2026-11-22", home_of(&[id]));
    assert_eq!(told(&office, "node"), [waits.name()]);
    let born = office.hand_in_as(id, "civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"));
    assert!(accepted(&office.look_again()[0]));
    assert_eq!(told(&office, "node"), [born.name(), waits.name()]);
}

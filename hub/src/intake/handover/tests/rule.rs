//! What events do to the registry, when several sources say something.

use super::*;

#[test]
fn a_birth_gets_a_number_by_the_rule_and_the_parents_a_child() {
    let mut office = Office::open();
    let row = office.hand_in("civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"));
    assert!(accepted(&row), "{}", row.message);
    let number = office.of(&row);
    assert!(number.starts_with("001326"), "{number}");
    let child = office.citizen(&number);
    assert_eq!(child.mother.unwrap().personal_id, MOTHER);
    assert_eq!(child.father.unwrap().name.unwrap().full(), "Nguyễn Văn Cha");
    assert_eq!(office.citizen(FATHER).children.unwrap().items[0].personal_id, number);
    // A twin has another name; the same child is looked at by somebody.
    let twin = office.hand_in("civil-status", "2026-11-20", birth("Nguyễn Thị Út", "2026-11-20"));
    assert!(accepted(&twin), "{}", twin.message);
    assert_eq!(office.citizen(MOTHER).children.unwrap().items.len(), 2);
    let again = office.hand_in("civil-status", "2026-11-20", birth("NGUYỄN THỊ CON", "2026-11-20"));
    assert_eq!(again.reason(), RejectionReason::Unlikely);
    assert!(office.in_question(MOTHER).contains(Field::Children));
    office.decide(again.review, false);
    assert!(office.in_question(MOTHER).is_empty());
    assert_eq!(office.citizen(MOTHER).children.unwrap().items.len(), 2);
}

#[test]
fn a_foundling_and_a_late_registration_of_an_adult_have_numbers_too() {
    let mut office = Office::open();
    let child = |day: &str, sex: &str| {
        json!({ "birth": { "child": {
            "full_name": "Trần Văn Lạ", "date_of_birth": day, "sex": sex,
            "place_of_birth_registration": { "commune": "00004" },
        } } })
    };
    let foundling = office.hand_in("civil-status", "2026-10-01", child("2026-10-01", "1"));
    assert!(office.of(&foundling).starts_with("001226"));
    let adult = office.hand_in("civil-status", "1985-02-03", child("1985-02-03", "1"));
    assert!(office.of(&adult).starts_with("001085"));
}

#[test]
fn a_death_leaves_the_other_widowed_and_a_second_one_is_decided_on() {
    let mut office = Office::open();
    let row = office.hand_in("civil-status", "2026-11-01", death(FATHER, "2026-11-01"));
    assert!(accepted(&row), "{}", row.message);
    let widow = office.citizen(MOTHER);
    assert_eq!((widow.spouse, widow.marital_status.as_str()), (None, "3"));
    let second = office.hand_in("civil-status", "2026-11-03", death(FATHER, "2026-11-03"));
    assert_eq!(second.reason(), RejectionReason::Conflict);
    assert!(office.in_question(FATHER).contains(Field::DateOfDeath));
    assert_eq!(office.citizen(FATHER).date_of_death.unwrap().day, 1);
    let open = review::all(&office.registry.view(), false).unwrap();
    assert_eq!(open.len(), 1);
    let decided = office.decide(open[0].number, true);
    assert!(accepted(&decided));
    assert_eq!(office.citizen(FATHER).date_of_death.unwrap().day, 3);
    assert!(office.in_question(FATHER).is_empty());
    assert!(review::all(&office.registry.view(), false).unwrap().is_empty());
}

#[test]
fn better_authority_counts_whatever_comes_first() {
    for civil_first in [true, false] {
        let mut office = Office::open();
        let mut both = [("civil-status", "2026-11-01"), ("residence", "2026-11-05")];
        if !civil_first {
            both.reverse();
        }
        let rows = both.map(|(role, day)| office.hand_in(role, day, death(FATHER, day)));
        assert!(rows.iter().all(accepted));
        assert_eq!(office.citizen(FATHER).date_of_death.unwrap().day, 1);
        let of_residence = &rows[usize::from(civil_first)];
        let not_in_force = FieldSet::from_bits(of_residence.not_in_force);
        assert_eq!(not_in_force.contains(Field::DateOfDeath), civil_first);
        // The police may not say who is married to whom.
        assert_eq!(office.citizen(MOTHER).marital_status, "3");
    }
    let mut office = Office::open();
    office.hand_in("residence", "2026-11-05", death(FATHER, "2026-11-05"));
    assert_eq!(office.citizen(MOTHER).marital_status, "2");
    let refused = office.hand_in("residence", "2026-11-05", birth("Ai", "2026-11-05"));
    assert_eq!(refused.reason(), RejectionReason::NotAuthoritative);
}

#[test]
fn what_comes_late_holds_from_its_own_day() {
    let mut office = Office::open();
    let late = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Mới"));
    let earlier = office.hand_in("residence", "2026-08-01", moved(OTHER, "8 Giữa"));
    assert!(accepted(&late) && accepted(&earlier));
    assert!(FieldSet::from_bits(earlier.not_in_force).contains(Field::PermanentResidence));
    assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, "9 Mới");
    let view = office.registry.view();
    let (key, stored) = view.resolve(OTHER.parse().unwrap()).unwrap().unwrap();
    let on = |day: u32| {
        let day = Date::from_number(day);
        let record = known_on(&view, (key, &stored), view.revision().unwrap(), &day, &office.authority)
            .unwrap()
            .unwrap();
        record.decode().unwrap().permanent_residence.unwrap().detail
    };
    assert_eq!(
        (on(20_260_701).as_str(), on(20_260_815).as_str(), on(20_260_901).as_str()),
        ("1 Cũ", "8 Giữa", "9 Mới")
    );
    // Of the same day and authority, somebody decides.
    drop(view);
    let same_day = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Khác"));
    assert_eq!(same_day.reason(), RejectionReason::Conflict);
    office.decide(same_day.review, true);
    assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, "9 Khác");
}

#[test]
fn a_correction_takes_back_and_lists_what_rested_on_it() {
    let mut office = Office::open();
    let first = office.hand_in("residence", "2026-08-01", moved(OTHER, "8 Sai"));
    let second = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Sau"));
    let correct = |id: Uuid| json!({ "correction": { "contribution_id": id.to_string() } });
    let corrected = office.hand_in("residence", "2026-11-01", correct(first.uuid()));
    assert!(accepted(&corrected), "{}", corrected.message);
    assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, "9 Sau");
    let open = review::all(&office.registry.view(), false).unwrap();
    assert_eq!(open.len(), 1);
    assert!(open[0].dependent && open[0].contribution == second.name());
    // It falls too: what was there before all is there again.
    office.decide(open[0].number, false);
    assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, "1 Cũ");
    let again = office.hand_in("residence", "2026-11-01", correct(first.uuid()));
    assert!(again.is_rejected());
}

#[test]
fn a_birth_that_was_wrong_leaves_nobody_behind() {
    let mut office = Office::open();
    let row = office.hand_in("civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"));
    let number = office.of(&row);
    let correction = json!({ "correction": { "contribution_id": row.uuid().to_string() } });
    let corrected = office.hand_in("civil-status", "2026-11-27", correction);
    assert!(accepted(&corrected), "{}", corrected.message);
    assert!(office.stored(&number).is_none());
    assert_eq!(office.citizen(MOTHER).children, None);
    // The number is never given again, and the birth is still in the journal.
    let view = office.registry.view();
    assert!(view.journal(Revision(row.revision)).unwrap().is_some());
    assert_eq!(view.citizens().unwrap(), 3);
}

#[test]
fn a_birth_registered_anew_keeps_the_number_if_that_says_the_same() {
    let mut office = Office::open();
    let row = office.hand_in("civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"));
    let number = office.of(&row);
    let instead = |name: &str, sex: &str, of: &HandedIn| {
        let mut event = birth(name, "2026-11-19");
        event["birth"]["child"]["sex"] = sex.into();
        json!({ "correction": { "contribution_id": of.uuid().to_string(), "instead": event } })
    };
    let anew = office.hand_in("civil-status", "2026-11-19", instead("Nguyễn Thị Đúng", "2", &row));
    assert!(accepted(&anew), "{}", anew.message);
    assert_eq!(office.of(&anew), number);
    let child = office.citizen(&number);
    assert_eq!(child.full_name.unwrap().full(), "Nguyễn Thị Đúng");
    assert_eq!(child.date_of_birth.unwrap().day, 19);
    assert_eq!(office.citizen(MOTHER).children.unwrap().items.len(), 1);
}

#[test]
fn who_is_named_by_a_birth_waits_for_it() {
    let mut office = Office::open();
    let id = Uuid::now_v7();
    let home = json!({ "permanent_residence_registered": {
        "members": [{ "person": { "born_by": id.to_string() }, "relation": "con" }],
        "address": { "commune": "00004", "detail": "5 Hàng Bài" },
    } });
    let waits = office.hand_in("residence", "2026-11-22", home.clone());
    assert_eq!(waits.reason(), RejectionReason::Waits);
    let born = office.hand_in_as(id, "civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"));
    let again = office.look_again();
    assert!(again.len() == 1 && accepted(&again[0]), "{}", again[0].message);
    assert_eq!(office.citizen(&office.of(&born)).permanent_residence.unwrap().detail, "5 Hàng Bài");
    assert!(review::all(&office.registry.view(), false).unwrap().is_empty());
    assert!(waiting::all(&office.registry.view()).unwrap().is_empty());
    // After the birth there is nothing to wait for.
    let later = office.hand_in("residence", "2026-11-23", home);
    assert!(accepted(&later), "{}", later.message);
}

#[test]
fn a_contribution_counts_once_and_an_id_is_of_one_contribution() {
    let mut office = Office::open();
    let id = Uuid::now_v7();
    let first = office.hand_in_as(id, "residence", "2026-09-01", moved(OTHER, "9 Mới"));
    let again = office.hand_in_as(id, "residence", "2026-09-01", moved(OTHER, "9 Mới"));
    assert_eq!((again.revision, again.state), (first.revision, first.state));
    assert_eq!(office.registry.head(), Revision(first.revision));
    let other = office.hand_in_as(id, "residence", "2026-09-02", moved(OTHER, "9 Khác"));
    assert_eq!(other.reason(), RejectionReason::IdReused);
    assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, "9 Mới");
}

#[test]
fn a_place_that_is_given_again_loses_nothing() {
    let mut office = Office::open();
    office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Mới"));
    office.sequence = 0;
    let other = office.hand_in("residence", "2026-09-05", moved(OTHER, "9 Sau"));
    assert!(accepted(&other), "{}", other.message);
    assert_eq!(office.citizen(OTHER).permanent_residence.unwrap().detail, "9 Sau");
}

#[test]
fn what_cannot_be_is_rejected_and_what_hardly_can_is_looked_at() {
    let mut office = Office::open();
    let mut reason = |role: &str, day: &str, event: Value| office.hand_in(role, day, event).reason();
    assert_eq!(
        reason("civil-status", "1980-01-01", death(OTHER, "1980-01-01")),
        RejectionReason::Implausible
    );
    assert_eq!(
        reason("civil-status", "2026-01-01", death("001190999999", "2026-01-01")),
        RejectionReason::UnknownPerson
    );
    assert_eq!(reason("civil-status", "1999-05-05", birth("Bé", "1999-05-05")), RejectionReason::Unlikely);
    assert_eq!(
        reason("civil-status", "1985-05-05", birth("Ông", "1985-05-05")),
        RejectionReason::Implausible
    );
    let couple = |a: &str, b: &str| json!({ "one": { "personal_id": a }, "other": { "personal_id": b } });
    let marriage = json!({ "marriage": couple(MOTHER, OTHER) });
    assert_eq!(reason("civil-status", "2026-06-06", marriage), RejectionReason::Conflict);
    let divorce = json!({ "divorce": couple(MOTHER, OTHER) });
    assert_eq!(reason("civil-status", "2026-06-06", divorce), RejectionReason::Unlikely);
    let card = json!({ "identity_card_issued": {
        "person": { "personal_id": OTHER },
        "card": { "issued_on": "2026-11-11", "issued_by": "CA" },
    } });
    assert_eq!(reason("citizen-id", "2026-11-11", card.clone()), RejectionReason::Unspecified);
    assert_eq!(
        reason("civil-status", "2026-10-10", death(OTHER, "2026-10-10")),
        RejectionReason::Unspecified
    );
    assert_eq!(reason("citizen-id", "2026-11-12", card), RejectionReason::Unlikely);
}

#[test]
fn two_records_become_one_and_every_number_leads_there() {
    let mut office = Office::open();
    let twice = |gone: &str| json!({ "records_merged": { "kept": { "personal_id": FATHER }, "merged": { "personal_id": gone } } });
    let row = office.hand_in("citizen-id", "2026-11-01", twice(OTHER));
    assert_eq!(row.reason(), RejectionReason::Unlikely);
    let row = office.decide(row.review, true);
    assert!(accepted(&row));
    assert_eq!(office.citizen(OTHER).personal_id, FATHER);
    assert_eq!(office.citizen(FATHER).former_personal_ids.unwrap().values, [OTHER]);
    let again = json!({ "number_reestablished": { "person": { "personal_id": OTHER } } });
    let row = office.hand_in("citizen-id", "2026-11-02", again);
    assert!(accepted(&row), "{}", row.message);
    let number = office.of(&row);
    for former in [FATHER, OTHER, &number] {
        assert_eq!(office.citizen(former).personal_id, number);
    }
    let cancelled = json!({ "number_cancelled": { "persons": [{ "personal_id": MOTHER }] } });
    assert!(accepted(&office.hand_in("citizen-id", "2026-11-03", cancelled)));
    assert!(office.stored(MOTHER).is_none());
    assert_eq!(office.registry.view().citizens().unwrap(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_order_of_arrival_does_not_matter(order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle()) {
        let mut office = Office::open();
        let all = [
            ("residence", "2026-05-01", moved(OTHER, "5")),
            ("residence", "2026-06-01", moved(OTHER, "6")),
            ("residence", "2026-07-01", json!({ "permanent_residence_removed": { "persons": [{ "personal_id": OTHER }] } })),
            ("civil-status", "2026-08-01", death(FATHER, "2026-08-01")),
            ("residence", "2026-08-09", death(FATHER, "2026-08-09")),
            ("portal", "2026-08-10", json!({ "contact_changed": { "person": { "personal_id": OTHER }, "email": "a@b.vn" } })),
        ];
        for at in order {
            let (role, day, event) = all[at].clone();
            let row = office.hand_in(role, day, event);
            prop_assert!(accepted(&row), "{}", row.message);
        }
        let other = office.citizen(OTHER);
        prop_assert_eq!(other.permanent_residence, None);
        prop_assert_eq!(other.email, "a@b.vn");
        prop_assert_eq!(office.citizen(FATHER).date_of_death.unwrap().day, 1);
        prop_assert_eq!(office.citizen(MOTHER).marital_status, "3");
    }
}

#[test]
fn somebody_looks_at_a_birth_whose_mother_is_registered_as_a_man() {
    let mut office = Office::open();
    for (role, wrong, sex) in [("mother", OTHER, "man"), ("father", MOTHER, "woman")] {
        let mut event = birth("Nguyễn Thị Con", "2026-11-20");
        event["birth"]["father"].take();
        event["birth"]["mother"].take();
        event["birth"][role] = json!({ "personal_id": wrong });
        let row = office.hand_in("civil-status", "2026-11-20", event);
        assert_eq!((row.state(), row.reason()), (ContributionState::InReview, RejectionReason::Unlikely));
        assert_eq!(row.message, format!("the {role} is registered as a {sex}"));
    }
    assert!(accepted(&office.hand_in("civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"))));
}

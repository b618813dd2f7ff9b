//! What goes wrong on the way, and what nobody may do.

use super::*;

fn correct(of: &HandedIn) -> Value {
    json!({ "correction": { "contribution_id": of.uuid().to_string() } })
}

fn address(office: &Office, of: &str) -> String {
    office.citizen(of).permanent_residence.unwrap().detail
}

#[test]
fn who_waits_for_two_births_waits_for_each_in_turn() {
    let mut office = Office::open();
    let twins = [Uuid::now_v7(), Uuid::now_v7()];
    let member = |id: &Uuid| json!({ "person": { "born_by": id.to_string() }, "relation": "con" });
    let home = json!({ "permanent_residence_registered": {
        "members": twins.iter().map(member).collect::<Vec<_>>(),
        "address": { "commune": "00004", "detail": "5 Hàng Bài" },
    } });
    let waits = office.hand_in("residence", "2026-11-22", home);
    assert_eq!(waits.reason(), RejectionReason::Waits);
    let mut born = Vec::new();
    for (id, name) in twins.iter().zip(["Nguyễn Thị Cả", "Nguyễn Thị Hai"]) {
        let waiting = |of: Uuid| waiting::of(&office.registry.view(), of).unwrap().len();
        assert_eq!(twins.map(waiting).iter().sum::<usize>(), 1, "it waits for one of them");
        born.push(office.hand_in_as(*id, "civil-status", "2026-11-20", birth(name, "2026-11-20")));
        office.look_again();
    }
    assert!(waiting::all(&office.registry.view()).unwrap().is_empty());
    for child in &born {
        assert_eq!(address(&office, &office.of(child)), "5 Hàng Bài");
    }
    assert!(review::all(&office.registry.view(), false).unwrap().is_empty());
}

#[test]
fn what_comes_again_at_a_place_given_again_leaves_the_one_that_was_there() {
    let mut office = Office::open();
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    let there = office.hand_in_as(ids[0], "residence", "2026-09-01", moved(OTHER, "9 Mới"));
    office.hand_in_as(ids[1], "residence", "2026-09-02", moved(MOTHER, "9 Sau"));
    // The outbox is put back from a copy that had neither.
    office.sequence = 0;
    let again = office.hand_in_as(ids[1], "residence", "2026-09-02", moved(MOTHER, "9 Sau"));
    assert!(accepted(&again), "{}", again.message);
    let view = office.registry.view();
    let known = handed_in::in_view(&view, ids[0]).unwrap().unwrap();
    assert_eq!(known.uuid(), ids[0]);
    assert_eq!(known.revision, there.revision);
    drop(view);
    let repeated = office.hand_in_as(ids[0], "residence", "2026-09-01", moved(OTHER, "9 Mới"));
    assert_eq!((repeated.revision, repeated.reason()), (there.revision, RejectionReason::Unspecified));
}

#[test]
fn an_outbox_is_its_nodes_and_another_node_takes_no_place_of_it() {
    let mut office = Office::open();
    let ours = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Mới"));
    let theirs = |sequence| HandedIn { node: "other".into(), sequence, ..ours.clone() };
    let (sender, view) = (ours.node.clone(), office.registry.view());
    let stands = |node: &str| outbox::standing(&view, node, &ours.outbox, &[]).unwrap().last_sequence;
    assert_eq!(stands(&sender), 1);
    assert_eq!(stands("other"), 0);
    assert_ne!(theirs(1).name(), ours.name());
}

#[test]
fn who_has_less_authority_takes_nothing_back() {
    let mut office = Office::open();
    let died = office.hand_in("civil-status", "2026-11-01", death(FATHER, "2026-11-01"));
    let refused = office.hand_in("residence", "2026-11-27", correct(&died));
    assert_eq!(refused.reason(), RejectionReason::NotAuthoritative, "{}", refused.message);
    assert_eq!(office.citizen(FATHER).date_of_death.unwrap().day, 1);
    let theirs = office.hand_in("residence", "2026-11-05", death(OTHER, "2026-11-05"));
    let better = office.hand_in("civil-status", "2026-11-27", correct(&theirs));
    assert!(accepted(&better), "{}", better.message);
    assert_eq!(office.citizen(OTHER).date_of_death, None);
}

#[test]
fn what_falls_in_review_is_nobodys_word_afterwards() {
    let mut office = Office::open();
    let first = office.hand_in("residence", "2026-08-01", moved(OTHER, "7 Sai"));
    office.hand_in("residence", "2026-09-01", moved(OTHER, "8 Sau"));
    office.hand_in("residence", "2026-10-01", moved(OTHER, "9 Sau nữa"));
    office.hand_in("residence", "2026-11-01", correct(&first));
    let open = review::all(&office.registry.view(), false).unwrap();
    assert_eq!(open.len(), 2);
    office.decide(open[1].number, false);
    assert_eq!(address(&office, OTHER), "8 Sau");
    office.decide(open[0].number, false);
    assert_eq!(address(&office, OTHER), "1 Cũ", "as it was before all of them");
}

#[test]
fn an_item_goes_with_the_last_event_that_has_it() {
    let mut office = Office::open();
    let born = office.hand_in("civil-status", "2026-11-20", birth("Nguyễn Thị Con", "2026-11-20"));
    let recognised = json!({ "parent_recognised": {
        "child": { "personal_id": office.of(&born) }, "parent": { "personal_id": FATHER },
    } });
    let recognised = office.hand_in("civil-status", "2026-11-21", recognised);
    assert!(accepted(&recognised), "{}", recognised.message);
    let mut correct = correct(&born);
    correct["correction"]["instead"] = birth("Nguyễn Thị Đúng", "2026-11-20");
    let corrected = office.hand_in("civil-status", "2026-11-20", correct);
    assert!(accepted(&corrected), "{}", corrected.message);
    let named =
        |office: &Office| office.citizen(FATHER).children.unwrap().items[0].name.clone().unwrap().full();
    assert_eq!(named(&office), "Nguyễn Thị Con", "as it was recognised");
    let open = review::all(&office.registry.view(), false).unwrap();
    let rests = open.iter().find(|review| review.contribution == recognised.name()).unwrap();
    office.decide(rests.number, false);
    assert_eq!(named(&office), "Nguyễn Thị Đúng");
    assert_eq!(office.citizen(FATHER).children.unwrap().items.len(), 1);
}

#[test]
fn a_node_is_not_told_what_the_registry_has_of_others() {
    let mut office = Office::open();
    office.hand_in("civil-status", "2026-11-01", death(FATHER, "2026-11-01"));
    let looked_at = office.hand_in("civil-status", "2026-11-03", death(FATHER, "2026-11-03"));
    assert_eq!(looked_at.reason(), RejectionReason::Conflict);
    assert!(looked_at.message.contains("dead on another day"), "for those who decide");
    assert!(!looked_at.outcome().message.contains("dead"), "{}", looked_at.outcome().message);
}

#[test]
fn those_after_one_that_has_to_wait_keep_their_order() {
    let order = super::super::Order::default();
    assert_eq!(order.keep(|| Ok(1)).unwrap(), 1);
    assert!(order.keep(|| Err::<u32, _>(CommitError::Stale)).is_err());
    assert!(matches!(order.keep(|| Ok(2)), Err(CommitError::Stale)));
}

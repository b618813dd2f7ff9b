//! Side by side, for those who decide.

use dancu_proto::hub::v1::ReviewSide;

use super::*;
use crate::review::Sides;

fn sides(office: &Office, row: &HandedIn) -> Vec<ReviewSide> {
    let row = handed_in::in_view(&office.registry.view(), row.uuid()).unwrap().unwrap();
    let review = review::by_number(&office.registry.view(), row.review).unwrap().unwrap();
    let (registry, authority) = (&office.registry, &*office.authority);
    Sides { registry, authority, areas: Areas::shipped(), now: NOW }.of(&review, &row).unwrap()
}

fn of<'a>(sides: &'a [ReviewSide], number: &str) -> &'a ReviewSide {
    sides.iter().find(|side| side.personal_id == number).unwrap()
}

fn homes(side: &ReviewSide) -> (String, String) {
    let home = |of: &Option<Citizen>| of.clone().unwrap().permanent_residence.unwrap_or_default().detail;
    (home(&side.registered), home(&side.handed_in))
}

#[test]
fn what_the_registry_had_stands_beside_what_was_decided_on() {
    for accept in [true, false] {
        let mut office = Office::open();
        office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Mới"));
        let other = office.hand_in("residence", "2026-09-01", moved(OTHER, "9 Khác"));
        assert_eq!(other.reason(), RejectionReason::Conflict);
        for decided in [false, true] {
            if decided {
                office.decide(other.review, accept);
                // What comes later is not what was there when it was decided.
                assert!(accepted(&office.hand_in("residence", "2026-10-01", moved(OTHER, "10 Sau"))));
            }
            let sides = sides(&office, &other);
            let side = of(&sides, OTHER);
            assert_eq!(homes(side), ("9 Mới".into(), "9 Khác".into()), "{accept} {decided}");
            assert_eq!(side.full_name, "Lê Văn Khác");
            let home: i32 = dancu_proto::v1::Field::from(Field::PermanentResidence).into();
            let source = side.sources.iter().find(|source| source.field == home).unwrap();
            assert_eq!(source.source, "agency residence");
        }
    }
}

#[test]
fn a_birth_shows_the_child_and_what_the_parents_get() {
    let mut office = Office::open();
    let first = birth("Nguyễn Thị Con", "2026-06-20");
    assert!(accepted(&office.hand_in("civil-status", "2026-06-20", first)));
    // Too soon after.
    let second = office.hand_in("civil-status", "2026-11-20", birth("Nguyễn Thị Em", "2026-11-20"));
    assert_eq!(second.reason(), RejectionReason::Unlikely, "{}", second.message);
    for decided in [false, true] {
        if decided {
            assert!(accepted(&office.decide(second.review, true)));
        }
        let sides = sides(&office, &second);
        let child = sides.iter().find(|side| side.enters).unwrap();
        assert_eq!((child.full_name.as_str(), child.gets_number), ("Nguyễn Thị Em", !decided));
        assert_eq!(child.personal_id.is_empty(), !decided, "a number that is not given yet is not shown");
        let mother = of(&sides, MOTHER);
        let named = |of: &Option<Citizen>| {
            let children = of.clone().unwrap().children.unwrap_or_default().items.into_iter();
            children.map(|child| child.name.unwrap().full()).collect::<Vec<_>>()
        };
        assert_eq!(named(&mother.registered), ["Nguyễn Thị Con"]);
        assert_eq!(named(&mother.added), ["Nguyễn Thị Em"]);
        let added = mother.added.clone().unwrap().children.unwrap();
        assert_eq!(added.items[0].personal_id.is_empty(), !decided);
    }
}

#[test]
fn who_is_known_of_those_that_wait_for_a_birth_is_named() {
    let mut office = Office::open();
    let born_by = json!({ "born_by": Uuid::now_v7().to_string() });
    let recognised = json!({ "parent_recognised": {
        "child": born_by, "parent": { "personal_id": OTHER }, "mother": false,
    } });
    let waits = office.hand_in("civil-status", "2026-11-22", recognised);
    assert_eq!(waits.reason(), RejectionReason::Waits);
    let sides = sides(&office, &waits);
    assert_eq!((sides.len(), of(&sides, OTHER).full_name.as_str()), (1, "Lê Văn Khác"));
}

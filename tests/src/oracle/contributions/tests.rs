//! The model itself: what it says of a few lives that one can work out by hand, and that order does not
//! matter to it.

use dancu_proto::v1::{Citizen, Contribution, Date, Event, event::Event as Kind};
use serde_json::{Value, json};

use super::*;
use crate::population::draw::Chance;

/// A table of authority for tests.
pub(crate) fn table() -> Authority {
    Authority::parse(
        r#"
        [roles.civil-status]
        title = "Hộ tịch"
        events = ["birth", "death", "marriage", "divorce", "adoption", "parent_recognised", "civil_status_corrected", "missing", "found", "correction"]
        [roles.residence]
        events = ["death", "permanent_residence_registered", "permanent_residence_removed", "moved", "temporary_residence_registered", "temporary_residence_removed", "absence_declared", "household_head_changed", "contact_changed", "correction"]
        [roles.citizen-id]
        events = ["identity_card_issued", "old_number_linked", "number_reestablished", "number_cancelled", "records_merged", "contact_changed", "blood_type", "correction"]
        [roles.health]
        events = ["blood_type", "correction"]
        [fields]
        full_name = ["civil-status"]
        other_name = ["civil-status"]
        date_of_birth = ["civil-status"]
        sex = ["civil-status"]
        place_of_birth = ["civil-status"]
        place_of_birth_registration = ["civil-status"]
        place_of_origin = ["civil-status", "residence"]
        ethnicity = ["civil-status"]
        nationality = ["civil-status"]
        father = ["civil-status"]
        mother = ["civil-status"]
        spouse = ["civil-status"]
        children = ["civil-status"]
        marital_status = ["civil-status"]
        date_of_death = ["civil-status", "residence"]
        date_missing = ["civil-status"]
        permanent_residence = ["residence"]
        temporary_residence = ["residence"]
        temporary_absence = ["residence"]
        residence_file_number = ["residence"]
        household_head = ["residence"]
        household_members = ["residence"]
        relation_to_household_head = ["residence"]
        identity_cards = ["citizen-id"]
        old_id_number = ["citizen-id"]
        blood_type = ["health", "citizen-id"]
        mobile_number = ["residence", "citizen-id"]
        email = ["residence", "citizen-id"]
        "#,
    )
    .unwrap()
}

const AN: &str = "001085000001";
const BINH: &str = "001185000002";

fn citizen(values: Value) -> Citizen {
    serde_json::from_value(values).unwrap()
}

fn people() -> Vec<Citizen> {
    vec![
        citizen(json!({
            "personal_id": AN, "full_name": "Nguyễn Văn An", "date_of_birth": "1985-02-03", "sex": "1",
            "marital_status": "2", "spouse": { "name": "Trần Thị Bình", "personal_id": BINH },
        })),
        citizen(json!({
            "personal_id": BINH, "full_name": "Trần Thị Bình", "date_of_birth": "1985-04-05", "sex": "2",
            "marital_status": "2", "spouse": { "name": "Nguyễn Văn An", "personal_id": AN },
        })),
    ]
}

fn by(number: &str) -> Option<dancu_proto::v1::PersonRef> {
    let by = dancu_proto::v1::person_ref::By::PersonalId(number.into());
    Some(dancu_proto::v1::PersonRef { by: Some(by) })
}

fn born_by(id: &str) -> Option<dancu_proto::v1::PersonRef> {
    let by = dancu_proto::v1::person_ref::By::BornBy(id.into());
    Some(dancu_proto::v1::PersonRef { by: Some(by) })
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn accepted(id: &str, revision: u64, role: &str, date: &str, kind: Kind) -> Accepted {
    let contribution = Contribution {
        id: id.into(),
        effective_date: Some(day(date)),
        event: Some(Event { event: Some(kind) }),
        ..Contribution::default()
    };
    Accepted { contribution, role: role.into(), revision, decided: false, personal_id: String::new() }
}

fn after(told: Vec<Accepted>) -> Register {
    let told = told.into_iter().map(|one| Told::Accepted(Box::new(one))).collect();
    let register = Register::new(table(), &people()).after(told);
    assert_eq!(register.faults(), [] as [String; 0]);
    register
}

fn blood(code: &str) -> Kind {
    Kind::BloodType(dancu_proto::v1::BloodType { person: by(AN), blood_type: code.into() })
}

fn correction(of: &str, instead: Option<Kind>) -> Kind {
    let instead = instead.map(|kind| Box::new(Event { event: Some(kind) }));
    Kind::Correction(Box::new(dancu_proto::v1::Correction { contribution_id: of.into(), instead }))
}

#[test]
fn authority_comes_before_the_day_and_the_day_before_what_came_last() {
    let value = |told: Vec<Accepted>| after(told).records()[AN]["blood_type"].clone();
    let low = accepted("a", 5, "citizen-id", "2026-02-02", blood("01"));
    let high = accepted("b", 4, "health", "2020-01-01", blood("02"));
    let late = accepted("c", 6, "health", "2019-01-01", blood("03"));
    assert_eq!(value(vec![low.clone()]), "01");
    assert_eq!(value(vec![low.clone(), high.clone(), late.clone()]), "02");
    // Unknown days are the earliest they can be.
    let year = accepted("d", 7, "health", "2020", blood("04"));
    assert_eq!(value(vec![low.clone(), high.clone(), late.clone(), year]), "02");
    // A decision is greater than what is alike otherwise.
    let decided = Accepted { decided: true, ..accepted("e", 2, "health", "2020-01-01", blood("04")) };
    assert_eq!(value(vec![low.clone(), high.clone(), decided]), "04");
    // What is taken back leaves what is next.
    let undo = accepted("f", 9, "health", "2026-01-01", correction("b", None));
    assert_eq!(value(vec![low, high, late, undo]), "03");
}

#[test]
fn two_that_are_alike_and_differ_are_a_fault_unless_one_is_decided() {
    let one = accepted("a", 1, "health", "2026-01-01", blood("01"));
    let other = accepted("b", 2, "health", "2026-01-01", blood("02"));
    let told = |other| vec![Told::Accepted(Box::new(one.clone())), Told::Accepted(Box::new(other))];
    let faults = |other| Register::new(table(), &people()).after(told(other)).faults().len();
    assert_eq!(faults(other.clone()), 1);
    assert_eq!(faults(Accepted { decided: true, ..other }), 0);
}

#[test]
fn a_death_leaves_a_widow_until_it_is_taken_back() {
    let death =
        Kind::Death(dancu_proto::v1::Death { person: by(AN), date_of_death: Some(day("2026-03-03")) });
    let death = accepted("d", 1, "civil-status", "2026-03-03", death);
    let register = after(vec![death.clone()]);
    assert_eq!(register.records()[BINH].get("spouse"), None);
    assert_eq!(register.records()[BINH]["marital_status"], "3");
    assert_eq!(register.records()[AN]["date_of_death"], "2026-03-03");
    assert_eq!(register.claimed_by("d").len(), 3);
    let undone = after(vec![death, accepted("e", 2, "civil-status", "2026-03-04", correction("d", None))]);
    assert_eq!(undone.records(), Register::new(table(), &people()).records());
}

#[test]
fn a_birth_gives_a_number_and_a_correction_another_only_if_it_must() {
    let child = |sex: &str, name: &str| {
        let child = json!({
            "full_name": name, "date_of_birth": "2026-05-05", "sex": sex,
            "place_of_birth_registration": { "province": "01", "commune": "00004" },
        });
        Kind::Birth(dancu_proto::v1::Birth {
            child: Some(citizen(child).into()),
            father: by(AN),
            mother: by(BINH),
        })
    };
    let given = |accepted: Accepted, number: &str| Accepted { personal_id: number.into(), ..accepted };
    let birth =
        given(accepted("b", 1, "civil-status", "2026-05-05", child("1", "Nguyễn Minh")), "001226000007");
    let dead =
        Kind::Death(dancu_proto::v1::Death { person: born_by("b"), date_of_death: Some(day("2026-05-06")) });
    let dead = accepted("d", 2, "civil-status", "2026-05-06", dead);
    let renamed =
        accepted("c", 3, "civil-status", "2026-05-05", correction("b", Some(child("1", "Nguyễn Mẫn"))));
    let register = after(vec![birth.clone(), dead.clone(), renamed.clone()]);
    let records = register.records();
    assert_eq!(records["001226000007"]["full_name"], "Nguyễn Mẫn");
    assert_eq!(records["001226000007"]["date_of_death"], "2026-05-06");
    assert_eq!(records[AN]["children"].as_array().unwrap().len(), 1);
    assert_eq!(records[AN]["children"][0]["name"], "Nguyễn Mẫn");
    let girl =
        accepted("c", 3, "civil-status", "2026-05-05", correction("b", Some(child("2", "Nguyễn Mai"))));
    let register = after(vec![birth.clone(), dead.clone(), given(girl, "001326000008")]);
    assert_eq!(register.records()["001326000008"]["former_personal_ids"], json!(["001226000007"]));
    assert_eq!(register.leads()["001226000007"], "001326000008");
    let gone = accepted("c", 3, "civil-status", "2026-05-05", correction("b", None));
    let register = after(vec![birth, dead, gone]);
    assert_eq!(register.records().len(), 2);
    assert_eq!(register.dead_numbers(), ["001226000007"]);
    assert_eq!(register.records()[AN].get("children"), None);
}

#[test]
fn a_merged_record_leads_to_the_one_that_stays() {
    let merged = Kind::RecordsMerged(dancu_proto::v1::RecordsMerged { kept: by(AN), merged: by(BINH) });
    let register = after(vec![accepted("m", 1, "citizen-id", "2026-05-05", merged)]);
    assert_eq!(register.records()[AN]["former_personal_ids"], json!([BINH]));
    assert_eq!(register.leads()[BINH], AN);
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let contact = |mobile: &str| {
        Kind::ContactChanged(dancu_proto::v1::Contact {
            person: by(AN),
            mobile_number: mobile.into(),
            email: String::new(),
        })
    };
    let mut chance = Chance::new(4, 0);
    let mut told = Vec::new();
    for count in 0..40u32 {
        let date = format!("2026-{:02}-{:02}", 1 + count % 12, 1 + count % 28);
        let role = ["residence", "citizen-id"][count as usize % 2];
        told.push(accepted(&format!("c{count}"), 0, role, &date, contact(&format!("09000000{count:02}"))));
    }
    told.push(accepted("undo", 0, "residence", "2026-01-01", correction("c38", None)));
    let mut first = None;
    for _ in 0..20 {
        // A correction comes after what it corrects; all else in any order.
        let mut order: Vec<u64> = (1..=40).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, chance.below(at as u32 + 1) as usize);
        }
        order.push(41);
        let told =
            told.iter().zip(&order).map(|(one, revision)| Accepted { revision: *revision, ..one.clone() });
        let records = after(told.collect()).records();
        assert_eq!(first.get_or_insert_with(|| records.clone()), &records);
    }
}

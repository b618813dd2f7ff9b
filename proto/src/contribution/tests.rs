//! What is checked of each kind of event, its JSON, and its sealing.

use prost_types::Timestamp;
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256,
    hpke::{Hpke, HpkePrivateKey},
};

use super::*;
use crate::{
    Areas, Violation,
    v1::{CaseRequest, Contribution, DataKey, Date, PersonRef, QueuedContribution, event::Event as Kind},
};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";
const AN: &str = r#"{"personal_id":"001185001234"}"#;
const BINH: &str = r#"{"personal_id":"001085005678"}"#;
const FOREIGNER: &str = r#"{"unregistered":{"name":"John Smith","nationality":["GB"]}}"#;
const HOME: &str = r#"{"commune":"00004","detail":"12 Hàng Bài"}"#;
const CHILD: &str = r#"{"full_name":"Nguyễn Văn Bé","date_of_birth":"2026-01-02","sex":"1",
    "place_of_birth_registration":{"commune":"00004"},"ethnicity":"01","nationality":["VN"]}"#;

fn today() -> Date {
    Date::from_number(20_260_601)
}

fn with(event: &str) -> Contribution {
    serde_json::from_str(&format!(
        r#"{{"id":"{ID}","context":{{"purpose":"1.001193","case_number":"HS-1","officer":"CB-7"}},
            "effective_date":"2026-01-02",
            "document":{{"number":"12/KS","date":"2026-01-05","issued_by":"UBND phường Hoàn Kiếm"}},
            "event":{event}}}"#
    ))
    .unwrap_or_else(|error| panic!("{error}: {event}"))
}

fn faults(event: &str) -> Vec<String> {
    found(&mut with(event))
}

fn found(contribution: &mut Contribution) -> Vec<String> {
    let violations = validate(contribution, Some(Areas::shipped()), today()).err().unwrap_or_default();
    violations.into_iter().map(|Violation { field, .. }| field).collect()
}

/// One good event of each kind.
fn good() -> Vec<String> {
    vec![
        format!(r#"{{"birth":{{"child":{CHILD},"mother":{AN},"father":{FOREIGNER}}}}}"#),
        format!(r#"{{"death":{{"person":{AN},"date_of_death":"2026-01-02"}}}}"#),
        format!(r#"{{"marriage":{{"one":{AN},"other":{FOREIGNER}}}}}"#),
        format!(r#"{{"divorce":{{"one":{AN},"other":{BINH}}}}}"#),
        format!(r#"{{"adoption":{{"child":{{"born_by":"{OTHER}"}},"mother":{AN}}}}}"#),
        format!(r#"{{"parent_recognised":{{"child":{AN},"parent":{BINH}}}}}"#),
        format!(
            r#"{{"civil_status_corrected":{{"person":{AN},"set":{{"full_name":"Nguyễn An"}},"clear":["religion"]}}}}"#
        ),
        format!(
            r#"{{"permanent_residence_registered":{{"members":[{{"person":{AN}}},{{"person":{BINH},"relation":"chồng"}}],"address":{HOME},"household_head":{AN}}}}}"#
        ),
        format!(r#"{{"permanent_residence_removed":{{"persons":[{AN},{BINH}]}}}}"#),
        format!(r#"{{"moved":{{"members":[{{"person":{AN}}}],"address":{HOME}}}}}"#),
        format!(
            r#"{{"temporary_residence_registered":{{"persons":[{AN}],"stay":{{"address":{HOME},"from":"2026-01-02"}}}}}}"#
        ),
        format!(r#"{{"temporary_residence_removed":{{"persons":[{AN}]}}}}"#),
        format!(
            r#"{{"absence_declared":{{"person":{AN},"absence":{{"from":"2026-07-01","until":"2026-08-01"}}}}}}"#
        ),
        format!(
            r#"{{"household_head_changed":{{"residence_file_number":"HK-1","head":{AN},"members":[{{"person":{BINH},"relation":"chồng"}}]}}}}"#
        ),
        format!(
            r#"{{"identity_card_issued":{{"person":{AN},"card":{{"issued_on":"2026-01-02","expires_on":"2041-01-02"}}}}}}"#
        ),
        format!(r#"{{"old_number_linked":{{"person":{AN},"old_id_number":"012345678"}}}}"#),
        format!(r#"{{"blood_type":{{"person":{AN},"blood_type":"01"}}}}"#),
        format!(r#"{{"contact_changed":{{"person":{AN},"mobile_number":"0912345678"}}}}"#),
        format!(r#"{{"missing":{{"persons":[{AN}]}}}}"#),
        format!(r#"{{"found":{{"persons":[{AN}]}}}}"#),
        format!(r#"{{"number_reestablished":{{"person":{AN}}}}}"#),
        format!(r#"{{"number_cancelled":{{"persons":[{AN}]}}}}"#),
        format!(r#"{{"records_merged":{{"kept":{AN},"merged":{BINH}}}}}"#),
        format!(
            r#"{{"correction":{{"contribution_id":"{OTHER}","instead":{{"death":{{"person":{AN},"date_of_death":"2026-01-02"}}}}}}}}"#
        ),
    ]
}

#[test]
fn a_good_event_of_each_kind_passes_and_its_json_comes_back() {
    let good = good();
    let names: Vec<_> = good.iter().map(|event| event_name(with(event).event.as_ref().unwrap())).collect();
    assert_eq!(names, EVENTS);
    for event in good {
        let mut contribution = with(&event);
        validate(&mut contribution, Some(Areas::shipped()), today())
            .unwrap_or_else(|all| panic!("{event}: {all:?}"));
        let json = serde_json::to_string(&contribution).unwrap();
        let mut read: Contribution = serde_json::from_str(&json).unwrap();
        validate(&mut read, Some(Areas::shipped()), today()).unwrap();
        assert_eq!(read, contribution, "{json}");
        let mut sealed_node = with(&event);
        validate(&mut sealed_node, None, today()).unwrap_or_else(|all| panic!("{event}: {all:?}"));
    }
}

#[test]
fn every_fault_of_an_event_is_named() {
    let refused = [
        (r#"{"birth":{}}"#.to_owned(), vec!["event.birth.child"]),
        (
            r#"{"birth":{"child":{"personal_id":"001185001234","date_of_birth":"2026-01-02","father":{"name":"A"}}}}"#
                .into(),
            vec![
                "event.birth.child.personal_id",
                "event.birth.child.father",
                "event.birth.child.full_name",
                "event.birth.child.sex",
                "event.birth.child.place_of_birth_registration",
            ],
        ),
        (format!(r#"{{"birth":{{"child":{CHILD},"mother":{AN},"father":{AN}}}}}"#), vec!["event.birth.mother"]),
        (format!(r#"{{"birth":{{"child":{CHILD},"mother":{{"born_by":"{ID}"}}}}}}"#), vec![
            "event.birth.mother.born_by",
        ]),
        (format!(r#"{{"death":{{"person":{FOREIGNER}}}}}"#), vec![
            "event.death.person",
            "event.death.date_of_death",
        ]),
        (format!(r#"{{"death":{{"person":{AN},"date_of_death":"2026-01-03"}}}}"#), vec!["effective_date"]),
        (r#"{"death":{"person":{"personal_id":"00118500123"},"date_of_death":"2026-01-02"}}"#.into(), vec![
            "event.death.person.personal_id",
        ]),
        (format!(r#"{{"marriage":{{"one":{AN},"other":{AN}}}}}"#), vec!["event.marriage.other"]),
        (format!(r#"{{"marriage":{{"one":{FOREIGNER},"other":{FOREIGNER}}}}}"#), vec!["event.marriage"]),
        (format!(r#"{{"divorce":{{"one":{AN}}}}}"#), vec!["event.divorce.other"]),
        (format!(r#"{{"adoption":{{"child":{AN}}}}}"#), vec!["event.adoption"]),
        (format!(r#"{{"parent_recognised":{{"child":{AN},"parent":{{"unregistered":{{}}}}}}}}"#), vec![
            "event.parent_recognised.parent.unregistered.name",
        ]),
        (
            format!(
                r#"{{"civil_status_corrected":{{"person":{AN},"set":{{"mother":{{"name":"B"}},"permanent_residence":{HOME},"sex":"9"}},"clear":["full_name","spouse","sex"]}}}}"#
            ),
            vec![
                "event.civil_status_corrected.set.mother",
                "event.civil_status_corrected.set.permanent_residence",
                "event.civil_status_corrected.set.sex",
                "event.civil_status_corrected.clear",
                "event.civil_status_corrected.clear",
                "event.civil_status_corrected.clear",
            ],
        ),
        (format!(r#"{{"civil_status_corrected":{{"person":{AN}}}}}"#), vec!["event.civil_status_corrected"]),
        (r#"{"moved":{"members":[],"address":{"commune":"99999"}}}"#.into(), vec![
            "event.moved.members",
            "event.moved.address.commune",
        ]),
        (format!(r#"{{"moved":{{"members":[{{"person":{AN}}}],"address":{{"country":"LA"}}}}}}"#), vec![
            "event.moved.address",
        ]),
        (format!(r#"{{"missing":{{"persons":[{AN},{BINH},{AN}]}}}}"#), vec!["event.missing.persons[2]"]),
        (
            format!(
                r#"{{"household_head_changed":{{"head":{AN},"members":[{{"person":{AN}}}]}}}}"#
            ),
            vec![
                "event.household_head_changed.residence_file_number",
                "event.household_head_changed.members[0].person",
                "event.household_head_changed.members[0].relation",
            ],
        ),
        (format!(r#"{{"identity_card_issued":{{"person":{AN},"card":{{"issued_on":"2026-01-02","expires_on":"2025-01-01"}}}}}}"#), vec![
            "event.identity_card_issued.card",
        ]),
        (format!(r#"{{"old_number_linked":{{"person":{AN},"old_id_number":"123"}}}}"#), vec![
            "event.old_number_linked.old_id_number",
        ]),
        (format!(r#"{{"blood_type":{{"person":{AN},"blood_type":"x"}}}}"#), vec!["event.blood_type.blood_type"]),
        (format!(r#"{{"contact_changed":{{"person":{AN}}}}}"#), vec!["event.contact_changed"]),
        (format!(r#"{{"contact_changed":{{"person":{AN},"email":"nobody"}}}}"#), vec![
            "event.contact_changed.email",
        ]),
        (format!(r#"{{"records_merged":{{"kept":{AN},"merged":{AN}}}}}"#), vec!["event.records_merged.merged"]),
        (format!(r#"{{"correction":{{"contribution_id":"{ID}"}}}}"#), vec!["event.correction.contribution_id"]),
        (
            format!(
                r#"{{"correction":{{"contribution_id":"{OTHER}","instead":{{"correction":{{"contribution_id":"{OTHER}"}}}}}}}}"#
            ),
            vec!["event.correction.instead.correction"],
        ),
    ];
    for (event, fields) in refused {
        assert_eq!(faults(&event), fields, "{event}");
    }
}

#[test]
fn every_fault_of_the_rest_is_named() {
    type Spoil = fn(&mut Contribution);
    let faults: [(&str, Spoil); 14] = [
        ("id", |c| c.id = "x".into()),
        ("id", |c| c.id = "f47ac10b-58cc-4372-a567-0e02b2c3d479".into()),
        ("context.officer", |c| c.context.as_mut().unwrap().officer.clear()),
        ("context.case_number", |c| c.context.as_mut().unwrap().case_number = "x".repeat(65)),
        ("effective_date", |c| c.effective_date = Some(Date::from_number(20_260_602))),
        ("effective_date", |c| c.effective_date = Some(Date::from_number(17_991_231))),
        ("effective_date", |c| c.effective_date = None),
        ("document", |c| c.document = None),
        ("document.number", |c| c.document.as_mut().unwrap().number = " ".into()),
        ("document.issued_by", |c| c.document.as_mut().unwrap().issued_by.clear()),
        ("document.date", |c| c.document.as_mut().unwrap().date = None),
        ("document.date", |c| c.document.as_mut().unwrap().date = Some(Date::from_number(20_260_700))),
        ("event", |c| c.event = None),
        ("opens.procedure", |c| c.opens = Some(Default::default())),
    ];
    for (field, spoil) in faults {
        let mut contribution = with(&format!(r#"{{"missing":{{"persons":[{AN}]}}}}"#));
        spoil(&mut contribution);
        assert_eq!(found(&mut contribution), [field]);
    }
}

#[test]
fn nobody_hands_in_half_a_country_at_once() {
    let people = |many: u64| -> String {
        let people: Vec<_> = (0..many)
            .map(|number| format!(r#"{{"personal_id":"{}"}}"#, 100_185_000_000_u64 + number))
            .collect();
        format!(r#"{{"missing":{{"persons":[{}]}}}}"#, people.join(","))
    };
    assert_eq!(faults(&people(100)), Vec::<String>::new());
    assert_eq!(faults(&people(101)), ["event"]);
}

#[test]
fn a_mistake_that_is_made_very_often_is_not_named_as_often() {
    // Nobody, and somebody again and again.
    for person in [PersonRef::default(), serde_json::from_str(AN).unwrap()] {
        let mut missing = with(&format!(r#"{{"missing":{{"persons":[{AN}]}}}}"#));
        let Some(Kind::Missing(of)) = missing.event.as_mut().and_then(|event| event.event.as_mut()) else {
            panic!("people")
        };
        of.persons = vec![person.clone(); 3_000];
        assert_eq!(found(&mut missing), ["event"]);
        let mut moved = with(&format!(r#"{{"moved":{{"members":[{{"person":{AN}}}],"address":{HOME}}}}}"#));
        let Some(Kind::Moved(of)) = moved.event.as_mut().and_then(|event| event.event.as_mut()) else {
            panic!("a move")
        };
        of.members[0].person = Some(person);
        of.members = vec![of.members[0].clone(); 3_000];
        assert_eq!(found(&mut moved), ["event"]);
    }
    let mut cleared = with(&format!(r#"{{"civil_status_corrected":{{"person":{AN}}}}}"#));
    let Some(Kind::CivilStatusCorrected(of)) = cleared.event.as_mut().and_then(|event| event.event.as_mut())
    else {
        panic!("a correction")
    };
    of.clear = vec![9_999; 20_000];
    assert_eq!(found(&mut cleared), ["event.civil_status_corrected.clear"]);
    let mut asked = with(&format!(r#"{{"death":{{"person":{AN},"date_of_death":"2026-01-02"}}}}"#));
    let answers = (0..3_000).map(|number| (format!("?{number}"), String::new())).collect();
    asked.opens = Some(CaseRequest { procedure: "p".into(), answers, address: None });
    assert!(found(&mut asked).len() <= 100);
}

#[test]
fn the_day_follows_from_the_event_where_it_does() {
    let day = |event: &str| {
        let mut contribution = with(event);
        contribution.effective_date = None;
        found(&mut contribution);
        contribution.effective_date.map(|date| date.as_number())
    };
    let death = |date| format!(r#"{{"death":{{"person":{AN},"date_of_death":"{date}"}}}}"#);
    assert_eq!(day(&death("2025-11")), Some(20_251_100));
    let late = CHILD.replace("2026-01-02", "1961");
    assert_eq!(day(&format!(r#"{{"birth":{{"child":{late}}}}}"#)), Some(19_610_000), "an adult");
    let away = |from| format!(r#"{{"absence_declared":{{"person":{AN},"absence":{{"from":"{from}"}}}}}}"#);
    assert_eq!(day(&away("2026-05-01")), Some(20_260_501));
    assert_eq!(day(&away("2026-07-01")), None, "what is declared ahead has another day");
    assert_eq!(day(&format!(r#"{{"missing":{{"persons":[{AN}]}}}}"#)), None);
    let instead = death("2026-01-03");
    let correction = format!(r#"{{"correction":{{"contribution_id":"{OTHER}","instead":{instead}}}}}"#);
    assert_eq!(day(&correction), Some(20_260_103));
}

#[test]
fn a_task_is_answered_with_an_event_or_without() {
    let answer = |end: &str, note: &str, event: &str| {
        let json = format!(
            r#"{{"id":"{ID}","context":{{"purpose":"1","case_number":"2","officer":"3"}},
                "task":{{"case_id":"c","step":"card","end":"{end}","note":"{note}","answers":{{"number":"TE1"}}}}{event}}}"#
        );
        found(&mut serde_json::from_str(&json).unwrap())
    };
    assert_eq!(answer("done", "", ""), Vec::<String>::new());
    assert_eq!(answer("returned", "giấy tờ thiếu", ""), Vec::<String>::new());
    assert_eq!(answer("refused", "", ""), ["task.note"]);
    let event = format!(r#","event":{{"missing":{{"persons":[{AN}]}}}}"#);
    assert_eq!(answer("refused", "x", &event), ["event", "document", "effective_date"]);
}

#[test]
fn json_reads_as_the_message_does_and_refuses_what_it_does_not_know() {
    let json =
        r#"{"event":{"death":{"person":{"personal_id":"001185001234"},"date_of_death":"2026-01-02"}}}"#;
    let contribution: Contribution = serde_json::from_str(json).unwrap();
    assert_eq!(serde_json::to_string(&contribution).unwrap(), json);
    for misspelt in [
        r#"{"evnt":{}}"#,
        r#"{"event":{"deth":{}}}"#,
        r#"{"event":{"death":{"persons":{}}}}"#,
        r#"{"event":{"death":{"person":{"number":"1"}}}}"#,
        r#"{"event":{"death":{},"missing":{}}}"#,
        r#"{"event":{"civil_status_corrected":{"clear":["ful_name"]}}}"#,
        r#"{"task":{"end":"finished"}}"#,
    ] {
        assert!(serde_json::from_str::<Contribution>(misspelt).is_err(), "{misspelt}");
    }
}

#[test]
fn persons_are_named_in_order() {
    let of = |event: &str| persons(with(event).event.as_ref().unwrap()).len();
    let counts: Vec<_> = good().iter().map(|event| of(event)).collect();
    assert_eq!(counts, [2, 1, 2, 2, 2, 2, 1, 3, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1]);
}

#[test]
fn what_is_sealed_opens_for_the_hub_at_its_place_alone() {
    let (public, secret) = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().unwrap();
    let (other, stranger) = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().unwrap();
    let contribution = with(&good()[1]);
    let place = Place {
        node: "ha-noi",
        registry_id: &[1; 16],
        outbox: &[2; 16],
        sequence: 7,
        time: Timestamp { seconds: 1_780_000_000, nanos: 0 },
    };
    let sealer = Sealer::default();
    let queued = sealer.seal(&contribution, &place, &public.0).unwrap();
    let again = sealer.seal(&contribution, &place, &public.0).unwrap();
    assert!(queued.key == again.key && queued.nonce != again.nonce, "one key, and a nonce for each");
    let elsewhere = sealer.seal(&contribution, &place, &other.0).unwrap();
    assert_ne!(queued.key, elsewhere.key, "another hub, another key");
    let ours = Opener::new(&public.0, secret.secret_bytes().to_vec().into());
    let open = |queued: &QueuedContribution| ours.open(queued);
    assert_eq!(open(&queued).unwrap(), contribution);
    assert_eq!(open(&again).unwrap(), contribution);
    let stranger = || HpkePrivateKey::from(stranger.secret_bytes().to_vec());
    assert_eq!(Opener::new(&other.0, stranger()).open(&queued), Err(OpenError::Recipient));
    assert_eq!(Opener::new(&public.0, stranger()).open(&queued), Err(OpenError::Sealed));
    let moved = [
        QueuedContribution { sequence: 8, ..queued.clone() },
        QueuedContribution { node: "hue".into(), ..queued.clone() },
        QueuedContribution { outbox: vec![3; 16], ..queued.clone() },
        QueuedContribution { contribution_id: OTHER.into(), ..queued.clone() },
        QueuedContribution { nonce: again.nonce, ..queued.clone() },
        QueuedContribution {
            key: elsewhere.key.map(|key| DataKey { recipient: again.key.unwrap().recipient, ..key }),
            ..queued
        },
    ];
    for queued in moved {
        assert_eq!(open(&queued), Err(OpenError::Sealed));
    }
}

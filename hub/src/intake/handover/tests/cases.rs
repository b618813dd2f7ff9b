//! What contributions do to cases, in the same commit. Nobody has the tasks here: there is no agreement.

use dancu_proto::v1::StepState;

use super::*;
use crate::{
    intake::event::{Bench, Verdict},
    procedures::{Case, name_of_case},
    registry::{AgreementEvent, CommitError, DayBegins},
};

const DEATH: &str = "lien-thong-khai-tu";

impl Office {
    /// Registers an event that opens a case.
    fn opens(&mut self, role: &str, day: &str, event: Value, procedure: &str) -> HandedIn {
        let opens = json!({ "opens": { "procedure": procedure } });
        self.hand_in_with(Uuid::now_v7(), role, day, event, opens)
    }

    fn case(&self, of: &HandedIn) -> Option<Case> {
        let row = self.registry.view().row(procedures::TABLE, &name_of_case(of.uuid())).unwrap();
        row.map(|row| Case::decode(&row).unwrap())
    }

    fn states(&self, of: &HandedIn) -> Vec<StepState> {
        self.case(of).unwrap().steps.iter().map(|step| step.state).collect()
    }
}

fn correction(of: &HandedIn, instead: Option<Value>) -> Value {
    let mut correction = json!({ "contribution_id": of.uuid().to_string() });
    if let Some(instead) = instead {
        correction["instead"] = instead;
    }
    json!({ "correction": correction })
}

#[test]
fn a_death_that_is_taken_back_ends_its_case() {
    let mut office = Office::open();
    let row = office.opens("civil-status", "2026-11-01", death(FATHER, "2026-11-01"), DEATH);
    assert_eq!(
        office.states(&row),
        [StepState::Done, StepState::Open, StepState::Waiting],
        "{}",
        row.message
    );
    // On another day the same person is dead all the same.
    let other_day = correction(&row, Some(death(FATHER, "2026-11-02")));
    let corrected = office.hand_in("civil-status", "2026-11-02", other_day);
    assert!(accepted(&corrected), "{}", corrected.message);
    assert_eq!(office.states(&row)[1], StepState::Open);

    let mut office = Office::open();
    let row = office.opens("civil-status", "2026-11-01", death(FATHER, "2026-11-01"), DEATH);
    let somebody_else = correction(&row, Some(death(OTHER, "2026-11-01")));
    assert!(accepted(&office.hand_in("civil-status", "2026-11-01", somebody_else)));
    assert_eq!(office.states(&row), [StepState::Refused, StepState::Skipped, StepState::Skipped]);
}

#[test]
fn a_birth_that_is_taken_back_leaves_no_task_and_one_put_right_does() {
    let mut office = Office::open();
    let born = |office: &mut Office| {
        let event = birth("Nguyễn Thị Con", "2026-11-20");
        office.opens("civil-status", "2026-11-20", event, "lien-thong-khai-sinh")
    };
    let row = born(&mut office);
    assert_eq!(office.states(&row)[1], StepState::Open, "{}", row.message);
    // A boy: the child has another number, and the case goes on about the same child.
    let mut boy = birth("Nguyễn Văn Con", "2026-11-20");
    boy["birth"]["child"]["sex"] = "1".into();
    let corrected = office.hand_in("civil-status", "2026-11-20", correction(&row, Some(boy)));
    assert!(accepted(&corrected) && corrected.personal_id != row.personal_id, "{}", corrected.message);
    assert_eq!(office.states(&row)[1], StepState::Open);

    let mut office = Office::open();
    let row = born(&mut office);
    assert!(accepted(&office.hand_in("civil-status", "2026-11-27", correction(&row, None))));
    assert_eq!(office.states(&row), [StepState::Refused, StepState::Skipped, StepState::Skipped]);
}

#[test]
fn what_falls_in_review_ends_its_case_too() {
    let mut office = Office::open();
    let event = birth("Nguyễn Thị Con", "2026-11-20");
    let born = office.hand_in("civil-status", "2026-11-20", event);
    let of_child = death(&office.of(&born), "2026-11-21");
    let dead = office.opens("civil-status", "2026-11-21", of_child, DEATH);
    assert!(office.case(&dead).unwrap().closed_at.is_none(), "{}", dead.message);
    // The birth is put right; did this child die?
    let instead = Some(birth("Nguyễn Thị Đúng", "2026-11-20"));
    let corrected = office.hand_in("civil-status", "2026-11-20", correction(&born, instead));
    assert!(accepted(&corrected), "{}", corrected.message);
    let open = review::all(&office.registry.view(), false).unwrap();
    let of_death =
        open.iter().find(|review| review.contribution == dead.name()).expect("a review of the death");
    assert!(office.case(&dead).unwrap().closed_at.is_none());
    office.decide(of_death.number, false);
    assert!(office.case(&dead).unwrap().closed_at.is_some());
    assert_eq!(office.states(&dead)[0], StepState::Refused);
}

#[test]
fn what_cannot_open_a_case_is_rejected_before_anybody_looks_at_it() {
    let mut office = Office::open();
    assert!(accepted(&office.hand_in("civil-status", "2026-11-01", death(FATHER, "2026-11-01"))));
    let second = office.opens("civil-status", "2026-11-03", death(FATHER, "2026-11-03"), "no-such");
    assert!(second.is_rejected(), "{}", second.message);
    assert_eq!((second.fields.as_slice(), second.review), (&["opens.procedure".to_owned()][..], 0));
    let of_police = office.opens("residence", "2026-11-03", death(OTHER, "2026-11-03"), DEATH);
    assert_eq!(of_police.reason(), RejectionReason::NotAuthoritative);
    assert_eq!(office.citizen(OTHER).date_of_death, None);
    assert!(review::all(&office.registry.view(), false).unwrap().is_empty());
}

#[test]
fn what_is_accepted_in_review_counts_whatever_has_become_of_its_case() {
    let mut office = Office::open();
    let first = office.opens("civil-status", "2026-11-01", death(FATHER, "2026-11-01"), DEATH);
    let second = office.opens("civil-status", "2026-11-03", death(FATHER, "2026-11-03"), DEATH);
    assert_eq!(second.reason(), RejectionReason::Conflict);
    let decided = office.decide(second.review, true);
    assert!(accepted(&decided), "{}", decided.message);
    assert_eq!(office.citizen(FATHER).date_of_death.unwrap().day, 3);
    // One death, one case; who handed it in is told.
    assert!(office.case(&second).is_none() && office.case(&first).is_some());
    assert!(decided.message.contains("about the same"), "{}", decided.message);
    assert_eq!(decided.fields, ["opens"]);
    assert!(review::all(&office.registry.view(), false).unwrap().is_empty());
}

#[test]
fn one_death_of_two_offices_opens_one_case() {
    let mut office = Office::open();
    let first = office.opens("civil-status", "2026-11-01", death(FATHER, "2026-11-01"), DEATH);
    let second = office.opens("civil-status", "2026-11-01", death(FATHER, "2026-11-01"), DEATH);
    assert!(accepted(&first) && second.is_rejected(), "{}", second.message);
    assert_eq!(second.fields, ["opens"]);
    assert!(office.case(&second).is_none());
}

#[test]
fn the_case_of_a_death_knows_the_spouse() {
    let mut office = Office::open();
    let row = office.opens("civil-status", "2026-11-01", death(FATHER, "2026-11-01"), DEATH);
    let case = office.case(&row).unwrap();
    let persons: Vec<_> = case.persons.iter().map(|(role, id)| (role.as_str(), id.to_string())).collect();
    assert_eq!(persons, [("deceased", FATHER.to_owned()), ("spouse", MOTHER.to_owned())]);
}

#[test]
fn every_event_names_the_people_that_procedures_ask_for() {
    let office = Office::open();
    let persons = |role: &str, event: Value| {
        let event: dancu_proto::v1::Event = serde_json::from_value(event).unwrap();
        let asked = procedures::persons_of(dancu_proto::contribution::event_name(&event));
        let said =
            Contribution { effective_date: Some(TODAY), event: Some(event), ..Contribution::default() };
        let (authority, roles) = (Arc::clone(&office.authority), [role.to_owned()]);
        let found = Arc::new(std::sync::Mutex::new(Vec::new()));
        let into = Arc::clone(&found);
        let by = Arc::new(move |standing: &Standing<'_>| {
            let bench =
                Bench { authority: &authority, roles: &roles, areas: Areas::shipped(), decided: true };
            let Ok(Verdict::Counts(counts)) = crate::intake::event::judge(standing, bench, &said) else {
                panic!("it counts");
            };
            *into.lock().unwrap() = counts.persons;
            Ok(Decision::default())
        });
        office.decided(by, false);
        let mut found: Vec<_> =
            found.lock().unwrap().iter().map(|(role, id)| (*role, id.to_string())).collect();
        found.sort_unstable();
        assert!(found.iter().all(|(role, _)| asked.contains(role)));
        found
    };
    let who = |number: &str| json!({ "personal_id": number });
    let all =
        [("child", OTHER), ("father", FATHER), ("mother", MOTHER)].map(|(role, id)| (role, id.to_owned()));
    let adoption = json!({ "child": who(OTHER), "mother": who(MOTHER), "father": who(FATHER) });
    assert_eq!(persons("civil-status", json!({ "adoption": adoption })), all);
    assert_eq!(persons("residence", moved(OTHER, "9 Mới")), [("person", OTHER.to_owned())]);
    // Of several the first.
    let found = json!({ "found": { "persons": [who(FATHER), who(OTHER)] } });
    assert_eq!(persons("civil-status", found), [("person", FATHER.to_owned())]);
}

/// Begins the day, and applies an agreement that lets an agency do something in Ba Đình.
fn agree(office: &Office, agency: &str, role: &str) {
    let document = format!(
        "id = \"{agency}\"\nversion = 1\nagency = \"{agency}\"\ntitle = \"x\"\nlegal_basis = [\"x\"]\n\
         valid_from = 2026-01-01\noperations = [\"contribute\"]\ncontributes_as = [\"{role}\"]\n\
         fields = [\"full_name\"]\noffline_limit = \"7d\"\n[[purposes]]\ncode = \"2.002622\"\ntitle = \"x\"\n\
         [scope]\ncommunes = [\"00004\"]\n"
    );
    let (agreement, agency) = (agency.to_owned(), agency.to_owned());
    let content = Content::Agreement(AgreementEvent::Apply { agreement, agency, document });
    office.commit(Commit { origin: Origin::default(), content });
}

fn day_begins(office: &Office) {
    let policy = office.registry.view().policy_revision().unwrap();
    let begins = DayBegins {
        day: TODAY,
        agencies: Vec::new(),
        births: Vec::new(),
        moves: Arc::new(|_| false),
        policy,
    };
    office.commit(Commit { origin: Origin::default(), content: Content::Day(begins) });
}

#[test]
fn a_case_goes_by_the_agreements_and_the_roll_of_its_turn() {
    let mut office = Office::open();
    day_begins(&office);
    office.roll.add("police-n", "police", Duration::from_secs(60), NOW).unwrap();
    office.cases.lookout().refresh(&office.registry.view()).unwrap();
    agree(&office, "police", "residence");
    let opens = json!({ "opens": { "procedure": DEATH } });
    let event = death(FATHER, "2026-11-01");
    let early = office.prepared(Uuid::now_v7(), "civil-status", "2026-11-01", event.clone(), opens.clone());
    // What it would go by is not the agreements of its turn: nothing comes of it, and it is tried again.
    let turn = |office: &Office, prepared: &Prepared| {
        let (authority, cases) = (Arc::clone(&office.authority), Arc::clone(&office.cases));
        let prepared = prepared.clone();
        let by = Arc::new(move |standing: &Standing<'_>| {
            settle(standing, &authority, &cases, &prepared, &Told::default())
        });
        let content = Content::Decided(Decide { alone: false, by });
        office.runtime.block_on(office.registry.commit(Commit { origin: Origin::default(), content }))
    };
    assert!(matches!(turn(&office, &early), Err(CommitError::Stale)));
    assert_eq!(office.citizen(FATHER).date_of_death, None);
    // What concerns no case does not wait for that.
    let plain = office.prepared(Uuid::now_v7(), "residence", "2026-11-01", moved(OTHER, "9 Mới"), json!({}));
    assert!(turn(&office, &plain).is_ok());
    office.cases.lookout().refresh(&office.registry.view()).unwrap();
    assert!(turn(&office, &early).is_ok());
    let row = HandedIn { id: early.id.as_bytes().to_vec(), ..HandedIn::default() };
    let case = office.case(&row).unwrap();
    assert_eq!(case.steps[1].tasks.keys().collect::<Vec<_>>(), ["police-n"]);
    // A node that is revoked is none at once.
    office.roll.revoke("police-n", "lost").unwrap();
    let late =
        office.prepared(Uuid::now_v7(), "civil-status", "2026-11-01", death(OTHER, "2026-11-01"), opens);
    assert!(matches!(turn(&office, &late), Err(CommitError::Stale)));
    office.cases.lookout().refresh(&office.registry.view()).unwrap();
    assert!(turn(&office, &late).is_ok());
    let row = HandedIn { id: late.id.as_bytes().to_vec(), ..HandedIn::default() };
    assert!(office.case(&row).unwrap().steps[1].tasks.is_empty());
}

#[test]
fn an_agreement_costs_the_nodes_of_its_agency() {
    let office = Office::open();
    day_begins(&office);
    for agency in ["police", "justice", "health"] {
        office.roll.add(&format!("{agency}-n"), agency, Duration::from_secs(60), NOW).unwrap();
    }
    agree(&office, "police", "residence");
    let before = office.cases.lookout().refresh(&office.registry.view()).unwrap();
    assert_eq!(office.cases.lookout().refresh(&office.registry.view()).unwrap(), before, "nothing changed");
    let policy = |agency: &str| {
        let known = office.cases.lookout().known();
        Arc::clone(&known.routes.node(&format!("{agency}-n")).unwrap().policy)
    };
    let (police, health) = (policy("police"), policy("health"));
    agree(&office, "justice", "civil-status");
    assert_ne!(office.cases.lookout().refresh(&office.registry.view()).unwrap(), before);
    assert!(Arc::ptr_eq(&policy("police"), &police) && Arc::ptr_eq(&policy("health"), &health));
    assert_eq!(policy("justice").grants().len(), 1);
    // So does a change of the roll.
    office.roll.suspend("justice-n", "x").unwrap();
    office.cases.lookout().refresh(&office.registry.view()).unwrap();
    assert!(office.cases.lookout().known().routes.node("justice-n").is_none());
    assert!(Arc::ptr_eq(&policy("police"), &police));
    office.roll.resume("justice-n").unwrap();
    office.cases.lookout().refresh(&office.registry.view()).unwrap();
    assert_eq!(policy("justice").grants().len(), 1);
}

//! Procedures, with people and agencies of a fixture.

mod birth;
mod death;
mod documents;
mod machine;
mod once;
mod parts;
mod routes;
mod taken_back;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use dancu_proto::{
    Areas, PersonalId, Record, Revision,
    hub::v1::mail::Content,
    v1::{
        Address, CaseRequest, CaseStatus, Citizen, Date, Name, StepState, StringList, Task, TaskAnswer,
        TaskEnd,
    },
};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use super::{
    rows::{DOCUMENT, OPEN, named},
    *,
};
use crate::{
    projection::{Day, Policy},
    registry::{CitizenAt, StoreError, store::Write},
};

/// A Monday.
const MONDAY: OffsetDateTime = datetime!(2026-03-02 09:00 +7);

const CHILD: &str = "001226000001";
const MOTHER: &str = "001195000002";
const FATHER: &str = "008093000003";

fn number(text: &str) -> PersonalId {
    text.parse().unwrap()
}

fn agreement(agency: &str, role: &str, fields: &str, scope: &str) -> String {
    let (operation, role) = match role {
        "" => ("lookup", String::new()),
        role => ("contribute", format!("contributes_as = [\"{role}\"]\n")),
    };
    format!(
        "id = \"{agency}\"\nversion = 1\nagency = \"{agency}\"\ntitle = \"x\"\nlegal_basis = [\"x\"]\n\
         valid_from = 2026-01-01\noperations = [\"{operation}\"]\n{role}fields = [{fields}]\noffline_limit = \"7d\"\n\
         [[purposes]]\ncode = \"{agency}.p\"\ntitle = \"x\"\n[[purposes]]\ncode = \"3.000722\"\ntitle = \"x\"\n\
         [[purposes]]\ncode = \"2.002622\"\ntitle = \"x\"\n[scope]\n{scope}\n"
    )
}

fn node(name: &str, agency: &str, documents: &[String]) -> NodeFacts {
    NodeFacts { name: name.into(), agency: agency.into(), policy: Arc::new(Policy::of_documents(documents)) }
}

const RESIDENCE: &str =
    r#""full_name", "permanent_residence", "residence_file_number", "household_head", "date_of_death""#;

/// The agencies of the fixture: Ba Đình (00004) lies in Hà Nội (01).
fn nodes() -> Vec<NodeFacts> {
    let police = |agency, scope| agreement(agency, "residence", RESIDENCE, scope);
    vec![
        node(
            "justice-n",
            "justice",
            &[agreement("justice", "civil-status", "\"full_name\"", "communes = [\"00004\"]")],
        ),
        node("ba-dinh-n", "police-ba-dinh", &[police("police-ba-dinh", "communes = [\"00004\"]")]),
        node("ha-noi-n", "police-ha-noi", &[police("police-ha-noi", "provinces = [\"01\"]")]),
        node(
            "vss-n",
            "vss",
            &[agreement(
                "vss",
                "social-insurance",
                r#""full_name", "date_of_birth", "sex""#,
                "nation = true",
            )],
        ),
        node(
            "portal-n",
            "national-portal",
            &[agreement("national-portal", "", "\"full_name\"", "nation = true")],
        ),
    ]
}

/// What the hub would read and write.
struct World {
    people: BTreeMap<PersonalId, Citizen>,
    nodes: Vec<NodeFacts>,
    /// Of the nodes, as of the last turn.
    routes: Routes,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    engine: Procedures,
    now: OffsetDateTime,
    /// What opens the next case, and in which roles.
    contribution: Uuid,
    roles: Vec<String>,
    /// Whom the event of the next answer concerns.
    concerns: BTreeSet<PersonalId>,
}

impl Reads for World {
    fn row(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.rows.get(name).cloned())
    }

    fn citizen(&self, number: PersonalId) -> Result<Option<CitizenAt>, StoreError> {
        let at = |citizen| CitizenAt { record: Record::encode(citizen), lists: Vec::new() };
        Ok(self.people.get(&number).map(at))
    }

    fn routes(&self) -> &Routes {
        &self.routes
    }

    fn areas(&self) -> Arc<Areas> {
        Arc::new(Areas::shipped().clone())
    }

    fn day(&self) -> Day {
        Day::from_number(20_260_302)
    }
}

fn person(id: &str, name: &str, born: u32, commune: Option<&str>) -> Citizen {
    let commune = commune.map(str::to_owned);
    Citizen {
        personal_id: id.into(),
        full_name: Some(Name::from_full(name)),
        date_of_birth: Some(Date::from_number(born)),
        sex: "2".into(),
        permanent_residence: commune.map(|commune| Address {
            commune,
            detail: "12 Đội Cấn".into(),
            division: Areas::shipped().number(),
            ..Address::default()
        }),
        ..Citizen::default()
    }
}

impl World {
    fn new() -> World {
        World::with(Catalogue::load(None, None).unwrap())
    }

    fn with(catalogue: Catalogue) -> World {
        let people = [
            person(CHILD, "Nguyễn Thị Hoa", 20_260_301, None),
            person(MOTHER, "Trần Thị Mai", 19_950_301, Some("00004")),
            person(FATHER, "Nguyễn Văn An", 19_930_301, Some("00691")),
        ];
        World {
            people: people.into_iter().map(|person| (number(&person.personal_id), person)).collect(),
            nodes: nodes(),
            routes: Routes::default(),
            rows: BTreeMap::new(),
            engine: Procedures::new(catalogue),
            now: MONDAY,
            contribution: Uuid::from_u128(7),
            roles: vec!["civil-status".into()],
            concerns: [number(CHILD), number(MOTHER)].into(),
        }
    }

    /// A person has another number from now on; the one before leads to them.
    fn renumber(&mut self, from: &str, to: &str) {
        let mut citizen = self.people[&number(from)].clone();
        citizen.personal_id = to.into();
        citizen.former_personal_ids = Some(StringList { values: vec![from.into()] });
        self.people.insert(number(from), citizen.clone());
        self.people.insert(number(to), citizen);
    }

    /// Takes a contribution back, and registers something instead about those whom answers concern.
    fn take_back(&mut self, contribution: u128, instead: Option<&'static str>) -> Option<CaseEffects> {
        let back = TakenBack {
            contribution: Uuid::from_u128(contribution),
            instead,
            concerns: self.concerns.clone(),
            revision: Revision(45),
            now: self.now,
        };
        self.routes = Routes::new(self.nodes.clone());
        let effects = self.engine.take_back(Uuid::from_u128(7), &back, self).unwrap()?;
        Some(self.written(effects))
    }

    fn open(&mut self, procedure: &str, event: &'static str, persons: &[(&str, &str)]) -> CaseEffects {
        let request = CaseRequest { procedure: procedure.into(), ..CaseRequest::default() };
        self.request(&request, event, persons).unwrap()
    }

    fn request(
        &mut self,
        request: &CaseRequest,
        event: &'static str,
        persons: &[(&str, &str)],
    ) -> Result<CaseEffects, Refusal> {
        let by = OpenedBy {
            contribution: self.contribution,
            event,
            agency: "justice".into(),
            node: "justice-n".into(),
            roles: self.roles.clone(),
            case_number: "H01.2026.7".into(),
            persons: persons.iter().map(|(role, id)| ((*role).to_owned(), number(id))).collect(),
            revision: Revision(42),
            now: self.now,
        };
        self.routes = Routes::new(self.nodes.clone());
        let effects = self.engine.open(request, by, self)?;
        Ok(self.written(effects))
    }

    fn answer(
        &mut self,
        node: &str,
        answer: &TaskAnswer,
        event: Option<&'static str>,
    ) -> Result<CaseEffects, Refusal> {
        let agency = self.nodes.iter().find(|known| known.name == node).unwrap().agency.clone();
        let by = AnsweredBy {
            contribution: Uuid::from_u128(8),
            event,
            concerns: self.concerns.clone(),
            agency,
            node: node.into(),
            revision: Revision(43),
            now: self.now,
        };
        self.routes = Routes::new(self.nodes.clone());
        let effects = self.engine.answer(answer, &by, self)?;
        Ok(self.written(effects))
    }

    /// One turn of the hub's clock.
    fn tick(&mut self, case: &Case, anew: bool) -> Option<CaseEffects> {
        self.routes = Routes::new(self.nodes.clone());
        let effects = self.engine.tick(case, anew, self.now, Revision(44), self).unwrap()?;
        Some(self.written(effects))
    }

    fn written(&mut self, effects: CaseEffects) -> CaseEffects {
        for row in &effects.rows {
            match row {
                Write::Row(TABLE, name, row) => _ = self.rows.insert(name.clone(), row.clone()),
                Write::NoRow(TABLE, name) => _ = self.rows.remove(name),
                other => panic!("{other:?}"),
            }
        }
        let row = &self.rows[&name_of_case(effects.case.id)];
        assert!(Case::decode(row).unwrap() == effects.case, "a case is as it was kept");
        let open = self.rows.contains_key(&named(OPEN, effects.case.id.as_bytes()));
        assert_eq!(open, effects.case.closed_at.is_none());
        effects
    }
}

impl CaseEffects {
    fn all_tasks(&self) -> impl Iterator<Item = (&str, &Task)> {
        self.mail.iter().filter_map(|(node, content)| match content {
            Content::Task(task) => Some((node.as_str(), task)),
            _ => None,
        })
    }

    /// Who got which task, and where it stands.
    fn tasks(&self) -> Vec<(&str, &str, StepState)> {
        let mut tasks: Vec<_> =
            self.all_tasks().map(|(node, task)| (node, task.step.as_str(), task.state())).collect();
        tasks.sort_unstable();
        tasks
    }

    fn task(&self, node: &str) -> &Task {
        self.all_tasks().find(|(to, _)| *to == node).expect("a task").1
    }

    fn told(&self) -> Vec<&str> {
        let told = self.mail.iter().filter(|(_, content)| matches!(content, Content::Case(_)));
        told.map(|(node, _)| node.as_str()).collect()
    }

    fn status(&self) -> &CaseStatus {
        let status = self.mail.iter().find_map(|(_, content)| match content {
            Content::Case(status) => Some(status),
            _ => None,
        });
        status.unwrap()
    }

    fn states(&self) -> Vec<StepState> {
        self.case.steps.iter().map(|step| step.state).collect()
    }
}

fn done(step: &str, answers: &[(&str, &str)]) -> TaskAnswer {
    let answers = answers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let end = TaskEnd::Done.into();
    TaskAnswer { step: step.into(), end, answers: answers.collect(), ..base() }
}

fn ending(step: &str, end: TaskEnd, note: &str) -> TaskAnswer {
    TaskAnswer { step: step.into(), end: end.into(), note: note.into(), ..base() }
}

fn base() -> TaskAnswer {
    TaskAnswer { case_id: Uuid::from_u128(7).to_string(), ..TaskAnswer::default() }
}

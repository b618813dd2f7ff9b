//! What nodes are told of a case: a task with the data that the agreements behind it give, and how the case
//! stands, without data of anybody.

use std::collections::BTreeMap;

use dancu_proto::{
    FieldSet,
    v1::{Address, CaseStatus, PrefilledValue, StepState, StepStatus, Task, TaskView},
};
use prost::Message;

use super::{
    case::Case,
    circumstances::{Circumstances, PersonInCase},
    definition::{AddressFrom, Prefill, Procedure, Step, ValueFrom},
};
use crate::{
    projection::{Day, Grant},
    sync::timestamp,
};

/// How a case stands.
#[must_use]
pub fn status(procedure: &Procedure, case: &Case) -> CaseStatus {
    let steps = procedure.steps.iter().zip(&case.steps).map(|(of, step)| StepStatus {
        step: of.id.clone(),
        title: of.title.clone(),
        agency: step.agency.clone().unwrap_or_default(),
        state: step.state.into(),
        opened_at: step.opened_at.map(timestamp),
        due_at: step.due_at.map(timestamp),
        ended_at: step.ended_at.map(timestamp),
        escalated: step.escalated,
        note: step.note.clone(),
    });
    CaseStatus {
        case_id: case.id.to_string(),
        procedure: case.procedure.clone(),
        title: procedure.title.clone(),
        case_number: case.case_number.clone(),
        steps: steps.collect(),
        opened_at: Some(timestamp(case.opened_at)),
        closed_at: case.closed_at.map(timestamp),
        version: case.version,
        purposes: Vec::new(),
    }
}

/// A task that has ended, or is no longer this node's: nothing of anybody.
#[must_use]
pub(super) fn ended(case: &Case, of: &Step, state: StepState) -> Task {
    Task {
        case_id: case.id.to_string(),
        procedure: case.procedure.clone(),
        step: of.id.clone(),
        title: of.title.clone(),
        state: state.into(),
        ..Task::default()
    }
}

/// What marks a task: another mark, and the node must be told. That the registry is a revision further
/// does not count.
#[must_use]
pub(super) fn mark(task: &Task) -> [u8; 8] {
    let mut task = task.clone();
    for value in &mut task.prefilled {
        (value.as_of, value.revision) = (None, 0);
    }
    let hash = blake3::hash(&task.encode_to_vec());
    let mut mark = [0; 8];
    mark.copy_from_slice(&hash.as_bytes()[..8]);
    mark
}

/// Tells of open tasks.
pub(super) struct Teller<'a> {
    /// The procedure.
    pub(super) procedure: &'a Procedure,
    /// The case.
    pub(super) case: &'a Case,
    /// The world.
    pub(super) world: &'a Circumstances<'a>,
    /// The day that scopes by age go by.
    pub(super) day: Day,
}

impl Teller<'_> {
    /// An open step as the task of a node.
    #[must_use]
    pub(super) fn task(&self, place: usize, node: &str) -> Task {
        let (of, step) = (&self.procedure.steps[place], &self.case.steps[place]);
        let (grants, work) = (self.grants(place, node), self.procedure.work(place));
        let mut purposes: Vec<_> = grants
            .iter()
            .flat_map(|grant| &grant.agreement.purposes)
            .map(|purpose| purpose.code.clone())
            .filter(|code| work.is_under(code))
            .collect();
        purposes.sort_unstable();
        purposes.dedup();
        // Under a purpose is shown what its agreements give as the task has it, and nothing that they give less of.
        let task = self.known(place, node, grants.clone());
        let views = purposes.iter().map(|purpose| {
            let under = |grant: &&&Grant| grant.agreement.purposes.iter().any(|of| of.code == *purpose);
            let known = self.known(place, node, grants.iter().filter(under).copied().collect());
            let gives = |value: &&Prefill| known.value(value).is_some_and(|of| task.value(value) == Some(of));
            let address = known.address().filter(|of| task.address().as_ref() == Some(of));
            TaskView {
                purpose: purpose.clone(),
                persons: known.persons().into_keys().collect(),
                prefilled: of.prefill.iter().filter(gives).map(|value| value.name.clone()).collect(),
                address_source: address.map(|(source, _)| source).unwrap_or_default(),
            }
        });
        let views = views.collect();
        let (mut prefilled, mut missing) = (Vec::new(), Vec::new());
        for value in &of.prefill {
            match task.value(value) {
                Some(known) => prefilled.push(known),
                None => missing.push(value.name.clone()),
            }
        }
        Task {
            case_id: self.case.id.to_string(),
            procedure: self.case.procedure.clone(),
            step: of.id.clone(),
            title: of.title.clone(),
            event: of.event.unwrap_or_default().to_owned(),
            asks: of.asks.iter().map(|ask| ask.name.clone()).collect(),
            persons: task.persons(),
            prefilled,
            address: task.address().map(|(_, address)| address),
            opened_at: step.opened_at.map(timestamp),
            due_at: step.due_at.map(timestamp),
            escalated: step.escalated,
            state: step.state.into(),
            note: step.note.clone(),
            purposes,
            missing,
            views,
        }
    }

    fn known<'a>(&'a self, place: usize, node: &'a str, grants: Vec<&'a Grant>) -> Known<'a> {
        let handles = grants.iter().map(|grant| grant.handle).collect();
        Known { teller: self, place, node, handles, grants }
    }

    /// The agreements that make a step a node's task. The first step is with who opened the case, wherever
    /// its areas lie.
    fn grants(&self, place: usize, node: &str) -> Vec<&Grant> {
        let step = &self.case.steps[place];
        let at = (place > 0).then(|| self.world.place_of(step.address.as_ref()));
        self.world.routes.grants(node, self.procedure.work(place), at)
    }
}

/// What the agreements behind a task give.
struct Known<'a> {
    teller: &'a Teller<'a>,
    place: usize,
    node: &'a str,
    handles: Vec<u32>,
    grants: Vec<&'a Grant>,
}

impl Known<'_> {
    fn given(&self, person: &str) -> FieldSet {
        let world = self.teller.world;
        let (person, node) = (world.people.get(person), world.routes.node(self.node));
        let given = person
            .zip(node)
            .map(|(person, node)| node.policy.given(&self.handles, person.at.subject(), self.teller.day));
        given.unwrap_or_default()
    }

    /// Numbers in force of whom the step is about, and of whom the agreements cover.
    fn persons(&self) -> BTreeMap<String, String> {
        let people = &self.teller.world.people;
        let in_force = |role| people.get(role).and_then(PersonInCase::number);
        let about = &self.teller.procedure.steps[self.place].about;
        let persons = self.teller.case.persons.iter();
        persons
            .filter(|(role, _)| about.contains(role) || !self.given(role).is_empty())
            .map(|(role, number)| (role.clone(), in_force(role).unwrap_or(*number).to_string()))
            .collect()
    }

    /// The address of the step as far as this agency may know it, and on whose word it is. Where somebody
    /// is no longer of those whom the agreements cover, as their residence was removed meanwhile, it is the
    /// commune alone: for that it is this agency's task.
    fn address(&self) -> Option<(String, Address)> {
        let (procedure, case) = (self.teller.procedure, self.teller.case);
        let address = case.steps[self.place].address.clone()?;
        let mut place = self.place;
        loop {
            match procedure.steps[place].address.get(case.steps[place].address_from?)? {
                AddressFrom::Case => return Some(("applicant: address".to_owned(), address)),
                // From where that had it.
                AddressFrom::Step(before) => place = *before,
                AddressFrom::Person(person, field) => {
                    let source = format!("{person}: {field}");
                    if self.given(person).contains(*field) {
                        return Some((source, address));
                    }
                    let there = self.teller.world.place_of(Some(&address));
                    let gives =
                        |grant: &&Grant| grant.fields.contains(*field) && grant.reach(there).is_some();
                    let known = self.grants.iter().any(gives);
                    let Address { province, commune, division, .. } = address;
                    let commune = Address { province, commune, division, ..Address::default() };
                    return known.then_some((source, commune));
                }
            }
        }
    }

    fn value(&self, prefill: &Prefill) -> Option<PrefilledValue> {
        let Teller { procedure, case, world, .. } = self.teller;
        let (value, source, at, revision, in_question) = match &prefill.from {
            ValueFrom::Person(person, path) => {
                if !self.given(person).contains(path.field) {
                    return None;
                }
                let known = world.people.get(person)?;
                let value = path.show(&known.citizen, world.areas)?;
                let in_question = known.in_question.contains(path.field);
                (value, format!("{person}: {path}"), world.now, world.revision.0, in_question)
            }
            ValueFrom::Answer(name) => {
                let said = case.answers.get(name)?;
                let by = said.step.map_or("applicant", |step| procedure.steps[step].id.as_str());
                (said.value.clone(), format!("{by}: {name}"), said.at, 0, false)
            }
            ValueFrom::Address => {
                let (source, address) = self.address()?;
                let value = dancu_proto::field_path::address_in_words(&address, world.areas);
                (value, source, world.now, 0, false)
            }
        };
        Some(PrefilledValue {
            name: prefill.name.clone(),
            label: prefill.label.clone(),
            value,
            source,
            as_of: Some(timestamp(at)),
            revision,
            in_question,
        })
    }
}

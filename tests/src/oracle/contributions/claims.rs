//! What an event claims: the table of docs/contributions.md, line by line.

use dancu_proto::v1::{Citizen, Field, HouseholdMember, PersonRef, event::Event as Kind, person_ref::By};
use serde_json::{Value, json};

use super::super::{Values, values};
use super::register::{Deed, Register};

/// A claim on a field of somebody.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    /// Whose.
    pub(super) person: usize,
    /// The field.
    pub(super) field: String,
    /// What is said of it.
    pub(super) says: Says,
    /// It only follows from the event: who may not say it leaves it unsaid.
    pub(super) follows: bool,
}

/// What is said of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Says {
    /// Its value is this; none if it has no value.
    Is(Option<Value>),
    /// The list has this too.
    Has(Value),
}

/// Statements of one event, as they come together.
#[derive(Default)]
struct Said(Vec<Statement>);

impl Said {
    fn is(&mut self, person: Option<usize>, field: &str, value: Option<Value>) {
        let Some(person) = person else { return };
        let value = value.filter(|value| !empty(value));
        self.0.push(Statement { person, field: field.to_owned(), says: Says::Is(value), follows: false });
    }

    fn given(&mut self, person: Option<usize>, field: &str, value: Option<Value>) {
        if value.as_ref().is_some_and(|value| !empty(value)) {
            self.is(person, field, value);
        }
    }

    fn has(&mut self, person: Option<usize>, field: &str, item: Value) {
        let Some(person) = person else { return };
        self.0.push(Statement { person, field: field.to_owned(), says: Says::Has(item), follows: false });
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn value(of: &impl serde::Serialize) -> Option<Value> {
    serde_json::to_value(of).ok()
}

impl Register {
    /// Who is meant; none for somebody who is not in the registry.
    pub(super) fn person(&mut self, named: Option<&PersonRef>) -> Option<usize> {
        let found = match named?.by.as_ref()? {
            By::PersonalId(number) => self.numbers.get(number).copied(),
            By::BornBy(id) => self.births.get(id).copied().filter(|at| self.people[*at].number.is_some()),
            By::Unregistered(_) => return None,
        };
        if found.is_none() {
            self.faults.push(format!("accepted, but nobody is meant by {named:?}"));
        }
        found
    }

    /// How others' records name somebody who is in the registry.
    pub(super) fn relative_of(&self, at: usize) -> Value {
        let mut relative = Values::new();
        let parts = [
            ("name", self.value(at, "full_name")),
            ("personal_id", self.people[at].number.clone().map(Value::from)),
            ("old_id_number", self.value(at, "old_id_number")),
            ("nationality", self.value(at, "nationality")),
        ];
        relative.extend(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))));
        Value::Object(relative)
    }

    fn relative(&mut self, named: Option<&PersonRef>) -> Option<Value> {
        match named?.by.as_ref()? {
            By::Unregistered(relative) => value(relative),
            _ => self.person(named).map(|at| self.relative_of(at)),
        }
    }

    fn member(&mut self, member: &HouseholdMember) -> Option<Value> {
        let mut relative = self.relative(member.person.as_ref())?;
        if !member.relation.is_empty() {
            relative["relation"] = json!(member.relation);
        }
        Some(relative)
    }

    /// The other one of a couple, as the record of one of them has it, if the two agree.
    fn widowed(&self, dead: usize) -> Option<usize> {
        let spouse = self.value(dead, "spouse")?;
        let at = *self.numbers.get(spouse.get("personal_id")?.as_str()?)?;
        let theirs = self.value(at, "spouse")?;
        let back = self.numbers.get(theirs.get("personal_id")?.as_str()?)?;
        (*back == dead).then_some(at)
    }

    /// What a birth says of the child itself.
    pub(super) fn of_child(child: &Values, born: usize) -> Vec<Statement> {
        let mut said = Said::default();
        for (field, value) in child {
            said.is(Some(born), field, Some(value.clone()));
        }
        said.0
    }

    /// What an event claims, as the registry is now. Who is born by it is there already, with all that the
    /// birth says of the child itself: `born`.
    pub(super) fn claims(&mut self, kind: &Kind, deed: &Deed<'_>, born: Option<usize>) -> Vec<Statement> {
        let mut said = Said::default();
        match kind {
            Kind::Birth(birth) => {
                self.parents(&mut said, born, birth.father.as_ref(), birth.mother.as_ref());
            }
            Kind::Adoption(adoption) => {
                let child = self.person(adoption.child.as_ref());
                self.parents(&mut said, child, adoption.father.as_ref(), adoption.mother.as_ref());
            }
            Kind::ParentRecognised(recognised) => {
                let child = self.person(recognised.child.as_ref());
                let parent = recognised.parent.as_ref();
                let (father, mother) = if recognised.mother { (None, parent) } else { (parent, None) };
                self.parents(&mut said, child, father, mother);
            }
            Kind::Death(death) => {
                let dead = self.person(death.person.as_ref());
                said.is(dead, "date_of_death", death.date_of_death.as_ref().and_then(value));
                let widowed = dead.and_then(|dead| self.widowed(dead));
                said.is(widowed, "spouse", None);
                said.is(widowed, "marital_status", Some(json!("3")));
                said.0.iter_mut().skip(1).for_each(|statement| statement.follows = true);
            }
            Kind::Marriage(couple) => {
                for (one, other) in [(&couple.one, &couple.other), (&couple.other, &couple.one)] {
                    let at = self.person(one.as_ref());
                    let other = self.relative(other.as_ref());
                    said.is(at, "spouse", other);
                    said.is(at, "marital_status", Some(json!("2")));
                }
            }
            Kind::Divorce(couple) => {
                for one in [&couple.one, &couple.other] {
                    let at = self.person(one.as_ref());
                    said.is(at, "spouse", None);
                    said.is(at, "marital_status", Some(json!("3")));
                }
            }
            Kind::CivilStatusCorrected(corrected) => {
                let at = self.person(corrected.person.as_ref());
                let set = values(corrected.set.as_deref().unwrap_or(&Citizen::default()));
                for (field, value) in set {
                    said.is(at, &field, Some(value));
                }
                for field in corrected.clear() {
                    said.is(at, &name_of(field), None);
                }
            }
            Kind::PermanentResidenceRegistered(residence) | Kind::Moved(residence) => {
                let head = self.relative(residence.household_head.as_ref());
                for member in &residence.members {
                    let at = self.person(member.person.as_ref());
                    said.is(at, "permanent_residence", residence.address.as_ref().and_then(value));
                    said.given(at, "residence_file_number", Some(json!(residence.residence_file_number)));
                    said.given(at, "household_head", head.clone());
                    said.given(at, "relation_to_household_head", Some(json!(member.relation)));
                }
            }
            Kind::HouseholdHeadChanged(changed) => {
                let head = self.person(changed.head.as_ref());
                let head_relative = self.relative(changed.head.as_ref());
                let file = Some(json!(changed.residence_file_number));
                for member in &changed.members {
                    let at = self.person(member.person.as_ref());
                    said.is(at, "household_head", head_relative.clone());
                    said.is(at, "relation_to_household_head", Some(json!(member.relation)));
                    said.is(at, "residence_file_number", file.clone());
                }
                let members = changed.members.iter().filter_map(|member| self.member(member)).collect();
                said.is(head, "household_head", None);
                said.is(head, "relation_to_household_head", None);
                said.is(head, "household_members", Some(Value::Array(members)));
                said.is(head, "residence_file_number", file);
            }
            Kind::PermanentResidenceRemoved(persons) => {
                let fields = [
                    "permanent_residence",
                    "residence_file_number",
                    "household_head",
                    "relation_to_household_head",
                ];
                for person in &persons.persons {
                    let at = self.person(Some(person));
                    fields.iter().for_each(|field| said.is(at, field, None));
                }
            }
            Kind::TemporaryResidenceRegistered(stay) => {
                for person in &stay.persons {
                    let at = self.person(Some(person));
                    said.is(at, "temporary_residence", stay.stay.as_ref().and_then(value));
                }
            }
            Kind::TemporaryResidenceRemoved(persons) => {
                for person in &persons.persons {
                    let at = self.person(Some(person));
                    said.is(at, "temporary_residence", None);
                }
            }
            Kind::AbsenceDeclared(declared) => {
                let at = self.person(declared.person.as_ref());
                said.is(at, "temporary_absence", declared.absence.as_ref().and_then(value));
            }
            Kind::IdentityCardIssued(issued) => {
                let at = self.person(issued.person.as_ref());
                issued.card.as_ref().and_then(value).into_iter().for_each(|card| {
                    said.has(at, "identity_cards", card);
                });
            }
            Kind::OldNumberLinked(linked) => {
                let at = self.person(linked.person.as_ref());
                said.is(at, "old_id_number", Some(json!(linked.old_id_number)));
            }
            Kind::BloodType(blood) => {
                let at = self.person(blood.person.as_ref());
                said.is(at, "blood_type", Some(json!(blood.blood_type)));
            }
            Kind::ContactChanged(contact) => {
                let at = self.person(contact.person.as_ref());
                said.given(at, "mobile_number", Some(json!(contact.mobile_number)));
                said.given(at, "email", Some(json!(contact.email)));
            }
            Kind::Missing(persons) => {
                for person in &persons.persons {
                    let at = self.person(Some(person));
                    said.is(at, "date_missing", value(&deed.effective_date));
                }
            }
            Kind::Found(persons) => {
                for person in &persons.persons {
                    let at = self.person(Some(person));
                    said.is(at, "date_missing", None);
                }
            }
            // What these do is no claim.
            Kind::NumberReestablished(_)
            | Kind::NumberCancelled(_)
            | Kind::RecordsMerged(_)
            | Kind::Correction(_) => {}
        }
        said.0
    }

    fn parents(
        &mut self,
        said: &mut Said,
        child: Option<usize>,
        father: Option<&PersonRef>,
        mother: Option<&PersonRef>,
    ) {
        for (field, parent) in [("father", father), ("mother", mother)] {
            let relative = self.relative(parent);
            said.given(child, field, relative);
        }
        let Some(child) = child else { return };
        let named = self.relative_of(child);
        for parent in [father, mother].into_iter().flatten() {
            let registered = !matches!(parent.by, Some(By::Unregistered(_)));
            let at = if registered { self.person(Some(parent)) } else { None };
            said.has(at, "children", named.clone());
        }
    }
}

/// The name of a field, as JSON has it.
pub(super) fn name_of(field: Field) -> String {
    field.as_str_name().trim_start_matches("FIELD_").to_lowercase()
}

/// Whether two relatives are of one person.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    let number = |value: &Value| {
        let number = value.get("personal_id").and_then(Value::as_str).unwrap_or_default();
        (!number.is_empty()).then(|| number.to_owned())
    };
    one == other || (number(one).is_some() && number(one) == number(other))
}

//! The registry as it must have become: whoever is in it, and all claims that were ever made.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use dancu_proto::v1::{Citizen, Contribution, Date, event::Event as Kind};
use serde_json::Value;

use super::super::{Values, values};
use super::{
    authority::Authority,
    claims::{Says, name_of, same},
    number,
};

/// A contribution that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// As it was handed in.
    pub contribution: Contribution,
    /// In which role.
    pub role: String,
    /// The revision that carried it out.
    pub revision: u64,
    /// It was accepted in review.
    pub decided: bool,
    /// The number that it gave, if it gave one.
    pub personal_id: String,
}

/// Something that the registry was told.
#[derive(Clone, Debug)]
pub enum Told {
    /// A contribution was accepted.
    Accepted(Box<Accepted>),
    /// A contribution that was accepted does not stand: it rested on one that was reversed.
    DoesNotStand {
        /// At which revision that was decided.
        revision: u64,
        /// The contribution.
        contribution_id: String,
    },
    /// An operator of the hub corrected fields.
    Operator {
        /// At which revision.
        revision: u64,
        /// Whose.
        personal_id: String,
        /// New values.
        set: Box<Citizen>,
        /// From which day.
        effective_date: Date,
    },
}

impl Told {
    /// When it became known.
    #[must_use]
    pub fn revision(&self) -> u64 {
        match self {
            Told::Accepted(accepted) => accepted.revision,
            Told::DoesNotStand { revision, .. } | Told::Operator { revision, .. } => *revision,
        }
    }
}

/// What claims of one event have in common.
pub(super) struct Deed<'a> {
    id: &'a str,
    role: Option<&'a str>,
    pub(super) effective_date: Date,
    decided: bool,
    revision: u64,
}

#[derive(Clone, Debug)]
struct Claim {
    says: Says,
    /// The contribution; empty for what was there from the start.
    by: String,
    rank: Rank,
}

/// Of two claims the one with the greater rank is in force.
type Rank = (Reverse<usize>, u32, bool, u64);

/// What was there from the start is the least.
const FOUNDING: Rank = (Reverse(usize::MAX), 0, false, 0);
/// Fields that events add items to.
const LISTS: [&str; 2] = ["children", "identity_cards"];

#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    /// None once the person has left the registry.
    pub(super) number: Option<String>,
    former: Vec<String>,
    claims: BTreeMap<String, Vec<Claim>>,
}

/// The registry.
#[derive(Clone, Debug)]
pub struct Register {
    authority: Authority,
    pub(super) people: Vec<Person>,
    /// Who has a number, in force or former.
    pub(super) numbers: BTreeMap<String, usize>,
    /// Who was born by a contribution; after a merger of records, who they are by then.
    pub(super) births: BTreeMap<String, usize>,
    /// Whose record a contribution made, whatever became of it.
    entered: BTreeMap<String, usize>,
    /// Every number that anybody ever had.
    given: BTreeSet<String>,
    taken_back: BTreeSet<String>,
    last: u64,
    pub(super) faults: Vec<String>,
}

impl Person {
    /// Numbers become former ones; they stand in ascending order.
    fn had(&mut self, numbers: impl IntoIterator<Item = String>) {
        self.former.extend(numbers);
        self.former.sort_unstable();
        self.former.dedup();
    }
}

impl Register {
    /// As it was founded.
    #[must_use]
    pub fn new(authority: Authority, people: &[Citizen]) -> Register {
        let mut register = Register {
            authority,
            people: Vec::new(),
            numbers: BTreeMap::new(),
            births: BTreeMap::new(),
            entered: BTreeMap::new(),
            given: BTreeSet::new(),
            taken_back: BTreeSet::new(),
            last: 0,
            faults: Vec::new(),
        };
        for citizen in people {
            let mut person = Person::default();
            for (field, value) in values(citizen) {
                if !matches!(field.as_str(), "personal_id" | "former_personal_ids") {
                    let says = Says::Is(Some(value));
                    let claim = Claim { says, by: String::new(), rank: FOUNDING };
                    person.claims.insert(field, vec![claim]);
                }
            }
            let former = citizen.former_personal_ids.as_ref().map(|list| list.values.clone());
            person.former = former.unwrap_or_default();
            let at = register.people.len();
            register.people.push(person);
            for number in register.people[at].former.clone() {
                register.given.insert(number.clone());
                register.numbers.insert(number, at);
            }
            register.number(at, &citizen.personal_id);
        }
        register
    }

    /// What it becomes when it is told all this, in whatever order it is listed here.
    #[must_use]
    pub fn after(mut self, mut told: Vec<Told>) -> Register {
        told.sort_by_key(Told::revision);
        for one in &told {
            self.tell(one);
        }
        self
    }

    /// What is told next.
    pub fn tell(&mut self, told: &Told) {
        if told.revision() <= self.last {
            self.faults.push(format!("revision {} is used twice", told.revision()));
        }
        self.last = told.revision();
        match told {
            Told::Accepted(accepted) => self.accept(accepted),
            Told::DoesNotStand { contribution_id, .. } => self.take_back(contribution_id, false),
            Told::Operator { revision, personal_id, set, effective_date } => {
                let deed = Deed {
                    id: "",
                    role: None,
                    effective_date: *effective_date,
                    decided: true,
                    revision: *revision,
                };
                let Some(at) = self.numbers.get(personal_id).copied() else {
                    self.faults.push("an operator corrected somebody who is not there".into());
                    return;
                };
                for (field, value) in values(set) {
                    self.claim(at, &field, Says::Is(Some(value)), &deed);
                }
            }
        }
    }

    /// What cannot be, if everything was accepted as it is said to have been.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Everybody's record, by number in force.
    #[must_use]
    pub fn records(&self) -> BTreeMap<String, Values> {
        let people = self.people.iter().enumerate();
        people.filter_map(|(at, person)| Some((person.number.clone()?, self.record(at)))).collect()
    }

    /// Every number that leads to somebody, and the number in force that it leads to.
    #[must_use]
    pub fn leads(&self) -> BTreeMap<String, String> {
        let leads = self.numbers.iter();
        leads.filter_map(|(number, at)| Some((number.clone(), self.people[*at].number.clone()?))).collect()
    }

    /// Numbers that somebody had, and that lead nowhere.
    #[must_use]
    pub fn dead_numbers(&self) -> Vec<String> {
        self.given.iter().filter(|number| !self.numbers.contains_key(*number)).cloned().collect()
    }

    fn record(&self, at: usize) -> Values {
        let person = &self.people[at];
        let mut record = Values::new();
        record.insert("personal_id".into(), person.number.clone().into());
        if !person.former.is_empty() {
            record.insert("former_personal_ids".into(), person.former.clone().into());
        }
        for field in person.claims.keys() {
            if let Some(value) = self.value(at, field) {
                record.insert(field.clone(), value);
            }
        }
        record
    }

    /// The value of a field that is in force.
    pub(super) fn value(&self, at: usize, field: &str) -> Option<Value> {
        let claims = self.people[at].claims.get(field)?;
        let set = claims.iter().filter(|claim| matches!(claim.says, Says::Is(_)));
        let greatest = set.max_by_key(|claim| claim.rank);
        let value = greatest.and_then(|claim| match &claim.says {
            Says::Is(value) => value.clone(),
            Says::Has(_) => None,
        });
        if !LISTS.contains(&field) {
            return value;
        }
        let mut items = value.and_then(|value| value.as_array().cloned()).unwrap_or_default();
        let since = greatest.map_or(0, |claim| claim.rank.3);
        let mut added: Vec<&Claim> = claims.iter().filter(|claim| claim.rank.3 > since).collect();
        added.sort_by_key(|claim| claim.rank.3);
        for claim in added {
            if let Says::Has(item) = &claim.says
                && !items.iter().any(|other| same(other, item))
            {
                items.push(item.clone());
            }
        }
        if field == "identity_cards" {
            let issued = |card: &Value| card["issued_on"].as_str().unwrap_or_default().to_owned();
            items.sort_by_key(issued);
        }
        (!items.is_empty()).then_some(Value::Array(items))
    }

    fn accept(&mut self, accepted: &Accepted) {
        let contribution = &accepted.contribution;
        let Some(kind) = contribution.event.as_ref().and_then(|event| event.event.as_ref()) else { return };
        let mut deed = Deed {
            id: &contribution.id,
            role: Some(&accepted.role),
            effective_date: contribution.effective_date.unwrap_or_default(),
            decided: accepted.decided,
            revision: accepted.revision,
        };
        let Kind::Correction(correction) = kind else {
            self.carry_out(kind, &deed, None, &accepted.personal_id);
            return;
        };
        deed.decided = true;
        let instead = correction.instead.as_ref().and_then(|event| event.event.as_ref());
        let entered = self.entered.get(&correction.contribution_id).copied();
        // Of a record that went into another, or left, a new birth is a new person's.
        let born = entered.filter(|at| self.people[*at].number.is_some());
        let stays = matches!(instead, Some(Kind::Birth(_))) && born.is_some();
        self.take_back(&correction.contribution_id, stays);
        if let Some(instead) = instead {
            self.carry_out(instead, &deed, born.filter(|_| stays), &accepted.personal_id);
        }
    }

    /// Does what an event says. `born` is who was born already, by the event that is corrected.
    fn carry_out(&mut self, kind: &Kind, deed: &Deed<'_>, born: Option<usize>, given: &str) {
        match kind {
            Kind::Birth(birth) => {
                let child = values(birth.child.as_deref().unwrap_or(&Citizen::default()));
                let at = born.unwrap_or_else(|| {
                    self.people.push(Person::default());
                    self.people.len() - 1
                });
                self.births.insert(deed.id.to_owned(), at);
                self.entered.insert(deed.id.to_owned(), at);
                let had = self.people[at].number.clone();
                let keeps = had.as_ref().is_some_and(|had| number::is_of(had, &child));
                if !keeps {
                    self.expect_number(given, &child);
                    self.renumber(at, given);
                } else if !given.is_empty() && had.as_deref() != Some(given) {
                    self.faults.push(format!("{} keeps the number {had:?} and got {given}", deed.id));
                }
                self.claim_all(Register::of_child(&child, at), deed);
                let claims = self.claims(kind, deed, Some(at));
                self.claim_all(claims, deed);
            }
            Kind::NumberReestablished(reestablished) => {
                let Some(at) = self.person(reestablished.person.as_ref()) else { return };
                let record = self.record(at);
                self.expect_number(given, &record);
                self.renumber(at, given);
            }
            Kind::NumberCancelled(persons) => {
                for person in &persons.persons {
                    if let Some(at) = self.person(Some(person)) {
                        self.leave(at);
                    }
                }
            }
            Kind::RecordsMerged(merged) => {
                let kept = self.person(merged.kept.as_ref());
                let gone = self.person(merged.merged.as_ref());
                if let (Some(kept), Some(gone)) = (kept, gone) {
                    self.merge(kept, gone);
                }
            }
            _ => {
                let claims = self.claims(kind, deed, None);
                self.claim_all(claims, deed);
            }
        }
    }

    fn claim_all(&mut self, statements: Vec<super::claims::Statement>, deed: &Deed<'_>) {
        for statement in statements {
            let unsaid = |role: &str| self.authority.place(role, &statement.field).is_none();
            if statement.follows && deed.role.is_some_and(unsaid) {
                continue;
            }
            self.claim(statement.person, &statement.field, statement.says, deed);
        }
    }

    fn claim(&mut self, at: usize, field: &str, says: Says, deed: &Deed<'_>) {
        let place = match deed.role {
            Some(role) => self.authority.place(role, field),
            // An operator of the hub.
            None => Some(0),
        };
        let Some(place) = place else {
            self.faults.push(format!("{:?} may not claim {field}, and {} does", deed.role, deed.id));
            return;
        };
        let rank = (Reverse(place), deed.effective_date.as_number(), deed.decided, deed.revision);
        let claim = Claim { says, by: deed.id.to_owned(), rank };
        let claims = self.people[at].claims.entry(field.to_owned()).or_default();
        let alike = |other: &&Claim| {
            (other.rank.0, other.rank.1, other.rank.2) == (rank.0, rank.1, rank.2) && !deed.decided
        };
        let differs = |other: &Claim| match (&other.says, &claim.says) {
            (Says::Is(Some(one)), Says::Is(Some(other))) => !same(one, other),
            (Says::Is(one), Says::Is(other)) => one != other,
            _ => false,
        };
        if let Some(one) = claims.iter().filter(alike).find(|other| differs(other)) {
            let (one, other) = (&one.by, deed.id);
            self.faults.push(format!("{field} is claimed alike and otherwise, undecided: {one} and {other}"));
        }
        claims.push(claim);
    }

    /// Takes back what a contribution claimed. Who was born by it leaves, unless `stays`.
    fn take_back(&mut self, id: &str, stays: bool) {
        if !self.taken_back.insert(id.to_owned()) {
            return;
        }
        for person in &mut self.people {
            for claims in person.claims.values_mut() {
                claims.retain(|claim| claim.by != id);
            }
        }
        if let Some(born) = self.entered.get(id).copied()
            && !stays
        {
            self.leave(born);
        }
    }

    fn expect_number(&mut self, given: &str, values: &Values) {
        if !number::is_of(given, values) {
            self.faults
                .push(format!("the number {given} is not one of this province, century, sex and year"));
        }
        if self.given.contains(given) {
            self.faults.push(format!("the number {given} was somebody's before"));
        }
    }

    fn number(&mut self, at: usize, number: &str) {
        self.given.insert(number.to_owned());
        self.numbers.insert(number.to_owned(), at);
        self.people[at].number = Some(number.to_owned());
    }

    fn renumber(&mut self, at: usize, number: &str) {
        if let Some(before) = self.people[at].number.take() {
            self.people[at].had([before]);
        }
        self.number(at, number);
    }

    fn leave(&mut self, at: usize) {
        self.numbers.retain(|_, other| *other != at);
        self.people[at] = Person::default();
    }

    fn merge(&mut self, kept: usize, gone: usize) {
        let merged = std::mem::take(&mut self.people[gone]);
        self.people[kept].had(merged.former.into_iter().chain(merged.number));
        let leads = self.numbers.values_mut().chain(self.births.values_mut());
        leads.filter(|at| **at == gone).for_each(|at| *at = kept);
    }

    /// Everything that was said of a field of somebody and is not taken back: by which contribution, and how
    /// much it weighs. To find out why a value is not what it should be.
    #[must_use]
    pub fn said_of(&self, number: &str, field: &str) -> Vec<String> {
        let claims = self.numbers.get(number).and_then(|at| self.people[*at].claims.get(field));
        let said = |claim: &Claim| format!("{:?} by {:?} {:?}", claim.says, claim.by, claim.rank);
        claims.into_iter().flatten().map(said).collect()
    }

    /// The fields of somebody that a contribution claimed and that are not taken back.
    #[must_use]
    pub fn claimed_by(&self, contribution_id: &str) -> BTreeSet<(String, String)> {
        let people = self.people.iter().filter_map(|person| Some((person.number.clone()?, person)));
        let of_one = |(number, person): (String, &Person)| {
            let fields = person
                .claims
                .iter()
                .filter(|(_, claims)| claims.iter().any(|claim| claim.by == contribution_id));
            fields.map(|(field, _)| (number.clone(), field.clone())).collect::<Vec<_>>()
        };
        people.flat_map(of_one).collect()
    }
}

/// The name of a field, as records have it.
#[must_use]
pub fn field_name(field: dancu_proto::v1::Field) -> String {
    name_of(field)
}

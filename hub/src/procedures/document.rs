//! The TOML document of a procedure, and its checks. `deploy/procedures/README.md` has the grammar.

use std::{collections::BTreeSet, ops::Range};

use dancu_proto::{Field, FieldPath, contribution::EVENTS};
use serde::Deserialize;
use toml::Spanned;

use super::definition::{
    AddressFrom, AnswerKind, Ask, Asked, Escalation, Followers, Prefill, Procedure, Skip, Step, ValueFrom,
    When, persons_of,
};
use crate::agreements::{DocumentErrors, Problem, is_purpose, unknown, with_nearest_key};

/// Deadlines are at most a year of working days.
const LONGEST: u32 = 260;
/// Ages at which a step may begin or cease to be needed.
const AGES: std::ops::RangeInclusive<u32> = 1..=150;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    id: Spanned<String>,
    version: Spanned<u32>,
    title: Spanned<String>,
    legal_basis: Spanned<Vec<String>>,
    #[serde(default)]
    purposes: Vec<Spanned<String>>,
    opened_by: Spanned<String>,
    address: Option<Spanned<String>>,
    #[serde(default)]
    followers: FollowersTable,
    #[serde(default)]
    answers: Vec<AskRow>,
    steps: Spanned<Vec<StepRow>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowersTable {
    #[serde(default)]
    agencies: Vec<Spanned<String>>,
    #[serde(default)]
    roles: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskRow {
    name: Spanned<String>,
    label: Spanned<String>,
    required: Option<bool>,
    kind: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepRow {
    id: Spanned<String>,
    title: Spanned<String>,
    role: Spanned<String>,
    event: Option<Spanned<String>>,
    #[serde(default)]
    about: Vec<Spanned<String>>,
    #[serde(default)]
    address: Vec<Spanned<String>>,
    after: Option<Vec<Spanned<String>>>,
    deadline: Option<Spanned<u32>>,
    #[serde(default)]
    escalate_to: Vec<Spanned<String>>,
    #[serde(default)]
    may: Vec<Spanned<String>>,
    if_refused: Option<Spanned<String>>,
    #[serde(default)]
    asks: Vec<AskRow>,
    #[serde(default)]
    prefill: Vec<PrefillRow>,
    #[serde(default)]
    skip: Vec<Spanned<SkipRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrefillRow {
    name: Spanned<String>,
    label: Spanned<String>,
    from: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkipRow {
    person: Option<Spanned<String>>,
    age_from: Option<Spanned<u32>>,
    age_below: Option<Spanned<u32>>,
    without: Option<Spanned<String>>,
    absent: Option<Spanned<bool>>,
    answer: Option<Spanned<String>>,
    is: Option<String>,
    note: Spanned<String>,
}

/// Reads and checks a document.
///
/// # Errors
/// Everything that is wrong with it, by line.
pub fn parse(text: &str) -> Result<Procedure, DocumentErrors> {
    let document = match toml::from_str::<Document>(text) {
        Ok(document) => document,
        Err(error) => {
            let message = with_nearest_key(&error.message().trim().replace('\n', "; "));
            let place = error.span().unwrap_or(0..0);
            return Err(DocumentErrors(vec![Problem::at(text, &place, message)]));
        }
    };
    let steps = document.steps.get_ref().iter().map(|step| step.id.get_ref().as_str()).collect();
    let mut check = Check { text, persons: &[], steps, names: BTreeSet::new(), problems: Vec::new() };
    let procedure = check.procedure(&document);
    check.problems.sort_by_key(|problem| (problem.line, problem.column));
    match procedure {
        Some(procedure) if check.problems.is_empty() => Ok(procedure),
        _ => Err(DocumentErrors(check.problems)),
    }
}

struct Check<'a> {
    text: &'a str,
    /// Who may be in the case.
    persons: &'static [&'static str],
    /// Ids of the steps.
    steps: Vec<&'a str>,
    /// Names of answers of the applicant and of the steps so far.
    names: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn problem(&mut self, at: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::at(self.text, &at, message));
    }

    fn procedure(&mut self, document: &'a Document) -> Option<Procedure> {
        self.name(&document.id, b"-");
        if *document.version.get_ref() == 0 {
            self.problem(document.version.span(), "versions count from 1");
        }
        self.words(&document.title, "title");
        if document.legal_basis.get_ref().iter().all(|basis| basis.trim().is_empty()) {
            self.problem(document.legal_basis.span(), "name the provisions the procedure rests on");
        }
        let opened_by = self.event(&document.opened_by);
        self.persons = persons_of(opened_by.unwrap_or_default());
        let address = match document.address.as_ref() {
            None => Asked::No,
            Some(asked) => match asked.get_ref().as_str() {
                "optional" => Asked::Optional,
                "required" => Asked::Required,
                other => {
                    let known = ["optional", "required"].into_iter();
                    self.problem(asked.span(), unknown("rule", other, known));
                    Asked::No
                }
            },
        };
        let answers = self.asks(&document.answers, false);
        let followers = Followers {
            agencies: self.identifiers(&document.followers.agencies),
            roles: self.identifiers(&document.followers.roles),
        };
        let purposes = self.purposes(&document.purposes);
        let mut steps = Vec::new();
        for (place, row) in document.steps.get_ref().iter().enumerate() {
            steps.push(self.step(place, row, address));
        }
        match document.steps.get_ref().first() {
            None => self.problem(document.steps.span(), "a procedure has steps"),
            Some(first) => self.opens(first, &document.opened_by),
        }
        Some(Procedure {
            id: document.id.get_ref().clone(),
            version: *document.version.get_ref(),
            title: document.title.get_ref().trim().to_owned(),
            legal_basis: document.legal_basis.get_ref().clone(),
            purposes,
            opened_by: opened_by?,
            address,
            answers,
            followers,
            steps,
        })
    }

    /// The first step is the one that opens the case.
    fn opens(&mut self, first: &StepRow, opened_by: &Spanned<String>) {
        match &first.event {
            Some(event) if event.get_ref() == opened_by.get_ref() => {}
            Some(event) => {
                self.problem(event.span(), "the first step is completed by the event that opens the case");
            }
            None => self.problem(first.id.span(), "the first step has the event that opens the case"),
        }
        if let Some(skip) = first.skip.first() {
            self.problem(skip.span(), "the first step opens the case; it cannot be skipped");
        }
        if let Some(way) = first.may.iter().find(|way| way.get_ref() == "return") {
            self.problem(way.span(), "the first step has none before it to return to");
        }
    }

    fn step(&mut self, place: usize, row: &'a StepRow, address: Asked) -> Step {
        let id = row.id.get_ref();
        self.name(&row.id, b"-");
        if self.steps[..place].contains(&id.as_str()) {
            self.problem(row.id.span(), format!("step `{id}` stands twice"));
        }
        self.words(&row.title, "title");
        self.name(&row.role, b"-");
        let event = row.event.as_ref().and_then(|event| self.event(event));
        for person in &row.about {
            self.person(person, person.get_ref());
        }
        if event.is_some() && row.about.is_empty() {
            self.problem(row.id.span(), "say in `about` whom its event must concern");
        }
        let addresses = row.address.iter().filter_map(|from| self.address(place, from, address)).collect();
        let after = self.after(place, row.after.as_deref());
        let deadline = row.deadline.as_ref().map(|days| {
            if *days.get_ref() > LONGEST {
                self.problem(days.span(), format!("a deadline is at most {LONGEST} working days"));
            }
            *days.get_ref()
        });
        if let (None, Some(who)) = (deadline, row.escalate_to.first()) {
            self.problem(who.span(), "a step without a deadline is never late");
        }
        let escalation = Escalation {
            superior: row.escalate_to.iter().any(|who| who.get_ref() == "superior"),
            agencies: {
                let agencies = self.identifiers(&row.escalate_to);
                agencies.into_iter().filter(|agency| agency != "superior").collect()
            },
        };
        let (may_refuse, may_return) = self.may(&row.may);
        let goes_on = row.if_refused.as_ref().is_some_and(|rule| match rule.get_ref().as_str() {
            "go-on" => true,
            "stop" => false,
            other => {
                self.problem(rule.span(), unknown("rule", other, ["go-on", "stop"].into_iter()));
                false
            }
        });
        // What a step is prefilled with was said before it.
        let prefill = self.prefill(&row.prefill);
        let skip = row.skip.iter().filter_map(|row| self.skip(row)).collect();
        let asks = self.asks(&row.asks, true);
        Step {
            id: id.clone(),
            title: row.title.get_ref().trim().to_owned(),
            role: row.role.get_ref().clone(),
            event,
            about: row.about.iter().map(|person| person.get_ref().clone()).collect(),
            address: addresses,
            after,
            deadline,
            escalation,
            may_refuse,
            may_return,
            goes_on,
            asks,
            prefill,
            skip,
        }
    }

    fn name(&mut self, text: &Spanned<String>, beside: &[u8]) {
        let name = text.get_ref();
        let fits = (2..=60).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || beside.contains(&b));
        if !fits {
            let beside = if beside == b"-" { "hyphens" } else { "underscores" };
            self.problem(text.span(), format!("must be 2 to 60 lower-case letters, digits and {beside}"));
        }
    }

    fn words(&mut self, text: &Spanned<String>, what: &str) {
        if text.get_ref().trim().is_empty() {
            self.problem(text.span(), format!("the {what} is empty"));
        }
    }

    fn identifiers(&mut self, names: &[Spanned<String>]) -> Vec<String> {
        names.iter().for_each(|name| self.name(name, b"-"));
        names.iter().map(|name| name.get_ref().clone()).collect()
    }

    fn purposes(&mut self, codes: &[Spanned<String>]) -> Vec<String> {
        let mut seen = Vec::new();
        for code in codes {
            if !is_purpose(code.get_ref()) {
                let fault = "a purpose is 1 to 64 letters, digits, dots, hyphens, underscores";
                self.problem(code.span(), fault);
            } else if seen.contains(code.get_ref()) {
                self.problem(code.span(), format!("purpose `{}` stands twice", code.get_ref()));
            }
            seen.push(code.get_ref().clone());
        }
        seen
    }

    fn event(&mut self, name: &Spanned<String>) -> Option<&'static str> {
        let known = EVENTS.iter().find(|event| **event == name.get_ref()).copied();
        if known.is_none() {
            self.problem(name.span(), unknown("event", name.get_ref(), EVENTS.iter().copied()));
        }
        known
    }

    fn person(&mut self, at: &Spanned<String>, name: &str) -> bool {
        let known = self.persons.contains(&name);
        if !known {
            self.problem(at.span(), unknown("person", name, self.persons.iter().copied()));
        }
        known
    }

    fn asks(&mut self, rows: &[AskRow], required: bool) -> Vec<Ask> {
        let mut asks = Vec::new();
        for row in rows {
            self.name(&row.name, b"_");
            self.words(&row.label, "label");
            if !self.names.insert(row.name.get_ref().clone()) {
                self.problem(row.name.span(), format!("`{}` is asked twice", row.name.get_ref()));
            }
            asks.push(Ask {
                name: row.name.get_ref().clone(),
                label: row.label.get_ref().trim().to_owned(),
                required: row.required.unwrap_or(required),
                kind: row.kind.as_ref().map(|kind| self.kind(kind)).unwrap_or_default(),
            });
        }
        asks
    }

    fn kind(&mut self, name: &Spanned<String>) -> AnswerKind {
        let known = AnswerKind::ALL.iter().find(|(known, _)| *known == name.get_ref());
        if known.is_none() {
            let names = AnswerKind::ALL.iter().map(|(name, _)| *name);
            self.problem(name.span(), unknown("kind", name.get_ref(), names));
        }
        known.map(|(_, kind)| *kind).unwrap_or_default()
    }

    fn after(&mut self, place: usize, named: Option<&[Spanned<String>]>) -> Vec<usize> {
        let Some(named) = named else { return place.checked_sub(1).into_iter().collect() };
        if place > 0 && named.is_empty() {
            let at = named.first().map_or(0..0, Spanned::span);
            self.problem(at, format!("step `{}` comes after none", self.steps[place]));
        }
        let mut after = Vec::new();
        for name in named {
            match self.before(place, name, name.get_ref()) {
                Some(step) if !after.contains(&step) => after.push(step),
                _ => {}
            }
        }
        after
    }

    /// A step that stands before another.
    fn before(&mut self, place: usize, at: &Spanned<String>, name: &str) -> Option<usize> {
        let known = self.steps[..place].iter().position(|step| *step == name);
        if known.is_none() {
            let steps: Vec<_> = self.steps[..place].to_vec();
            self.problem(at.span(), unknown("step before this one", name, steps.into_iter()));
        }
        known
    }

    fn address(&mut self, place: usize, from: &Spanned<String>, asked: Asked) -> Option<AddressFrom> {
        let text = from.get_ref().as_str();
        match text.split_once('.') {
            None if text == "case" => {
                if asked == Asked::No {
                    self.problem(from.span(), "the procedure asks for no address: say `address` above");
                }
                Some(AddressFrom::Case)
            }
            Some(("step", step)) => self.before(place, from, step).map(AddressFrom::Step),
            Some((person, field)) if self.person(from, person) => match field.parse::<Field>() {
                Ok(field) if is_residence(field) => Some(AddressFrom::Person(person.to_owned(), field)),
                _ => {
                    let known = ["permanent_residence", "temporary_residence", "current_dwelling"];
                    self.problem(from.span(), unknown("address", field, known.into_iter()));
                    None
                }
            },
            Some(_) => None,
            None => {
                self.problem(from.span(), "write \"case\", \"PERSON.permanent_residence\" or \"step.ID\"");
                None
            }
        }
    }

    fn may(&mut self, ways: &[Spanned<String>]) -> (bool, bool) {
        let (mut refuse, mut back) = (false, false);
        for way in ways {
            match way.get_ref().as_str() {
                "refuse" => refuse = true,
                "return" => back = true,
                other => {
                    self.problem(way.span(), unknown("way to end", other, ["refuse", "return"].into_iter()))
                }
            }
        }
        (refuse, back)
    }

    fn prefill(&mut self, rows: &[PrefillRow]) -> Vec<Prefill> {
        let mut seen = BTreeSet::new();
        let mut prefill = Vec::new();
        for row in rows {
            self.name(&row.name, b"_");
            self.words(&row.label, "label");
            if !seen.insert(row.name.get_ref()) {
                self.problem(row.name.span(), format!("`{}` stands twice", row.name.get_ref()));
            }
            if let Some(from) = self.value(&row.from) {
                let (name, label) = (row.name.get_ref().clone(), row.label.get_ref().trim().to_owned());
                prefill.push(Prefill { name, label, from });
            }
        }
        prefill
    }

    fn value(&mut self, from: &Spanned<String>) -> Option<ValueFrom> {
        match from.get_ref().split_once('.') {
            None if from.get_ref() == "address" => Some(ValueFrom::Address),
            Some(("answers", name)) => {
                if !self.names.contains(name) {
                    let known: Vec<_> = self.names.iter().cloned().collect();
                    let known = known.iter().map(String::as_str);
                    self.problem(from.span(), unknown("answer before this step", name, known));
                }
                Some(ValueFrom::Answer(name.to_owned()))
            }
            Some((person, path)) if self.person(from, person) => match path.parse::<FieldPath>() {
                Ok(path) => Some(ValueFrom::Person(person.to_owned(), path)),
                Err(error) => {
                    self.problem(from.span(), error.to_string());
                    None
                }
            },
            Some(_) => None,
            None => {
                self.problem(from.span(), "write \"PERSON.FIELD\", \"answers.NAME\" or \"address\"");
                None
            }
        }
    }

    fn skip(&mut self, at: &Spanned<SkipRow>) -> Option<Skip> {
        let row = at.get_ref();
        self.words(&row.note, "note");
        let note = row.note.get_ref().trim().to_owned();
        let when = match (&row.person, &row.answer) {
            (Some(person), None) => {
                if !self.person(person, person.get_ref()) {
                    return None;
                }
                let who = person.get_ref().clone();
                let aged = row.age_from.is_some() || row.age_below.is_some();
                let absent = row.absent.as_ref().is_some_and(|absent| *absent.get_ref());
                match (aged, &row.without, absent) {
                    (true, None, false) => {
                        let (from, below) =
                            (self.age(row.age_from.as_ref()), self.age(row.age_below.as_ref()));
                        Some(When::Aged { person: who, from, below })
                    }
                    (false, Some(field), false) => match field.get_ref().parse::<Field>() {
                        Ok(field) => Some(When::Without(who, field)),
                        Err(_) => {
                            let known = Field::ALL.iter().map(|field| field.name());
                            self.problem(field.span(), unknown("field", field.get_ref(), known));
                            None
                        }
                    },
                    (false, None, true) => Some(When::Absent(who)),
                    _ => {
                        self.problem(at.span(), "of a person say one of: an age, `without`, `absent = true`");
                        None
                    }
                }
            }
            (None, Some(answer)) => {
                if !self.names.contains(answer.get_ref()) {
                    let known: Vec<_> = self.names.iter().cloned().collect();
                    let known = known.iter().map(String::as_str);
                    self.problem(answer.span(), unknown("answer before this step", answer.get_ref(), known));
                }
                match &row.is {
                    Some(is) => Some(When::Answered(answer.get_ref().clone(), is.clone())),
                    None => {
                        self.problem(answer.span(), "say in `is` which answer makes it unnecessary");
                        None
                    }
                }
            }
            _ => {
                self.problem(at.span(), "say `person` or `answer`");
                None
            }
        };
        Some(Skip { when: when?, note })
    }

    fn age(&mut self, age: Option<&Spanned<u32>>) -> Option<u32> {
        let age = age?;
        if !AGES.contains(age.get_ref()) {
            self.problem(
                age.span(),
                format!("an age lies between {} and {} years", AGES.start(), AGES.end()),
            );
        }
        Some(*age.get_ref())
    }
}

fn is_residence(field: Field) -> bool {
    matches!(field, Field::PermanentResidence | Field::TemporaryResidence | Field::CurrentDwelling)
}

//! A procedure as the hub works with it.

use dancu_proto::{Field, FieldPath, v1::Date};

use super::routes::Work;

/// A procedure that runs across agencies. `deploy/procedures/README.md` says what each part means.
#[derive(Clone, Debug, PartialEq)]
pub struct Procedure {
    /// Its id through all its versions.
    pub id: String,
    /// Its version, from 1, rising.
    pub version: u32,
    /// Title, Vietnamese.
    pub title: String,
    /// The provisions that it rests on.
    pub legal_basis: Vec<String>,
    /// The purposes under which it is carried out; none for whatever agencies have agreed.
    pub purposes: Vec<String>,
    /// The event that opens a case.
    pub opened_by: &'static str,
    /// Whether the applicant says an address.
    pub address: Asked,
    /// What the applicant may say.
    pub answers: Vec<Ask>,
    /// Who follows a case.
    pub followers: Followers,
    /// The steps in order; the first opens the case.
    pub steps: Vec<Step>,
}

/// Whether something is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// It is not.
    #[default]
    No,
    /// It may be said.
    Optional,
    /// It must be.
    Required,
}

/// Something that is asked, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The name.
    pub name: String,
    /// Label, Vietnamese.
    pub label: String,
    /// It must be said.
    pub required: bool,
    /// What can be said.
    pub kind: AnswerKind,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerKind {
    /// Any text.
    #[default]
    Text,
    /// A day that exists, `yyyy-mm-dd`.
    Date,
    /// A whole number: digits.
    Number,
}

impl AnswerKind {
    /// Each with its name in documents.
    pub const ALL: [(&str, AnswerKind); 3] =
        [("text", AnswerKind::Text), ("date", AnswerKind::Date), ("number", AnswerKind::Number)];

    /// What is wrong with an answer; nothing with one that is empty.
    #[must_use]
    pub fn fault(self, answer: &str) -> Option<&'static str> {
        let (fits, wanted) = match self {
            AnswerKind::Text => return None,
            AnswerKind::Date => (
                answer.parse::<Date>().is_ok_and(|date| date.day != 0),
                "is a day: write yyyy-mm-dd and nothing else, a day that the calendar has",
            ),
            AnswerKind::Number => (
                answer.bytes().all(|b| b.is_ascii_digit()),
                "is a whole number: write its digits, and nothing else",
            ),
        };
        (!fits && !answer.is_empty()).then_some(wanted)
    }
}

/// Who is told how a case stands, without a task in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followers {
    /// These agencies.
    pub agencies: Vec<String>,
    /// The agencies that contribute in these roles, wherever.
    pub roles: Vec<String>,
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its id.
    pub id: String,
    /// Title, Vietnamese.
    pub title: String,
    /// In which role an agency does it.
    pub role: String,
    /// The event that completes it.
    pub event: Option<&'static str>,
    /// Whose numbers the task has in any case.
    pub about: Vec<String>,
    /// Where its address comes from; the first that there is.
    pub address: Vec<AddressFrom>,
    /// The steps that must have ended.
    pub after: Vec<usize>,
    /// Working days.
    pub deadline: Option<u32>,
    /// Who is told when it is late.
    pub escalation: Escalation,
    /// It may be refused.
    pub may_refuse: bool,
    /// It may be returned for more.
    pub may_return: bool,
    /// The steps after it go on if it is refused.
    pub goes_on: bool,
    /// What it produces.
    pub asks: Vec<Ask>,
    /// What is known already.
    pub prefill: Vec<Prefill>,
    /// When it is not needed.
    pub skip: Vec<Skip>,
}

/// Who is told that a step is late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Escalation {
    /// The agencies of the role with wider areas that cover the address.
    pub superior: bool,
    /// These agencies.
    pub agencies: Vec<String>,
}

/// Where an address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressFrom {
    /// The applicant said it.
    Case,
    /// Somebody's, in the registry.
    Person(String, Field),
    /// That of another step.
    Step(usize),
}

/// A value that a task has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefill {
    /// Its name.
    pub name: String,
    /// Label, Vietnamese.
    pub label: String,
    /// Where it comes from.
    pub from: ValueFrom,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueFrom {
    /// Somebody's record.
    Person(String, FieldPath),
    /// What the applicant or a step said.
    Answer(String),
    /// The address of the step.
    Address,
}

/// When a step is not needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The condition.
    pub when: When,
    /// Why, Vietnamese.
    pub note: String,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Somebody is so many years old, from an age and below another, on the day.
    Aged {
        /// Who.
        person: String,
        /// From this age.
        from: Option<u32>,
        /// Below this age.
        below: Option<u32>,
    },
    /// Somebody has no value of a field.
    Without(String, Field),
    /// There is nobody of that role in the case.
    Absent(String),
    /// Something was answered so.
    Answered(String, String),
}

impl Procedure {
    /// The first step, which opens a case.
    ///
    /// # Panics
    /// Never: a document without steps is none.
    #[must_use]
    pub fn first(&self) -> &Step {
        &self.steps[0]
    }

    /// What is to be done at a step. The first is the registration itself, under whatever purpose that has.
    #[must_use]
    pub fn work(&self, place: usize) -> Work<'_> {
        let purposes = if place == 0 { &[][..] } else { &self.purposes[..] };
        Work { role: &self.steps[place].role, purposes }
    }

    /// Whether what opens a case is so once in a life: then one case of it is enough for ever.
    #[must_use]
    pub fn is_once_in_a_life(&self) -> bool {
        matches!(self.opened_by, "birth" | "death")
    }

    /// The place of a step.
    #[must_use]
    pub fn place(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|known| known.id == step)
    }

    /// The label of an answer.
    #[must_use]
    pub fn label_of(&self, answer: &str) -> Option<&str> {
        let mut asks = self.answers.iter().chain(self.steps.iter().flat_map(|step| &step.asks));
        asks.find(|ask| ask.name == answer).map(|ask| ask.label.as_str())
    }
}

/// Who is who in a case that an event opens.
#[must_use]
pub fn persons_of(event: &str) -> &'static [&'static str] {
    match event {
        "birth" => &["child", "father", "mother"],
        "death" => &["deceased", "spouse"],
        "marriage" | "divorce" => &["one", "other"],
        "adoption" => &["child", "father", "mother"],
        _ => &["person"],
    }
}

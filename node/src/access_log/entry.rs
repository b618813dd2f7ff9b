//! What is recorded of a call.

use dancu_proto::{
    Field, FieldSet, PersonalId, Reason,
    v1::{AccessContext, AccessOperation, SubjectOutcome},
};

/// A call, as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The back-end, as the operator named it; empty where it is not known.
    pub caller: String,
    /// Officer, purpose and case, as the caller gave them.
    pub context: AccessContext,
    /// What was asked for.
    pub operation: AccessOperation,
    /// Whom it concerns.
    pub subjects: Vec<Subject>,
    /// The revision that the answer reflects.
    pub revision: u64,
    /// `OK`, or the reason for which it was refused.
    pub outcome: &'static str,
}

/// Somebody whom a call concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The number asked for.
    pub id: PersonalId,
    /// The fields that are disclosed or compared.
    pub fields: FieldSet,
    /// What came of it.
    pub outcome: SubjectOutcome,
}

impl Entry {
    /// Of a call that is answered.
    pub const OK: &'static str = "OK";

    /// A call that nothing is known of yet. What a caller sends too much of is cut off: a log is no
    /// place for a caller to write long texts.
    #[must_use]
    pub fn new(operation: AccessOperation, context: Option<&AccessContext>) -> Entry {
        let cut = |text: &String| match text.char_indices().nth(LONGEST) {
            Some((end, _)) => text[..end].to_owned(),
            None => text.clone(),
        };
        let context = context.map(|given| AccessContext {
            purpose: cut(&given.purpose),
            case_number: cut(&given.case_number),
            officer: cut(&given.officer),
        });
        Entry {
            caller: String::new(),
            context: context.unwrap_or_default(),
            operation,
            subjects: Vec::new(),
            revision: 0,
            outcome: Entry::OK,
        }
    }

    /// The same call, whose context came with its first message.
    #[must_use]
    pub fn with_context(self, context: Option<&AccessContext>) -> Entry {
        let caller = self.caller;
        Entry { caller, ..Entry::new(self.operation, context) }
    }

    /// The call is about somebody, of whom nothing is told yet.
    pub fn concerns(&mut self, id: PersonalId) {
        self.tells(id, FieldSet::EMPTY, SubjectOutcome::Refused);
    }

    /// The call tells so much of somebody.
    pub fn tells(&mut self, id: PersonalId, fields: FieldSet, outcome: SubjectOutcome) {
        let subject = Subject { id, fields, outcome };
        match self.subjects.iter_mut().find(|known| known.id == id) {
            Some(known) => *known = subject,
            None => self.subjects.push(subject),
        }
    }

    /// The call is refused.
    pub fn refused(&mut self, reason: Reason) {
        self.outcome = reason.name();
        let outcome = match reason {
            Reason::CitizenNotFound => SubjectOutcome::NotFound,
            _ => SubjectOutcome::Refused,
        };
        for subject in &mut self.subjects {
            (subject.fields, subject.outcome) = (FieldSet::EMPTY, outcome);
        }
    }
}

/// The longest text of a context that is recorded, characters.
const LONGEST: usize = 64;

/// Fields as messages list them.
pub(super) fn listed(fields: FieldSet) -> Vec<i32> {
    fields.iter().map(|field: Field| dancu_proto::v1::Field::from(field).into()).collect()
}

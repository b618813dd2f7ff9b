//! What a commit is made of.

use std::{fmt, sync::Arc};

use dancu_proto::{
    Delta, FieldSet, PersonalId, Record, Revision,
    v1::{AreaChange, Date},
};
use thiserror::Error;
use uuid::Uuid;

use super::{CitizenKey, Standing, StoreError, Subject, store::Write};

/// On whose word something changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The kind of source: `operator`, `import`, or a contributing agency.
    pub source: String,
    /// Id of the contribution: the same id is carried out once.
    pub contribution: Option<Uuid>,
    /// Why.
    pub reason: String,
    /// Number of the document that orders it.
    pub document_number: String,
    /// The day from which it holds; the day it became known is the commit's own.
    pub effective_date: Option<Date>,
    /// The role in which the source claims it; empty for an import.
    pub role: String,
    /// The event, as named in `dancu.v1.Event`; empty for none.
    pub event: String,
    /// A person decided that it counts.
    pub decided: bool,
}

/// One commit: it gets one revision, or changes nothing and gets none.
#[derive(Clone, Debug)]
pub struct Commit {
    /// On whose word.
    pub origin: Origin,
    /// What changes.
    pub content: Content,
}

/// What changes in a commit.
#[derive(Clone, Debug)]
pub enum Content {
    /// Citizens' records.
    Citizens(Vec<CitizenUpdate>),
    /// What is decided on the registry as the commits before it leave it.
    Decided(Decide),
    /// The sharing policy.
    Agreement(AgreementEvent),
    /// Who is on an interest list.
    Interest(InterestUpdate),
    /// A day begins: what depends on the date moves with this commit.
    Day(DayBegins),
    /// The administrative order.
    Areas(AreaUpdate),
}

/// Decides on the registry as the commits before leave it.
pub type DecideBy = dyn Fn(&Standing<'_>) -> Result<Decision, CommitError> + Send + Sync;

/// Decides what a commit does, when it is its turn.
#[derive(Clone)]
pub struct Decide {
    /// Nothing else is in its group: it reads rows by ranges, and sees all before it there.
    pub alone: bool,
    /// Decides. Nothing is written if it fails.
    pub by: Arc<DecideBy>,
}

impl fmt::Debug for Decide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decide").field("alone", &self.alone).finish_non_exhaustive()
    }
}

/// What a commit does.
#[derive(Debug, Default)]
pub struct Decision {
    /// What changes of citizens, each at most once.
    pub updates: Vec<CitizenUpdate>,
    /// It takes a revision even if no value changes.
    pub counts: bool,
    /// The revision whose claims it takes back.
    pub takes_back: Option<Revision>,
    /// On whose word, where that is another than the commit says.
    pub origin: Option<Origin>,
    /// Rows of other owners, in the same write.
    pub rows: Vec<Write>,
}

/// Areas change. No record does: addresses keep their codes and are followed.
#[derive(Clone, Debug)]
pub struct AreaUpdate {
    /// The change, checked against the order in force.
    pub change: AreaChange,
    /// The sharing policy that it was checked under. Another one since makes the commit stale.
    pub policy: Revision,
}

/// People come onto an interest list or leave it.
#[derive(Clone, Debug)]
pub struct InterestUpdate {
    /// Id of the agreement whose scope the list is.
    pub agreement: String,
    /// The agency that it is with.
    pub agency: String,
    /// The node whose list it is.
    pub node: String,
    /// Numbers to add. Whoever gets a number that no one has yet is on the list from then on.
    pub add: Vec<PersonalId>,
    /// Numbers to withdraw.
    pub withdraw: Vec<PersonalId>,
}

/// A day begins, Asia/Ho_Chi_Minh.
#[derive(Clone)]
pub struct DayBegins {
    /// The day.
    pub day: Date,
    /// The agencies that have an agreement which begins or ends.
    pub agencies: Vec<String>,
    /// Birth dates of those who may move from one scope to another by their age.
    pub births: Vec<Date>,
    /// Whether someone does: the commit enters those in the feed, and no one else.
    pub moves: Arc<dyn Fn(Subject<'_>) -> bool + Send + Sync>,
    /// The sharing policy that this was found by. Another one since makes the commit stale.
    pub policy: Revision,
}

impl fmt::Debug for DayBegins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DayBegins").field("day", &self.day).finish_non_exhaustive()
    }
}

/// What happens to the sharing policy. Documents are kept as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgreementEvent {
    /// A version takes force.
    Apply {
        /// Id of the agreement.
        agreement: String,
        /// The agency that it is with, whose nodes are told.
        agency: String,
        /// The document, TOML, checked before.
        document: String,
    },
    /// The agreement ends.
    Withdraw {
        /// Id of the agreement.
        agreement: String,
        /// The agency that it was with.
        agency: String,
    },
}

/// New values for one citizen.
#[derive(Clone, Debug)]
pub struct CitizenUpdate {
    /// Who.
    pub person: Person,
    /// The fields with new values; a new number may be among them. What is in question stays as it is,
    /// unless it is told here as [`Delta::set`] does.
    pub set: Record,
    /// The fields that lose their value.
    pub clear: FieldSet,
    /// What the source claims, whether or not it comes into force; nothing for a plain change.
    pub claims: Claims,
    /// From which revisions the values now in force are, where that is not this commit: of claims that
    /// were taken back, and of those that are not in force.
    pub sources: Vec<(FieldSet, Option<Revision>)>,
    /// The person is no longer in the registry: the number is the last, and leads to another one or nowhere.
    pub leaves: Option<Leaving>,
}

impl CitizenUpdate {
    /// New values, and nothing else.
    #[must_use]
    pub fn plain(person: Person, set: Record, clear: FieldSet) -> CitizenUpdate {
        CitizenUpdate { person, set, clear, claims: Claims::default(), sources: Vec::new(), leaves: None }
    }

    /// The same, after which these fields are in question, and no others.
    #[must_use]
    pub fn with_in_question(self, fields: FieldSet) -> CitizenUpdate {
        let mut told = Delta { set: self.set.into_bytes(), ..Delta::default() };
        told.tell_in_question(fields);
        CitizenUpdate { set: Record::trusted(told.set), ..self }
    }
}

/// How a person leaves the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// The number leads nowhere.
    Cancelled,
    /// The number leads to another person's record.
    Into(CitizenKey),
}

/// What a source says of one person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Values.
    pub set: Record,
    /// Fields that have no value.
    pub cleared: FieldSet,
    /// Items that lists have more.
    pub added: Record,
}

impl Claims {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Claims::default()
    }

    /// The fields that it says something of.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        self.set.fields().union(self.cleared).union(self.added.fields())
    }
}

/// Whom an update concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// The one with this number, in force or former.
    Known(PersonalId),
    /// The one with this number, who is entered if there is none.
    KnownOrNew(PersonalId),
}

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The revision; the latest one where nothing changed.
    pub revision: Revision,
    /// Citizens entered.
    pub added: u64,
    /// Citizens changed.
    pub changed: u64,
    /// Nothing changed, or this contribution was carried out before.
    pub unchanged: bool,
}

/// Why a commit was refused.
#[derive(Debug, Error)]
pub enum CommitError {
    /// No such person.
    #[error("no citizen has this personal number")]
    NoSuchCitizen,
    /// A new number is not free.
    #[error("the new personal number belongs or belonged to another person; numbers are never reused")]
    NumberTaken,
    /// A record without a number.
    #[error("a citizen's record needs a valid personal number")]
    NoNumber,
    /// A bulk load into a registry with citizens.
    #[error("a bulk load needs an empty registry")]
    NotEmpty,
    /// No such agreement.
    #[error("no agreement `{0}` is in force")]
    NoSuchAgreement(String),
    /// The sharing policy is another than the one that the commit was made by.
    #[error("the sharing policy has changed meanwhile")]
    Stale,
    /// What was asked for cannot be now.
    #[error("{0}")]
    Refused(String),
    /// The hub is going down.
    #[error("the registry is closed")]
    Closed,
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

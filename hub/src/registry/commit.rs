//! What a commit is made of.

use std::{fmt, sync::Arc};

use dancu_proto::{
    FieldSet, PersonalId, Record, Revision,
    v1::{AreaChange, Date},
};
use thiserror::Error;
use uuid::Uuid;

use super::{StoreError, Subject};

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
    /// The sharing policy.
    Agreement(AgreementEvent),
    /// Who is on an interest list.
    Interest(InterestUpdate),
    /// A day begins: what depends on the date moves with this commit.
    Day(DayBegins),
    /// The administrative order.
    Areas(AreaUpdate),
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
    /// The fields with new values; a new number may be among them.
    pub set: Record,
    /// The fields that lose their value.
    pub clear: FieldSet,
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
    /// The hub is going down.
    #[error("the registry is closed")]
    Closed,
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
}

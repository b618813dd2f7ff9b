//! Why a look-up is refused. None of these says anything about a citizen.

use crate::{callers::UnknownCaller, quota::Exceeded, slice::SliceError};

/// A field of the request at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which, as a path: `context.case_number`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

impl Fault {
    pub(super) fn new(field: impl Into<String>, description: impl Into<String>) -> Fault {
        Fault { field: field.into(), description: description.into() }
    }
}

impl Refusal {
    /// Whether it only says that the person is not among those that are held and may be told of.
    pub(super) fn is_of_absence(&self) -> bool {
        matches!(
            self,
            Refusal::NotFound
                | Refusal::Loading
                | Refusal::OfflineLimitPassed
                | Refusal::OperationNotAgreed(_)
        )
    }
}

/// A look-up that is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request is malformed; every fault is named.
    #[error("the request is malformed in {} places", .0.len())]
    Invalid(Vec<Fault>),
    /// The caller is not bound to the purpose, or no agreement has it.
    #[error("{0}")]
    PurposeNotAgreed(&'static str),
    /// The agreements for the purpose want the officer listed, and the officer is not.
    #[error(
        "this officer may not act for this purpose today; the node's operator lists officers with `dancu-node officer add`"
    )]
    OfficerNotAllowed,
    /// A quota is used up.
    #[error(transparent)]
    Quota(#[from] Exceeded),
    /// The agreements for the purpose do not have the operation.
    #[error("no agreement for this purpose allows {0}; ask the hub's operator for an agreement that does")]
    OperationNotAgreed(&'static str),
    /// The agreements for the purpose do not give a field that the call cannot do without.
    #[error(
        "the agreements for this purpose do not give {0}, which this call needs; look up by personal number"
    )]
    FieldNotAgreed(&'static str),
    /// Unknown, or outside what the purpose may see: one answer.
    #[error(
        "no citizen of that number in this node's slice for this purpose; check the number with the person"
    )]
    NotFound,
    /// Not among what is held, and not all that may be held is here yet.
    #[error("the slice is still loading, so that absence proves nothing; try again later")]
    Loading,
    /// What may no longer be held is being removed.
    #[error("the node is removing what it may no longer hold; try again shortly")]
    Narrowing,
    /// The hub was last heard too long ago.
    #[error("the hub was last heard longer ago than the agreement allows; restore the line to the hub")]
    OfflineLimitPassed,
    /// The key of the slice is not here.
    #[error("the node's data is sealed: {0}; ask the node's operator")]
    Sealed(&'static str),
    /// The hub is needed, and out of reach.
    #[error("the hub cannot be reached, and this call needs it; restore the line to the hub, or try again")]
    HubUnreachable,
    /// What comes after a cursor is not kept any more.
    #[error(
        "what came after this cursor is not kept any more, or the slice was loaded anew; follow again without a cursor, and read anew what you keep"
    )]
    CursorExpired,
    /// Who calls is not known any more.
    #[error(transparent)]
    Unknown(#[from] UnknownCaller),
    /// Nothing is agreed.
    #[error("no agreement gives this node anything; ask the hub's operator to apply one")]
    NoAgreement,
    /// Suspended by the hub's operator; in the hub's words.
    #[error("{0}; look-ups are refused until that operator resumes it")]
    Suspended(String),
    /// Revoked by the hub's operator; in the hub's words.
    #[error("{0}; the slice is erased, ask that operator")]
    Revoked(String),
    /// The slice cannot be read.
    #[error("the slice cannot be read")]
    Slice(#[from] SliceError),
    /// A stored record cannot be decoded.
    #[error("a stored record is damaged")]
    Damaged(#[from] dancu_proto::record::RecordError),
    /// A stored record has no number.
    #[error("a stored record has no valid personal number")]
    Unnumbered(#[from] dancu_proto::personal_id::PersonalIdError),
}

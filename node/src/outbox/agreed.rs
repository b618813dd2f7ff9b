//! For which purposes the agency may hand in. It is kept, so that a node that is sealed knows; nothing of it is
//! about a person.

use prost::Message;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::store::Outbox;
use crate::{
    lookup::Refusal,
    slice::{Phase, Slice, SliceState},
};

/// The operation, as agreements name it.
const CONTRIBUTE: &str = "contribute";

/// What is agreed of handing in.
#[derive(Clone, PartialEq, Message)]
pub struct Agreed {
    /// One of each agreement.
    #[prost(message, repeated, tag = "1")]
    grants: Vec<AgreedGrant>,
}

/// What one agreement says.
#[derive(Clone, PartialEq, Message)]
struct AgreedGrant {
    /// Its purposes.
    #[prost(string, repeated, tag = "1")]
    purposes: Vec<String>,
    /// It lets the agency hand in.
    #[prost(bool, tag = "2")]
    contributes: bool,
    /// The caller vouches for its officers.
    #[prost(bool, tag = "3")]
    officers_vouched: bool,
}

impl Agreed {
    /// What a slice that is open says; none if it is not, or if nothing was ever heard.
    #[must_use]
    pub fn of(state: &SliceState) -> Option<Agreed> {
        if matches!(state.phase, Phase::Sealed | Phase::Empty) {
            return None;
        }
        let grant = |grant: &std::sync::Arc<crate::slice::Grant>| AgreedGrant {
            purposes: grant.purposes.clone(),
            contributes: grant.operations.iter().any(|operation| operation == CONTRIBUTE),
            officers_vouched: grant.officers_vouched,
        };
        Some(Agreed { grants: state.target.iter().map(grant).collect() })
    }

    /// Whether the agency may hand in for a purpose by an officer, who is `listed` at the node or not.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, purpose: &str, listed: bool) -> Result<(), Refusal> {
        if self.grants.is_empty() {
            return Err(Refusal::NoAgreement);
        }
        let for_purpose: Vec<_> = self
            .grants
            .iter()
            .filter(|grant| grant.purposes.iter().any(|agreed| agreed == purpose))
            .collect();
        if for_purpose.is_empty() {
            return Err(Refusal::PurposeNotAgreed(
                "no agreement of this node has that purpose; check its code, or ask the hub's operator for an agreement",
            ));
        }
        let mut contributing = for_purpose.iter().filter(|grant| grant.contributes).peekable();
        if contributing.peek().is_none() {
            return Err(Refusal::OperationNotAgreed(CONTRIBUTE));
        }
        if contributing.any(|grant| listed || grant.officers_vouched) {
            Ok(())
        } else {
            Err(Refusal::OfficerNotAllowed)
        }
    }
}

/// Keeps in the outbox what is agreed, whenever the slice is open, until cancelled.
pub async fn follow(outbox: Outbox, slice: Slice, cancel: CancellationToken) {
    let mut states = slice.watch();
    loop {
        let agreed = Agreed::of(&states.borrow_and_update());
        if let Some(agreed) = agreed {
            let outbox = outbox.clone();
            if let Ok(Err(error)) = spawn_blocking(move || outbox.set_agreed(&agreed)).await {
                tracing::error!(%error, "what is agreed is not kept for while the slice is sealed");
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            changed = states.changed() => if changed.is_err() { return },
        }
    }
}

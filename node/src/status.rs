//! The one place that turns this crate's errors into what callers see.

use std::time::Duration;

use dancu_proto::Reason;
use tonic::Status;

use crate::{
    access_log::LogError, callers::UnknownCaller, interest::InterestsError, lookup::Refusal,
    outbox::OutboxError, sync::ProofError,
};

/// When to try again while the hub is out of reach.
const HUB_RETRY: Duration = Duration::from_secs(2);
/// When to try again while a load goes on.
const LOADING_RETRY: Duration = Duration::from_secs(5);

/// When to try again while a narrowing goes on.
const NARROWING_RETRY: Duration = Duration::from_secs(1);

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        let message = refusal.to_string();
        let reason = match refusal {
            Refusal::Invalid(faults) => {
                let faults: Vec<_> =
                    faults.into_iter().map(|fault| (fault.field, fault.description)).collect();
                return Reason::InvalidRequest.fields(&faults);
            }
            Refusal::PurposeNotAgreed(_) => Reason::PurposeNotAgreed,
            Refusal::OperationNotAgreed(_) => Reason::OperationNotAgreed,
            Refusal::FieldNotAgreed(_) => Reason::FieldNotAgreed,
            Refusal::NotFound => Reason::CitizenNotFound,
            Refusal::Loading => return Reason::SliceLoading.retry(message, LOADING_RETRY),
            Refusal::Narrowing => return Reason::SliceNarrowing.retry(message, NARROWING_RETRY),
            Refusal::OfflineLimitPassed => Reason::OfflineLimitPassed,
            Refusal::Sealed(_) => return Reason::SliceSealed.retry(message, HUB_RETRY),
            Refusal::CursorExpired => Reason::CursorExpired,
            Refusal::Unknown(unknown) => return unknown.into(),
            Refusal::NoAgreement => Reason::NoAgreement,
            Refusal::Suspended(_) => Reason::NodeSuspended,
            Refusal::Revoked(_) => Reason::NodeRevoked,
            Refusal::OfficerNotAllowed => Reason::OfficerNotAllowed,
            Refusal::Quota(exceeded) => return Reason::QuotaExceeded.retry(message, exceeded.retry),
            Refusal::HubUnreachable => {
                return Reason::HubUnreachable.retry(message, HUB_RETRY);
            }
            Refusal::Slice(error) => {
                tracing::error!(%error, "the slice cannot be read");
                return Reason::Storage
                    .status("the slice cannot be read; tell the node's operator, whose log has the rest");
            }
            Refusal::Damaged(error) => {
                tracing::error!(%error, "a stored record is damaged");
                return Reason::Internal
                    .status("a stored record is damaged; tell the node's operator, whose log has the rest");
            }
            Refusal::Unnumbered(error) => {
                tracing::error!(%error, "a stored record is damaged");
                return Reason::Internal
                    .status("a stored record is damaged; tell the node's operator, whose log has the rest");
            }
        };
        reason.status(message)
    }
}

impl From<InterestsError> for Status {
    fn from(error: InterestsError) -> Status {
        if let InterestsError::Sealed = error {
            return Reason::SliceSealed.retry(error.to_string(), HUB_RETRY);
        }
        tracing::error!(%error, "the interest lists cannot be used");
        Reason::Storage.status(
            "the interest lists cannot be read or written; tell the node's operator, whose log has the rest",
        )
    }
}

impl From<OutboxError> for Status {
    fn from(error: OutboxError) -> Status {
        let message = error.to_string();
        match error {
            OutboxError::Sealed => Reason::SliceSealed.retry(message, HUB_RETRY),
            OutboxError::NotReady => Reason::SliceLoading.retry(message, LOADING_RETRY),
            OutboxError::Closed => Reason::ShuttingDown.status(message),
            OutboxError::Unknown => Reason::NotFound.status(message),
            OutboxError::Reused => Reason::AlreadyExists.field("contribution.id", message),
            OutboxError::Foreign(_) => Reason::InvalidRequest.status(message),
            OutboxError::Full | OutboxError::NoSpace => Reason::Storage.status(message),
            OutboxError::Database(_) | OutboxError::Damaged(_) | OutboxError::Sealing(_) => {
                tracing::error!(%error, "the outbox cannot be used");
                Reason::Storage.status(
                    "the outbox cannot be read or written: nothing was queued; tell the node's operator, whose log has the rest",
                )
            }
        }
    }
}

impl From<ProofError> for Status {
    fn from(error: ProofError) -> Status {
        let message = error.to_string();
        match error {
            ProofError::NotSettled => Reason::SliceLoading.retry(message, LOADING_RETRY),
            ProofError::Offline(_) => Reason::HubUnreachable.status(message),
            ProofError::Refused(status) => *status,
            ProofError::Slice(error) => Refusal::Slice(error).into(),
            ProofError::Cancelled => Reason::ShuttingDown.status(message),
        }
    }
}

impl From<LogError> for Status {
    fn from(error: LogError) -> Status {
        match error {
            LogError::Closed => Reason::ShuttingDown.status(error.to_string()),
            LogError::NoRecipient => Reason::AccessNotRecorded.retry(error.to_string(), LOADING_RETRY),
            LogError::Full | LogError::Database(_) | LogError::Damaged(_) | LogError::Sealing => {
                Reason::AccessNotRecorded.status(error.to_string())
            }
        }
    }
}

impl From<UnknownCaller> for Status {
    fn from(unknown: UnknownCaller) -> Status {
        Reason::CallerUnknown.status(unknown.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::Fault;

    #[test]
    fn each_refusal_has_its_reason() {
        for (refusal, reason) in [
            (Refusal::PurposeNotAgreed(""), Reason::PurposeNotAgreed),
            (Refusal::OperationNotAgreed("verify"), Reason::OperationNotAgreed),
            (Refusal::FieldNotAgreed("full_name"), Reason::FieldNotAgreed),
            (Refusal::NotFound, Reason::CitizenNotFound),
            (Refusal::Loading, Reason::SliceLoading),
            (Refusal::Narrowing, Reason::SliceNarrowing),
            (Refusal::OfflineLimitPassed, Reason::OfflineLimitPassed),
            (Refusal::Sealed("x"), Reason::SliceSealed),
            (Refusal::CursorExpired, Reason::CursorExpired),
            (Refusal::Unknown(UnknownCaller::Revoked), Reason::CallerUnknown),
            (Refusal::NoAgreement, Reason::NoAgreement),
            (Refusal::Suspended("audit".into()), Reason::NodeSuspended),
            (Refusal::Revoked(String::new()), Reason::NodeRevoked),
        ] {
            assert_eq!(Reason::of(&refusal.into()), Some(reason));
        }
        assert!(Status::from(Refusal::Suspended("audit".into())).message().contains("audit"));
    }

    #[test]
    fn every_fault_is_named() {
        let fault = |field: &str| Fault { field: field.into(), description: "is missing".into() };
        let status = Status::from(Refusal::Invalid(vec![fault("a"), fault("b")]));
        let named: Vec<_> = Reason::faults(&status).into_iter().map(|(field, _)| field).collect();
        assert_eq!(named, ["a", "b"]);
    }
}

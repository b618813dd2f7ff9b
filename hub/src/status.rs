//! The one place where the hub's errors become gRPC statuses.

use dancu_proto::Reason;
use tonic::Status;

use crate::registry::{CommitError, StoreError};

/// The status of a storage error. What the database says goes to the log, not to the caller.
pub(crate) fn of_store(error: &StoreError) -> Status {
    match error {
        StoreError::Full | StoreError::Locked => Reason::Storage.status(error.to_string()),
        StoreError::NotEmpty | StoreError::Exists(_) => Reason::Conflict.status(error.to_string()),
        StoreError::Missing(_) | StoreError::Corrupt(_) | StoreError::Database(_) => {
            tracing::error!(%error, "the registry failed");
            Reason::Internal.status("the hub's registry failed; the hub's log says why")
        }
    }
}

impl From<CommitError> for Status {
    fn from(error: CommitError) -> Status {
        match &error {
            CommitError::NoSuchCitizen => Reason::CitizenNotFound.status(error.to_string()),
            CommitError::NoSuchAgreement(_) => Reason::NotFound.status(error.to_string()),
            CommitError::NumberTaken | CommitError::NotEmpty => Reason::Conflict.status(error.to_string()),
            CommitError::Refused(message) => Reason::Conflict.status(message),
            CommitError::Stale => Reason::Conflict.status(error.to_string()),
            CommitError::NoNumber => Reason::InvalidRequest.field("personal_id", error.to_string()),
            CommitError::Closed => Reason::ShuttingDown.status("the hub is going down; try again"),
            CommitError::Store(error) => of_store(error),
        }
    }
}

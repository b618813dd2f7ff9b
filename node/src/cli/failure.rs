//! What goes wrong at a terminal: one line, and what to do next.

use std::{io, path::PathBuf, process::ExitCode};

use dancu_proto::{
    Reason,
    channel::{ConnectError, IdentityError, config::ConfigError as TlsError},
};
use tonic::{Code, Status};

use crate::{
    callers::{RosterError, authority::AuthorityError},
    config::ConfigError,
    identity::join::JoinError,
    lifecycle::LifecycleError,
    officers::OfficerError,
};

/// A command that fails.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Threads cannot be started.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// Joining.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Serving.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// The list of officers.
    #[error(transparent)]
    Officers(#[from] OfficerError),
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A certificate or key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No node there.
    #[error(
        "no node answers at {at}: {source}; start it with `dancu-node serve`, or say where it is with --socket or --address"
    )]
    Connect {
        /// Where.
        at: String,
        /// Why.
        source: ConnectError,
    },
    /// The node says no.
    #[error("{}", told(.0))]
    Refused(Box<Status>),
    /// Nobody was found.
    #[error("no citizen matches in this node's slice for this purpose")]
    NobodyFound,
    /// Some of what was handed in does not count.
    #[error("{} refused or rejected; the reasons say what to do", counted(*.0, "was", "were"))]
    NotCounted(u64),
    /// Of some of what was handed in a person at the hub decides.
    #[error("{} in review: a person at the hub decides", counted(*.0, "is", "are"))]
    InReview(u64),
    /// What becomes of some was not said in time.
    #[error(
        "{} not concluded yet; nothing is lost: `dancu-node contribution show ID` says what becomes of it",
        counted(*.0, "is", "are")
    )]
    StillOpen(u64),
    /// Callers.
    #[error(transparent)]
    Callers(#[from] RosterError),
    /// The agency's authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// An answer has no JSON form.
    #[error("the answer cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Output.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        Failure::Refused(Box::new(status))
    }
}

/// So many contributions, and what they do.
pub(super) fn counted(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 contribution {one}"),
        count => format!("{count} contributions {several}"),
    }
}

fn told(status: &Status) -> String {
    if let Some(error) = ConnectError::of(status) {
        return format!("the connection failed: {error}");
    }
    match Reason::of(status) {
        Some(reason) => format!("{} ({}){}", status.message(), reason.name(), hint(status)),
        None => format!("{} ({})", status.message(), status.code()),
    }
}

/// What of the command line gives what a call lacks.
pub(super) fn hint(status: &Status) -> String {
    let given_by = |(field, fault): (String, String)| {
        let option = match field.trim_start_matches("contribution.") {
            "context.purpose" => "--purpose (or DANCU_PURPOSE)",
            "context.case_number" => "--case (or DANCU_CASE)",
            "context.officer" => "--officer (or DANCU_OFFICER)",
            _ => return None,
        };
        fault.contains("is missing").then_some(option)
    };
    let options: Vec<_> = Reason::faults(status).into_iter().filter_map(given_by).collect();
    if options.is_empty() { String::new() } else { format!("; give {}", options.join(", ")) }
}

impl Failure {
    /// 1 refused or failed, 2 wrong usage, 3 not found, 4 in review, 5 not concluded in time.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Usage(_) | Failure::Config(_) => 2,
            Failure::NobodyFound => 3,
            Failure::InReview(_) => 4,
            Failure::StillOpen(_) => 5,
            Failure::Refused(status) => match status.code() {
                Code::NotFound => 3,
                Code::InvalidArgument => 2,
                _ => 1,
            },
            _ => 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_the_kinds_apart() {
        let code = |failure: Failure| format!("{:?}", failure.exit_code());
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(code(Reason::CitizenNotFound.status("x").into()), expected(3));
        assert_eq!(
            code(Reason::InvalidRequest.field("context.case_number", "is missing").into()),
            expected(2)
        );
        assert_eq!(code(Reason::NodeSuspended.status("x").into()), expected(1));
        assert_eq!(code(Failure::NobodyFound), expected(3));
        assert_eq!(code(Failure::StillOpen(1)), expected(5));
    }

    #[test]
    fn what_is_missing_is_named_as_it_is_typed() {
        let faults = [
            ("context.purpose".to_owned(), "is missing".to_owned()),
            ("contribution.context.officer".to_owned(), "is missing".to_owned()),
            ("context.case_number".to_owned(), "is longer than 64 characters".to_owned()),
        ];
        let text = Failure::from(Reason::InvalidRequest.fields(&faults)).to_string();
        let told = "; give --purpose (or DANCU_PURPOSE), --officer (or DANCU_OFFICER)";
        assert!(text.ends_with(told), "{text}");
        assert_eq!(hint(&Reason::InvalidRequest.field("personal_id", "is missing")), "");
    }

    #[test]
    fn a_refusal_is_one_line_with_its_reason() {
        let text = Failure::from(Reason::NodeSuspended.status("suspended: audit")).to_string();
        assert_eq!(text, "suspended: audit (NODE_SUSPENDED)");
    }
}

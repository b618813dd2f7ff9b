//! Every way a call can be refused, as callers see it: a gRPC status with `google.rpc.ErrorInfo`
//! (domain `dancu`, the reason in upper case), and `BadRequest` for fields at fault.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// The most faults that a status names: many libraries take 8 KiB of headers and no more, and then show
/// the caller no reason at all.
const MOST_FAULTS: usize = 16;

/// The domain of every `ErrorInfo`.
pub const DOMAIN: &str = "dancu";

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $code:ident;)*) => {
        /// Why a call was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// Name in `ErrorInfo.reason`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// Status code.
            #[must_use]
            pub fn code(self) -> Code {
                match self { $(Reason::$variant => Code::$code,)* }
            }
        }
    };
}

reasons! {
    /// A field of the request is missing or malformed; `BadRequest` names it.
    InvalidRequest = "INVALID_REQUEST", InvalidArgument;
    /// The connection shows no certificate, or none that is known here.
    CallerUnknown = "CALLER_UNKNOWN", Unauthenticated;
    /// The caller may not do this at all.
    CallerNotAllowed = "CALLER_NOT_ALLOWED", PermissionDenied;
    /// The caller is not bound to the purpose it names.
    PurposeNotAgreed = "PURPOSE_NOT_AGREED", PermissionDenied;
    /// No agreement for the purpose allows this operation.
    OperationNotAgreed = "OPERATION_NOT_AGREED", PermissionDenied;
    /// The officer is not listed at the node for the purpose.
    OfficerNotAllowed = "OFFICER_NOT_ALLOWED", PermissionDenied;
    /// As many people as an agreement or a caller may ask about were asked about.
    QuotaExceeded = "QUOTA_EXCEEDED", ResourceExhausted;
    /// The agreement does not give a field that the call needs.
    FieldNotAgreed = "FIELD_NOT_AGREED", PermissionDenied;
    /// Unknown, or outside the slice: the two are never told apart.
    CitizenNotFound = "CITIZEN_NOT_FOUND", NotFound;
    /// The cursor of a watch is too old, or of a slice that was loaded anew since.
    CursorExpired = "CURSOR_EXPIRED", OutOfRange;
    /// The slice, or this part of it, is still loading.
    SliceLoading = "SLICE_LOADING", Unavailable;
    /// The node is removing what it may no longer hold.
    SliceNarrowing = "SLICE_NARROWING", Unavailable;
    /// The slice is sealed: its key comes with a lease from the hub.
    SliceSealed = "SLICE_SEALED", Unavailable;
    /// What was asked for needs the hub, and the hub is out of reach.
    HubUnreachable = "HUB_UNREACHABLE", Unavailable;
    /// The hub has been out of reach for longer than the agreement allows.
    OfflineLimitPassed = "OFFLINE_LIMIT_PASSED", FailedPrecondition;
    /// The node holds no agreement for anything.
    NoAgreement = "NO_AGREEMENT", FailedPrecondition;
    /// The node is suspended by the hub's operator.
    NodeSuspended = "NODE_SUSPENDED", PermissionDenied;
    /// The node is revoked by the hub's operator.
    NodeRevoked = "NODE_REVOKED", PermissionDenied;
    /// The certificate is not the node's current one.
    CertificateSuperseded = "CERTIFICATE_SUPERSEDED", PermissionDenied;
    /// The token is not one the hub knows.
    TokenUnknown = "TOKEN_UNKNOWN", PermissionDenied;
    /// The token was used already.
    TokenUsed = "TOKEN_USED", PermissionDenied;
    /// The token has expired.
    TokenExpired = "TOKEN_EXPIRED", PermissionDenied;
    /// The signing request is not valid, or names another node.
    SigningRequestRefused = "SIGNING_REQUEST_REFUSED", InvalidArgument;
    /// The two sides speak different versions of the protocol.
    ProtocolVersion = "PROTOCOL_VERSION", FailedPrecondition;
    /// The same node has another, newer stream.
    StreamReplaced = "STREAM_REPLACED", Aborted;
    /// Something of that name exists already.
    AlreadyExists = "ALREADY_EXISTS", AlreadyExists;
    /// Nothing of that name exists.
    NotFound = "NOT_FOUND", NotFound;
    /// The document of an agreement is not valid; the message names the line.
    AgreementInvalid = "AGREEMENT_INVALID", InvalidArgument;
    /// The state of things does not allow this now; the message says what to do.
    Conflict = "CONFLICT", FailedPrecondition;
    /// Too much at once.
    Overloaded = "OVERLOADED", ResourceExhausted;
    /// The disk is full or failing; reads go on.
    Storage = "STORAGE", Unavailable;
    /// The call cannot be recorded in the access log, and what is not recorded is not answered.
    AccessNotRecorded = "ACCESS_NOT_RECORDED", Unavailable;
    /// The access log that a node hands in is not whole.
    AccessLogRefused = "ACCESS_LOG_REFUSED", FailedPrecondition;
    /// The process is going down.
    ShuttingDown = "SHUTTING_DOWN", Unavailable;
    /// A fault of this software; its log has the rest.
    Internal = "INTERNAL", Internal;
}

impl Reason {
    /// A status with this reason. The message says what happened and what to do, and holds no
    /// personal data.
    #[must_use]
    pub fn status(self, message: impl Into<String>) -> Status {
        Status::with_error_details(self.code(), message, self.details())
    }

    /// A status that names the field at fault.
    #[must_use]
    pub fn field(self, field: &str, description: impl Into<String>) -> Status {
        let description = description.into();
        let message = format!("{field}: {description}");
        let mut details = self.details();
        details.set_bad_request(vec![FieldViolation::new(field, description)]);
        Status::with_error_details(self.code(), message, details)
    }

    /// A status that names the fields at fault, each with what is wrong with it: every one, if they are
    /// not too many for the headers of an answer.
    #[must_use]
    pub fn fields(self, faults: &[(String, String)]) -> Status {
        let (told, more) = faults.split_at(faults.len().min(MOST_FAULTS));
        let mut message: Vec<_> = told.iter().map(|(field, fault)| format!("{field}: {fault}")).collect();
        if !more.is_empty() {
            message.push(format!("and {} more", more.len()));
        }
        let violations = told.iter().map(|(field, fault)| FieldViolation::new(field, fault));
        let mut details = self.details();
        details.set_bad_request(violations.collect::<Vec<_>>());
        Status::with_error_details(self.code(), message.join("; "), details)
    }

    /// A status that says when to try again.
    #[must_use]
    pub fn retry(self, message: impl Into<String>, after: Duration) -> Status {
        let mut details = self.details();
        details.set_retry_info(Some(after));
        Status::with_error_details(self.code(), message, details)
    }

    /// The reason a status gives, if it is one of ours.
    #[must_use]
    pub fn of(status: &Status) -> Option<Reason> {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN)?;
        Reason::ALL.iter().copied().find(|reason| reason.name() == info.reason)
    }

    /// The fields that a status names as at fault, each with what is wrong with it.
    #[must_use]
    pub fn faults(status: &Status) -> Vec<(String, String)> {
        let violations = status.get_details_bad_request().map(|request| request.field_violations);
        violations.into_iter().flatten().map(|violation| (violation.field, violation.description)).collect()
    }

    fn details(self) -> ErrorDetails {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.name(), DOMAIN, []);
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_survives_the_wire() {
        for reason in Reason::ALL {
            let status = reason.field("context.purpose", "is missing");
            assert_eq!(Reason::of(&status), Some(*reason));
            assert_eq!(status.code(), reason.code());
        }
        assert_eq!(Reason::of(&Status::not_found("other")), None);
    }

    /// Every table of the guide that says what reasons there are.
    #[test]
    fn every_reason_is_in_the_guide_once_with_its_code() {
        let guide = include_str!("../../docs/integrator.md");
        let refusals = guide.split("\n## ").find(|part| part.starts_with("Refusals\n")).unwrap();
        let cell = |cell: &str| cell.trim().strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
        let row = |line: &str| {
            let mut cells = line.strip_prefix('|')?.split('|').map(cell);
            Some((cells.next()??, cells.next()??))
        };
        let mut documented: Vec<_> = refusals.lines().filter_map(row).collect();
        documented.sort();
        // `InvalidArgument`, as the documentation of gRPC writes it.
        let code = |code: Code| {
            let mut name = String::new();
            for letter in format!("{code:?}").chars() {
                if letter.is_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            name
        };
        let mut reasons: Vec<_> =
            Reason::ALL.iter().map(|reason| (reason.name().to_owned(), code(reason.code()))).collect();
        reasons.sort();
        assert_eq!(documented, reasons);
    }

    #[test]
    fn every_fault_is_named() {
        let faults = [("a".to_owned(), "is missing".to_owned()), ("b".to_owned(), "is no date".to_owned())];
        let status = Reason::InvalidRequest.fields(&faults);
        assert_eq!(Reason::faults(&status), faults);
        assert_eq!(status.message(), "a: is missing; b: is no date");
    }

    #[test]
    fn a_thousand_faults_fit_into_the_headers_of_an_answer() {
        let fault =
            |number: usize| (format!("personal_ids[{number}]"), "digits 1 to 3 name nothing".to_owned());
        let faults: Vec<_> = (0..1000).map(fault).collect();
        let status = Reason::InvalidRequest.fields(&faults);
        assert_eq!(Reason::faults(&status), faults[..16]);
        assert!(status.message().ends_with("; and 984 more"));
        assert!(status.message().len() * 2 + status.details().len() * 2 < 8 << 10);
    }
}

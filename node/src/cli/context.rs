//! Why a look-up is made, from options or the environment of the officer's session.

use clap::Args;
use dancu_proto::v1::AccessContext;

/// Purpose, case and officer.
#[derive(Debug, Args)]
pub(super) struct Context {
    /// Purpose: the procedure or task code of an agreement (mã dịch vụ công)
    #[arg(long, env = "DANCU_PURPOSE", default_value = "", hide_default_value = true)]
    purpose: String,
    /// Number of the case file (mã yêu cầu)
    #[arg(long = "case", env = "DANCU_CASE", default_value = "", hide_default_value = true)]
    case_number: String,
    /// Code of the officer who acts (mã cán bộ)
    #[arg(long, env = "DANCU_OFFICER", default_value = "", hide_default_value = true)]
    officer: String,
}

impl Context {
    /// As the node asks for it; what is missing, the node names.
    pub(super) fn to_message(&self) -> AccessContext {
        AccessContext {
            purpose: self.purpose.clone(),
            case_number: self.case_number.clone(),
            officer: self.officer.clone(),
        }
    }
}

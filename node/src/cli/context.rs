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

    /// Says what a contribution leaves unsaid. Whether it says something else itself, which counts.
    pub(super) fn fill(&self, said: &mut Option<AccessContext>) -> bool {
        let AccessContext { purpose, case_number, officer } = said.get_or_insert_default();
        let parts = [(purpose, &self.purpose), (case_number, &self.case_number), (officer, &self.officer)];
        let mut otherwise = false;
        for (said, here) in parts {
            if said.is_empty() {
                said.clone_from(here);
            }
            otherwise |= !here.is_empty() && said != here;
        }
        otherwise
    }
}

/// Told where [`Context::fill`] finds something else.
pub(super) const SAYS_OTHERWISE: &str = "the file has a purpose, case or officer of its own, and that counts: \
    --purpose, --case and --officer (or DANCU_…) say what it leaves unsaid";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_say_what_a_file_leaves_unsaid() {
        let context = Context { purpose: "p".into(), case_number: "c".into(), officer: String::new() };
        let mut said = None;
        assert!(!context.fill(&mut said));
        assert_eq!(said, Some(context.to_message()));
        let mut said = Some(AccessContext { purpose: "p".into(), officer: "o".into(), ..Default::default() });
        assert!(!context.fill(&mut said));
        let whole = AccessContext { purpose: "p".into(), case_number: "c".into(), officer: "o".into() };
        assert_eq!(said, Some(whole.clone()));
        let mut said = Some(AccessContext { case_number: "other".into(), ..whole });
        assert!(context.fill(&mut said), "what the file says counts, and that is told");
        assert_eq!(said.unwrap().case_number, "other");
    }
}

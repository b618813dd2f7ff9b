//! An officer as a row of the list.

use dancu_proto::v1::Date;
use serde::{Deserialize, Serialize};

/// The longest code, characters.
const LONGEST: usize = 64;

/// What an officer may act for, and when. One officer may have several rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Officer {
    /// The officer's code (mã cán bộ).
    pub officer: String,
    /// Purposes, separated by spaces; `*` for every one that the calling back-end has.
    pub purposes: String,
    /// First day, Asia/Ho_Chi_Minh; empty for no beginning.
    #[serde(default)]
    pub from: String,
    /// Last day, included; empty for no end.
    #[serde(default)]
    pub until: String,
}

/// A row is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// No code, or no proper one.
    #[error("the officer's code is missing, longer than {LONGEST} characters, or has control characters")]
    Code,
    /// No purpose.
    #[error("no purposes; name them with spaces between, or * for all")]
    Purposes,
    /// A day that is none.
    #[error("{0:?} is not a day; write 2026-01-31")]
    Day(String),
    /// It ends before it begins.
    #[error("ends on {until}, before it begins on {from}")]
    Order {
        /// The first day.
        from: String,
        /// The last.
        until: String,
    },
}

/// A row that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    purposes: Vec<String>,
    from: u32,
    until: u32,
}

impl Officer {
    /// The rule of a row.
    pub(super) fn rule(&self) -> Result<Rule, RowError> {
        let code = &self.officer;
        if code.trim().is_empty() || code.chars().count() > LONGEST || code.chars().any(char::is_control) {
            return Err(RowError::Code);
        }
        let purposes: Vec<_> = self.purposes.split_whitespace().map(str::to_owned).collect();
        if purposes.is_empty() {
            return Err(RowError::Purposes);
        }
        let from = day(&self.from)?.unwrap_or(0);
        let until = day(&self.until)?.unwrap_or(u32::MAX);
        if until < from {
            return Err(RowError::Order { from: self.from.clone(), until: self.until.clone() });
        }
        Ok(Rule { purposes, from, until })
    }
}

impl Rule {
    pub(super) fn allows(&self, purpose: &str, today: u32) -> bool {
        (self.from..=self.until).contains(&today)
            && self.purposes.iter().any(|allowed| allowed == "*" || allowed == purpose)
    }
}

/// A day as a number that ascends with time; none for an empty text.
fn day(text: &str) -> Result<Option<u32>, RowError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let date: Result<Date, _> = text.parse();
    match date {
        Ok(date) if date.month > 0 && date.day > 0 => Ok(Some(date.as_number())),
        _ => Err(RowError::Day(text.to_owned())),
    }
}

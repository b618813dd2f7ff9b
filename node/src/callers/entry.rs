//! A caller as the configuration and `callers.toml` write it.

use serde::{Deserialize, Serialize};

use super::{Caller, KnownBy, Purposes};
use crate::quota::Quota;

/// One `[[callers]]`: a name, one of three ways to be known, and purposes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The caller's name, for people and for the log.
    pub name: String,
    /// SHA-256 of its certificate, 64 hexadecimal digits, with or without colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
    /// Common name (CN) of its certificate, which is of a trusted authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_subject: Option<String>,
    /// User id of its process, where it comes by the Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix_uid: Option<u32>,
    /// The purposes it is bound to; `["*"]` for every one the agreements have.
    pub purposes: Vec<String>,
    /// How many people it may ask about in a second; 0 for no limit of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub per_second: u32,
    /// How many in a day.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub per_day: u32,
}

/// An entry makes no caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No name.
    #[error("a caller has no name")]
    Name,
    /// Not known by exactly one thing.
    #[error("caller {0}: give exactly one of certificate_sha256, certificate_subject and unix_uid")]
    KnownBy(String),
    /// Not a fingerprint.
    #[error("caller {0}: certificate_sha256 is not 64 hexadecimal digits")]
    Fingerprint(String),
    /// No purpose.
    #[error("caller {0}: purposes is empty; name them, or \"*\" for all")]
    Purposes(String),
}

impl Entry {
    /// The caller.
    ///
    /// # Errors
    /// Says what is missing or malformed.
    pub fn caller(&self) -> Result<Caller, EntryError> {
        if self.name.trim().is_empty() {
            return Err(EntryError::Name);
        }
        let known_by = match (&self.certificate_sha256, &self.certificate_subject, self.unix_uid) {
            (Some(text), None, None) => {
                KnownBy::Certificate(sha256(text).ok_or_else(|| EntryError::Fingerprint(self.name.clone()))?)
            }
            (None, Some(name), None) if !name.is_empty() => KnownBy::Subject(name.clone()),
            (None, None, Some(uid)) => KnownBy::User(uid),
            _ => return Err(EntryError::KnownBy(self.name.clone())),
        };
        let purposes = if self.purposes.iter().any(|purpose| purpose == "*") {
            Purposes::All
        } else if self.purposes.is_empty() || self.purposes.iter().any(String::is_empty) {
            return Err(EntryError::Purposes(self.name.clone()));
        } else {
            Purposes::Listed(self.purposes.clone())
        };
        let quota = Quota { per_second: self.per_second, per_day: self.per_day };
        Ok(Caller { name: self.name.clone(), known_by, purposes, quota })
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A fingerprint as tools print it: pairs of digits, with colons between them or not.
pub(super) fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    (digits.len() == 64).then_some(bytes)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry { name: "portal".into(), purposes: vec!["a".into()], ..Entry::default() }
    }

    #[test]
    fn a_caller_is_known_by_exactly_one_thing() {
        assert!(matches!(entry().caller(), Err(EntryError::KnownBy(_))));
        let both = Entry { unix_uid: Some(1), certificate_subject: Some("x".into()), ..entry() };
        assert!(matches!(both.caller(), Err(EntryError::KnownBy(_))));
        let user = Entry { unix_uid: Some(1), ..entry() };
        assert_eq!(user.caller().unwrap().known_by, KnownBy::User(1));
    }

    #[test]
    fn a_fingerprint_is_read_with_or_without_colons() {
        let plain = "0f".repeat(32);
        let colons = vec!["0F"; 32].join(":");
        for text in [plain.clone(), colons] {
            let entry = Entry { certificate_sha256: Some(text), ..entry() };
            assert_eq!(entry.caller().unwrap().known_by, KnownBy::Certificate([15; 32]));
        }
        for text in ["", "0f", &format!("{plain}0"), &plain.replace('f', "g")] {
            let entry = Entry { certificate_sha256: Some(text.to_owned()), ..entry() };
            assert!(matches!(entry.caller(), Err(EntryError::Fingerprint(_))), "{text}");
        }
    }

    #[test]
    fn purposes_are_named_or_all() {
        let all = Entry { unix_uid: Some(1), purposes: vec!["*".into()], ..entry() };
        assert!(all.caller().unwrap().purposes.contain("anything"));
        let none = Entry { unix_uid: Some(1), purposes: Vec::new(), ..entry() };
        assert!(matches!(none.caller(), Err(EntryError::Purposes(_))));
        let one = Entry { unix_uid: Some(1), ..entry() }.caller().unwrap();
        assert!(one.purposes.contain("a") && !one.purposes.contain("b"));
    }
}

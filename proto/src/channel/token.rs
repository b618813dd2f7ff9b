//! The one-time token a node joins with: `dancu1-` and base64url of version, secret, fingerprint of
//! the authority, expiry, node name, and a checksum so that a slip in copying is told as such.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use time::OffsetDateTime;

use super::{
    peer::is_name,
    pin::{Fingerprint, sha256},
};

const PREFIX: &str = "dancu1-";
const VERSION: u8 = 1;
const SECRET: usize = 32;
const CHECKSUM: usize = 4;
/// Version, secret, fingerprint, seconds since 1970; the name follows.
const FIXED: usize = 1 + SECRET + 32 + 8;

/// What a node joins with.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Known to the hub by its SHA-256 only.
    pub secret: [u8; SECRET],
    /// The hub's authority.
    pub authority: Fingerprint,
    /// When the token expires.
    pub expires: OffsetDateTime,
    /// The node it makes known.
    pub node: String,
}

/// A text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not begin like one.
    #[error("this is not a token: a token begins with {PREFIX}")]
    NotAToken,
    /// A newer version.
    #[error("the token is of version {0}, which this software does not know; update it")]
    Version(u8),
    /// Characters are missing or changed.
    #[error("the token is damaged; copy it again, whole")]
    Damaged,
}

impl Token {
    /// SHA-256 of a token's secret, which is all that the hub keeps of it.
    #[must_use]
    pub fn secret_hash(secret: &[u8]) -> [u8; 32] {
        sha256(secret)
    }

    /// Reads a token. Blanks and line breaks around and in it do not count.
    ///
    /// # Errors
    /// Not a token, or damaged.
    pub fn parse(text: &str) -> Result<Token, TokenError> {
        let text: String = text.split_whitespace().collect();
        let body = text.strip_prefix(PREFIX).ok_or(TokenError::NotAToken)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Damaged)?;
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(TokenError::Damaged)?;
        if sha256(content)[..CHECKSUM] != sum[..] {
            return Err(TokenError::Damaged);
        }
        let (version, rest) = content.split_first().ok_or(TokenError::Damaged)?;
        if *version != VERSION {
            return Err(TokenError::Version(*version));
        }
        let (secret, rest) = rest.split_first_chunk().ok_or(TokenError::Damaged)?;
        let (authority, rest) = rest.split_first_chunk().ok_or(TokenError::Damaged)?;
        let (expires, name) = rest.split_first_chunk().ok_or(TokenError::Damaged)?;
        let expires = OffsetDateTime::from_unix_timestamp(i64::from_be_bytes(*expires))
            .map_err(|_| TokenError::Damaged)?;
        let node = std::str::from_utf8(name).ok().filter(|name| is_name(name)).ok_or(TokenError::Damaged)?;
        Ok(Token { secret: *secret, authority: Fingerprint(*authority), expires, node: node.to_owned() })
    }

    /// The token as text. It is a secret: shown once to who adds the node, and never logged.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut bytes = Vec::with_capacity(FIXED + self.node.len() + CHECKSUM);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.secret);
        bytes.extend_from_slice(&self.authority.0);
        bytes.extend_from_slice(&self.expires.unix_timestamp().to_be_bytes());
        bytes.extend_from_slice(self.node.as_bytes());
        let sum = sha256(&bytes);
        bytes.extend_from_slice(&sum[..CHECKSUM]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> impl Strategy<Value = Token> {
        (any::<[u8; 32]>(), any::<[u8; 32]>(), 0..4_000_000_000_i64, "[a-z0-9-]{2,40}").prop_map(
            |(secret, authority, seconds, node)| Token {
                secret,
                authority: Fingerprint(authority),
                expires: OffsetDateTime::from_unix_timestamp(seconds).unwrap(),
                node,
            },
        )
    }

    proptest! {
        #[test]
        fn a_token_is_read_back(token in tokens()) {
            prop_assert_eq!(Token::parse(&token.reveal()), Ok(token));
        }

        #[test]
        fn a_slip_is_noticed(token in tokens(), place in any::<prop::sample::Index>(), with in "[A-Za-z0-9_-]") {
            let text = token.reveal();
            let at = place.index(text.len());
            let mut slipped = text.clone();
            slipped.replace_range(at..=at, &with);
            prop_assume!(slipped != text);
            prop_assert!(Token::parse(&slipped).is_err());
            prop_assert!(Token::parse(&text[..at]).is_err());
        }

        #[test]
        fn nonsense_is_refused(text in ".*") {
            prop_assert!(Token::parse(&text).is_err());
        }
    }

    #[test]
    fn errors_tell_what_is_wrong() {
        assert_eq!(Token::parse("hello"), Err(TokenError::NotAToken));
        assert_eq!(Token::parse("dancu1-"), Err(TokenError::Damaged));
        let mut bytes = vec![9];
        bytes.extend_from_slice(&sha256(&[9])[..CHECKSUM]);
        let newer = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(Token::parse(&newer), Err(TokenError::Version(9)));
    }

    #[test]
    fn a_line_break_in_the_middle_is_no_slip() {
        let token = Token {
            secret: [7; 32],
            authority: Fingerprint([8; 32]),
            expires: OffsetDateTime::UNIX_EPOCH,
            node: "ha-giang".into(),
        };
        let mut text = token.reveal();
        text.insert_str(40, "\n  ");
        assert_eq!(Token::parse(&text), Ok(token.clone()));
        assert!(!format!("{token:?}").contains('7'));
    }
}

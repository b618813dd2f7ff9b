//! How far somebody who follows the slice has come, as they keep it: 32 hexadecimal digits.

use std::fmt;

use super::refusal::{Fault, Refusal};
use crate::slice::Extent;

/// How far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Of which entries.
    series: u64,
    /// The last that was told.
    number: u64,
}

impl Cursor {
    /// Everything there is was told.
    pub(super) fn latest(extent: Extent) -> Cursor {
        Cursor { series: extent.series, number: extent.next - 1 }
    }

    /// As a caller kept it.
    pub(super) fn parse(text: &str) -> Result<Cursor, Refusal> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let half = |range| digits.then(|| u64::from_str_radix(&text[range], 16).ok()).flatten();
        half(0..16).zip(half(16..32)).map(|(series, number)| Cursor { series, number }).ok_or_else(|| {
            let fault = "is none that a response gave; give the last one as it was, or none to begin anew";
            Refusal::Invalid(vec![Fault::new("cursor", fault)])
        })
    }

    /// If what comes after it is still kept.
    pub(super) fn within(self, extent: Extent) -> Result<Cursor, Refusal> {
        let known = self.series == extent.series && self.number < extent.next;
        if known && self.number + 1 >= extent.first { Ok(self) } else { Err(Refusal::CursorExpired) }
    }

    /// The number of the next entry.
    pub(super) fn next(self) -> u64 {
        self.number + 1
    }

    /// Moved on.
    pub(super) fn at(self, number: u64) -> Cursor {
        Cursor { number, ..self }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.series, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENT: Extent = Extent { series: 7, first: 5, next: 9 };

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor { series: u64::MAX, number: 12 };
        assert_eq!(Cursor::parse(&cursor.to_string()).unwrap(), cursor);
        for wrong in ["", "12", "+0000000000000070000000000000012", &"é".repeat(16), &"0".repeat(33)] {
            assert!(matches!(Cursor::parse(wrong), Err(Refusal::Invalid(_))), "{wrong}");
        }
    }

    #[test]
    fn a_cursor_is_good_as_long_as_what_follows_it_is_kept() {
        let within = |series, number| Cursor { series, number }.within(EXTENT).is_ok();
        assert!(within(7, 4) && within(7, 8) && Cursor::latest(EXTENT).within(EXTENT).is_ok());
        assert!(!within(7, 3), "the entry after it is gone");
        assert!(!within(7, 9), "it is of the future: of a disk that was put back");
        assert!(!within(8, 6), "it is of another series");
        assert!(!within(7, u64::MAX));
    }
}

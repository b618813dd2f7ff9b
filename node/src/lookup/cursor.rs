//! How far somebody who follows the slice has come, as they keep it. It is sealed, and each time anew: to
//! see one move on would be to learn that something has changed for another purpose.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::refusal::{Fault, Refusal};
use crate::slice::{Cipher, Extent, SliceError};

/// How far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Of which entries.
    series: u64,
    /// The last that was told.
    number: u64,
}

/// Where to go on, as a caller says it.
#[derive(Clone, Debug)]
pub(super) enum After {
    /// With what comes from now on.
    Now,
    /// After a cursor that was given out.
    Sealed(Vec<u8>),
    /// After one that is open.
    Open(Cursor),
}

impl After {
    /// As a caller sends it.
    pub(super) fn parse(text: &str) -> Result<After, Refusal> {
        if text.is_empty() {
            return Ok(After::Now);
        }
        let fault = "is none that a response gave; give the last one as it was, or none to begin anew";
        let sealed = URL_SAFE_NO_PAD.decode(text);
        sealed.map(After::Sealed).map_err(|_| Refusal::Invalid(vec![Fault::new("cursor", fault)]))
    }

    /// The cursor, if what comes after it is still kept.
    pub(super) fn cursor(&self, extent: &Extent, cipher: &Cipher) -> Result<Cursor, Refusal> {
        match self {
            After::Now => Ok(Cursor { series: extent.series, number: extent.next - 1 }),
            After::Open(cursor) => cursor.within(extent),
            After::Sealed(sealed) => {
                // One that was sealed with another key is of another slice.
                let open = cipher.open_token(sealed).ok_or(Refusal::CursorExpired)?;
                let (series, number) = open.split_first_chunk().ok_or(Refusal::CursorExpired)?;
                let number = number.try_into().map_err(|_| Refusal::CursorExpired)?;
                let (series, number) = (u64::from_be_bytes(*series), u64::from_be_bytes(number));
                Cursor { series, number }.within(extent)
            }
        }
    }
}

impl Cursor {
    fn within(self, extent: &Extent) -> Result<Cursor, Refusal> {
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

    /// As a caller is to keep it.
    pub(super) fn sealed(self, cipher: &Cipher) -> Result<String, SliceError> {
        let open = [self.series.to_be_bytes(), self.number.to_be_bytes()].concat();
        Ok(URL_SAFE_NO_PAD.encode(cipher.seal_token(&open)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slice::SliceKey;

    fn extent() -> Extent {
        Extent { series: 7, first: 5, next: 9, turned: Default::default() }
    }

    fn cipher(key: u8) -> Cipher {
        Cipher::new(&SliceKey::from_bytes(&[key; 32]).unwrap()).unwrap()
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_tells_nothing() {
        let (cursor, cipher) = (Cursor { series: 7, number: 6 }, cipher(1));
        let (one, another) = (cursor.sealed(&cipher).unwrap(), cursor.sealed(&cipher).unwrap());
        assert_ne!(one[..16], another[..16]);
        for text in [&one, &another] {
            assert_eq!(After::parse(text).unwrap().cursor(&extent(), &cipher).unwrap(), cursor);
        }
        let elsewhere = After::parse(&one).unwrap().cursor(&extent(), &super::tests::cipher(2));
        assert!(matches!(elsewhere, Err(Refusal::CursorExpired)));
        for wrong in ["1", "!", &"é".repeat(16)] {
            assert!(matches!(After::parse(wrong), Err(Refusal::Invalid(_))), "{wrong}");
        }
        for short in ["MTIz", "AAAA"] {
            let read = After::parse(short).unwrap().cursor(&extent(), &cipher);
            assert!(matches!(read, Err(Refusal::CursorExpired)));
        }
    }

    #[test]
    fn a_cursor_is_good_as_long_as_what_follows_it_is_kept() {
        let cipher = cipher(1);
        let within =
            |series, number| After::Open(Cursor { series, number }).cursor(&extent(), &cipher).is_ok();
        assert!(within(7, 4) && within(7, 8));
        assert_eq!(After::Now.cursor(&extent(), &cipher).unwrap(), Cursor { series: 7, number: 8 });
        assert!(!within(7, 3), "the entry after it is gone");
        assert!(!within(7, 9), "it is of the future: of a disk that was put back");
        assert!(!within(8, 6), "it is of another series");
        assert!(!within(7, u64::MAX));
    }
}

//! Vietnamese personal names: their parts, and how they compare.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark, is_nfc};

use crate::v1::Name;

impl Name {
    /// The parts of a name written in full: the first word is the family name, the last the given
    /// name. Right for all but a few compound family names, which are given in parts.
    #[must_use]
    pub fn from_full(text: &str) -> Name {
        let text = nfc(text);
        let mut words = text.split_whitespace();
        let Some(given) = words.next_back() else { return Name::default() };
        let family = words.next().unwrap_or_default();
        let mut middle = String::with_capacity(text.len().saturating_sub(family.len() + given.len()));
        for word in words {
            if !middle.is_empty() {
                middle.push(' ');
            }
            middle.push_str(word);
        }
        Name { family: family.to_owned(), middle, given: given.to_owned() }
    }

    /// The name in full.
    #[must_use]
    pub fn full(&self) -> String {
        let parts = [&self.family, &self.middle, &self.given];
        let mut full = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if !full.is_empty() {
                full.push(' ');
            }
            full.push_str(part);
        }
        full
    }
}

/// Text in Unicode Normalization Form C (UAX #15), the form of every stored text.
#[must_use]
pub fn nfc(text: &str) -> Cow<'_, str> {
    // Below U+0300, and among the precomposed letters of Vietnamese, nothing composes with what
    // stands before it: such text is in the form already, and nearly all text is such.
    let composed = |c: char| c < '\u{300}' || ('\u{1EA0}'..='\u{1EF9}').contains(&c);
    if text.chars().all(composed) || is_nfc(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}

/// Text as search sees it: case, diacritics, Unicode form and spacing do not count, and đ is d.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        // A word of marks alone is none.
        let mut letters = word.nfd().filter(|c| !is_combining_mark(*c)).peekable();
        if !folded.is_empty() && letters.peek().is_some() {
            folded.push(' ');
        }
        for c in letters {
            match c {
                'đ' | 'Đ' => folded.push('d'),
                _ => folded.extend(c.to_lowercase()),
            }
        }
    }
    folded
}

/// Text without diacritics, and with d for đ; capitals and spaces stay.
#[must_use]
pub fn unmarked(text: &str) -> String {
    let plain = |c| match c {
        'đ' => 'd',
        'Đ' => 'D',
        other => other,
    };
    text.nfd().filter(|c| !is_combining_mark(*c)).map(plain).collect()
}

/// Whether two texts are the same to the reader's eye: Unicode form and spacing do not count.
#[must_use]
pub fn same_text(a: &str, b: &str) -> bool {
    let words = |text| -> Vec<String> { nfc(text).split_whitespace().map(str::to_owned).collect() };
    a == b || words(a) == words(b)
}

#[cfg(test)]
mod tests {
    use unicode_normalization::char::canonical_combining_class;

    use super::*;

    #[test]
    fn a_full_name_has_parts() {
        let name = Name::from_full("  Nguyễn  Thị Minh Khai ");
        assert_eq!((name.family.as_str(), name.middle.as_str()), ("Nguyễn", "Thị Minh"));
        assert_eq!(name.full(), "Nguyễn Thị Minh Khai");
        assert_eq!(Name::from_full("Y").given, "Y");
    }

    #[test]
    fn what_passes_as_composed_is() {
        for c in ('\0'..'\u{300}').chain('\u{1EA0}'..='\u{1EF9}') {
            assert_eq!(canonical_combining_class(c), 0);
            assert!(is_nfc(c.encode_utf8(&mut [0; 4])));
        }
        let decomposed: String = "Nguyễn".nfd().collect();
        assert_eq!(nfc(&decomposed), "Nguyễn");
        assert_eq!(Name::from_full(&decomposed).given, "Nguyễn");
    }

    #[test]
    fn folding_is_vietnamese() {
        assert_eq!(fold("ĐỖ  Thị Hoà"), "do thi hoa");
        assert_eq!(unmarked("ĐỖ  Thị Hoà"), "DO  Thi Hoa");
        assert_eq!(fold("Đỗ Thị Hòa"), fold("đỗ thị hoà"));
        let decomposed: String = "Nguyễn".nfd().collect();
        assert_eq!(fold(&decomposed), "nguyen");
        // Marks that stand alone, as some keyboards leave them, are no word.
        assert_eq!(fold("\u{300} Hoa \u{301} Lan \u{303}"), "hoa lan");
        assert!(same_text(&decomposed, "Nguyễn"));
    }
}

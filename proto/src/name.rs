//! Vietnamese personal names: their parts, and how they compare.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::v1::Name;

impl Name {
    /// The parts of a name written in full: the first word is the family name, the last the given
    /// name. Right for all but a few compound family names, which are given in parts.
    #[must_use]
    pub fn from_full(text: &str) -> Name {
        let words: Vec<String> = text.split_whitespace().map(|word| word.nfc().collect()).collect();
        match words.as_slice() {
            [] => Name::default(),
            [given] => Name { given: given.clone(), ..Name::default() },
            [family, middle @ .., given] => {
                Name { family: family.clone(), middle: middle.join(" "), given: given.clone() }
            }
        }
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

/// Text as search sees it: case, diacritics, Unicode form and spacing do not count, and đ is d.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        for c in word.nfd().filter(|c| !is_combining_mark(*c)) {
            match c {
                'đ' | 'Đ' => folded.push('d'),
                _ => folded.extend(c.to_lowercase()),
            }
        }
    }
    folded
}

/// Whether two texts are the same to the reader's eye: Unicode form and spacing do not count.
#[must_use]
pub fn same_text(a: &str, b: &str) -> bool {
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(|word| word.nfc().collect()).collect() };
    a == b || words(a) == words(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_name_has_parts() {
        let name = Name::from_full("  Nguyễn  Thị Minh Khai ");
        assert_eq!((name.family.as_str(), name.middle.as_str()), ("Nguyễn", "Thị Minh"));
        assert_eq!(name.full(), "Nguyễn Thị Minh Khai");
        assert_eq!(Name::from_full("Y").given, "Y");
    }

    #[test]
    fn folding_is_vietnamese() {
        assert_eq!(fold("ĐỖ  Thị Hoà"), "do thi hoa");
        assert_eq!(fold("Đỗ Thị Hòa"), fold("đỗ thị hoà"));
        let decomposed: String = "Nguyễn".nfd().collect();
        assert_eq!(fold(&decomposed), "nguyen");
        assert!(same_text(&decomposed, "Nguyễn"));
    }
}

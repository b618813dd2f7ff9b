//! How two names compare, the Vietnamese way.
//!
//! Two names are the same if their letters are, with all marks: Unicode form, spaces and capitals do not
//! count. Without diacritics, or with them on another letter (Hoà, Hòa), a name is the same only when
//! marks are ignored. Anything else is another name, also with the middle names in another order: but
//! then the caller is told so, as it is often a slip of the pen.

use dancu_proto::{
    name::{fold, nfc, unmarked},
    node::v1::NameDifference,
};

/// How much two names are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// Another name.
    Different,
    /// The same without diacritics.
    IgnoringMarks,
    /// The same letters with the same marks.
    Same,
}

/// How two names compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// How much they are alike.
    pub likeness: Likeness,
    /// In what they are written otherwise. Of another name nothing is said but the order.
    pub differences: Vec<NameDifference>,
}

/// Compares a name with one that is registered.
#[must_use]
pub fn compare(claimed: &str, registered: &str) -> Comparison {
    if claimed == registered {
        return Comparison { likeness: Likeness::Same, differences: Vec::new() };
    }
    let (composed, held) = (nfc(claimed), nfc(registered));
    let (mut words, mut held_words) = (words(&composed), words(&held));
    let mut differences = Vec::new();
    let mut differ = |difference, differs: bool| {
        if differs {
            differences.push(difference);
        }
    };
    differ(NameDifference::UnicodeForm, composed != claimed || held != registered);
    differ(NameDifference::Spacing, words.join(" ") != composed || held_words.join(" ") != held);
    let in_order = folded(&words) == folded(&held_words);
    if !in_order {
        if !same_ends(&words, &held_words) {
            return Comparison { likeness: Likeness::Different, differences: Vec::new() };
        }
        words.sort_by_cached_key(|word| fold(word));
        held_words.sort_by_cached_key(|word| fold(word));
        if folded(&words) != folded(&held_words) {
            return Comparison { likeness: Likeness::Different, differences: Vec::new() };
        }
    }
    let each_differs = |differs: fn(&str, &str) -> bool| {
        words.iter().zip(&held_words).any(|(claimed, registered)| differs(claimed, registered))
    };
    let marks = each_differs(|a, b| a.to_lowercase() != b.to_lowercase());
    differ(NameDifference::Case, each_differs(|a, b| unmarked(a) != unmarked(b)));
    differ(NameDifference::Marks, marks);
    differ(NameDifference::MiddleNameOrder, !in_order);
    let likeness = match (in_order, marks) {
        (true, false) => Likeness::Same,
        (true, true) => Likeness::IgnoringMarks,
        (false, _) => Likeness::Different,
    };
    Comparison { likeness, differences }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn folded(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| fold(word)).collect()
}

/// Whether family name and given name are the same, marks and capitals aside.
fn same_ends(a: &[&str], b: &[&str]) -> bool {
    let same = |a: Option<&&str>, b: Option<&&str>| a.map(|word| fold(word)) == b.map(|word| fold(word));
    a.len() == b.len() && same(a.first(), b.first()) && same(a.last(), b.last())
}

#[cfg(test)]
mod tests {
    use NameDifference::{Case, Marks, MiddleNameOrder, Spacing, UnicodeForm};

    use super::*;

    #[test]
    fn names_compare_as_the_vietnamese_read_them() {
        use Likeness::{Different, IgnoringMarks, Same};
        let decomposed = "Nguye\u{302}\u{303}n Thi\u{323} Hoa\u{300}";
        for (claimed, likeness, differences) in [
            ("Nguyễn Thị Hoà", Same, vec![]),
            ("NGUYỄN THỊ HOÀ", Same, vec![Case]),
            (" Nguyễn  Thị Hoà", Same, vec![Spacing]),
            (decomposed, Same, vec![UnicodeForm]),
            ("Nguyen Thi Hoa", IgnoringMarks, vec![Marks]),
            ("NGUYEN THI HOA", IgnoringMarks, vec![Case, Marks]),
            ("Nguyễn Thị Hòa", IgnoringMarks, vec![Marks]),
            ("Nguyễn Thị Hoa", IgnoringMarks, vec![Marks]),
            ("Nguyễn Thị", Different, vec![]),
            ("Nguyễn Hoà Thị", Different, vec![]),
            ("Trần Thị Hoà", Different, vec![]),
            ("", Different, vec![]),
        ] {
            let expected = Comparison { likeness, differences };
            assert_eq!(compare(claimed, "Nguyễn Thị Hoà"), expected, "{claimed}");
        }
    }

    #[test]
    fn the_order_of_middle_names_is_told() {
        let held = "Đỗ Minh Thuỳ An";
        let order = compare("Đỗ Thuỳ Minh An", held);
        assert_eq!((order.likeness, order.differences), (Likeness::Different, vec![MiddleNameOrder]));
        let marks = compare("DO THUY MINH AN", held);
        assert_eq!(marks.differences, [Case, Marks, MiddleNameOrder]);
        assert_eq!(compare("Do Minh Thuy An", held).differences, [Marks]);
        // The same word twice is not the same as once.
        assert_eq!(compare("Đỗ Minh Minh An", held).differences, []);
    }

    #[test]
    fn likeness_has_an_order() {
        assert!(Likeness::Same > Likeness::IgnoringMarks && Likeness::IgnoringMarks > Likeness::Different);
    }
}

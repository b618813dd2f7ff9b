//! Names: normal forms are stable, a full name and its parts say the same, and comparing is fair to both
//! sides.

use dancu_node::lookup::{Likeness, compare_names};
use dancu_proto::{
    name::{fold, nfc, same_text, unmarked},
    node::v1::NameDifference,
    v1::Name,
};

use super::input::Input;

/// Two names, a line each.
pub fn name(data: &[u8]) {
    let mut input = Input::new(data);
    let (a, b) = (input.until(b'\n'), input.rest());
    let (Ok(a), Ok(b)) = (std::str::from_utf8(a), std::str::from_utf8(b)) else { return };
    for text in [a, b] {
        normal_forms(text);
        parts(text);
    }
    compared(a, b);
}

fn normal_forms(text: &str) {
    let composed = nfc(text);
    assert_eq!(nfc(&composed), composed);
    assert!(same_text(text, &composed));
    let plain = unmarked(text);
    assert_eq!(unmarked(&plain), plain);
    let folded = fold(text);
    assert_eq!(fold(&folded), folded);
    assert_eq!(fold(&composed), folded);
    assert_eq!(fold(&plain), folded);
    let words: Vec<_> = folded.split_whitespace().collect();
    assert_eq!(words.join(" "), folded, "spaces count");
}

fn parts(text: &str) {
    let name = Name::from_full(text);
    let full = name.full();
    assert_eq!(full, nfc(text).split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(Name::from_full(&full), name);
    let json = serde_json::to_string(&name).unwrap();
    assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), name);
    // Parts that a full name does not tell apart come back too.
    let other = Name { family: full, middle: String::new(), given: name.given };
    let json = serde_json::to_string(&other).unwrap();
    assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), other);
}

fn compared(a: &str, b: &str) {
    let (there, back) = (compare_names(a, b), compare_names(b, a));
    assert_eq!(there, back, "a comparison depends on who asks");
    let words = |text: &str| nfc(text).split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    match there.likeness {
        Likeness::Same => assert_eq!(words(a), words(b)),
        Likeness::IgnoringMarks => {
            assert_eq!(fold(a), fold(b));
            assert!(there.differences.contains(&NameDifference::Marks));
        }
        // Of another name nothing is said but the order of the middle names.
        Likeness::Different => {
            assert_ne!(words(a), words(b));
            let order = there.differences.contains(&NameDifference::MiddleNameOrder);
            assert!(order || there.differences.is_empty());
        }
    }
    for text in [a, b] {
        let same = compare_names(text, text);
        assert_eq!((same.likeness, same.differences.len()), (Likeness::Same, 0));
        assert_eq!(compare_names(text, &nfc(text)).likeness, Likeness::Same);
        let spaced = format!("  {}\t", text.replace(' ', "   "));
        assert_eq!(compare_names(text, &spaced).likeness, Likeness::Same);
        // A mark that stands alone is a word, until the marks are gone.
        if words(text).iter().all(|word| !fold(word).is_empty()) {
            assert!(compare_names(text, &unmarked(text)).likeness >= Likeness::IgnoringMarks);
        }
    }
}

//! Personal numbers: what is read is written the same, and nothing else is read.

use dancu_proto::{PersonalId, personal_id::PersonalIdError};

/// Text as a personal number, and eight bytes as one.
pub fn personal_id(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        read(text);
    }
    if let Some(number) = data.first_chunk() {
        of_number(u64::from_be_bytes(*number));
        of_number(u64::from_be_bytes(*number) % (PersonalId::MAX + 1));
    }
}

fn read(text: &str) {
    match text.parse::<PersonalId>() {
        Ok(id) => {
            assert_eq!(id.to_string(), text);
            says_what_its_digits_say(id);
        }
        Err(error) => {
            let said = error.to_string();
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            assert!(text.len() < 9 || !digits || !said.contains(text), "an error shows the number");
            assert!(text.len() != 12 || !digits || error == PersonalIdError::Province);
        }
    }
}

fn of_number(number: u64) {
    let digits = format!("{number:012}");
    let by_text = digits.parse::<PersonalId>();
    match PersonalId::from_u64(number) {
        Ok(id) => {
            assert_eq!(by_text, Ok(id));
            says_what_its_digits_say(id);
        }
        Err(error) => assert_eq!(by_text, Err(error)),
    }
}

fn says_what_its_digits_say(id: PersonalId) {
    let digits = id.to_string();
    assert_eq!(digits.len(), 12);
    assert_eq!(PersonalId::from_u64(id.as_u64()), Ok(id));
    assert_eq!(digits[..3].parse(), Ok(id.place()));
    assert_eq!(digits[4..6].parse(), Ok(id.birth_year() % 100));
    assert!((1900..2400).contains(&id.birth_year()) && ["1", "2"].contains(&id.sex()));
    assert!(!format!("{id:?}").bytes().any(|byte| byte.is_ascii_digit()), "Debug shows the number");
    let first = PersonalId::from_u64(1_000_000_000).unwrap();
    assert_eq!(id.cmp(&first), digits.cmp(&first.to_string()));
}

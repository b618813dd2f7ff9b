//! People in whose every value stands whose it is and of which field, so that it is known wherever it
//! turns up.

use std::collections::{BTreeSet, HashMap};

use dancu_proto::{Field, v1::Citizen};
use serde_json::json;

/// A value: of whom, by place in the list, and of which field.
pub(super) type Value = (usize, Field);

/// Where people live: province and commune.
pub(super) const PLACES: [(&str, &str); 4] =
    [("01", "00004"), ("08", "00691"), ("79", "25747"), ("24", "07210")];
/// So many have one name and one date of birth.
pub(super) const NAMESAKES: usize = 4;
/// Of so many, namesakes live each in another place; of those after them, all in one.
pub(super) const SCATTERED: usize = 80;
/// Letters that stand for numbers.
const LETTERS: &[u8; 16] = b"abcdefghijklmnop";

/// People, and which value is whose.
pub(super) struct Marked {
    pub(super) people: Vec<Citizen>,
    /// Values that are numbers.
    numbers: HashMap<String, Value>,
}

/// A word that no one else has: `zq`, field, person, `qz`.
fn word(field: Field, person: usize) -> String {
    let letter = |shift: u32, of: usize| LETTERS[(of >> shift) & 15] as char;
    let number = field.number() as usize;
    let of_field = [letter(4, number), letter(0, number)];
    let of_person = [letter(12, person), letter(8, person), letter(4, person), letter(0, person)];
    format!("Zq{}{}qz", of_field.iter().collect::<String>(), of_person.iter().collect::<String>())
}

/// What a word says, if it is one.
fn value_of(word: &[u8]) -> Option<Value> {
    let inner = word.strip_prefix(b"zq")?.strip_suffix(b"qz")?;
    let digits = inner.iter().map(|letter| LETTERS.iter().position(|known| known == letter));
    let digits: Vec<usize> = digits.collect::<Option<_>>()?;
    let field = Field::from_number((digits[0] << 4 | digits[1]) as u32)?;
    Some((digits[2..].iter().fold(0, |number, digit| number << 4 | digit), field))
}

impl Marked {
    /// Everyone has every field. Every [`NAMESAKES`] of them are namesakes; every fifth lives for a time
    /// in the next place too.
    pub(super) fn new(count: usize) -> Marked {
        let mut marked = Marked { people: Vec::with_capacity(count), numbers: HashMap::new() };
        for person in 0..count {
            let citizen = citizen(person);
            let former = citizen.former_personal_ids.clone().unwrap_or_default().values;
            let numbers = [
                (Field::PersonalId, citizen.personal_id.clone()),
                (Field::OldIdNumber, citizen.old_id_number.clone()),
                (Field::MobileNumber, citizen.mobile_number.clone()),
                (Field::FormerPersonalIds, former[0].clone()),
            ];
            marked.numbers.extend(numbers.map(|(field, number)| (number, (person, field))));
            marked.people.push(citizen);
        }
        marked
    }

    /// Everything of anybody that stands in an answer.
    pub(super) fn values_in(&self, bytes: &[u8]) -> BTreeSet<Value> {
        let lower = bytes.to_ascii_lowercase();
        let mut found: BTreeSet<Value> = lower.windows(10).filter_map(value_of).collect();
        for length in [9, 11, 12] {
            let digits = lower.windows(length).filter(|part| part.iter().all(u8::is_ascii_digit));
            found.extend(digits.filter_map(|part| self.numbers.get(std::str::from_utf8(part).ok()?)));
        }
        found
    }
}

/// Who bears the name that a person has, with the others.
pub(super) fn name_of(person: usize) -> usize {
    person - person % NAMESAKES
}

/// A person who exists, or one who could and does not.
pub(super) fn citizen(person: usize) -> Citizen {
    let name = name_of(person);
    let at = if person < SCATTERED { person } else { person / NAMESAKES };
    let place = PLACES[at % PLACES.len()];
    let word = |field| word(field, person);
    let address =
        |field, place: (&str, &str)| json!({"province": place.0, "commune": place.1, "detail": word(field)});
    let relative = |field| json!({"name": {"family": "Trần", "middle": "Văn", "given": word(field)}});
    let mut value = json!({
        "personal_id": format!("{:012}", 79_085_000_000_u64 + person as u64),
        "former_personal_ids": [format!("{:012}", 79_085_700_000_u64 + person as u64)],
        "full_name": {"family": "Nguyễn", "middle": "Thị", "given": self::word(Field::FullName, name)},
        "other_name": word(Field::OtherName),
        "date_of_birth": format!("{}-05-17", 1950 + name % 50),
        "sex": if person.is_multiple_of(3) { "1" } else { "2" },
        "place_of_birth": address(Field::PlaceOfBirth, PLACES[0]),
        "place_of_birth_registration": address(Field::PlaceOfBirthRegistration, PLACES[0]),
        "place_of_origin": address(Field::PlaceOfOrigin, PLACES[0]),
        "ethnicity": "01", "religion": "00", "nationality": ["VN"], "blood_type": "01",
        "old_id_number": format!("{:09}", 612_300_000 + person),
        "identity_cards": [{"issued_on": "2021-05-04", "issued_by": word(Field::IdentityCards)}],
        "father": relative(Field::Father), "mother": relative(Field::Mother), "spouse": relative(Field::Spouse),
        "children": [relative(Field::Children)],
        "legal_representative": relative(Field::LegalRepresentative),
        "represented_persons": [relative(Field::RepresentedPersons)],
        "permanent_residence": address(Field::PermanentResidence, place),
        "current_dwelling": address(Field::CurrentDwelling, PLACES[0]),
        "temporary_absence": {"from": "2024-01-01", "until": "2024-06-30", "reason": word(Field::TemporaryAbsence)},
        "residence_file_number": word(Field::ResidenceFileNumber),
        "marital_status": "2",
        "relation_to_household_head": word(Field::RelationToHouseholdHead),
        "household_head": relative(Field::HouseholdHead),
        "household_members": [relative(Field::HouseholdMembers)],
        "date_of_death": if person.is_multiple_of(7) { Some("2026-01-02") } else { None },
        "date_missing": "2025-12",
        "mobile_number": format!("0912{:07}", 3_400_000 + person),
        "email": format!("{}@example.vn", word(Field::Email)),
    });
    if person.is_multiple_of(5) {
        let next = PLACES[(at + 1) % PLACES.len()];
        let address = address(Field::TemporaryResidence, next);
        value["temporary_residence"] = json!({"address": address, "from": "2024-01-01"});
    }
    value.as_object_mut().into_iter().for_each(|fields| fields.retain(|_, value| !value.is_null()));
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_was_planted_is_found() {
    let marked = Marked::new(8);
    let all = prost::Message::encode_to_vec(&marked.people[5]);
    let found = marked.values_in(&all);
    assert!(found.contains(&(5, Field::Email)) && found.contains(&(4, Field::FullName)), "{found:?}");
    assert!(found.contains(&(5, Field::PersonalId)) && found.contains(&(5, Field::MobileNumber)));
    // All but dates and codes of tables.
    assert_eq!(found.len(), Field::ALL.len() - 9, "{found:?}");
    assert!(found.iter().all(|(person, field)| *person == 5 || *field == Field::FullName));
}

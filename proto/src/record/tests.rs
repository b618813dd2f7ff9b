use proptest::prelude::*;

use super::*;
use crate::v1::{Address, Date, Name, StringList};

fn citizen(bits: u64, salt: u8) -> Citizen {
    let has = |n: u32| bits & (1 << n) != 0;
    // Few, and often none; of fields with a value and without.
    let in_question = FieldSet::from_bits(bits.rotate_left(29) & bits.rotate_left(u32::from(salt)));
    let in_question = if salt.is_multiple_of(3) { FieldSet::EMPTY } else { in_question };
    let text = |n: u32| if has(n) { format!("v{n}-{}", (bits >> n) as u8 ^ salt) } else { String::new() };
    Citizen {
        personal_id: "001185001234".into(),
        full_name: has(3).then(|| Name::from_full(&text(3))),
        other_name: text(4),
        date_of_birth: has(5).then(|| Date::from_number(19_850_101 + u32::from(salt % 20))),
        sex: text(6),
        nationality: has(12).then(|| StringList { values: vec![text(12)] }),
        permanent_residence: has(22).then(|| Address { commune: text(22), ..Address::default() }),
        email: text(34),
        in_question: numbers(in_question),
        ..Citizen::default()
    }
}

fn numbers(fields: FieldSet) -> Vec<i32> {
    fields.iter().map(|field| crate::v1::Field::from(field).into()).collect()
}

proptest! {
    #[test]
    fn a_delta_leads_from_one_record_to_the_other(a: u64, b: u64, s: u8, t: u8) {
        let (old, new) = (Record::encode(&citizen(a, s)), Record::encode(&citizen(b, t)));
        let delta = old.delta_to(&new);
        prop_assert_eq!(&old.apply(&delta).unwrap(), &new);
        prop_assert_eq!(delta.is_empty(), old == new);
        let told = (old.in_question() != new.in_question()).then(|| new.in_question());
        prop_assert_eq!(delta.in_question(), told);
        prop_assert_eq!(&new.apply(&new.delta_to(&old)).unwrap(), &old);
        // A delta that says what is in question says it whatever was said before.
        let mut telling = delta;
        telling.tell_in_question(new.in_question());
        for questioned in [FieldSet::EMPTY, FieldSet::all()] {
            prop_assert_eq!(&old.with_in_question(questioned).apply(&telling).unwrap(), &new);
        }
    }

    #[test]
    fn a_change_has_the_record_and_the_ways_there_and_back(a: u64, b: u64, s: u8, t: u8, cleared: u64) {
        let (old, new) = (Record::encode(&citizen(a, s)), Record::encode(&citizen(b, t)));
        let cleared = FieldSet::from_bits(cleared).difference(new.fields());
        let mut told = Delta { set: new.clone().into_bytes(), cleared };
        if t.is_multiple_of(2) {
            told.tell_in_question(new.in_question());
        }
        let change = old.change(&told).unwrap();
        prop_assert_eq!(&change, &Change::between(&old, old.apply(&told).unwrap()));
        prop_assert_eq!(&change.record.apply(&change.undo).unwrap(), &old);
    }

    #[test]
    fn what_differs_is_told_by_field(a: u64, b: u64, s: u8, t: u8) {
        let (old, new) = (Record::encode(&citizen(a, s)), Record::encode(&citizen(b, t)));
        let (values, questioned) = old.differences(&new);
        for field in Field::ALL {
            prop_assert_eq!(values.contains(*field), old.value(*field) != new.value(*field));
            let both = [&old, &new].map(|record| record.in_question().contains(*field));
            prop_assert_eq!(questioned.contains(*field), both[0] != both[1]);
        }
    }

    #[test]
    fn a_projection_holds_only_its_fields(a: u64, mask: u64, s: u8) {
        let record = Record::encode(&citizen(a, s));
        let fields = FieldSet::from_bits(mask);
        let projected = record.project(fields);
        prop_assert_eq!(projected.record().fields(), record.fields().intersection(fields));
        for field in projected.record().fields().iter() {
            prop_assert_eq!(projected.record().value(field), record.value(field));
        }
        prop_assert_eq!(projected.record().in_question(), record.in_question().intersection(fields));
        prop_assert_eq!(record.values(fields), projected.record().with_in_question(FieldSet::EMPTY));
        let stored = projected.record().as_bytes().to_vec();
        prop_assert_eq!(&Record::from_bytes(stored).unwrap(), projected.record());
        prop_assert_eq!(Record::encode(&projected.record().decode().unwrap()), projected.into_record());
    }

    #[test]
    fn what_is_in_question_is_said_once(a: u64, bits: u64, s: u8) {
        let fields = FieldSet::from_bits(bits);
        let whole = Citizen { in_question: numbers(fields), ..citizen(a, s) };
        // Neither order nor repetition nor what nobody knows means anything.
        let mut mixed = whole.clone();
        mixed.in_question.extend(numbers(fields).into_iter().rev().chain([0, 35, -1]));
        mixed.in_question.reverse();
        let record = Record::encode(&whole);
        prop_assert_eq!(record.as_bytes(), whole.encode_to_vec());
        prop_assert_eq!(&Record::encode(&mixed), &record);
        prop_assert_eq!(record.in_question(), fields);
        prop_assert_eq!(&Record::encode(&citizen(a, s)).with_in_question(fields), &record);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        if let Ok(record) = Record::from_bytes(bytes.clone()) {
            let _ = record.decode();
        }
        let _ = parts(&bytes).count();
    }
}

#[test]
fn empty_parts_are_no_value() {
    let with_empty = Citizen { full_name: Some(Name::default()), ..citizen(0, 0) };
    assert_eq!(Record::encode(&with_empty), Record::encode(&citizen(0, 0)));
}

#[test]
fn what_is_not_canonical_is_refused() {
    let bytes = Record::encode(&citizen(u64::MAX, 1)).into_bytes();
    assert!(Record::from_bytes(bytes[..bytes.len() - 1].to_vec()).is_err());
    let twice = [bytes.clone(), bytes].concat();
    assert_eq!(Record::from_bytes(twice), Err(RecordError::Field(1)));
}

#[test]
fn what_is_in_question_is_in_order() {
    let record = |numbers: &[u8]| Record::from_bytes([&[0x9a, 2, numbers.len() as u8], numbers].concat());
    assert_eq!(record(&[6, 34]).unwrap().in_question(), [Field::Sex, Field::Email].into_iter().collect());
    for numbers in [&[][..], &[0], &[6, 6], &[34, 6], &[35], &[0x86, 1]] {
        assert_eq!(record(numbers), Err(RecordError::Field(35)), "{numbers:?}");
    }
}

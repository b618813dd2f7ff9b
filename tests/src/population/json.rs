//! Citizens as JSON.

use dancu_proto::v1::{Address, Citizen, Date, Name, Relative, RelativeList, TemporaryResidence};
use serde::Serialize;

/// A citizen as serde would write it, several times as fast.
pub fn append(out: &mut Vec<u8>, c: &Citizen) {
    append_with(out, c, |object| object.relatives("household_members", c.household_members.as_ref()));
}

/// The same with members of the household that were written before, by [`member`].
pub(super) fn append_with_members<'a>(
    out: &mut Vec<u8>,
    c: &Citizen,
    members: impl Iterator<Item = &'a [u8]>,
) {
    append_with(out, c, |object| {
        let mut begun = false;
        for member in members {
            if begun {
                object.out.push(b',');
            } else {
                object.key("household_members");
                object.out.push(b'[');
            }
            object.out.extend_from_slice(member);
            begun = true;
        }
        if begun {
            object.out.push(b']');
        }
    });
}

/// A member of a household.
pub(super) fn member(out: &mut Vec<u8>, member: &Relative) {
    let mut object = Object::open(out);
    object.person(member);
    object.close();
}

fn append_with(out: &mut Vec<u8>, c: &Citizen, members: impl FnOnce(&mut Object<'_>)) {
    let mut object = Object::open(out);
    object.text("personal_id", &c.personal_id);
    object.rest("former_personal_ids", c.former_personal_ids.as_ref());
    object.name("full_name", c.full_name.as_ref());
    object.text("other_name", &c.other_name);
    object.date("date_of_birth", c.date_of_birth.as_ref());
    object.text("sex", &c.sex);
    object.address("place_of_birth", c.place_of_birth.as_ref());
    object.address("place_of_birth_registration", c.place_of_birth_registration.as_ref());
    object.address("place_of_origin", c.place_of_origin.as_ref());
    object.text("ethnicity", &c.ethnicity);
    object.text("religion", &c.religion);
    object.rest("nationality", c.nationality.as_ref());
    object.text("blood_type", &c.blood_type);
    object.text("old_id_number", &c.old_id_number);
    if let Some(cards) = &c.identity_cards {
        object.list("identity_cards", &cards.items, |card, object| {
            object.date("issued_on", card.issued_on.as_ref());
            object.text("issued_by", &card.issued_by);
            object.date("expires_on", card.expires_on.as_ref());
        });
    }
    object.relative("father", c.father.as_ref());
    object.relative("mother", c.mother.as_ref());
    object.relative("spouse", c.spouse.as_ref());
    object.relatives("children", c.children.as_ref());
    object.relative("legal_representative", c.legal_representative.as_ref());
    object.relatives("represented_persons", c.represented_persons.as_ref());
    object.address("permanent_residence", c.permanent_residence.as_ref());
    object.stay("temporary_residence", c.temporary_residence.as_ref());
    object.address("current_dwelling", c.current_dwelling.as_ref());
    object.rest("temporary_absence", c.temporary_absence.as_ref());
    object.text("residence_file_number", &c.residence_file_number);
    object.text("marital_status", &c.marital_status);
    object.text("relation_to_household_head", &c.relation_to_household_head);
    object.relative("household_head", c.household_head.as_ref());
    members(&mut object);
    object.date("date_of_death", c.date_of_death.as_ref());
    object.date("date_missing", c.date_missing.as_ref());
    object.text("mobile_number", &c.mobile_number);
    object.text("email", &c.email);
    object.close();
}

/// A JSON object being appended.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(if self.empty { b"\"" } else { b",\"" });
        self.empty = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            string(self.out, text);
        }
    }

    fn date(&mut self, key: &str, date: Option<&Date>) {
        if let Some(date) = date {
            self.key(key);
            self.out.push(b'"');
            decimal(self.out, date.year, 4);
            for part in [date.month, date.day].into_iter().filter(|part| *part != 0) {
                self.out.push(b'-');
                decimal(self.out, part, 2);
            }
            self.out.push(b'"');
        }
    }

    fn name(&mut self, key: &str, name: Option<&Name>) {
        if let Some(name) = name {
            self.key(key);
            let one_word = |part: &str| !part.is_empty() && !part.contains(' ');
            if one_word(&name.family) && one_word(&name.given) {
                self.out.push(b'"');
                for part in [&name.family, &name.middle, &name.given] {
                    if !part.is_empty() {
                        self.out.extend_from_slice(part.as_bytes());
                        self.out.push(b' ');
                    }
                }
                self.out.pop();
                self.out.push(b'"');
            } else {
                rest(self.out, name);
            }
        }
    }

    fn address(&mut self, key: &str, address: Option<&Address>) {
        if let Some(address) = address {
            self.key(key);
            let mut inner = Object::open(self.out);
            inner.text("country", &address.country);
            inner.text("province", &address.province);
            inner.text("commune", &address.commune);
            inner.text("detail", &address.detail);
            inner.rest("as_registered", address.as_registered.as_ref());
            inner.close();
        }
    }

    fn stay(&mut self, key: &str, stay: Option<&TemporaryResidence>) {
        if let Some(stay) = stay {
            self.key(key);
            let mut inner = Object::open(self.out);
            inner.address("address", stay.address.as_ref());
            inner.date("from", stay.from.as_ref());
            inner.date("until", stay.until.as_ref());
            inner.close();
        }
    }

    fn relative(&mut self, key: &str, person: Option<&Relative>) {
        if let Some(person) = person {
            self.key(key);
            let mut inner = Object::open(self.out);
            inner.person(person);
            inner.close();
        }
    }

    fn relatives(&mut self, key: &str, people: Option<&RelativeList>) {
        if let Some(people) = people {
            self.list(key, &people.items, |person, object| object.person(person));
        }
    }

    fn person(&mut self, person: &Relative) {
        self.name("name", person.name.as_ref());
        self.text("personal_id", &person.personal_id);
        self.text("old_id_number", &person.old_id_number);
        if !person.nationality.is_empty() {
            self.rest("nationality", Some(&person.nationality));
        }
        self.text("relation", &person.relation);
    }

    fn list<T>(&mut self, key: &str, items: &[T], each: impl Fn(&T, &mut Object<'_>)) {
        self.key(key);
        self.out.push(b'[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            let mut inner = Object::open(self.out);
            each(item, &mut inner);
            inner.close();
        }
        self.out.push(b']');
    }

    /// What is rare is left to serde.
    fn rest(&mut self, key: &str, value: Option<&impl Serialize>) {
        if let Some(value) = value {
            self.key(key);
            rest(self.out, value);
        }
    }
}

fn rest(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory cannot fail, and none of the types has keys that are no strings.
    let _ = serde_json::to_writer(out, value);
}

fn string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|b| b < b' ' || b == b'"' || b == b'\\') {
        return rest(out, &text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn decimal(out: &mut Vec<u8>, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        out.push(b'0' + (number / 10u32.pow(place) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::{Codes, Population};

    #[test]
    fn it_is_what_serde_writes() {
        for codes in [Codes::InForce, Codes::Both, Codes::Before] {
            for citizen in Population::new(2, 6_000).with_codes(codes).iter() {
                let mut text = Vec::new();
                append(&mut text, &citizen);
                assert_eq!(String::from_utf8(text).unwrap(), serde_json::to_string(&citizen).unwrap());
            }
        }
    }

    #[test]
    fn what_the_generator_never_makes_is_written_too() {
        let citizen = Citizen {
            other_name: "a \"b\" \\ \n".into(),
            full_name: Some(Name { family: "Tôn Thất".into(), middle: String::new(), given: "An".into() }),
            date_missing: Some(Date { year: 1999, month: 7, day: 0 }),
            father: Some(Relative { nationality: vec!["FR".into()], ..Relative::default() }),
            ..Citizen::default()
        };
        let mut text = Vec::new();
        append(&mut text, &citizen);
        assert_eq!(String::from_utf8(text).unwrap(), serde_json::to_string(&citizen).unwrap());
    }
}

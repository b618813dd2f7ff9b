//! The text forms that names and dates have in JSON. All else is derived in `build.rs`.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
    ser::SerializeStruct,
};

use crate::{
    Field,
    v1::{Date, Name},
};

/// Absent and default are the same in protobuf, so defaults are left out of JSON too.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Fields by their names.
pub(crate) fn field_names<S: Serializer>(numbers: &[i32], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(numbers.iter().filter_map(|number| Field::try_from(*number).ok()).map(Field::name))
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A name is one string where that string says its parts, and an object of parts where not.
impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let full = self.full();
        if Name::from_full(&full) == *self {
            return to.serialize_str(&full);
        }
        let mut object = to.serialize_struct("Name", 3)?;
        object.serialize_field("family", &self.family)?;
        object.serialize_field("middle", &self.middle)?;
        object.serialize_field("given", &self.given)?;
        object.end()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parts {
    family: String,
    middle: String,
    given: String,
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a full name, or an object with family, middle and given")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
        Ok(Name::from_full(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Name, A::Error> {
        let parts = Parts::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Name { family: parts.family, middle: parts.middle, given: parts.given })
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
        from.deserialize_any(NameVisitor)
    }
}

/// Fields of the catalogue, by name.
pub(crate) mod fields {
    use serde::{Deserialize, Deserializer, de::Error as _};

    pub(crate) use super::field_names as serialize;
    use crate::Field;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i32>, D::Error> {
        let number = |name: String| {
            let field: Field = name.parse().map_err(D::Error::custom)?;
            Ok(crate::v1::Field::from(field).into())
        };
        Vec::<String>::deserialize(from)?.into_iter().map(number).collect()
    }
}

/// How a task ends, by name.
pub(crate) mod task_end {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};

    use crate::v1::TaskEnd;

    const ENDS: [(TaskEnd, &str); 3] =
        [(TaskEnd::Done, "done"), (TaskEnd::Refused, "refused"), (TaskEnd::Returned, "returned")];

    pub(crate) fn serialize<S: Serializer>(end: &i32, to: S) -> Result<S::Ok, S::Error> {
        let name = ENDS.iter().find(|(known, _)| i32::from(*known) == *end);
        to.serialize_str(name.ok_or_else(|| S::Error::custom("a task does not end so"))?.1)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
        let name = Cow::<str>::deserialize(from)?;
        let end = ENDS.iter().find(|(_, known)| *known == name);
        end.map(|(end, _)| (*end).into())
            .ok_or_else(|| D::Error::unknown_variant(&name, &["done", "refused", "returned"]))
    }
}

#[cfg(test)]
mod tests {
    use crate::v1::Citizen;

    const ROW: &str = r#"{"personal_id":"001185001234","full_name":"Nguyễn Thị An","date_of_birth":"1985","nationality":["VN"],"father":{"name":{"family":"Tôn Thất","middle":"","given":"Bình"}},"permanent_residence":{"commune":"00004","detail":"12 Hàng Bài"}}"#;

    #[test]
    fn a_citizen_is_readable_json() {
        let citizen: Citizen = serde_json::from_str(ROW).unwrap();
        assert_eq!(citizen.full_name.as_ref().unwrap().middle, "Thị");
        assert_eq!(citizen.father.as_ref().unwrap().name.as_ref().unwrap().family, "Tôn Thất");
        assert_eq!(serde_json::to_string(&citizen).unwrap(), ROW);
    }

    #[test]
    fn what_is_in_question_is_told_by_name_and_taken_from_nobody() {
        let citizen = Citizen { sex: "1".into(), in_question: vec![6, 31], ..Citizen::default() };
        let text = serde_json::to_string(&citizen).unwrap();
        assert_eq!(text, r#"{"sex":"1","in_question":["sex","date_of_death"]}"#);
        let error = serde_json::from_str::<Citizen>(&text).unwrap_err();
        assert!(error.to_string().contains("unknown field `in_question`"), "{error}");
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let error = serde_json::from_str::<Citizen>(r#"{"ful_name":"A"}"#).unwrap_err();
        assert!(error.to_string().contains("ful_name"), "{error}");
    }
}

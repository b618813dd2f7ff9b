//! A citizen within a message, as bytes.

use std::fmt;

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{self, DecodeContext, WireType},
};

use super::{IN_QUESTION, Part, Projected, Record, parts};
use crate::{Field, v1::Citizen};

/// A citizen within a message of [`crate::node::served`]: on the line the same as a [`Citizen`], and neither
/// taken to pieces nor put together again on the way.
///
/// What comes from a caller is taken as it is: [`CitizenBytes::decode_whole`] says whether it is a citizen.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CitizenBytes(Vec<u8>);

impl CitizenBytes {
    /// The citizen.
    ///
    /// # Errors
    /// If the bytes are none.
    pub fn decode_whole(&self) -> Result<Citizen, DecodeError> {
        Citizen::decode(self.0.as_slice())
    }

    /// The encoded value of one field (the contents, without key and length), if it is there once.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<&[u8]> {
        let mut found = parts(&self.0).filter(|part| part.number == field.number());
        let first = found.next()?;
        found.next().is_none().then_some(first.value)
    }

    /// Each field that is claimed with its encoded value, as long as there is nothing else: fields of the
    /// catalogue in their order, none twice and none empty.
    pub fn claims(&self) -> impl Iterator<Item = Option<(Field, &[u8])>> {
        let (mut last, mut length) = (0, 0);
        let whole = self.0.len();
        let mut parts = parts(&self.0);
        std::iter::from_fn(move || match parts.next() {
            Some(Part { number, value, bytes }) => {
                let ordered = number > last && !value.is_empty();
                last = number;
                length += bytes.len();
                Some(Field::from_number(number).filter(|_| ordered).map(|field| (field, value)))
            }
            // What cannot be read ends the walk.
            None if length < whole => {
                length = whole;
                Some(None)
            }
            None => None,
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Projected> for CitizenBytes {
    fn from(projected: Projected) -> CitizenBytes {
        CitizenBytes(projected.into_record().into_bytes())
    }
}

impl From<&Citizen> for CitizenBytes {
    fn from(citizen: &Citizen) -> CitizenBytes {
        CitizenBytes(Record::encode(citizen).into_bytes())
    }
}

/// Personal data: debug output shows only its size.
impl fmt::Debug for CitizenBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CitizenBytes({} bytes)", self.0.len())
    }
}

impl Message for CitizenBytes {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if wire_type == WireType::LengthDelimited {
            // Checks that it is all there.
            let mut value = Vec::new();
            encoding::bytes::merge(wire_type, &mut value, buf, ctx)?;
            encoding::encode_key(tag, wire_type, &mut self.0);
            encoding::encode_varint(value.len() as u64, &mut self.0);
            self.0.extend_from_slice(&value);
            return Ok(());
        }
        // What is in question may come number by number.
        if tag == IN_QUESTION && wire_type == WireType::Varint {
            let number = encoding::decode_varint(buf)?;
            encoding::encode_key(tag, wire_type, &mut self.0);
            encoding::encode_varint(number, &mut self.0);
            return Ok(());
        }
        // No field of a citizen is of another type: a number of the catalogue with one is no citizen, and
        // any other is of a later version.
        if Field::from_number(tag).is_some() || tag == IN_QUESTION {
            encoding::encode_key(tag, wire_type, &mut self.0);
        }
        encoding::skip_field(wire_type, tag, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::node::{served, v1};

    fn citizen() -> Citizen {
        Citizen {
            personal_id: "001185001234".into(),
            sex: "1".into(),
            email: "a@b.vn".into(),
            ..Citizen::default()
        }
    }

    #[test]
    fn on_the_line_it_is_a_citizen() {
        let whole = v1::GetCitizenResponse {
            citizen: Some(citizen()),
            authorised: vec![1, 6, 34],
            former_number: true,
            ..Default::default()
        };
        let served = served::GetCitizenResponse {
            citizen: Some(CitizenBytes::from(&citizen())),
            authorised: vec![1, 6, 34],
            former_number: true,
            ..Default::default()
        };
        assert_eq!(served.encode_to_vec(), whole.encode_to_vec());
        assert_eq!(served::GetCitizenResponse::decode(&whole.encode_to_vec()[..]).unwrap(), served);
        assert_eq!(served.citizen.unwrap().decode_whole().unwrap(), citizen());
    }

    #[test]
    fn claims_are_told_as_long_as_they_are_plain() {
        let claims = |bytes: &[u8]| {
            let claim = CitizenBytes::decode(bytes).unwrap();
            let fields =
                claim.claims().map(|claim| claim.map(|(field, _)| field)).collect::<Option<Vec<_>>>();
            (fields, claim.decode_whole().is_ok())
        };
        let bytes = citizen().encode_to_vec();
        assert_eq!(claims(&bytes), (Some(vec![Field::PersonalId, Field::Sex, Field::Email]), true));
        // Twice; out of order; a later version's; a number where a text belongs.
        assert_eq!(claims(&[&bytes[..], &bytes[..]].concat()), (None, true));
        assert_eq!(claims(&[0x32, 1, b'1', 0x0a, 1, b'0']), (None, true));
        assert_eq!(claims(&[0x9a, 0x06, 1, b'1']), (None, true));
        assert_eq!(claims(&[0x30, 1]), (None, false));
        assert_eq!(claims(&[0x98, 0x06, 1]), (Some(vec![]), true));
        // What is in question is nothing that is claimed, and a citizen all the same.
        assert_eq!(claims(&[0x9a, 0x02, 1, 6]), (None, true));
        assert_eq!(claims(&[0x98, 0x02, 6]), (None, true));
        assert!(!claims(&[0x99, 0x02, 0, 0, 0, 0, 0, 0, 0, 6]).1);
        assert!(CitizenBytes::decode(&[0x0a, 9, b'1'][..]).is_err(), "cut short");
    }

    proptest! {
        #[test]
        fn what_is_a_citizen_is_read_the_same(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            questions in proptest::collection::vec((0x98u8..0xa0, 0u8..40), 0..3),
        ) {
            let questions = questions.into_iter().flat_map(|(key, number)| [key, 2, number]);
            let bytes: Vec<u8> = questions.chain(bytes).collect();
            let whole = Citizen::decode(&bytes[..]).ok();
            let taken = CitizenBytes::decode(&bytes[..]).ok().and_then(|taken| taken.decode_whole().ok());
            prop_assert_eq!(taken, whole);
        }
    }
}

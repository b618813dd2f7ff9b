//! A record as stored: the agreements that cover the citizen, and the projected record.

use dancu_proto::{
    Areas, Delta, Field, PersonalId, Record, Revision,
    area::by_order_in_force,
    hub::v1::{Change, GrantList},
};
use prost::Message;

use super::{SliceError, cipher::Cipher, keys::Person};

/// An agreement that covers a citizen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its handle.
    pub handle: u32,
    /// Not readable until the policy of this revision is settled; none for readable.
    pub pending: Revision,
}

/// A citizen as readers know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The record: the union of what the covering agreements give, its addresses by the administrative
    /// order in force.
    pub record: Record,
    /// The agreements that cover the citizen.
    pub marks: Vec<Mark>,
}

/// A citizen as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) marks: Vec<Mark>,
    pub(super) record: Record,
}

/// The fields that have an address in them.
const ADDRESSES: [Field; 6] = [
    Field::PlaceOfBirth,
    Field::PlaceOfBirthRegistration,
    Field::PlaceOfOrigin,
    Field::PermanentResidence,
    Field::TemporaryResidence,
    Field::CurrentDwelling,
];

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(uint64, repeated, tag = "1")]
    marks: Vec<u64>,
    #[prost(bytes = "vec", tag = "2")]
    record: Vec<u8>,
    /// The number in force: keys do not tell it.
    #[prost(uint64, tag = "3")]
    number: u64,
}

impl Stored {
    /// A citizen as a change tells them whole.
    pub(super) fn whole(change: Change) -> Result<(PersonalId, Stored), SliceError> {
        let corrupt = || SliceError::Corrupt("what the hub sent");
        let id = PersonalId::from_u64(change.personal_id).map_err(|_| corrupt())?;
        let grants = change.grants.as_ref().filter(|_| !change.drop).ok_or_else(corrupt)?;
        let marks = marks(grants);
        let record = Record::from_bytes(change.set).map_err(|_| corrupt())?;
        Ok((id, Stored { marks, record }))
    }

    /// As readers know them, under an administrative order.
    pub(super) fn known(self, areas: &Areas) -> Result<Known, SliceError> {
        let Stored { marks, record } = self;
        // The other fields are not taken to pieces for it.
        let addresses = record.values(ADDRESSES.into_iter().collect());
        if addresses.as_bytes().is_empty() {
            return Ok(Known { record, marks });
        }
        let corrupt = |_| SliceError::Corrupt("a record");
        let mut citizen = addresses.decode().map_err(corrupt)?;
        by_order_in_force(&mut citizen, areas);
        let told = Delta { set: Record::encode(&citizen).into_bytes(), ..Delta::default() };
        Ok(Known { record: record.apply(&told).map_err(corrupt)?, marks })
    }

    /// Whether both say the same of the citizen; since when a mark is readable does not count.
    pub(super) fn is_like(&self, other: &Stored) -> bool {
        let handles = |stored: &Stored| stored.marks.iter().map(|mark| mark.handle).collect::<Vec<_>>();
        self.record == other.record && handles(self) == handles(other)
    }

    /// As it is stored.
    pub(super) fn sealed(
        &self,
        cipher: &Cipher,
        id: PersonalId,
        person: &Person,
    ) -> Result<Vec<u8>, SliceError> {
        let marks = self.marks.iter().flat_map(|mark| [u64::from(mark.handle), mark.pending.0]).collect();
        let row = Row { marks, record: self.record.as_bytes().to_vec(), number: id.as_u64() };
        cipher.seal(person, &row.encode_to_vec())
    }

    /// From what is stored.
    pub(super) fn unsealed(cipher: &Cipher, person: &Person, sealed: &[u8]) -> Result<Stored, SliceError> {
        Ok(Stored::with_number(cipher, person, sealed)?.1)
    }

    /// The same, and of whom it is.
    pub(super) fn with_number(
        cipher: &Cipher,
        person: &Person,
        sealed: &[u8],
    ) -> Result<(PersonalId, Stored), SliceError> {
        const RECORD: &str = "a record";
        let row = Row::decode(cipher.open(person, sealed, RECORD)?.as_slice());
        let row = row.map_err(|_| SliceError::Corrupt(RECORD))?;
        let id = PersonalId::from_u64(row.number).map_err(|_| SliceError::Corrupt(RECORD))?;
        let mark = |pair: &[u64]| Mark { handle: pair[0] as u32, pending: Revision(pair[1]) };
        let marks = row.marks.chunks_exact(2).map(mark).collect();
        Ok((id, Stored { marks, record: Record::trusted(row.record) }))
    }
}

/// Marks as the hub tells them.
pub(super) fn marks(list: &GrantList) -> Vec<Mark> {
    let mark = |mark: &dancu_proto::hub::v1::GrantMark| Mark {
        handle: mark.handle,
        pending: Revision(mark.pending),
    };
    list.marks.iter().map(mark).collect()
}

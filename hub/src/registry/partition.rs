//! Partitions of the feed, and which of them a citizen belongs to.

use dancu_proto::{
    CommuneCode, CommuneKey, Field, FieldSet, ProvinceCode, ProvinceKey, Record,
    record::{contents, varint},
};

/// A part of the population that streams can follow on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// Everyone.
    Nation,
    /// Everyone with an address in a province, by the order that the address is written by.
    Province(ProvinceKey),
    /// Everyone with an address in a commune, likewise. A merger touches no partition: who follows a
    /// new commune follows the old ones that lie in it.
    Commune(CommuneKey),
    /// Everyone on an interest list.
    List(ListId),
}

/// An interest list: those whom the agency of one node names under one agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(pub u32);

impl Partition {
    /// As one number: the kind in the upper half, the code in the lower.
    #[must_use]
    pub fn as_number(self) -> u64 {
        match self {
            Partition::Nation => 0,
            Partition::Province(code) => 1 << 32 | u64::from(code.0),
            Partition::Commune(code) => 2 << 32 | u64::from(code.0),
            Partition::List(list) => 3 << 32 | u64::from(list.0),
        }
    }

    /// From that number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Partition> {
        let code = number as u32;
        match number >> 32 {
            0 if code == 0 => Some(Partition::Nation),
            1 => Some(Partition::Province(ProvinceKey(code))),
            2 => Some(Partition::Commune(CommuneKey(code))),
            3 => Some(Partition::List(ListId(code))),
            _ => None,
        }
    }
}

/// The address inside the value of a field that carries one: the field numbers of the messages in between are
/// those of `dancu.v1.TemporaryResidence` and `dancu.v1.Address`.
fn address_of(value: &[u8], field: Field) -> Option<&[u8]> {
    match field {
        Field::TemporaryResidence => contents(value, 1),
        _ => Some(value),
    }
}

/// Province and commune of an encoded address in Vietnam, as far as it has them: who has a commune has
/// its province.
fn area_of(address: &[u8]) -> (Option<ProvinceKey>, Option<CommuneKey>) {
    let code = |number| std::str::from_utf8(contents(address, number)?).ok();
    let division = varint(address, 6).unwrap_or_default() as u32;
    let province = code(2).and_then(|text| text.parse().ok());
    let commune = code(3).and_then(|text| text.parse().ok());
    (
        province.map(|code: ProvinceCode| code.under(division)),
        commune.map(|code: CommuneCode| code.under(division)),
    )
}

/// The fields whose address makes a citizen a member of an area's partition.
const RESIDENCES: [Field; 3] = [Field::PermanentResidence, Field::TemporaryResidence, Field::CurrentDwelling];

/// An address that makes a resident: its field, its province and commune as far as it has them.
pub type Residence = (Field, Option<ProvinceKey>, Option<CommuneKey>);

/// Where a citizen lives.
#[must_use]
pub fn residence_areas(record: &Record) -> Vec<Residence> {
    let area = |(field, value): (Field, Option<&[u8]>)| {
        let (province, commune) = area_of(address_of(value?, field)?);
        Some((field, province, commune))
    };
    RESIDENCES.into_iter().zip(record.values_of(RESIDENCES)).filter_map(area).collect()
}

/// Whether a change of some fields can make somebody a resident elsewhere.
pub(super) fn can_move(touched: FieldSet) -> bool {
    RESIDENCES.iter().any(|field| touched.contains(*field))
}

/// The areas of a record, as partitions, each once, ascending.
#[must_use]
pub fn partitions_of(record: &Record) -> Vec<Partition> {
    let mut partitions = Vec::with_capacity(6);
    for (_, province, commune) in residence_areas(record) {
        partitions.extend(province.map(Partition::Province));
        partitions.extend(commune.map(Partition::Commune));
    }
    partitions.sort_unstable();
    partitions.dedup();
    partitions
}

#[cfg(test)]
mod tests {
    use dancu_proto::v1::{Address, Citizen, TemporaryResidence};

    use super::*;

    #[test]
    fn a_citizen_belongs_where_an_address_lies() {
        let at = |commune: &str, division| {
            let (province, commune) = ("01".into(), commune.into());
            Some(Address { province, commune, division, ..Address::default() })
        };
        let citizen = Citizen {
            permanent_residence: at("00004", 0),
            temporary_residence: Some(TemporaryResidence {
                address: Some(Address { province: "79".into(), ..Address::default() }),
                ..TemporaryResidence::default()
            }),
            current_dwelling: at("00004", 1),
            ..Citizen::default()
        };
        assert_eq!(
            partitions_of(&Record::encode(&citizen)),
            [
                Partition::Province(ProvinceKey(1)),
                Partition::Province(ProvinceKey(79)),
                Partition::Province(ProvinceKey(101)),
                Partition::Commune(CommuneKey(4)),
                Partition::Commune(CommuneKey(100_004)),
            ]
        );
        for partition in [Partition::Nation, Partition::Province(ProvinceKey(179))] {
            assert_eq!(Partition::from_number(partition.as_number()), Some(partition));
        }
    }
}

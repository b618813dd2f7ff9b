//! The only place that knows the bytes of keys. All integers are big-endian, so that the order of
//! keys is the order of what they mean.

use dancu_proto::{PersonalId, Revision, v1::Date};

use super::super::{
    super::{CitizenKey, ListId, Partition, StoreError},
    Head,
};

/// Bytes of a citizen's key: twelve digits are less than 2^40.
const CITIZEN: usize = 5;
/// Bytes of the row that says where the registry stands.
const HEAD: usize = 40;
/// Bytes of a partition: its kind and its code.
const PARTITION: usize = 5;

pub(super) fn citizen(key: CitizenKey) -> [u8; CITIZEN] {
    let [_, _, _, bytes @ ..] = key.0.to_be_bytes();
    bytes
}

pub(super) fn read_citizen(bytes: &[u8]) -> Result<CitizenKey, StoreError> {
    let mut whole = [0; 8];
    let tail = bytes.get(..CITIZEN).ok_or(StoreError::Corrupt("a key"))?;
    whole[8 - CITIZEN..].copy_from_slice(tail);
    Ok(CitizenKey(u64::from_be_bytes(whole)))
}

pub(super) fn partition(partition: Partition) -> [u8; PARTITION] {
    let [_, _, _, bytes @ ..] = partition.as_number().to_be_bytes();
    bytes
}

pub(super) fn member(of: Partition, key: CitizenKey) -> [u8; PARTITION + CITIZEN] {
    join(partition(of), citizen(key))
}

pub(super) fn read_member(bytes: &[u8]) -> Result<CitizenKey, StoreError> {
    read_citizen(bytes.get(PARTITION..).unwrap_or_default())
}

pub(super) fn revision(revision: Revision) -> [u8; 8] {
    revision.0.to_be_bytes()
}

pub(super) fn read_revision(bytes: &[u8]) -> Result<Revision, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt("a revision"))?;
    Ok(Revision(u64::from_be_bytes(bytes)))
}

pub(super) fn awaited(number: PersonalId, list: ListId) -> [u8; CITIZEN + 4] {
    join(citizen(number.into()), list.0.to_be_bytes())
}

pub(super) fn read_awaited(bytes: &[u8]) -> Result<(PersonalId, ListId), StoreError> {
    let number = PersonalId::from_u64(read_citizen(bytes)?.0);
    let number = number.map_err(|_| StoreError::Corrupt("an awaited number"))?;
    Ok((number, read_list(bytes.get(CITIZEN..).unwrap_or_default())?))
}

pub(super) fn read_list(bytes: &[u8]) -> Result<ListId, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt("an interest list"))?;
    Ok(ListId(u32::from_be_bytes(bytes)))
}

/// The row that says where the registry stands: its numbers.
pub(super) fn head(head: &Head) -> [u8; HEAD] {
    let mut row = [0; HEAD];
    let founded = head.founded.unwrap_or(Revision::NONE);
    let numbers = [head.revision.0, head.citizens, head.policy.0, founded.0, u64::from(head.lists)];
    for (cell, number) in row.chunks_exact_mut(8).zip(numbers) {
        cell.copy_from_slice(&number.to_be_bytes());
    }
    row
}

pub(super) fn read_head(row: &[u8]) -> Result<Head, StoreError> {
    let mut numbers = [0; HEAD / 8];
    for (number, cell) in numbers.iter_mut().zip(row.chunks_exact(8)) {
        *number = u64::from_be_bytes(cell.try_into().unwrap_or_default());
    }
    let [revision, citizens, policy, founded, lists] = numbers;
    let founded = (founded != 0).then_some(Revision(founded));
    if row.len() != HEAD {
        return Err(StoreError::Corrupt("its latest revision"));
    }
    Ok(Head {
        revision: Revision(revision),
        citizens,
        policy: Revision(policy),
        founded,
        lists: lists as u32,
    })
}

pub(super) fn feed(of: Partition, at: Revision, key: CitizenKey) -> [u8; PARTITION + 8 + CITIZEN] {
    join(feed_from(of, at), citizen(key))
}

pub(super) fn feed_from(of: Partition, at: Revision) -> [u8; PARTITION + 8] {
    join(partition(of), revision(at))
}

pub(super) fn read_feed(bytes: &[u8]) -> Result<(Revision, CitizenKey), StoreError> {
    let split = PARTITION + 8;
    let at = bytes.get(PARTITION..split).ok_or(StoreError::Corrupt("a feed entry"))?;
    Ok((read_revision(at)?, read_citizen(&bytes[split..])?))
}

pub(super) fn history(key: CitizenKey, at: Revision) -> [u8; CITIZEN + 8] {
    join(citizen(key), revision(at))
}

pub(super) fn read_history(bytes: &[u8]) -> Result<Revision, StoreError> {
    read_revision(bytes.get(CITIZEN..).unwrap_or_default())
}

pub(super) fn birth(date: &Date, key: CitizenKey) -> [u8; 4 + CITIZEN] {
    join(birth_from(date), citizen(key))
}

pub(super) fn birth_from(date: &Date) -> [u8; 4] {
    date.as_number().to_be_bytes()
}

pub(super) fn read_birth(bytes: &[u8]) -> Result<(Date, CitizenKey), StoreError> {
    let date = bytes.first_chunk().ok_or(StoreError::Corrupt("a birth"))?;
    Ok((Date::from_number(u32::from_be_bytes(*date)), read_citizen(&bytes[4..])?))
}

/// The first key after all that begin with a prefix.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; 32]
}

fn join<const A: usize, const B: usize, const C: usize>(a: [u8; A], b: [u8; B]) -> [u8; C] {
    let mut joined = [0; C];
    joined[..A].copy_from_slice(&a);
    joined[A..].copy_from_slice(&b);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        let key = CitizenKey(96_401_000_001);
        let p = Partition::Commune(dancu_proto::CommuneKey(99_999));
        assert_eq!(read_citizen(&citizen(key)).unwrap(), key);
        assert_eq!(read_member(&member(p, key)).unwrap(), key);
        assert_eq!(read_feed(&feed(p, Revision(7), key)).unwrap(), (Revision(7), key));
        assert_eq!(read_history(&history(key, Revision(9))).unwrap(), Revision(9));
        let date = Date::from_number(19_850_000);
        assert_eq!(read_birth(&birth(&date, key)).unwrap(), (date, key));
        assert_eq!(end_of(&[1, 255]), [2]);
    }
}

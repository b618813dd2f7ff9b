//! Digests of slices: hub and node fold the same hash of every held citizen, so that they can show
//! that a slice is complete and right, and find what differs.

use std::ops::AddAssign;

use crate::{PersonalId, Record};

/// How many citizens, and the sum of their hashes modulo 2^256. Digests of ranges add up to that
/// of the whole, whatever the ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many.
    pub citizens: u64,
    /// The sum, the lowest 64 bits first.
    sum: [u64; 4],
}

impl Digest {
    /// Bytes of a sum.
    pub const LEN: usize = 32;

    /// Adds a citizen: the number in force, the handles of the agreements that cover them in
    /// ascending order, and the record in its canonical encoding.
    pub fn add(&mut self, id: PersonalId, handles: &[u32], record: &Record) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&id.as_u64().to_be_bytes());
        hasher.update(&(handles.len() as u32).to_be_bytes());
        for handle in handles {
            hasher.update(&handle.to_be_bytes());
        }
        hasher.update(record.as_bytes());
        let mut sum = [0; 4];
        for (word, bytes) in sum.iter_mut().zip(hasher.finalize().as_bytes().rchunks_exact(8)) {
            *word = u64::from_be_bytes(bytes.try_into().unwrap_or_default());
        }
        *self += Digest { citizens: 1, sum };
    }

    /// The sum, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Digest::LEN] {
        let mut bytes = [0; Digest::LEN];
        for (chunk, word) in bytes.rchunks_exact_mut(8).zip(self.sum) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// From a count and a big-endian sum.
    #[must_use]
    pub fn from_parts(citizens: u64, bytes: &[u8]) -> Option<Digest> {
        let bytes: &[u8; Digest::LEN] = bytes.try_into().ok()?;
        let mut sum = [0; 4];
        for (word, chunk) in sum.iter_mut().zip(bytes.rchunks_exact(8)) {
            *word = u64::from_be_bytes(chunk.try_into().ok()?);
        }
        Some(Digest { citizens, sum })
    }
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Digest) {
        self.citizens += other.citizens;
        let mut carry = false;
        for (a, b) in self.sum.iter_mut().zip(other.sum) {
            let (low, first) = a.overflowing_add(b);
            let (low, second) = low.overflowing_add(u64::from(carry));
            (*a, carry) = (low, first || second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::Citizen;

    fn one(id: &str, handles: &[u32], sex: &str) -> Digest {
        let mut digest = Digest::default();
        let citizen = Citizen { sex: sex.into(), ..Citizen::default() };
        digest.add(id.parse().unwrap(), handles, &Record::encode(&citizen));
        digest
    }

    #[test]
    fn the_order_does_not_count_and_everything_else_does() {
        let (a, b) = (one("001085000001", &[1], "1"), one("001085000002", &[1], "1"));
        let sum = |mut x: Digest, y: Digest| {
            x += y;
            x
        };
        assert_eq!(sum(a, b), sum(b, a));
        let others = [one("001085000001", &[2], "1"), one("001085000001", &[1], "2"), b];
        assert!(others.iter().all(|other| *other != a));
        assert_eq!(Digest::from_parts(1, &a.to_bytes()), Some(a));
        assert_eq!(Digest::from_parts(1, &[0; 31]), None);
    }

    #[test]
    fn sums_carry() {
        let mut all = Digest::from_parts(1, &[0xff; 32]).unwrap();
        let mut one = [0; 32];
        one[31] = 1;
        all += Digest::from_parts(1, &one).unwrap();
        assert_eq!(all, Digest { citizens: 2, sum: [0; 4] });
    }
}

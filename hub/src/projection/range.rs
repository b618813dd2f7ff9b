//! Who is held in a range of numbers as of a revision: what digests are folded from and repairs are
//! made of. The registry is in the order of keys; a person whose number has changed lies elsewhere in
//! it than in slices, and is looked up by the number.

use std::collections::BTreeSet;

use dancu_proto::{Digest, Revision};

use super::{Day, Held, Ledger, Policy, hold};
use crate::registry::{CitizenKey, Partition, StoreError, StoredCitizen, Subject, View};

/// Reads ranges of a slice.
pub struct RangeReader<'a> {
    /// The registry now.
    pub view: &'a View<'a>,
    /// The partitions that have everyone who may be held.
    pub partitions: &'a [Partition],
    /// Who changed since the revision, and may have been a member then.
    pub changed: &'a [CitizenKey],
    /// The revision.
    pub at: Revision,
    /// What is held of a citizen.
    pub holds: &'a dyn Fn(CitizenKey, Subject<'_>) -> Option<Held>,
}

/// A slice as of a revision, all of it under one policy.
pub struct SliceAt<'a> {
    view: &'a View<'a>,
    policy: &'a Policy,
    partitions: Vec<Partition>,
    changed: Vec<CitizenKey>,
    at: Revision,
    day: Day,
}

impl<'a> SliceAt<'a> {
    /// What a policy gives as of a revision, which may lie in the past.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn open(
        view: &'a View<'a>,
        ledger: &Ledger,
        policy: &'a Policy,
        at: Revision,
    ) -> Result<SliceAt<'a>, StoreError> {
        let partitions = policy.partitions();
        let changed = view.feed_after(&partitions, at).map(|row| row.map(|(_, key)| key));
        let changed = changed.collect::<Result<_, _>>()?;
        Ok(SliceAt { view, policy, partitions, changed, at, day: ledger.day(at) })
    }

    /// The same, to ask of single citizens only.
    #[must_use]
    pub fn open_for_one(
        view: &'a View<'a>,
        ledger: &Ledger,
        policy: &'a Policy,
        at: Revision,
    ) -> SliceAt<'a> {
        let (partitions, changed) = (Vec::new(), Vec::new());
        SliceAt { view, policy, partitions, changed, at, day: ledger.day(at) }
    }

    /// The digest of those held after a number and up to another. Beyond a number of citizens
    /// counting stops.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn digest(&self, after: u64, up_to: u64, enough: u64) -> Result<Digest, StoreError> {
        let holds = |_, citizen: Subject<'_>| self.hold(citizen);
        let (view, partitions, changed) = (self.view, &self.partitions, &self.changed);
        let reader = RangeReader { view, partitions, changed, at: self.at, holds: &holds };
        let mut digest = Digest::default();
        for held in reader.within(after, up_to)? {
            held?.fold(&mut digest);
            if digest.citizens > enough {
                break;
            }
        }
        Ok(digest)
    }

    /// What is held of a citizen.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn held(&self, key: CitizenKey, citizen: &StoredCitizen) -> Result<Option<Held>, StoreError> {
        let citizen = self.view.citizen_at(key, citizen, self.at)?;
        Ok(citizen.and_then(|citizen| self.hold(citizen.subject())))
    }

    fn hold(&self, citizen: Subject<'_>) -> Option<Held> {
        hold(self.policy, self.policy, Some(citizen), self.day)
    }
}

impl<'a> RangeReader<'a> {
    /// Everyone held after a number and up to another, by number.
    ///
    /// # Errors
    /// If the disk refuses; so for each citizen.
    pub fn within(
        &self,
        after: u64,
        up_to: u64,
    ) -> Result<impl Iterator<Item = Result<Held, StoreError>> + use<'_, 'a>, StoreError> {
        let strays = self.strays(after, up_to)?;
        let apart: BTreeSet<CitizenKey> = strays.iter().map(|(key, _)| *key).collect();
        let mut strays = strays.into_iter().map(|(_, held)| held).collect::<Vec<_>>();
        strays.sort_by_key(|held| held.id);
        let mut strays = strays.into_iter().peekable();
        let start = (after > 0).then_some(CitizenKey(after));
        let mut rows = self
            .view
            .citizens_after(self.partitions, start)
            .take_while(move |row| row.as_ref().map_or(true, |(key, _)| key.0 <= up_to))
            .filter(move |row| row.as_ref().map_or(true, |(key, _)| !apart.contains(key)))
            .filter_map(move |row| {
                let (key, citizen) = match row {
                    Ok(row) => row,
                    Err(error) => return Some(Err(error)),
                };
                let held = self.held(key, &citizen).transpose()?;
                // Who has another number now is found by it.
                Some(held).filter(|held| held.as_ref().map_or(true, |held| held.id.as_u64() == key.0))
            })
            .peekable();
        Ok(std::iter::from_fn(move || {
            let stray_first = match (strays.peek(), rows.peek()) {
                (Some(stray), Some(Ok(row))) => stray.id < row.id,
                (Some(_), None) => true,
                _ => false,
            };
            if stray_first { strays.next().map(Ok) } else { rows.next() }
        }))
    }

    /// Those of a range who are not at their place in the order of keys, or may not be.
    fn strays(&self, after: u64, up_to: u64) -> Result<Vec<(CitizenKey, Held)>, StoreError> {
        let mut keys: Vec<CitizenKey> = self.changed.to_vec();
        for alias in self.view.aliases(after, up_to) {
            keys.push(alias?.1);
        }
        keys.sort_unstable();
        keys.dedup();
        let mut strays = Vec::new();
        for key in keys {
            let Some(citizen) = self.view.citizen(key)? else { continue };
            if let Some(held) = self.held(key, &citizen)?
                && held.id.as_u64() > after
                && held.id.as_u64() <= up_to
            {
                strays.push((key, held));
            }
        }
        Ok(strays)
    }

    fn held(&self, key: CitizenKey, citizen: &StoredCitizen) -> Result<Option<Held>, StoreError> {
        let citizen = self.view.citizen_at(key, citizen, self.at)?;
        Ok(citizen.and_then(|citizen| (self.holds)(key, citizen.subject())))
    }
}

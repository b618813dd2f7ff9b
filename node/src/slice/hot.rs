//! Citizens whom callers asked for lately, opened, in memory: a look-up of one of them reads no disk and
//! opens no seal. Bounded by bytes; gone when the slice is sealed.
//!
//! Readers read a slice as it was at one moment, and moments are numbered. What is remembered has the
//! number of the moment at which it was read, and each place in a table the number of the moment at which
//! one of its people last changed. So whoever reads can tell, without waiting for anybody, whether what is
//! remembered holds at their moment, however late it was put there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use quick_cache::{Weighter, sync::Cache};

use super::{keys::Person, value::Known};

/// Places in the table of changes, half a megabyte: people who share one are forgotten together.
const PLACES: usize = 1 << 16;

/// What a record takes in memory besides its bytes, bytes.
const BESIDES: u64 = 192;
/// What one takes in all, about, bytes.
const ABOUT: usize = 800;

pub(super) struct Hot {
    known: Cache<Person, Remembered, Weight>,
    /// The moment at which somebody of a place last changed.
    changed: Box<[AtomicU64]>,
    /// The moment at which anybody may have changed.
    all_changed: AtomicU64,
    /// The moment that readers see.
    now: AtomicU64,
}

#[derive(Clone)]
struct Remembered {
    /// The moment at which it was read.
    at: u64,
    known: Arc<Known>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Person, Remembered> for Weight {
    fn weight(&self, _: &Person, remembered: &Remembered) -> u64 {
        remembered.known.record.as_bytes().len() as u64 + BESIDES
    }
}

impl Hot {
    /// With room for so many bytes.
    pub(super) fn new(bytes: usize) -> Hot {
        Hot {
            known: Cache::with_weighter(bytes / ABOUT, bytes as u64, Weight),
            changed: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
            all_changed: AtomicU64::new(0),
            now: AtomicU64::new(0),
        }
    }

    /// Somebody as they are at a moment, if that is remembered.
    pub(super) fn get(&self, person: &Person, moment: u64) -> Option<Arc<Known>> {
        let remembered = self.known.get(person)?;
        let last = self.place(person).load(Ordering::Acquire).max(self.all_changed.load(Ordering::Acquire));
        (last <= moment.min(remembered.at)).then_some(remembered.known)
    }

    /// Remembers somebody as they are at a moment.
    pub(super) fn remember(&self, person: Person, moment: u64, known: Arc<Known>) {
        if self.all_changed.load(Ordering::Acquire) > moment {
            // It was emptied since.
            return;
        }
        self.known.insert(person, Remembered { at: moment, known });
    }

    /// Somebody is another from the next moment on.
    pub(super) fn change(&self, person: &Person) {
        self.place(person).store(self.now.load(Ordering::Acquire) + 1, Ordering::Release);
    }

    /// Anybody may be.
    pub(super) fn change_all(&self) {
        self.all_changed.store(self.now.load(Ordering::Acquire) + 1, Ordering::Release);
    }

    /// The number of the next moment, which is shown to readers after this. One thread at a time.
    pub(super) fn next(&self) -> u64 {
        self.now.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Forgets everybody.
    pub(super) fn clear(&self) {
        self.change_all();
        self.known.clear();
    }

    fn place(&self, person: &Person) -> &AtomicU64 {
        // A person's key is a hash.
        &self.changed[usize::from(u16::from_be_bytes([person[0], person[1]]))]
    }
}

#[cfg(test)]
mod tests {
    use dancu_proto::{Record, v1::Citizen};

    use super::*;

    fn known(email: &str) -> Arc<Known> {
        let record = Record::encode(&Citizen { email: email.into(), ..Citizen::default() });
        Arc::new(Known { record, marks: Vec::new() })
    }

    const AN: Person = [1; 16];
    const BINH: Person = [2; 16];

    #[test]
    fn what_is_remembered_holds_at_the_moments_between_two_changes() {
        let hot = Hot::new(1 << 20);
        let first = hot.next();
        hot.remember(AN, first, known("old"));
        hot.remember(BINH, first, known("b"));
        assert!(hot.get(&AN, first).is_some());
        hot.change(&AN);
        assert!(hot.get(&AN, first).is_none(), "it is read again rather than told wrongly");
        let second = hot.next();
        assert!(hot.get(&AN, second).is_none() && hot.get(&BINH, second).is_some());
        // Somebody who still reads the moment before comes late with what was then.
        hot.remember(AN, first, known("old"));
        assert!(hot.get(&AN, second).is_none() && hot.get(&AN, first).is_none());
        hot.remember(AN, second, known("new"));
        assert_eq!(hot.get(&AN, second), Some(known("new")));
        // And whoever reads the moment before is not told what came after.
        assert!(hot.get(&AN, first).is_none());
        hot.change_all();
        let third = hot.next();
        assert!(hot.get(&AN, third).is_none() && hot.get(&BINH, third).is_none());
    }

    #[test]
    fn it_is_bounded_and_can_be_emptied() {
        let hot = Hot::new(64 << 10);
        let moment = hot.next();
        for number in 0..10_000_u32 {
            let mut person = [0; 16];
            person[12..].copy_from_slice(&number.to_be_bytes());
            hot.remember(person, moment, known(&"x".repeat(400)));
        }
        assert!(hot.known.weight() <= 64 << 10 && hot.known.len() > 10);
        hot.clear();
        assert_eq!(hot.known.len(), 0);
    }
}

//! What was named, and what of it is still to be told to the hub. Sealed like the slice, and with it: whom
//! an agency serves is nobody's business either.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use dancu_proto::PersonalId;
use prost::Message;
use rocksdb::{DB, Direction, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions};
use thiserror::Error;
use tokio::sync::Notify;

use crate::slice::{Cipher, Slice, SliceError};

/// Requests to be told, by their number.
const QUEUE: u8 = 0;
/// Who was named, by agreement.
const NAMED: u8 = 1;
/// Memory for writes, bytes: requests are small and few.
const BUFFER: usize = 2 << 20;

/// The disk refuses.
#[derive(Debug, Error)]
pub enum InterestsError {
    /// What the database says.
    #[error("the interest lists cannot be read or written: {0}")]
    Database(#[from] rocksdb::Error),
    /// Stored by another version, or damaged.
    #[error("the interest lists are damaged")]
    Damaged,
    /// The key is not here.
    #[error("the node's data is sealed: its key comes from the hub; ask the node's operator")]
    Sealed,
}

impl From<SliceError> for InterestsError {
    fn from(error: SliceError) -> InterestsError {
        if let SliceError::Sealed = error { InterestsError::Sealed } else { InterestsError::Damaged }
    }
}

/// What one call asked for.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Told {
    /// The agreement.
    #[prost(string, tag = "1")]
    pub(super) agreement: String,
    /// Numbers to add.
    #[prost(uint64, repeated, tag = "2")]
    pub(super) add: Vec<u64>,
    /// Numbers to withdraw.
    #[prost(uint64, repeated, tag = "3")]
    pub(super) withdraw: Vec<u64>,
}

/// The lists. Cheap to clone.
#[derive(Clone)]
pub struct Interests {
    database: Arc<DB>,
    /// Has the key.
    slice: Slice,
    /// Held while a request gets its number.
    numbering: Arc<Mutex<()>>,
    added: Arc<Notify>,
}

impl Interests {
    /// Opens the lists in a directory, or makes empty ones. They are sealed with the key of a slice.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn open(dir: &Path, slice: Slice) -> Result<Interests, InterestsError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(BUFFER);
        options.set_keep_log_file_num(2);
        options.set_max_open_files(32);
        let database = Arc::new(DB::open(&options, dir)?);
        Ok(Interests { database, slice, numbering: Arc::default(), added: Arc::default() })
    }

    /// Notes that people are named under an agreement, or no longer are. On disk when it returns.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn note(
        &self,
        agreement: &str,
        add: &[PersonalId],
        withdraw: &[PersonalId],
    ) -> Result<(), InterestsError> {
        let cipher = self.slice.cipher()?;
        let mut batch = WriteBatch::default();
        for id in add {
            let key = named(&cipher, agreement, *id);
            let sealed = cipher.seal(&key, &id.as_u64().to_be_bytes())?;
            batch.put(key, sealed);
        }
        withdraw.iter().for_each(|id| batch.delete(named(&cipher, agreement, *id)));
        let numbers = |ids: &[PersonalId]| ids.iter().map(|id| id.as_u64()).collect();
        let told = Told { agreement: agreement.to_owned(), add: numbers(add), withdraw: numbers(withdraw) };
        let _numbering = self.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.last()?.map_or(0, |number| number + 1);
        let key = queued(next);
        batch.put(key, cipher.seal(&key, &told.encode_to_vec())?);
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        self.database.write_opt(batch, &synced)?;
        self.added.notify_one();
        Ok(())
    }

    /// How many numbers of an agreement are still to be told.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn waiting(&self, agreement: &str) -> Result<u64, InterestsError> {
        self.queue()?.try_fold(0, |sum, row| {
            let (_, told) = row?;
            let waits = if told.agreement == agreement { told.add.len() + told.withdraw.len() } else { 0 };
            Ok(sum + waits as u64)
        })
    }

    /// Who is named under an agreement, in an order that stays, after somebody, at most so many.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn named(
        &self,
        agreement: &str,
        after: Option<PersonalId>,
        at_most: usize,
    ) -> Result<Vec<PersonalId>, InterestsError> {
        let (prefix, cipher) = (prefix(agreement), self.slice.cipher()?);
        let from = match after {
            Some(id) => [&named(&cipher, agreement, id)[..], &[0]].concat(),
            None => prefix.clone(),
        };
        let rows = self.database.iterator(IteratorMode::From(&from, Direction::Forward));
        let mut ids = Vec::new();
        for row in rows.take(at_most) {
            let (key, sealed) = row?;
            if !key.starts_with(&prefix) {
                break;
            }
            let number = cipher.open(&key, &sealed, "an interest")?;
            let number = number.try_into().map(u64::from_be_bytes).map_err(|_| InterestsError::Damaged)?;
            ids.push(PersonalId::from_u64(number).map_err(|_| InterestsError::Damaged)?);
        }
        Ok(ids)
    }

    /// What is to be told, in the order in which it was asked for.
    pub(super) fn queue(
        &self,
    ) -> Result<impl Iterator<Item = Result<(u64, Told), InterestsError>>, InterestsError> {
        let cipher = self.slice.cipher()?;
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound([NAMED]);
        let rows = self.database.iterator_opt(IteratorMode::Start, options);
        Ok(rows.map(move |row| {
            let (key, value) = row?;
            let value = cipher.open(&key, &value, "what is to be told")?;
            let number = key[1..].try_into().map(u64::from_be_bytes).map_err(|_| InterestsError::Damaged)?;
            Ok((number, Told::decode(value.as_slice()).map_err(|_| InterestsError::Damaged)?))
        }))
    }

    /// The number of the last request that waits.
    fn last(&self) -> Result<Option<u64>, InterestsError> {
        let last = self.database.iterator(IteratorMode::From(&[NAMED], Direction::Reverse)).next();
        let Some((key, _)) = last.transpose()? else { return Ok(None) };
        match key.split_first() {
            Some((&QUEUE, number)) => {
                let number = number.try_into().map_err(|_| InterestsError::Damaged)?;
                Ok(Some(u64::from_be_bytes(number)))
            }
            _ => Ok(None),
        }
    }

    /// A request was told.
    pub(super) fn told(&self, number: u64) -> Result<(), InterestsError> {
        Ok(self.database.delete(queued(number))?)
    }

    /// Waits until something is noted.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }
}

fn queued(number: u64) -> [u8; 9] {
    let mut key = [QUEUE; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn prefix(agreement: &str) -> Vec<u8> {
    [&[NAMED][..], agreement.as_bytes(), &[0]].concat()
}

fn named(cipher: &Cipher, agreement: &str, id: PersonalId) -> Vec<u8> {
    [&prefix(agreement)[..], &cipher.person(id)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::tests::fixture::{key, open};

    #[test]
    fn what_is_noted_is_there_after_a_restart_for_who_has_the_key() {
        let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ids: Vec<PersonalId> = (1..=5).map(|n| format!("00108500000{n}").parse().unwrap()).collect();
        let slice = open(held.path());
        {
            let lists = Interests::open(dir.path(), slice.clone()).unwrap();
            lists.note("insured", &ids, &[]).unwrap();
            lists.note("insured-2", &ids[..1], &[]).unwrap();
            lists.note("insured", &[], &ids[1..2]).unwrap();
        }
        let lists = Interests::open(dir.path(), slice.clone()).unwrap();
        assert_eq!((lists.waiting("insured").unwrap(), lists.waiting("insured-2").unwrap()), (6, 1));
        let first = lists.named("insured", None, 2).unwrap();
        let rest = lists.named("insured", first.last().copied(), 9).unwrap();
        let mut all = [first, rest].concat();
        all.sort_unstable();
        assert_eq!(all, [ids[0], ids[2], ids[3], ids[4]]);
        slice.seal();
        assert!(matches!(lists.waiting("insured"), Err(InterestsError::Sealed)));
        assert!(matches!(lists.note("insured", &ids, &[]), Err(InterestsError::Sealed)));
        slice.unseal(&key()).unwrap();
        let queue: Vec<_> = lists.queue().unwrap().map(Result::unwrap).collect();
        assert_eq!((queue.len(), queue[2].1.withdraw.len()), (3, 1));
        queue.iter().for_each(|(number, _)| lists.told(*number).unwrap());
        assert_eq!(lists.waiting("insured").unwrap(), 0);
    }
}

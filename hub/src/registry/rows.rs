//! Rows of other owners that a commit is about to write, over those that there are.

use std::collections::BTreeMap;

use prost::Message;

use super::{Standing, StoreError, store::Write};

/// Rows as they will be.
pub struct Rows<'a> {
    standing: &'a Standing<'a>,
    changed: BTreeMap<&'static str, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl<'a> Rows<'a> {
    /// Nothing is changed yet.
    #[must_use]
    pub fn new(standing: &'a Standing<'a>) -> Rows<'a> {
        Rows { standing, changed: BTreeMap::new() }
    }

    /// The registry that they lie on.
    #[must_use]
    pub fn standing(&self) -> &'a Standing<'a> {
        self.standing
    }

    /// A row.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn get(&self, table: &'static str, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changed.get(table).and_then(|rows| rows.get(name)) {
            Some(row) => Ok(row.clone()),
            None => self.standing.row(table, name),
        }
    }

    /// Whether there is a row.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn has(&self, table: &'static str, name: &[u8]) -> Result<bool, StoreError> {
        match self.changed.get(table).and_then(|rows| rows.get(name)) {
            Some(row) => Ok(row.is_some()),
            None => self.standing.has(table, name),
        }
    }

    /// A row that is a message.
    ///
    /// # Errors
    /// If the disk refuses, or the row is damaged.
    pub fn message<M: Message + Default>(
        &self,
        table: &'static str,
        name: &[u8],
    ) -> Result<Option<M>, StoreError> {
        let row = self.get(table, name)?;
        row.map(|row| M::decode(row.as_slice()).map_err(|_| StoreError::Corrupt(table))).transpose()
    }

    /// A row that is a number; 0 where there is none.
    ///
    /// # Errors
    /// If the disk refuses, or the row is damaged.
    pub fn number(&self, table: &'static str, name: &[u8]) -> Result<u64, StoreError> {
        let row = self.get(table, name)?.unwrap_or_else(|| vec![0; 8]);
        row.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Corrupt(table))
    }

    /// Writes a row.
    pub fn put(&mut self, table: &'static str, name: Vec<u8>, row: Vec<u8>) {
        self.changed.entry(table).or_default().insert(name, Some(row));
    }

    /// Removes a row.
    pub fn remove(&mut self, table: &'static str, name: Vec<u8>) {
        self.changed.entry(table).or_default().insert(name, None);
    }

    /// The next of a row of numbers, from 1 on.
    ///
    /// # Errors
    /// If the disk refuses, or the row is damaged.
    pub fn next(&mut self, table: &'static str, name: &[u8]) -> Result<u64, StoreError> {
        let next = self.number(table, name)? + 1;
        self.put(table, name.to_vec(), next.to_be_bytes().to_vec());
        Ok(next)
    }

    /// What is to be written.
    #[must_use]
    pub fn into_writes(self) -> Vec<Write> {
        let changed = self.changed.into_iter();
        let rows =
            changed.flat_map(|(table, rows)| rows.into_iter().map(move |(name, row)| (table, name, row)));
        rows.map(|(table, name, row)| match row {
            Some(row) => Write::Row(table, name, row),
            None => Write::NoRow(table, name),
        })
        .collect()
    }
}

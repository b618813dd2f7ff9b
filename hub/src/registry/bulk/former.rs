//! Former numbers in a founding load: whom each leads to, and which rows lay claim to another's.
//! Numbers are never reused (DOMAIN), so a number leads to one person.

use std::{collections::HashMap, path::Path};

use dancu_proto::PersonalId;

use super::{
    StoreError,
    run::{MergedRuns, Run},
};
use crate::registry::{
    CitizenKey,
    store::{BulkTable, Store},
};

/// The claims of all rows, settled.
pub(super) struct Claims {
    runs: Vec<Run>,
    /// Lines of rows that claim a number which the row of another line claims too.
    refused: HashMap<u64, u64>,
}

impl Claims {
    /// Writes the table of former numbers from sorted claims: of several claims to one number the
    /// first in the file counts. Says whether there was any.
    pub(super) fn settle(
        store: &dyn Store,
        file: &Path,
        runs: Vec<Run>,
    ) -> Result<(Claims, bool), StoreError> {
        let mut claims = Claims { runs, refused: HashMap::new() };
        let mut rows = MergedRuns::open(&claims.runs, 0, u64::MAX)?;
        let mut writer = None;
        let mut last: Option<(u64, u64, CitizenKey)> = None;
        while let Some((number, line)) = rows.next_row()? {
            let owner = read_owner(rows.bytes())?;
            if let Some((_, first, of)) = last.filter(|(last, ..)| *last == number) {
                if of != owner {
                    claims.refused.insert(line, first);
                }
                continue;
            }
            last = Some((number, line, owner));
            let writer = match &mut writer {
                Some(writer) => writer,
                None => writer.insert(store.bulk_writer(BulkTable::Numbers, file)?),
            };
            let number = PersonalId::from_u64(number).map_err(|_| StoreError::Corrupt("a bulk load"))?;
            writer.number(number, owner)?;
        }
        let any = writer.is_some();
        writer.map_or(Ok(()), |writer| writer.finish())?;
        Ok((claims, any))
    }

    /// The line of another row that claims a number which the row of this line claims too.
    pub(super) fn refusal(&self, line: u64) -> Option<u64> {
        if self.refused.is_empty() { None } else { self.refused.get(&line).copied() }
    }

    /// The claims in a range of numbers, to walk along with the rows of citizens.
    pub(super) fn walk(&self, from: u64, until: u64) -> Result<Walk<'_>, StoreError> {
        let mut rows = MergedRuns::open(&self.runs, from, until)?;
        let next = rows.next_row()?;
        Ok(Walk { claims: self, rows, next })
    }
}

/// A walk along the claims, ascending.
pub(super) struct Walk<'a> {
    claims: &'a Claims,
    rows: MergedRuns,
    next: Option<(u64, u64)>,
}

impl Walk<'_> {
    /// The line of the row that claims a number as a former one; numbers must ascend.
    pub(super) fn claim_to(&mut self, number: u64) -> Result<Option<u64>, StoreError> {
        while let Some((claimed, line)) = self.next {
            let stands = self.claims.refusal(line).is_none();
            if claimed > number || claimed == number && stands {
                return Ok((claimed == number).then_some(line));
            }
            self.next = self.rows.next_row()?;
        }
        Ok(None)
    }
}

/// The key of the person who claims a number, as the claim's bytes.
pub(super) fn owner(key: CitizenKey) -> [u8; 8] {
    key.0.to_be_bytes()
}

fn read_owner(bytes: &[u8]) -> Result<CitizenKey, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt("a bulk load"))?;
    Ok(CitizenKey(u64::from_be_bytes(bytes)))
}

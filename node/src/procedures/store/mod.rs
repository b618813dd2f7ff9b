//! Tasks, cases and forms, as the hub last told them. Sealed like the slice, and with it: whose case is where
//! is nobody's business either.

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use dancu_proto::{
    Reason,
    hub::v1::{Mail, mail::Content},
    v1::{CaseStatus, Form, StepState, Task},
};
use prost::Message;
use rocksdb::{DB, Direction, IteratorMode, Options, WriteBatch, WriteOptions};
use thiserror::Error;
use tonic::Status;

use crate::{
    outbox::{MailError, MailSink},
    slice::{Slice, SliceError},
};

/// Kinds of rows.
const TASK: u8 = b't';
const CASE: u8 = b'c';
const FORM: u8 = b'f';
/// By which contribution a task was answered here.
const ANSWER: u8 = b'a';
/// The row that says of which registry everything is; it opens with the key that all of it opens with.
const KEPT: &[u8] = b"k";
/// Memory for writes, bytes: mail is small, and not much.
const BUFFER: usize = 2 << 20;

/// What was told cannot be kept or read.
#[derive(Debug, Error)]
pub enum DeskError {
    /// What the database says.
    #[error("tasks and cases cannot be read or written: {0}")]
    Database(#[from] rocksdb::Error),
    /// Stored by another version, or damaged.
    #[error("tasks and cases are damaged")]
    Damaged,
    /// The key is not here.
    #[error("the node's data is sealed: its key comes from the hub; ask the node's operator")]
    Sealed,
}

impl From<SliceError> for DeskError {
    fn from(error: SliceError) -> DeskError {
        if let SliceError::Sealed = error { DeskError::Sealed } else { DeskError::Damaged }
    }
}

impl From<DeskError> for Status {
    fn from(error: DeskError) -> Status {
        match error {
            DeskError::Sealed => Reason::SliceSealed.status(error.to_string()),
            DeskError::Database(_) | DeskError::Damaged => {
                tracing::error!(%error, "tasks and cases");
                Reason::Storage.status("the node's disk fails; tell its operator, whose log says why")
            }
        }
    }
}

/// What the hub told. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    database: Arc<DB>,
    /// Has the key.
    slice: Slice,
}

impl Desk {
    /// Opens a directory, or makes an empty one. It is sealed with the key of a slice.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn open(dir: &Path, slice: Slice) -> Result<Desk, DeskError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(BUFFER);
        options.set_keep_log_file_num(2);
        options.set_max_open_files(32);
        Ok(Desk { database: Arc::new(DB::open(&options, dir)?), slice })
    }

    /// Keeps mail of the hub; on the disk when this returns. The same may come twice.
    ///
    /// # Errors
    /// If the node is sealed, or the disk refuses.
    pub fn keep(&self, mail: &Mail) -> Result<(), DeskError> {
        match &mail.content {
            Some(Content::Task(task)) => {
                let name = named(TASK, &[&task.case_id, &task.step]);
                // One that ended, or is another's by now, leaves nothing here.
                let open = task.state() == StepState::Open;
                if !open {
                    self.database.delete(named(ANSWER, &[&task.case_id, &task.step]))?;
                }
                self.write(&name, open.then(|| task.encode_to_vec()))
            }
            Some(Content::Case(case)) => {
                let newer = match self.case(&case.case_id) {
                    Ok(known) => known.is_none_or(|known| known.version <= case.version),
                    // What cannot be read any more is replaced.
                    Err(DeskError::Damaged) => true,
                    Err(error) => return Err(error),
                };
                if newer {
                    self.write(&named(CASE, &[&case.case_id]), Some(case.encode_to_vec()))
                } else {
                    Ok(())
                }
            }
            Some(Content::Form(form)) => {
                let name = named(FORM, &[&form.id]);
                self.write(&name, (!form.withdrawn).then(|| form.encode_to_vec()))
            }
            // Is the outbox's.
            Some(Content::Outcome(_)) | None => Ok(()),
        }
    }

    /// The open tasks, by case and step.
    ///
    /// # Errors
    /// If the node is sealed, or the disk refuses; so for all below.
    pub fn tasks(&self) -> Result<Vec<Task>, DeskError> {
        self.all(TASK)
    }

    /// The forms, by id.
    ///
    /// # Errors
    /// See above.
    pub fn forms(&self) -> Result<Vec<Form>, DeskError> {
        self.all(FORM)
    }

    /// An open task.
    ///
    /// # Errors
    /// See above.
    pub fn task(&self, case: &str, step: &str) -> Result<Option<Task>, DeskError> {
        self.get(&named(TASK, &[case, step]))
    }

    /// Notes by which contribution a task was answered: until the hub has it, the task stays.
    ///
    /// # Errors
    /// See above.
    pub fn answer(&self, case: &str, step: &str, contribution: &str) -> Result<(), DeskError> {
        self.write(&named(ANSWER, &[case, step]), Some(contribution.as_bytes().to_vec()))
    }

    /// The contribution that a task was last answered by here.
    ///
    /// # Errors
    /// See above.
    pub fn answered_by(&self, case: &str, step: &str) -> Result<Option<String>, DeskError> {
        let name = named(ANSWER, &[case, step]);
        let Some(sealed) = self.database.get(&name)? else { return Ok(None) };
        let id = self.slice.cipher()?.open(&name, &sealed, "by what a task was answered")?;
        String::from_utf8(id).map(Some).map_err(|_| DeskError::Damaged)
    }

    /// A case.
    ///
    /// # Errors
    /// See above.
    pub fn case(&self, id: &str) -> Result<Option<CaseStatus>, DeskError> {
        self.get(&named(CASE, &[id]))
    }

    /// A form.
    ///
    /// # Errors
    /// See above.
    pub fn form(&self, id: &str) -> Result<Option<Form>, DeskError> {
        self.get(&named(FORM, &[id]))
    }

    /// Forgets cases that were closed before a time. While the node is sealed it is not known which.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn prune(&self, before: i64) -> Result<(), DeskError> {
        let Ok(cipher) = self.slice.cipher() else { return Ok(()) };
        for row in self.database.iterator(IteratorMode::From(&[CASE], Direction::Forward)) {
            let (name, sealed) = row?;
            if name.first() != Some(&CASE) {
                break;
            }
            let Ok(case) = cipher.open(&name, &sealed, "a case") else { continue };
            let case = CaseStatus::decode(case.as_slice()).map_err(|_| DeskError::Damaged)?;
            if case.closed_at.is_some_and(|closed| closed.seconds < before) {
                self.database.delete(&name)?;
            }
        }
        Ok(())
    }

    /// Forgets everything, and has it off the disk.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn clear(&self) -> Result<(), DeskError> {
        if self.database.iterator(IteratorMode::Start).next().is_none() {
            return Ok(());
        }
        let (mut all, mut synced) = (WriteBatch::default(), WriteOptions::default());
        all.delete_range(&[][..], &[u8::MAX][..]);
        synced.set_sync(true);
        self.database.write_opt(all, &synced)?;
        self.database.flush()?;
        self.database.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    /// All rows of a kind.
    fn all<M: Message + Default>(&self, kind: u8) -> Result<Vec<M>, DeskError> {
        let cipher = self.slice.cipher()?;
        let mut all = Vec::new();
        for row in self.database.iterator(IteratorMode::From(&[kind], Direction::Forward)) {
            let (name, sealed) = row?;
            if name.first() != Some(&kind) {
                break;
            }
            let row = cipher.open(&name, &sealed, "what the hub told")?;
            all.push(M::decode(row.as_slice()).map_err(|_| DeskError::Damaged)?);
        }
        Ok(all)
    }

    fn get<M: Message + Default>(&self, name: &[u8]) -> Result<Option<M>, DeskError> {
        let cipher = self.slice.cipher()?;
        let Some(sealed) = self.database.get(name)? else { return Ok(None) };
        let row = cipher.open(name, &sealed, "what the hub told")?;
        M::decode(row.as_slice()).map(Some).map_err(|_| DeskError::Damaged)
    }

    fn write(&self, name: &[u8], row: Option<Vec<u8>>) -> Result<(), DeskError> {
        let cipher = self.slice.cipher()?;
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        match row {
            Some(row) => self.database.put_opt(name, cipher.seal(name, &row)?, &synced)?,
            None => self.database.delete_opt(name, &synced)?,
        }
        Ok(())
    }
}

impl MailSink for Desk {
    fn put(&self, mail: &Mail) -> Result<(), MailError> {
        Ok(self.keep(mail)?)
    }

    fn has_kept(&self) -> Result<bool, MailError> {
        let cipher = self.slice.cipher()?;
        let Some(sealed) = self.database.get(KEPT)? else { return Ok(false) };
        let registry = cipher.open(KEPT, &sealed, "of which registry tasks and cases are");
        Ok(registry.is_ok_and(|registry| registry == self.slice.state().registry_id))
    }

    fn begin_anew(&self) -> Result<(), MailError> {
        self.clear()?;
        Ok(self.write(KEPT, Some(self.slice.state().registry_id.clone()))?)
    }
}

/// Ids of cases, steps and forms have no zero byte.
fn named(kind: u8, parts: &[&str]) -> Vec<u8> {
    let mut name = vec![kind];
    for part in parts {
        name.extend_from_slice(part.as_bytes());
        name.push(0);
    }
    name
}

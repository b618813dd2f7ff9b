//! Tasks, cases and forms, as the hub last told them. Sealed like the slice, and with it: whose case is where
//! is nobody's business either.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::tests::fixture::{key, open};

    fn task(step: &str, state: StepState) -> Mail {
        let task = Task {
            case_id: "c".into(),
            step: step.into(),
            state: state.into(),
            persons: [("child".to_owned(), "001226000001".to_owned())].into(),
            ..Task::default()
        };
        Mail { number: 0, content: Some(Content::Task(task)) }
    }

    fn case(version: u64) -> Mail {
        let status = CaseStatus { case_id: "c".into(), version, ..CaseStatus::default() };
        Mail { number: 0, content: Some(Content::Case(status)) }
    }

    #[test]
    fn what_was_told_is_there_after_a_restart_for_who_has_the_key() {
        let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let slice = open(held.path());
        {
            let desk = Desk::open(dir.path(), slice.clone()).unwrap();
            desk.keep(&task("a", StepState::Open)).unwrap();
            desk.keep(&task("ab", StepState::Open)).unwrap();
            desk.keep(&task("a", StepState::Open)).unwrap();
            desk.keep(&case(3)).unwrap();
            // What comes once more, of before, changes nothing.
            desk.keep(&case(2)).unwrap();
        }
        let desk = Desk::open(dir.path(), slice.clone()).unwrap();
        assert_eq!(desk.tasks().unwrap().len(), 2);
        assert_eq!(desk.case("c").unwrap().unwrap().version, 3);
        desk.keep(&task("a", StepState::Done)).unwrap();
        desk.keep(&task("b", StepState::Unspecified)).unwrap();
        assert_eq!(desk.task("c", "a").unwrap(), None);
        assert!(desk.task("c", "ab").unwrap().is_some());
        // Nothing on the disk reads.
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
            assert!(!bytes.windows(12).any(|window| window == b"001226000001"));
        }
        slice.seal();
        assert!(matches!(desk.tasks(), Err(DeskError::Sealed)));
        assert!(matches!(desk.keep(&case(4)), Err(DeskError::Sealed)));
        slice.unseal(&key()).unwrap();
        assert_eq!(desk.tasks().unwrap().len(), 1);
    }

    #[test]
    fn with_another_key_everything_begins_anew() {
        let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let slice = open(held.path());
        let desk = Desk::open(dir.path(), slice.clone()).unwrap();
        assert!(!desk.has_kept().unwrap());
        desk.begin_anew().unwrap();
        desk.keep(&case(3)).unwrap();
        desk.keep(&task("a", StepState::Open)).unwrap();
        assert!(desk.has_kept().unwrap());
        slice.seal();
        slice.unseal(&crate::slice::SliceKey::from_bytes(&[3; 32]).unwrap()).unwrap();
        // Mail of a case that is known, and cannot be read, still comes.
        desk.keep(&case(2)).unwrap();
        assert_eq!(desk.case("c").unwrap().unwrap().version, 2);
        assert!(!desk.has_kept().unwrap());
        desk.begin_anew().unwrap();
        assert!(desk.has_kept().unwrap());
        assert_eq!((desk.case("c").unwrap(), desk.tasks().unwrap().len()), (None, 0));
    }

    #[test]
    fn cases_that_were_closed_long_ago_are_forgotten() {
        let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let desk = Desk::open(dir.path(), open(held.path())).unwrap();
        for (id, closed) in [("old", Some(5)), ("new", Some(9)), ("open", None)] {
            let closed_at = closed.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 });
            let case = CaseStatus { case_id: id.into(), closed_at, ..CaseStatus::default() };
            desk.keep(&Mail { number: 0, content: Some(Content::Case(case)) }).unwrap();
        }
        desk.prune(9).unwrap();
        let known = ["old", "new", "open"].map(|id| desk.case(id).unwrap().is_some());
        assert_eq!(known, [false, true, true]);
    }

    #[tokio::test]
    async fn nothing_is_left_where_the_slice_is_erased() {
        let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let slice = open(held.path());
        let policy = dancu_proto::hub::v1::Policy {
            registry_id: vec![7; 16],
            revision: 1,
            cursor: 1,
            ..Default::default()
        };
        slice.apply_policy(policy).unwrap();
        let desk = Desk::open(dir.path(), slice.clone()).unwrap();
        desk.keep(&task("a", StepState::Open)).unwrap();
        let cancel = tokio_util::sync::CancellationToken::new();
        let (clock, day) = (crate::state::host_clock(), std::time::Duration::from_secs(86_400));
        let keeping = super::super::keep(desk.clone(), slice.clone(), day, clock, cancel.clone());
        let keeping = tokio::spawn(keeping);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert_eq!(desk.tasks().unwrap().len(), 1);
        slice.erase().unwrap();
        let anything = || desk.database.iterator(IteratorMode::Start).next().is_some();
        while anything() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        cancel.cancel();
        keeping.await.unwrap();
    }

    #[test]
    fn a_form_is_replaced_and_withdrawn() {
        let (dir, held) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let desk = Desk::open(dir.path(), open(held.path())).unwrap();
        let form = |title: &str, withdrawn| {
            let form = Form { id: "ct01".into(), title: title.into(), withdrawn, ..Form::default() };
            Mail { number: 0, content: Some(Content::Form(form)) }
        };
        desk.keep(&form("CT01", false)).unwrap();
        desk.keep(&form("CT01 (2027)", false)).unwrap();
        assert_eq!(desk.form("ct01").unwrap().unwrap().title, "CT01 (2027)");
        let ids: Vec<_> = desk.forms().unwrap().into_iter().map(|form| form.id).collect();
        assert_eq!(ids, ["ct01"]);
        desk.keep(&form("", true)).unwrap();
        assert_eq!(desk.form("ct01").unwrap(), None);
    }
}

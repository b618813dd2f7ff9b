//! A group that is made while the one before is on its way to a disk that refuses it.

use std::sync::{
    Mutex,
    mpsc::{self, Receiver, Sender},
};

use super::*;
use crate::registry::store::{BulkTable, BulkWriter, NamedRow, Snapshot, Write};

/// A disk that waits to be told whether it takes what it is given.
struct Told {
    store: RocksStore,
    asked: Sender<()>,
    takes: Mutex<Receiver<bool>>,
}

impl Store for Told {
    fn snapshot(&self) -> Box<dyn Snapshot + '_> {
        self.store.snapshot()
    }

    fn apply(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.asked.send(()).unwrap();
        let takes = self.takes.lock().unwrap().recv().unwrap();
        if takes { self.store.apply(writes) } else { Err(StoreError::Full) }
    }

    fn bulk_dir(&self) -> Result<std::path::PathBuf, StoreError> {
        self.store.bulk_dir()
    }

    fn bulk_writer(&self, table: BulkTable, file: &Path) -> Result<Box<dyn BulkWriter + '_>, StoreError> {
        self.store.bulk_writer(table, file)
    }

    fn ingest(&self, files: &[(BulkTable, std::path::PathBuf)], writes: &[Write]) -> Result<(), StoreError> {
        self.store.ingest(files, writes)
    }

    fn rows(&self, table: &'static str) -> Result<Vec<NamedRow>, StoreError> {
        self.store.rows(table)
    }

    fn size_on_disk(&self) -> u64 {
        self.store.size_on_disk()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rests_on_what_the_disk_refused_is_refused_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    Registry::create(dir.path(), &files::shipped()).unwrap();
    let ((asked, asks), (tell, takes)) = (mpsc::channel(), mpsc::channel());
    let store = Told { store: RocksStore::open(dir.path(), 0).unwrap(), asked, takes: Mutex::new(takes) };
    let registry = Arc::new(Registry::over(Arc::new(store), Arc::default(), system_clock()).unwrap());
    let id = |person| PersonalId::from_u64(number(person)).unwrap();
    let enter = |person| update(Person::KnownOrNew(id(person)), &citizen(person, 0, 0), FieldSet::EMPTY);
    let change =
        |person, other| update(Person::Known(id(person)), &citizen(person, 0, other), FieldSet::EMPTY);
    let commit = |commit: Commit| {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move { registry.commit(commit).await })
    };
    let name = |person| {
        let (_, citizen) = registry.view().resolve(id(person)).unwrap()?;
        Some(citizen.record.decode().unwrap().other_name)
    };

    // The first is on its way; the others are judged on top of it, one of them as what cannot be.
    let first = commit(enter(1));
    asks.recv().unwrap();
    let others = {
        let registry = Arc::clone(&registry);
        let commits = vec![change(1, 7), enter(1), change(2, 1)];
        tokio::spawn(async move { registry.commit_all(commits).await })
    };
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!others.is_finished(), "they are answered when it is known what becomes of the first");
    tell.send(false).unwrap();
    let full = |outcome: &Result<Committed, CommitError>| {
        matches!(outcome, Err(CommitError::Store(StoreError::Full)))
    };
    assert!(full(&first.await.unwrap()));
    assert!(others.await.unwrap().unwrap().iter().all(full));
    assert_eq!((registry.head(), name(1)), (Revision::NONE, None));

    // Nothing of it is remembered, and the revision is given again.
    assert!(matches!(commit(change(1, 7)).await.unwrap(), Err(CommitError::NoSuchCitizen)));
    let again = commit(enter(1));
    asks.recv().unwrap();
    let after = commit(change(1, 3));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    tell.send(true).unwrap();
    assert_eq!(again.await.unwrap().unwrap().revision, Revision(1));
    asks.recv().unwrap();
    // The one on top waits for the disk by itself.
    assert_eq!((registry.head(), name(1)), (Revision(1), Some(String::new())));
    tell.send(false).unwrap();
    assert!(full(&after.await.unwrap()));
    assert_eq!((registry.head(), name(1)), (Revision(1), Some(String::new())));
    tell.send(true).unwrap();
    let done = commit(change(1, 4)).await.unwrap().unwrap();
    assert_eq!((done.revision, name(1)), (Revision(2), Some("n4".into())));
    let view = registry.view();
    assert_eq!(view.history(id(1).into(), Revision::NONE).unwrap(), [Revision(2), Revision(1)]);
}

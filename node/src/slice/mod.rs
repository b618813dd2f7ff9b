//! The slice: what this node holds, exactly what its agreements give as of its cursor.
//!
//! - `store`: open, tables, the state row. `cipher`: values are sealed, keys are keyed hashes. `keys`: the
//!   only place that knows key bytes. `options`: the only place that knows RocksDB's options. `value`: a stored record. `index`: how records
//!   are found. `batch`: changes on their way into one atomic write. `changes`: what has changed, for those who follow. `room`: what the disk has left.
//! - [`SliceState`]: where the slice stands. [`SliceReader`]: reading it, state and records
//!   consistent. `apply`, `load`, `purge`: what the hub sends takes effect.
//! - [`Examination`]: digests of the slice at one moment, and the repair of what differs.

mod apply;
mod batch;
mod changes;
mod cipher;
mod examine;
mod hot;
mod index;
mod keys;
mod load;
mod moment;
mod options;
mod purge;
mod read;
mod room;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod value;

use std::{
    path::Path,
    sync::{Arc, Mutex, Weak},
};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::watch;

pub(crate) use self::cipher::Cipher;
pub use self::{
    changes::{Changed, CitizenChanged, Extent},
    cipher::SliceKey,
    examine::{Examination, Examined, Findings, RangeOfSlice},
    options::SliceOptions,
    read::{Held, SliceReader},
    state::{Grant, Phase, SliceState},
    value::{Known, Mark},
};
use self::{load::Staged, moment::Moment, room::Room, store::Store};

/// What the slice cannot do.
#[derive(Debug, Error)]
pub enum SliceError {
    /// Something is being removed that the node may no longer hold.
    #[error("the slice is being narrowed")]
    Narrowing,
    /// The disk is full.
    #[error("the disk is full: the slice stands still until there is room; make room, and it goes on")]
    Full,
    /// The key is not here.
    #[error("the slice is sealed")]
    Sealed,
    /// What is stored, or was received, cannot be understood.
    #[error("the slice is damaged: {0} cannot be read")]
    Corrupt(&'static str),
    /// Another process holds the slice.
    #[error("another process holds the slice; is the node running already?")]
    Locked,
    /// Anything else that the database reports.
    #[error("the slice's database failed: {0}")]
    Database(String),
}

impl From<std::io::Error> for SliceError {
    fn from(error: std::io::Error) -> SliceError {
        match error.kind() {
            std::io::ErrorKind::StorageFull => SliceError::Full,
            _ => SliceError::Database(error.to_string()),
        }
    }
}

impl From<rocksdb::Error> for SliceError {
    fn from(error: rocksdb::Error) -> SliceError {
        let text = error.to_string();
        if text.contains("No space left") {
            SliceError::Full
        } else if error.kind() == rocksdb::ErrorKind::Corruption {
            tracing::error!(error = text, "the slice's database is damaged");
            SliceError::Corrupt("a file of its database")
        } else if text.contains("lock") && error.kind() == rocksdb::ErrorKind::IOError {
            SliceError::Locked
        } else {
            SliceError::Database(text)
        }
    }
}

/// The slice. Cheap to clone.
#[derive(Clone)]
pub struct Slice(Arc<Inner>);

struct Inner {
    store: Store,
    room: Room,
    /// What readers see. Whoever changes it holds `applying`.
    view: ArcSwap<View>,
    /// What readers saw before, as long as one of them still reads it.
    over: Mutex<Vec<Weak<Open>>>,
    /// Held by whoever applies; what has come of a load and is not stored yet.
    applying: Mutex<Staged>,
    /// Whom the latest proof found, while it goes on.
    examined: Mutex<Weak<Examined>>,
    published: watch::Sender<Arc<SliceState>>,
}

/// The slice as readers see it.
#[derive(Clone)]
struct View {
    state: Arc<SliceState>,
    /// None while the gate is closed: while the slice is sealed, or something is removed, or a large delta
    /// is being applied.
    open: Option<Arc<Open>>,
}

/// What is read of it: of the same moment as the state.
struct Open {
    /// Its number: later ones have higher ones.
    number: u64,
    moment: Moment,
    changes: Option<Extent>,
}

impl Slice {
    /// Opens the slice in a directory, or makes an empty one. It is sealed until [`Slice::unseal`].
    ///
    /// # Errors
    /// If another process holds it, it is damaged, or the disk refuses.
    pub fn open(dir: &Path, options: &SliceOptions) -> Result<Slice, SliceError> {
        let store = Store::open(dir, options)?;
        let room = Room::new(dir.to_owned(), options.reserve_mb << 20);
        let state = Arc::new(SliceState::sealed(store.registry()?));
        let published = watch::Sender::new(Arc::clone(&state));
        let view = ArcSwap::from_pointee(View { state, open: None });
        Ok(Slice(Arc::new(Inner {
            store,
            room,
            view,
            over: Mutex::default(),
            applying: Mutex::default(),
            examined: Mutex::default(),
            published,
        })))
    }

    /// Where the slice stands.
    #[must_use]
    pub fn state(&self) -> Arc<SliceState> {
        Arc::clone(&self.0.view.load().state)
    }

    /// Follows where the slice stands.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<SliceState>> {
        self.0.published.subscribe()
    }

    /// Reads the slice: state and records are of one moment, and nobody is waited for. A reader should not
    /// live long: what is removed meanwhile stays on the disk as long.
    ///
    /// # Errors
    /// While the gate is closed, or the slice sealed.
    pub fn read(&self) -> Result<SliceReader<'_>, SliceError> {
        let view = self.0.view.load();
        match &view.open {
            Some(open) => Ok(SliceReader::new(self.0.store.hot(), Arc::clone(&view.state), Arc::clone(open))),
            None if view.state.phase == Phase::Sealed => Err(SliceError::Sealed),
            None => Err(SliceError::Narrowing),
        }
    }

    /// What the slice is sealed with, for what else the node keeps of people.
    ///
    /// # Errors
    /// While it is sealed.
    pub(crate) fn cipher(&self) -> Result<Arc<Cipher>, SliceError> {
        self.0.store.cipher()
    }

    /// Bytes on disk.
    #[must_use]
    pub fn size_on_disk(&self) -> u64 {
        self.0.store.size_on_disk()
    }
}

//! Room on the disk. Writing stops while a reserve is still free: the database flushes and compacts in
//! the background, and must not run dry in the middle of that. It begins again by itself.

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use super::super::StoreError;

pub(crate) struct Room {
    dir: PathBuf,
    reserve: u64,
    /// There was none the last time: told once, and not at every write.
    lacking: AtomicBool,
}

impl Room {
    /// The room in a directory's file system beyond so many bytes.
    pub(crate) fn new(dir: PathBuf, reserve: u64) -> Room {
        Room { dir, reserve, lacking: AtomicBool::new(false) }
    }

    /// Writes if there is room. What else fills the disk may take the reserve too, and the database
    /// then says itself that it is full; it looks every few seconds whether there is room again.
    pub(crate) fn write<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let outcome = self.check().and_then(|()| write());
        match &outcome {
            Err(StoreError::Full) if !self.lacking.swap(true, Ordering::Relaxed) => {
                let (dir, reserve) = (self.dir.display(), self.reserve);
                tracing::error!(%dir, reserve, "the disk is full: writes have stopped, reads go on");
            }
            Ok(_) if self.lacking.swap(false, Ordering::Relaxed) => {
                tracing::info!("there is room on the disk again: writes go on");
            }
            _ => {}
        }
        outcome
    }

    /// Whether there is room.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let disk = rustix::fs::statvfs(&self.dir).map_err(io::Error::from)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.reserve { Err(StoreError::Full) } else { Ok(()) }
    }
}

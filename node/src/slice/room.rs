//! Room on the disk. What makes the slice grow waits while a reserve is still free: the database
//! flushes and compacts in the background, and must not run dry in the middle of that. What takes
//! something away may use the reserve, because it may not wait.

use std::{io, path::PathBuf};

use super::SliceError;

pub(super) struct Room {
    dir: PathBuf,
    reserve: u64,
}

impl Room {
    /// The room in a directory's file system beyond so many bytes.
    pub(super) fn new(dir: PathBuf, reserve: u64) -> Room {
        Room { dir, reserve }
    }

    /// Whether there is room for so many bytes.
    pub(super) fn check(&self, bytes: u64) -> Result<(), SliceError> {
        let disk = rustix::fs::statvfs(&self.dir).map_err(io::Error::from);
        let disk = disk.map_err(|error| SliceError::Database(error.to_string()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.reserve.saturating_add(bytes) { Err(SliceError::Full) } else { Ok(()) }
    }
}

//! A small disk of its own, which a test can fill.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A file system in memory; unmounted when dropped.
pub struct Disk {
    dir: TempDir,
}

impl Disk {
    /// Mounts one of so many MiB; nothing where that is not allowed, which it says.
    ///
    /// # Panics
    /// If there is no directory to mount it at.
    #[must_use]
    pub fn mount(mebibytes: u32) -> Option<Disk> {
        let dir = tempfile::tempdir().expect("a directory");
        let size = format!("size={mebibytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Disk { dir }),
            Ok(output) => {
                eprintln!("skipped, a disk cannot be mounted: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                eprintln!("skipped, a disk cannot be mounted: {error}");
                None
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Fills it, but for so many MiB; where there is less room already it stays as it is.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn fill(&self, but: u64) {
        let file = OpenOptions::new().create(true).append(true).open(self.ballast()).expect("a file");
        loop {
            let disk = rustix::fs::statvfs(self.path()).expect("a disk");
            let Some(bytes) = (disk.f_bavail * disk.f_frsize).checked_sub(but << 20) else { return };
            let length = file.metadata().expect("a file").len();
            match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), length, bytes) {
                // Whoever is on the disk wrote meanwhile.
                Err(rustix::io::Errno::NOSPC) => {}
                filled => return filled.expect("room"),
            }
        }
    }

    /// Gives back what it was filled with.
    ///
    /// # Panics
    /// If it was not filled.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("what the disk was filled with");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may hold it for a moment.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

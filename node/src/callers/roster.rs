//! The callers in force: those of the configuration and those of `callers.toml`, which `client add`
//! writes and the running node reads again when it changes.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use dancu_proto::channel::{Peer, file};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::{Caller, Entry, EntryError, UnknownCaller, entry::sha256};

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The callers cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not the TOML that is expected.
    #[error("{}: {fault}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// An entry is wrong.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Nobody of that name in the file.
    #[error(
        "no caller {0} in callers.toml; one of the node's configuration is changed there, in [[callers]]"
    )]
    Unknown(String),
    /// The name is taken.
    #[error("a caller named {0} exists already; choose another name")]
    Exists(String),
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    callers: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<Revoked>,
}

/// A certificate that is not taken any more, whoever it names and whoever signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Whose it was.
    pub name: String,
    /// SHA-256 of it, hexadecimal.
    pub certificate_sha256: String,
    /// When it was revoked.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// `callers.toml`.
#[derive(Clone, Debug)]
pub struct CallersFile(PathBuf);

impl CallersFile {
    /// The file in the agency's directory; it need not exist.
    #[must_use]
    pub fn of(agency_dir: &Path) -> CallersFile {
        CallersFile(agency_dir.join("callers.toml"))
    }

    /// What it lists.
    ///
    /// # Errors
    /// It is not readable, or not what is expected.
    pub fn entries(&self) -> Result<Vec<Entry>, RosterError> {
        Ok(self.read()?.callers)
    }

    /// The certificates that it revokes.
    ///
    /// # Errors
    /// See [`CallersFile::entries`].
    pub fn revoked(&self) -> Result<Vec<Revoked>, RosterError> {
        Ok(self.read()?.revoked)
    }

    fn read(&self) -> Result<Document, RosterError> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Document::default()),
            Err(source) => return Err(RosterError::File { path: self.0.clone(), source }),
        };
        toml::from_str(&text).map_err(|error| self.content(&error))
    }

    fn write(&self, document: &Document) -> Result<(), RosterError> {
        let text = toml::to_string(document).map_err(|error| self.content(&error))?;
        file::replace(&self.0, text.as_bytes(), file::SECRET)
            .map_err(|source| RosterError::File { path: self.0.clone(), source })
    }

    /// Adds a caller.
    ///
    /// # Errors
    /// Its name is taken, the entry is wrong, or the file cannot be written.
    pub fn add(&self, entry: Entry) -> Result<(), RosterError> {
        entry.caller()?;
        let mut document = self.read()?;
        if document.callers.iter().any(|other| other.name == entry.name) {
            return Err(RosterError::Exists(entry.name));
        }
        document.callers.push(entry);
        self.write(&document)
    }

    /// Binds a caller to other purposes.
    ///
    /// # Errors
    /// Nobody of that name, the purposes are none, or the file cannot be written.
    pub fn set_purposes(&self, name: &str, purposes: Vec<String>) -> Result<(), RosterError> {
        let mut document = self.read()?;
        let entry = document.callers.iter_mut().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| RosterError::Unknown(name.to_owned()))?;
        entry.purposes = purposes;
        entry.caller()?;
        self.write(&document)
    }

    /// Takes a caller off the list, and its certificate out of use.
    ///
    /// # Errors
    /// Nobody of that name, or the file cannot be written.
    pub fn revoke(&self, name: &str, at: OffsetDateTime) -> Result<(), RosterError> {
        let mut document = self.read()?;
        let place = document.callers.iter().position(|entry| entry.name == name);
        let entry = document.callers.remove(place.ok_or_else(|| RosterError::Unknown(name.to_owned()))?);
        if let Some(certificate_sha256) = entry.certificate_sha256 {
            document.revoked.push(Revoked { name: entry.name, certificate_sha256, at });
        }
        self.write(&document)
    }

    fn content(&self, error: &dyn std::fmt::Display) -> RosterError {
        RosterError::Content { path: self.0.clone(), fault: error.to_string() }
    }

    /// What differs when the file was replaced.
    fn stamp(&self) -> Option<(u64, u64, SystemTime)> {
        let data = fs::metadata(&self.0).ok()?;
        Some((data.ino(), data.len(), data.modified().ok()?))
    }
}

/// Everyone who may call now.
#[derive(Debug)]
pub struct Roster {
    configured: Vec<Caller>,
    file: CallersFile,
    callers: ArcSwap<Vec<Arc<Caller>>>,
    revoked: ArcSwap<HashSet<[u8; 32]>>,
}

impl Roster {
    /// The callers of the configuration and of the file.
    ///
    /// # Errors
    /// An entry is wrong, or the file is not readable.
    pub fn load(configured: &[Entry], file: CallersFile) -> Result<Arc<Roster>, RosterError> {
        let configured = configured.iter().map(Entry::caller).collect::<Result<Vec<_>, _>>()?;
        let roster = Roster { configured, file, callers: ArcSwap::default(), revoked: ArcSwap::default() };
        roster.reload()?;
        Ok(Arc::new(roster))
    }

    /// Reads the file again. On an error the callers stay as they were.
    ///
    /// # Errors
    /// An entry is wrong, or the file is not readable.
    pub fn reload(&self) -> Result<(), RosterError> {
        let document = self.file.read()?;
        let added = document.callers.iter().map(Entry::caller).collect::<Result<Vec<_>, _>>()?;
        let revoked = document.revoked.iter().map(|one| {
            let sha256 = sha256(&one.certificate_sha256);
            sha256.ok_or_else(|| EntryError::Fingerprint(one.name.clone()))
        });
        self.revoked.store(Arc::new(revoked.collect::<Result<_, _>>()?));
        let callers = self.configured.iter().cloned().chain(added).map(Arc::new).collect();
        self.callers.store(Arc::new(callers));
        Ok(())
    }

    /// Reads the file again whenever it changes, until cancelled.
    pub async fn follow(self: Arc<Roster>, cancel: CancellationToken) {
        let mut seen = self.file.stamp();
        while cancel.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let now = self.file.stamp();
            if now != seen {
                seen = now;
                self.reload_logged();
            }
        }
    }

    /// Reads the file again; an error goes to the log.
    pub fn reload_logged(&self) {
        match self.reload() {
            Ok(()) => tracing::info!(callers = self.callers.load().len(), "callers were read again"),
            Err(error) => tracing::error!(%error, "callers stay as they were"),
        }
    }

    /// Who calls.
    ///
    /// # Errors
    /// Nobody who may.
    pub fn identify(&self, peer: &Peer, now: OffsetDateTime) -> Result<Arc<Caller>, UnknownCaller> {
        // A connection may outlive the certificate it was made with.
        if peer.certificate.as_ref().is_some_and(|shown| shown.not_after < now) {
            return Err(UnknownCaller::Expired);
        }
        let shown = peer.certificate.as_ref().map(|shown| shown.sha256);
        if shown.is_some_and(|sha256| self.revoked.load().contains(&sha256)) {
            return Err(UnknownCaller::Revoked);
        }
        let callers = self.callers.load();
        if let Some(caller) = callers.iter().find(|caller| caller.known_by.is(peer)) {
            return Ok(Arc::clone(caller));
        }
        Err(match (&peer.certificate, peer.unix) {
            (Some(_), _) => UnknownCaller::Certificate,
            (None, Some(process)) => UnknownCaller::User(process.uid),
            (None, None) => UnknownCaller::Nobody,
        })
    }
}

#[cfg(test)]
mod tests {
    use dancu_proto::channel::UnixPeer;

    use super::*;

    fn user(name: &str, uid: u32) -> Entry {
        Entry { name: name.into(), unix_uid: Some(uid), purposes: vec!["a".into()], ..Entry::default() }
    }

    fn process(uid: u32) -> Peer {
        Peer { unix: Some(UnixPeer { uid, gid: 0, pid: None }), ..Peer::default() }
    }

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    #[test]
    fn a_caller_added_is_known_once_the_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let file = CallersFile::of(directory.path());
        let roster = Roster::load(&[user("one", 1)], file.clone()).unwrap();
        assert_eq!(roster.identify(&process(1), NOW).unwrap().name, "one");
        assert_eq!(roster.identify(&process(2), NOW), Err(UnknownCaller::User(2)));
        let before = file.stamp();
        file.add(user("two", 2)).unwrap();
        assert_ne!(file.stamp(), before);
        roster.reload().unwrap();
        assert_eq!(roster.identify(&process(2), NOW).unwrap().name, "two");
        assert!(matches!(file.add(user("two", 3)), Err(RosterError::Exists(_))));
        assert_eq!(roster.identify(&Peer::default(), NOW), Err(UnknownCaller::Nobody));
    }

    #[test]
    fn a_caller_gets_other_purposes_and_stays_who_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = CallersFile::of(directory.path());
        file.add(Entry { per_day: 7, ..user("two", 2) }).unwrap();
        let roster = Roster::load(&[user("one", 1)], file.clone()).unwrap();
        file.set_purposes("two", vec!["b".into(), "c".into()]).unwrap();
        roster.reload().unwrap();
        let two = roster.identify(&process(2), NOW).unwrap();
        assert!(!two.purposes.contain("a") && two.purposes.contain("b") && two.purposes.contain("c"));
        assert_eq!(two.quota.per_day, 7);
        let none = file.set_purposes("two", Vec::new());
        assert!(matches!(none, Err(RosterError::Entry(EntryError::Purposes(_)))));
        // One of the configuration is not of this file.
        let configured = file.set_purposes("one", vec!["b".into()]);
        assert!(matches!(configured, Err(RosterError::Unknown(_))));
        roster.reload().unwrap();
        assert!(roster.identify(&process(2), NOW).unwrap().purposes.contain("b"));
    }

    #[test]
    fn a_damaged_file_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = CallersFile::of(directory.path());
        file.add(user("two", 2)).unwrap();
        let roster = Roster::load(&[], file).unwrap();
        fs::write(directory.path().join("callers.toml"), "callers = 7").unwrap();
        assert!(roster.reload().is_err());
        assert!(roster.identify(&process(2), NOW).is_ok());
    }
}

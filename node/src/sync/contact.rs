//! The line to the hub.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dancu_proto::{Reason, Revision, channel::file};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::watch;

/// The line is written down at least this often while it stands: a crash makes data look at most
/// this much older than it is, never fresher.
const WRITTEN_EVERY: Duration = Duration::from_secs(5);

/// The line to the hub: shared, watched, kept over restarts. Cheap to clone.
#[derive(Clone)]
pub struct Contact(Arc<Inner>);

struct Inner {
    file: PathBuf,
    state: watch::Sender<ContactState>,
    kept: Mutex<Kept>,
    /// Which start of the machine this is.
    boot: String,
}

/// How long the machine has been up, asleep or not: no one can turn that back.
fn uptime() -> Duration {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    up.try_into().unwrap_or_default()
}

/// Which start of the machine this is; empty where that is not told.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The line at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactState {
    /// A stream stands.
    pub connected: bool,
    /// When the hub was last heard.
    pub last_heard: Option<OffsetDateTime>,
    /// The hub's latest revision, as last heard.
    pub head: Revision,
    /// Why the hub refuses this node, if it does.
    pub refusal: Option<Refusal>,
    /// Why what the hub sends cannot be stored, if it cannot. The slice grows old then although the hub
    /// is in reach: it counts as out of reach.
    pub stuck: Option<String>,
}

/// Why the hub refuses this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// In the words of the hub's operator.
    pub message: String,
}

/// What is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// Seconds since 1970; 0 for never.
    last_heard: i64,
    /// The latest time ever seen on this machine's clock: a clock that is turned back does not make
    /// data look fresher.
    latest: i64,
    head: u64,
    /// How long the hub had been silent, and the machine up since which start, when this was written; ms.
    silent: u64,
    uptime: u64,
    boot: String,
    /// A suspension or revocation, which a restart must not forget.
    refusal: Option<(String, String)>,
}

impl Kept {
    /// How long the hub has been silent by the time that the machine is up.
    fn silence(&self) -> Duration {
        Duration::from_millis(
            self.silent.saturating_add((uptime().as_millis() as u64).saturating_sub(self.uptime)),
        )
    }
}

impl Contact {
    /// The line as a file remembers it; a new one where there is no file.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn open(file: &Path) -> std::io::Result<Contact> {
        let mut kept: Kept = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        let refusal = kept.refusal.as_ref().and_then(|(name, message)| {
            let reason = Reason::ALL.iter().copied().find(|reason| reason.name() == name)?;
            Some(Refusal { reason, message: message.clone() })
        });
        let last_heard = (kept.last_heard != 0)
            .then(|| OffsetDateTime::from_unix_timestamp(kept.last_heard).ok())
            .flatten();
        let state =
            ContactState { connected: false, last_heard, head: Revision(kept.head), refusal, stuck: None };
        let state = watch::Sender::new(state);
        let boot = boot();
        if boot.is_empty() || kept.boot != boot {
            (kept.uptime, kept.boot) = (uptime().as_millis() as u64, boot.clone());
        }
        Ok(Contact(Arc::new(Inner { file: file.to_owned(), state, kept: Mutex::new(kept), boot })))
    }

    /// The line now.
    #[must_use]
    pub fn state(&self) -> ContactState {
        self.0.state.borrow().clone()
    }

    /// Follows the line.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<ContactState> {
        self.0.state.subscribe()
    }

    /// How long ago the hub was last heard; for ever if it never was. By the clock, where one that was
    /// turned back counts as standing at the latest time it ever showed; and at least as long as the
    /// machine has been up meanwhile, whatever its clock says.
    #[must_use]
    pub fn silence(&self, now: OffsetDateTime) -> Duration {
        let (latest, up) = {
            let mut kept = self.kept();
            kept.latest = kept.latest.max(now.unix_timestamp());
            (OffsetDateTime::from_unix_timestamp(kept.latest).unwrap_or(now), kept.silence())
        };
        match self.0.state.borrow().last_heard {
            Some(heard) => Duration::try_from(now.max(latest) - heard).unwrap_or_default().max(up),
            None => Duration::MAX,
        }
    }

    /// Time passes. While the hub is silent that is written down from time to time, so that a restart
    /// with a clock that was turned back gains nothing.
    pub(crate) fn pass(&self, now: OffsetDateTime) {
        let up = uptime().as_millis() as u64;
        let due = {
            let kept = self.kept();
            let passed = now.unix_timestamp() - kept.latest;
            passed >= WRITTEN_EVERY.as_secs() as i64
                || up.saturating_sub(kept.uptime) >= WRITTEN_EVERY.as_millis() as u64
        };
        if due && !self.state().connected {
            self.keep(now, true);
        }
    }

    /// The hub was heard.
    pub(super) fn heard(&self, now: OffsetDateTime, head: Option<Revision>) {
        self.0.state.send_modify(|state| {
            state.refusal = None;
            state.head = state.head.max(head.unwrap_or_default());
            if state.stuck.is_none() {
                state.connected = true;
                state.last_heard = Some(state.last_heard.map_or(now, |heard| heard.max(now)));
                let mut kept = self.kept();
                (kept.silent, kept.uptime) = (0, uptime().as_millis() as u64);
            }
        });
        self.keep(now, false);
    }

    /// What the hub sends cannot be stored. Says whether that is new.
    pub(super) fn stuck(&self, now: OffsetDateTime, why: String) -> bool {
        let mut new = false;
        self.0.state.send_modify(|state| new = state.stuck.replace(why).is_none());
        self.lost(now, None);
        new
    }

    /// What the hub sent was stored. Says whether it could not be before.
    pub(super) fn stored(&self, now: OffsetDateTime) -> bool {
        let was_stuck = self.0.state.send_if_modified(|state| state.stuck.take().is_some());
        if was_stuck {
            self.heard(now, None);
        }
        was_stuck
    }

    /// The stream broke, or could not be opened. A refusal is kept until the hub is heard again.
    pub(super) fn lost(&self, now: OffsetDateTime, refusal: Option<Refusal>) {
        self.0.state.send_modify(|state| {
            state.connected = false;
            if refusal.is_some() {
                state.refusal = refusal;
            }
        });
        self.keep(now, true);
    }

    fn keep(&self, now: OffsetDateTime, at_once: bool) {
        let state = self.state();
        let mut kept = self.kept();
        let due = now.unix_timestamp() - kept.last_heard >= WRITTEN_EVERY.as_secs() as i64;
        let refusal = state.refusal.map(|refusal| (refusal.reason.name().to_owned(), refusal.message));
        if !at_once && !due && kept.refusal == refusal {
            return;
        }
        *kept = Kept {
            last_heard: state.last_heard.map_or(0, OffsetDateTime::unix_timestamp),
            latest: kept.latest.max(now.unix_timestamp()),
            head: state.head.0,
            silent: kept.silence().as_millis() as u64,
            uptime: uptime().as_millis() as u64,
            boot: self.0.boot.clone(),
            refusal,
        };
        let written = serde_json::to_vec(&*kept)
            .map_err(std::io::Error::from)
            .and_then(|bytes| file::replace(&self.0.file, &bytes, file::SECRET));
        if let Err(error) = written {
            tracing::warn!(%error, "the time of the last contact cannot be written down");
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn data_that_cannot_be_stored_does_not_stay_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let contact = Contact::open(&dir.path().join("contact.json")).unwrap();
        contact.heard(at(1000), None);
        assert!(contact.stuck(at(1010), "full".into()) && !contact.stuck(at(1020), "full".into()));
        contact.heard(at(1030), Some(Revision(9)));
        assert_eq!(contact.silence(at(1030)).as_secs(), 30);
        assert!(!contact.state().connected);
        assert!(contact.stored(at(1040)) && !contact.stored(at(1040)));
        assert_eq!(contact.silence(at(1040)).as_secs(), 0);
        assert!(contact.state().connected);
    }

    #[test]
    fn a_clock_turned_back_after_a_restart_gains_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("contact.json");
        let contact = Contact::open(&file).unwrap();
        contact.heard(at(10_000), None);
        contact.lost(at(10_000), None);
        contact.pass(at(17_000));
        drop(contact);
        let contact = Contact::open(&file).unwrap();
        assert_eq!(contact.silence(at(9_000)), Duration::from_secs(7_000));
        // By the time that the machine was up, though its clock stood still.
        let mut kept = contact.kept().clone();
        kept.uptime = kept.uptime.saturating_sub(20_000_000);
        kept.silent += uptime().as_millis().min(20_000_000) as u64;
        std::fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
        let contact = Contact::open(&file).unwrap();
        assert!(
            contact.silence(at(9_000)) >= Duration::from_millis(uptime().as_millis().min(20_000_000) as u64)
        );
        // Another start of the machine: what was counted until then still counts.
        kept.boot = "another".into();
        std::fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
        let contact = Contact::open(&file).unwrap();
        assert!(contact.silence(at(9_000)) >= Duration::from_millis(kept.silent));
    }

    #[test]
    fn a_restart_remembers_and_a_clock_turned_back_gains_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("contact.json");
        let contact = Contact::open(&file).unwrap();
        assert_eq!(contact.silence(at(1000)), Duration::MAX);
        contact.heard(at(1000), Some(Revision(7)));
        assert_eq!(contact.silence(at(1600)), Duration::from_secs(600));
        assert_eq!(contact.silence(at(1100)), Duration::from_secs(600));
        let refusal = Refusal { reason: Reason::NodeSuspended, message: "audit".into() };
        contact.lost(at(1600), Some(refusal.clone()));
        let contact = Contact::open(&file).unwrap();
        assert_eq!(contact.silence(at(900)), Duration::from_secs(600));
        assert_eq!(contact.state().refusal, Some(refusal));
        assert_eq!(contact.state().head, Revision(7));
        contact.heard(at(1700), None);
        assert_eq!(contact.state().refusal, None);
    }
}

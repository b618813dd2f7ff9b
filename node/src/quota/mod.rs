//! How many people may be asked about: in a second and in a day, by all callers under an agreement and by
//! each caller.
//!
//! A day's count survives the process, however it ends: before it passes what is written down, more is
//! written down ahead. So a crash can make it count a little too much, and never too little.

mod meter;

use std::{
    collections::HashMap,
    fmt, fs, io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use dancu_proto::channel::file;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, macros::offset};

use self::meter::Meter;

/// How many people; 0 for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// In a second.
    pub per_second: u32,
    /// In a day, Asia/Ho_Chi_Minh.
    pub per_day: u32,
}

/// Whose quota.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// All callers under an agreement.
    Agreement(String),
    /// One caller.
    Caller(String),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Agreement(id) => write!(f, "agreement {id}"),
            Account::Caller(name) => write!(f, "caller {name}"),
        }
    }
}

/// The span of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// A second.
    Second,
    /// A day.
    Day,
}

/// A quota is used up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the quota of {account} is used up: {limit} people in a {}",
    match .span { Span::Second => "second; ask more slowly", Span::Day => "day; ask again tomorrow" }
)]
pub struct Exceeded {
    /// Whose.
    pub account: Account,
    /// How many.
    pub limit: u32,
    /// In what time.
    pub span: Span,
    /// When there is some again.
    pub retry: Duration,
}

/// All counts. Nothing is waited for but the disk, and that seldom.
#[derive(Debug)]
pub struct Quotas {
    file: PathBuf,
    meters: Mutex<HashMap<Account, Meter>>,
}

/// A day's count as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    account: String,
    day: i32,
    count: u64,
}

impl Quotas {
    /// The counts of a file; it need not exist.
    ///
    /// # Errors
    /// It is not readable.
    pub fn open(file: PathBuf) -> io::Result<Quotas> {
        let written: Vec<Written> = match fs::read(&file) {
            Ok(content) => serde_json::from_slice(&content).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let meter = |row: Written| Some((account(&row.account)?, Meter::written(row.day, row.count)));
        let meters = written.into_iter().filter_map(meter).collect();
        Ok(Quotas { file, meters: Mutex::new(meters) })
    }

    /// Counts people to all accounts, or to none of them if one is used up.
    ///
    /// # Errors
    /// A quota is used up.
    pub fn spend(
        &self,
        accounts: &[(Account, Quota)],
        people: u64,
        now: OffsetDateTime,
        at: Instant,
    ) -> Result<(), Exceeded> {
        let here = now.to_offset(offset!(+7));
        let day = here.date().to_julian_day();
        let mut meters = self.meters();
        for (account, quota) in accounts {
            let meter = meters.entry(account.clone()).or_default();
            meter.turn(day, *quota, at);
            let exceeded = |limit, span, retry| Exceeded { account: account.clone(), limit, span, retry };
            if let Some(retry) = meter.second_is_used_up(*quota) {
                return Err(exceeded(quota.per_second, Span::Second, retry));
            }
            if meter.day_is_used_up(*quota, people) {
                let seconds =
                    u32::from(here.hour()) * 3600 + u32::from(here.minute()) * 60 + u32::from(here.second());
                let left = Duration::from_secs(u64::from(86_400 - seconds.min(86_399)));
                return Err(exceeded(quota.per_day, Span::Day, left));
            }
        }
        let mut ahead = false;
        for (account, quota) in accounts {
            if let Some(meter) = meters.get_mut(account) {
                ahead |= meter.spend(*quota, people);
            }
        }
        if ahead {
            self.write(&meters);
        }
        Ok(())
    }

    /// People counted to an account on the day of a moment.
    #[must_use]
    pub fn used(&self, account: &Account, now: OffsetDateTime) -> u64 {
        let day = now.to_offset(offset!(+7)).date().to_julian_day();
        self.meters().get(account).map_or(0, |meter| meter.used_on(day))
    }

    fn write(&self, meters: &HashMap<Account, Meter>) {
        let rows: Vec<_> = meters
            .iter()
            .filter_map(|(account, meter)| {
                let (day, count) = meter.to_write()?;
                Some(Written { account: text(account), day, count })
            })
            .collect();
        let written = serde_json::to_vec(&rows).map_err(io::Error::other);
        if let Err(error) = written.and_then(|content| file::replace(&self.file, &content, file::SECRET)) {
            // Counting goes on; a full disk must not stop look-ups that can be recorded.
            tracing::error!(%error, "the counts of quotas cannot be written down");
        }
    }

    fn meters(&self) -> MutexGuard<'_, HashMap<Account, Meter>> {
        // A panic leaves no count half done.
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(account: &Account) -> String {
    match account {
        Account::Agreement(id) => format!("agreement/{id}"),
        Account::Caller(name) => format!("caller/{name}"),
    }
}

fn account(text: &str) -> Option<Account> {
    match text.split_once('/')? {
        ("agreement", id) => Some(Account::Agreement(id.to_owned())),
        ("caller", name) => Some(Account::Caller(name.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const MORNING: OffsetDateTime = datetime!(2026-11-23 03:00 UTC);

    fn agreement(per_second: u32, per_day: u32) -> Vec<(Account, Quota)> {
        vec![(Account::Agreement("a".into()), Quota { per_second, per_day })]
    }

    fn open(dir: &tempfile::TempDir) -> Quotas {
        Quotas::open(dir.path().join("quotas.json")).unwrap()
    }

    #[test]
    fn a_second_gives_what_it_gives() {
        let dir = tempfile::tempdir().unwrap();
        let (quotas, at, of) = (open(&dir), Instant::now(), agreement(10, 0));
        for _ in 0..10 {
            quotas.spend(&of, 1, MORNING, at).unwrap();
        }
        let exceeded = quotas.spend(&of, 1, MORNING, at).unwrap_err();
        assert_eq!((exceeded.span, exceeded.limit), (Span::Second, 10));
        assert!(exceeded.retry <= Duration::from_millis(101), "{exceeded:?}");
        assert!(quotas.spend(&of, 1, MORNING, at + exceeded.retry).is_ok());
        // What is asked for at once may be more; it is paid off before anything else.
        let later = at + Duration::from_secs(10);
        quotas.spend(&of, 35, MORNING, later).unwrap();
        let exceeded = quotas.spend(&of, 1, MORNING, later).unwrap_err();
        assert!(exceeded.retry > Duration::from_millis(2500) && exceeded.retry < Duration::from_millis(2700));
    }

    #[test]
    fn a_day_gives_what_it_gives_and_ends_in_vietnam() {
        let dir = tempfile::tempdir().unwrap();
        let (quotas, at, of) = (open(&dir), Instant::now(), agreement(0, 1000));
        quotas.spend(&of, 990, MORNING, at).unwrap();
        assert_eq!(quotas.spend(&of, 11, MORNING, at).unwrap_err().span, Span::Day);
        quotas.spend(&of, 10, MORNING, at).unwrap();
        let exceeded = quotas.spend(&of, 1, MORNING, at).unwrap_err();
        assert_eq!(exceeded.retry, Duration::from_secs(14 * 3600), "until midnight, from ten in the morning");
        assert!(quotas.spend(&of, 1, datetime!(2026-11-23 16:59 UTC), at).is_err());
        quotas.spend(&of, 1, datetime!(2026-11-23 17:00 UTC), at).unwrap();
        assert_eq!(quotas.used(&of[0].0, datetime!(2026-11-23 17:00 UTC)), 1);
    }

    #[test]
    fn a_crash_counts_a_little_too_much_and_never_too_little() {
        let dir = tempfile::tempdir().unwrap();
        let (at, of) = (Instant::now(), agreement(0, 6400));
        for spent in [1, 99, 100, 101, 3000] {
            let quotas = open(&dir);
            let before = quotas.used(&of[0].0, MORNING);
            for _ in 0..spent {
                quotas.spend(&of, 1, MORNING, at).unwrap();
            }
            // Dropped as a killed process drops it.
            drop(quotas);
            let after = open(&dir).used(&of[0].0, MORNING);
            assert!(after >= before + spent && after <= before + spent + 100, "{before} {spent} {after}");
        }
    }

    #[test]
    fn who_is_refused_by_one_account_is_counted_to_none() {
        let dir = tempfile::tempdir().unwrap();
        let (quotas, at) = (open(&dir), Instant::now());
        let mut both = agreement(0, 1000);
        both.push((Account::Caller("portal".into()), Quota { per_second: 0, per_day: 5 }));
        quotas.spend(&both, 5, MORNING, at).unwrap();
        let exceeded = quotas.spend(&both, 1, MORNING, at).unwrap_err();
        assert_eq!(exceeded.account, Account::Caller("portal".into()));
        assert!(exceeded.to_string().contains("caller portal is used up: 5 people in a day"), "{exceeded}");
        assert_eq!(quotas.used(&both[0].0, MORNING), 5);
    }
}

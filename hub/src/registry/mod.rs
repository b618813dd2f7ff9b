//! The registry: citizens, journal and feed, one atomic commit at a time.
//!
//! - [`Commit`]: what is to change, and on whose word. [`Registry::commit`] gives it the next
//!   revision; concurrent commits share one synced write.
//! - [`View`]: the registry as of one revision, for reading; as-of reads undo later changes.
//! - [`Partition`]: the feed answers "who changed since" per partition, at the cost of the answer.
//! - [`store`]: the interface in front of the database, and RocksDB behind it.

mod as_of;
mod bulk;
mod citizen;
mod commit;
mod draft;
mod durable;
mod group;
mod interest;
mod journal;
mod known;
mod partition;
mod rows;
mod standing;
pub mod store;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use std::{path::Path, sync::Arc};

use dancu_proto::{Areas, Revision, v1::AreaChange};
use prost::Message;
use time::OffsetDateTime;
use tokio::sync::{oneshot, watch};

pub use self::{
    as_of::known_on,
    bulk::{BulkLoad, BulkSummary, Clash, LeftOut, RunBuilder},
    citizen::{
        CitizenAt, CitizenKey, Interest, SourceGroup, StoredCitizen, Subject, birth_of, date_of,
        former_numbers,
    },
    commit::{
        AgreementEvent, AreaUpdate, CitizenUpdate, Claims, Commit, CommitError, Committed, Content,
        DayBegins, Decide, DecideBy, Decision, InterestUpdate, Leaving, Origin, Person,
    },
    journal::{CitizenChange, Content as JournalContent, InterestChange, JournalEntry},
    partition::{ListId, Partition, Residence, partitions_of, residence_areas},
    rows::Rows,
    standing::Standing,
    store::{Store, StoreError},
    view::{MERGED, View},
};
use self::{known::Known, standing::Before, store::rocks::RocksStore, writer::Writer};
use crate::router::Router;

/// Bytes of citizens that are remembered by who only looks.
const LOOKED_AT: u64 = 1 << 20;

/// The time by which commits are stamped; tests own theirs.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// The clock of this machine.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(OffsetDateTime::now_utc)
}

/// The population registry.
pub struct Registry {
    store: Arc<dyn Store>,
    writer: Writer,
    id: [u8; 16],
}

impl Registry {
    /// Makes an empty registry in a directory that holds none. It begins with an administrative order.
    ///
    /// # Errors
    /// If there is one already, or the disk refuses.
    pub fn create(dir: &Path, order: &AreaChange) -> Result<(), StoreError> {
        RocksStore::create(dir, &order.encode_to_vec())
    }

    /// The administrative order that the registry began with.
    ///
    /// # Errors
    /// If the disk refuses, or it is damaged.
    pub fn first_order(&self) -> Result<Areas, StoreError> {
        let row = self.store.snapshot().first_order()?;
        let order = AreaChange::decode(row.as_slice()).ok();
        let areas = order.and_then(|order| Areas::founded_on(&order).ok());
        areas.ok_or(StoreError::Corrupt("the administrative order it began with"))
    }

    /// Opens a registry and starts its writer. Writing stops while fewer bytes than a reserve are free
    /// on the disk.
    ///
    /// # Errors
    /// If there is none, another process holds it, or it is damaged.
    pub fn open(dir: &Path, reserve: u64, router: Arc<Router>, clock: Clock) -> Result<Registry, StoreError> {
        Registry::over(Arc::new(RocksStore::open(dir, reserve)?), router, clock)
    }

    /// Over a store that is open.
    fn over(store: Arc<dyn Store>, router: Arc<Router>, clock: Clock) -> Result<Registry, StoreError> {
        let id = store.snapshot().registry_id()?;
        let writer = Writer::start(Arc::clone(&store), router, clock)?;
        Ok(Registry { store, writer, id })
    }

    /// Identity of this registry: a slice from another one is worthless here.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The registry as of its latest revision.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::new(self.store.snapshot())
    }

    /// Shows the registry as the next commit would find it.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn look<T>(&self, now: OffsetDateTime, by: impl FnOnce(&Standing<'_>) -> T) -> Result<T, StoreError> {
        let group = group::Group::after(self.store.snapshot().head()?);
        let known = Known::with_room(LOOKED_AT);
        Ok(by(&Standing::new(&Before::new(&*self.store, &known, None), &group, now)))
    }

    /// The latest revision.
    #[must_use]
    pub fn head(&self) -> Revision {
        *self.writer.head().borrow()
    }

    /// Follows the latest revision.
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<Revision> {
        self.writer.head()
    }

    /// Commits; the answer comes when the change is on disk.
    ///
    /// # Errors
    /// If the commit contradicts the registry, or the disk refuses. Nothing is changed then.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        self.commit_all(vec![commit]).await?.pop().ok_or(CommitError::Closed)?
    }

    /// Commits several, one after the other and in one write where that can be; the answers come when all
    /// are on disk.
    ///
    /// # Errors
    /// If the hub is going down. Each commit has an answer of its own.
    pub async fn commit_all(
        &self,
        commits: Vec<Commit>,
    ) -> Result<Vec<Result<Committed, CommitError>>, CommitError> {
        let mut outcomes = Vec::with_capacity(commits.len());
        for answer in self.writer.send(commits).await? {
            outcomes.extend(answer.await.map_err(|_| CommitError::Closed)?);
        }
        Ok(outcomes)
    }

    /// Starts the one bulk load that an empty registry can take. It writes its sorted files below
    /// the registry's own directory and enters them as one commit.
    ///
    /// # Errors
    /// If the registry holds citizens, or the disk refuses.
    pub fn bulk_load(&self) -> Result<BulkLoad, StoreError> {
        BulkLoad::start(&*self.store)
    }

    /// Enters a bulk load as one commit.
    ///
    /// # Errors
    /// If a citizen came in meanwhile, or the disk refuses.
    pub async fn finish_bulk_load(&self, load: BulkLoad, origin: Origin) -> Result<Committed, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.writer.send_bulk(load, origin, reply).await?;
        answer.await.map_err(|_| CommitError::Closed)?
    }

    /// Stops the writer after what it has taken on. Idempotent.
    pub fn close(&self) {
        self.writer.close();
    }

    /// Where small rows of other owners (the roll of nodes) are kept.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

//! A back-end that keeps a copy of what a purpose gives, by following what changes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dancu_proto::{
    Field, Reason,
    channel::{Timeouts, connect_unix},
    node::v1::{
        BatchGetCitizensRequest, CitizenChange, CitizenChangeKind, WatchCitizensRequest,
        citizen_service_client::CitizenServiceClient, watch_citizens_response::Event,
    },
    v1::AccessContext,
};
use tokio::task::JoinHandle;
use tonic::{Status, transport::Channel};

use crate::oracle::{self, Values, values};

/// How long it waits before it calls again.
const PAUSE: Duration = Duration::from_millis(50);

/// Everybody whom it may be worth asking for. A number is here before it is in force.
pub type Everyone = Arc<Mutex<Vec<String>>>;

/// A copy, and who keeps it.
pub struct Mirror {
    copy: Arc<Mutex<Copy>>,
    task: JoinHandle<()>,
}

/// What it has.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    /// Values of each citizen whom the purpose covers.
    pub citizens: BTreeMap<String, Values>,
    /// Changes that it was told of one by one, by kind.
    pub told: HashMap<CitizenChangeKind, u64>,
    /// How often it read everything.
    pub read: u64,
    cursor: String,
}

impl Mirror {
    /// Begins, at the node of a socket, for a purpose.
    #[must_use]
    pub fn start(socket: PathBuf, purpose: &str, everyone: Everyone) -> Mirror {
        let copy = Arc::new(Mutex::default());
        let follower = Follower { socket, purpose: purpose.to_owned(), everyone, copy: Arc::clone(&copy) };
        Mirror { copy, task: tokio::spawn(follower.run()) }
    }

    /// What it has now.
    #[must_use]
    pub fn copy(&self) -> Copy {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Follower {
    socket: PathBuf,
    purpose: String,
    everyone: Everyone,
    copy: Arc<Mutex<Copy>>,
}

impl Follower {
    async fn run(self) {
        loop {
            let ended = self.follow().await;
            let over = ended.err().and_then(|status| Reason::of(&status)).is_some_and(|reason| {
                matches!(
                    reason,
                    Reason::CursorExpired
                        | Reason::PurposeNotAgreed
                        | Reason::OperationNotAgreed
                        | Reason::NoAgreement
                )
            });
            if over {
                // What is not agreed is not kept.
                self.change(|copy| {
                    copy.citizens.clear();
                    copy.cursor.clear();
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn follow(&self) -> Result<(), Status> {
        let channel = connect_unix(&self.socket, &Timeouts::default()).await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut client = CitizenServiceClient::new(channel);
        let cursor = self.change(|copy| copy.cursor.clone());
        let begins = cursor.is_empty();
        let request = WatchCitizensRequest { context: self.context(), cursor, fields: Vec::new() };
        let mut responses = client.watch_citizens(request).await?.into_inner();
        let mut first = true;
        while let Some(response) = responses.message().await? {
            match response.event {
                Some(Event::Citizen(change)) => self.change(|copy| copy.take(&change)),
                Some(Event::Broad(_)) => self.read(&mut client).await?,
                None if first && begins => self.read(&mut client).await?,
                None => {}
            }
            first = false;
            // Kept last: who dies in between is told again.
            self.change(|copy| copy.cursor = response.cursor);
        }
        Ok(())
    }

    /// Reads everything anew.
    async fn read(&self, client: &mut CitizenServiceClient<Channel>) -> Result<(), Status> {
        let personal_ids = self.everyone.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = BatchGetCitizensRequest { context: self.context(), personal_ids, fields: Vec::new() };
        let mut answers = client.batch_get_citizens(request).await?.into_inner();
        let mut citizens = BTreeMap::new();
        while let Some(answer) = answers.message().await? {
            if let Some(citizen) = answer.citizen.filter(|_| !answer.former_number) {
                citizens.insert(answer.personal_id, values(&citizen));
            }
        }
        self.change(|copy| {
            copy.citizens = citizens;
            copy.read += 1;
        });
        Ok(())
    }

    fn context(&self) -> Option<AccessContext> {
        let purpose = self.purpose.clone();
        Some(AccessContext { purpose, case_number: "T-1".into(), officer: "mirror".into() })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Copy) -> T) -> T {
        change(&mut self.copy.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Copy {
    fn take(&mut self, change: &CitizenChange) {
        *self.told.entry(change.kind()).or_default() += 1;
        let id = change.personal_id.clone();
        let told = change.citizen.as_ref().map(values).unwrap_or_default();
        match change.kind() {
            CitizenChangeKind::Entered => drop(self.citizens.insert(id, told)),
            CitizenChangeKind::Left => drop(self.citizens.remove(&id)),
            _ => {
                let changed: BTreeSet<_> =
                    change.changed.iter().filter_map(|number| Field::try_from(*number).ok()).collect();
                let others = Field::ALL.iter().filter(|field| !changed.contains(field));
                let others = others.map(|field| field.name().to_owned()).collect();
                let known = self.citizens.entry(id).or_default();
                *known = oracle::both(oracle::told(known, &others), &told);
            }
        }
    }
}

//! Who asks: the same look-ups of each system.

use std::sync::Arc;

use anyhow::{Context, ensure};
use dancu_proto::{
    Field,
    channel::{Timeouts, connect},
    node::v1::{
        BatchGetCitizensRequest, GetCitizenRequest, GetCitizenResponse, ReconcileCitizensRequest,
        ReconcileCitizensResponse, ReconcileOutcome, citizen_service_client::CitizenServiceClient,
    },
    v1::{AccessContext, Citizen},
};
use prost::Message;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::{
    super::{
        fleet::PURPOSE,
        load::Caller,
        postgres::{Cluster, client},
        redis::{self, Redis},
        tls,
    },
    BATCH, row, systems,
};

/// Callers that share a connection.
const SHARING: usize = 8;

/// Chooses people at random, the same in every run.
struct Choice<T> {
    all: Arc<Vec<T>>,
    random: SmallRng,
}

impl<T> Choice<T> {
    /// The choice of the n-th caller.
    fn new(all: &Arc<Vec<T>>, caller: usize) -> Choice<T> {
        Choice { all: Arc::clone(all), random: SmallRng::seed_from_u64(caller as u64) }
    }

    fn one(&mut self) -> &T {
        &self.all[self.random.random_range(0..self.all.len())]
    }

    fn batch(&mut self) -> impl Iterator<Item = &T> {
        (0..BATCH).map(|_| &self.all[self.random.random_range(0..self.all.len())])
    }
}

/// How to connect to a node, or what stands in for one.
pub(super) struct Connector {
    /// Where it is.
    pub(super) url: String,
    /// Who calls.
    pub(super) config: Arc<ClientConfig>,
}

impl Connector {
    /// A client over a connection of its own.
    pub(super) async fn client(&self) -> anyhow::Result<CitizenServiceClient<Channel>> {
        let channel = connect(&self.url, Arc::clone(&self.config), tls::NAME, &Timeouts::default()).await?;
        Ok(CitizenServiceClient::new(channel))
    }

    /// A client for each of so many callers, who share connections.
    async fn clients(&self, callers: usize) -> anyhow::Result<Vec<CitizenServiceClient<Channel>>> {
        let mut connections = Vec::new();
        for _ in 0..callers.div_ceil(SHARING) {
            connections.push(self.client().await?);
        }
        Ok((0..callers).map(|caller| connections[caller % connections.len()].clone()).collect())
    }
}

/// Why the callers ask.
pub(super) fn context() -> AccessContext {
    AccessContext { purpose: PURPOSE.into(), case_number: "B-1".into(), officer: "benchmark".into() }
}

/// `GetCitizen`.
pub(super) struct Gets {
    client: CitizenServiceClient<Channel>,
    ids: Choice<String>,
}

impl Gets {
    pub(super) async fn open(
        connector: &Connector,
        callers: usize,
        ids: &Arc<Vec<String>>,
    ) -> anyhow::Result<Vec<Gets>> {
        let clients = connector.clients(callers).await?.into_iter().enumerate();
        Ok(clients.map(|(caller, client)| Gets { client, ids: Choice::new(ids, caller) }).collect())
    }
}

impl Caller for Gets {
    async fn call(&mut self) -> anyhow::Result<u32> {
        let request = GetCitizenRequest {
            context: Some(context()),
            personal_id: self.ids.one().clone(),
            fields: Vec::new(),
            remote: false,
        };
        let answer = self.client.get_citizen(request).await?.into_inner();
        ensure!(answer.citizen.is_some(), "an answer without a citizen");
        Ok(1)
    }
}

/// `BatchGetCitizens`.
pub(super) struct Batches {
    client: CitizenServiceClient<Channel>,
    ids: Choice<String>,
}

impl Batches {
    pub(super) async fn open(
        connector: &Connector,
        callers: usize,
        ids: &Arc<Vec<String>>,
    ) -> anyhow::Result<Vec<Batches>> {
        let mut all = Vec::new();
        for caller in 0..callers {
            all.push(Batches { client: connector.client().await?, ids: Choice::new(ids, caller) });
        }
        Ok(all)
    }
}

impl Caller for Batches {
    async fn call(&mut self) -> anyhow::Result<u32> {
        let request = BatchGetCitizensRequest {
            context: Some(context()),
            personal_ids: self.ids.batch().cloned().collect(),
            fields: Vec::new(),
        };
        let mut answers = self.client.batch_get_citizens(request).await?.into_inner();
        let mut people = 0;
        while let Some(answer) = answers.message().await? {
            people += u32::from(answer.citizen.is_some());
        }
        ensure!(people as usize == BATCH, "{people} answers to {BATCH} numbers");
        Ok(people)
    }
}

/// `ReconcileCitizens`, over one stream.
pub(super) struct Lists {
    requests: mpsc::Sender<ReconcileCitizensRequest>,
    answers: Streaming<ReconcileCitizensResponse>,
    records: Choice<Citizen>,
}

impl Lists {
    pub(super) async fn open(
        connector: &Connector,
        callers: usize,
        records: &Arc<Vec<Citizen>>,
    ) -> anyhow::Result<Vec<Lists>> {
        let mut all = Vec::new();
        for caller in 0..callers {
            let mut client = connector.client().await?;
            let (requests, stream) = mpsc::channel(1);
            let mut records = Choice::new(records, caller);
            // A stream is answered once its first request is there.
            requests.send(list(&mut records)).await?;
            let mut answers = client.reconcile_citizens(ReceiverStream::new(stream)).await?.into_inner();
            answers.message().await?.context("an answer to the first list")?;
            all.push(Lists { requests, answers, records });
        }
        Ok(all)
    }
}

fn list(records: &mut Choice<Citizen>) -> ReconcileCitizensRequest {
    let records = records.batch().cloned().collect();
    ReconcileCitizensRequest { context: Some(context()), disclose: false, records }
}

impl Caller for Lists {
    async fn call(&mut self) -> anyhow::Result<u32> {
        self.requests.send(list(&mut self.records)).await?;
        let answer = self.answers.message().await?.context("an answer to a list")?;
        let same = |outcome| matches!(outcome, ReconcileOutcome::Confirmed | ReconcileOutcome::Deceased);
        let found = answer.records.iter().filter(|one| same(one.outcome())).count();
        ensure!(found == BATCH, "{found} of {BATCH} records were found to be right");
        Ok(BATCH as u32)
    }
}

/// `SELECT … WHERE personal_id = $1`.
pub(super) struct Selects {
    client: client::Client,
    columns: Vec<Field>,
    ids: Choice<String>,
}

impl Selects {
    pub(super) async fn open(
        cluster: &Cluster,
        callers: usize,
        ids: &Arc<Vec<String>>,
    ) -> anyhow::Result<Vec<Selects>> {
        let mut all = Vec::new();
        for caller in 0..callers {
            let columns = systems::all_columns();
            let client = client::Client::connect(cluster, &systems::select("= $1", &columns)).await?;
            all.push(Selects { client, columns, ids: Choice::new(ids, caller) });
        }
        Ok(all)
    }
}

impl Caller for Selects {
    async fn call(&mut self) -> anyhow::Result<u32> {
        let (number, mut people) = (client::number(self.ids.one())?, Vec::with_capacity(1));
        let take = |row: &Row| {
            people.push(row::citizen(row, &self.columns)?);
            Ok(())
        };
        self.client.select(number, take).await?;
        ensure!(people.len() == 1, "{} rows of one person", people.len());
        Ok(1)
    }
}

/// `SELECT … WHERE personal_id = ANY ($1)`.
pub(super) struct SelectsAny {
    client: client::Client,
    columns: Vec<Field>,
    ids: Choice<String>,
}

impl SelectsAny {
    pub(super) async fn open(
        cluster: &Cluster,
        callers: usize,
        ids: &Arc<Vec<String>>,
        columns: &[Field],
    ) -> anyhow::Result<Vec<SelectsAny>> {
        let mut all = Vec::new();
        for caller in 0..callers {
            let client = client::Client::connect(cluster, &systems::select("= ANY ($1)", columns)).await?;
            let (columns, ids) = (columns.to_vec(), Choice::new(ids, caller));
            all.push(SelectsAny { client, columns, ids });
        }
        Ok(all)
    }
}

impl Caller for SelectsAny {
    async fn call(&mut self) -> anyhow::Result<u32> {
        let numbers: Vec<i64> = self.ids.batch().map(|id| client::number(id)).collect::<Result<_, _>>()?;
        let mut people = Vec::with_capacity(BATCH);
        let take = |row: &Row| {
            people.push(row::citizen(row, &self.columns)?);
            Ok(())
        };
        self.client.select(numbers, take).await?;
        // Who was chosen twice is one row.
        ensure!((BATCH / 2..=BATCH).contains(&people.len()), "{} rows", people.len());
        Ok(BATCH as u32)
    }
}

/// `GET`.
pub(super) struct RedisGets {
    client: redis::Client,
    ids: Choice<String>,
}

impl RedisGets {
    pub(super) async fn open(
        redis: &Redis,
        callers: usize,
        ids: &Arc<Vec<String>>,
    ) -> anyhow::Result<Vec<RedisGets>> {
        let mut all = Vec::new();
        for caller in 0..callers {
            all.push(RedisGets {
                client: redis::Client::connect(redis).await?,
                ids: Choice::new(ids, caller),
            });
        }
        Ok(all)
    }
}

impl Caller for RedisGets {
    async fn call(&mut self) -> anyhow::Result<u32> {
        let answer = GetCitizenResponse::decode(self.client.get(self.ids.one()).await?)?;
        ensure!(answer.citizen.is_some(), "an answer without a citizen");
        Ok(1)
    }
}

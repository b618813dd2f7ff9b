//! The servers, all with the same people.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use dancu_proto::{
    Field,
    hub::v1::ApplyAgreementRequest,
    node::v1::{BatchGetCitizensRequest, GetCitizenResponse},
    v1::Citizen,
};
use prost::Message;
use tempfile::TempDir;
use tokio_postgres::Row;

use super::{
    super::{
        cpu,
        fleet::{self, AS_IN_SERVICE, PURPOSE},
        outcome::quantile,
        people::SEED,
        postgres::{
            Cluster,
            client::{self, Raw},
            rows,
        },
        progress,
        redis::{self, Redis},
        slice::{self, FIELDS},
        spinner, tls,
    },
    callers::{Connector, context},
    echo::Echo,
};
use crate::{
    population::Population,
    testkit::{Agreement, Hub, Node},
};

/// The columns that a list is compared by.
pub(super) const COMPARED: [Field; 4] = [Field::PersonalId, Field::FullName, Field::DateOfBirth, Field::Sex];
const AGENCY: &str = "one-stop";
/// Like the others, the node has memory for everyone.
const MEMORY: &str = "cache_mb = 128\nhot_mb = 256";
/// Numbers of a batch when all answers are fetched.
const FETCHED: usize = 5_000;
/// How long a node may take to notice a new caller, and servers to become quiet.
const LIMIT: Duration = Duration::from_secs(120);

/// Bytes of answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// The answer of the echo, which is the median of the node's.
    pub(super) echo: usize,
    /// A quarter of the node's answers is smaller, and a quarter larger.
    pub(super) middle: (usize, usize),
    /// A row of PostgreSQL, on the average of some.
    pub(super) row: usize,
}

/// The servers.
pub(super) struct Systems {
    pub(super) hub: Hub,
    node: Node,
    /// How callers connect to the node.
    pub(super) connector: Connector,
    /// What answers without looking.
    pub(super) echo: Echo,
    /// PostgreSQL.
    pub(super) cluster: Cluster,
    /// Redis.
    pub(super) redis: Redis,
    /// Everybody's number.
    pub(super) ids: Arc<Vec<String>>,
    /// Everybody, as a list of an agency has them.
    pub(super) records: Arc<Vec<Citizen>>,
    /// How large answers are.
    pub(super) sizes: Sizes,
}

impl Systems {
    /// Starts and fills them.
    pub(super) async fn start(citizens: u32) -> anyhow::Result<Systems> {
        let population = Population::new(SEED, citizens);
        let bar = spinner(&format!("a hub and a node with {citizens} citizens"));
        let (hub, node) = enrolled(&population).await?;
        bar.finish_and_clear();
        let connector = caller(&node).await?;
        let mut records = Vec::with_capacity(citizens as usize);
        records.extend(population.iter().map(as_listed));
        let ids: Vec<String> = records.iter().map(|record| record.personal_id.clone()).collect();

        let redis = Redis::start().await?;
        let mut stored = redis::Client::connect(&redis).await?;
        let mut lengths = Vec::with_capacity(ids.len());
        let bar = progress("answers for Redis", ids.len() as u64);
        let mut middling = Vec::new();
        for numbers in ids.chunks(FETCHED) {
            let answers = answers(&connector, numbers).await?;
            stored.set(&answers).await?;
            bar.inc(answers.len() as u64);
            lengths.extend(answers.iter().map(|(_, answer)| answer.len() as f64));
            middling = middle(answers).unwrap_or(middling);
        }
        bar.finish_and_clear();
        let cluster = filled(&population)?;
        let row = row(&cluster, &ids).await?;
        let of = |share| quantile(&lengths, share).unwrap_or_default() as usize;
        let sizes = Sizes { echo: middling.len(), middle: (of(0.25), of(0.75)), row };
        let echo = Echo::start(&middling).await?;
        let (ids, records) = (Arc::new(ids), Arc::new(records));
        let systems = Systems { hub, node, connector, echo, cluster, redis, ids, records, sizes };
        systems.quiet().await?;
        Ok(systems)
    }

    /// CPU time of the node.
    pub(super) fn cpu_of_node(&self) -> Duration {
        cpu::of_process(self.node.process_id())
    }

    /// CPU time of the hub.
    pub(super) fn cpu_of_hub(&self) -> Duration {
        cpu::of_process(self.hub.process_id())
    }

    /// Waits until hub and node have nothing left to do: every record is taken over.
    pub(super) async fn quiet(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        let used = || self.cpu_of_hub() + self.cpu_of_node();
        let mut before = used();
        loop {
            // Longer than the node gathers records before it sends them.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = used();
            if now - before <= Duration::from_millis(20) {
                return Ok(());
            }
            ensure!(started.elapsed() < LIMIT, "hub and node do not come to rest");
            before = now;
        }
    }
}

/// A hub with a population, and a node that holds all of it.
async fn enrolled(population: &Population) -> anyhow::Result<(Hub, Node)> {
    let hub = Hub::start_with(AS_IN_SERVICE).await;
    fleet::import(&hub, population).await?;
    let agreement = Agreement {
        id: "one-stop".into(),
        version: 1,
        agency: AGENCY.into(),
        purpose: PURPOSE.into(),
        fields: FIELDS.map(str::to_owned).to_vec(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "30d".into(),
    };
    let document = agreement.document().replace("\"verify\"", "\"verify\", \"reconcile\"");
    hub.admin().await.apply_agreement(ApplyAgreementRequest { document }).await?;
    let token = hub.token(AGENCY, AGENCY).await;
    let node = Node::join_with(MEMORY, AGENCY, hub.straight_line(), &token).await;
    let node = node.map_err(anyhow::Error::msg)?;
    slice::serves(&node, hub.head().await).await?;
    Ok((hub, node))
}

/// A new caller of a node, with a certificate, once the node knows it.
async fn caller(node: &Node) -> anyhow::Result<Connector> {
    let dir = TempDir::new()?;
    let out = dir.path().to_str().context("a path")?;
    let added = ["client", "add", "--name", "benchmark", "--purposes", PURPOSE, "--out", out];
    node.cli(&added).await.map_err(anyhow::Error::msg)?;
    let config = tls::mutual(dir.path(), "authority.crt")?;
    let connector = Connector { url: format!("https://{}", node.address), config };
    let started = Instant::now();
    loop {
        // Nobody has this number: the node says that, or that it does not know the caller yet.
        let asked = BatchGetCitizensRequest {
            context: Some(context()),
            personal_ids: vec!["001200000000".into()],
            fields: Vec::new(),
        };
        match connector.client().await?.batch_get_citizens(asked).await {
            Ok(_) => return Ok(connector),
            Err(refusal) => ensure!(started.elapsed() < LIMIT, "the node refuses a new caller: {refusal}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What an agency has of somebody.
fn as_listed(citizen: Citizen) -> Citizen {
    Citizen {
        personal_id: citizen.personal_id,
        full_name: citizen.full_name,
        date_of_birth: citizen.date_of_birth,
        sex: citizen.sex,
        ..Citizen::default()
    }
}

/// What the node answers about some people, by number, as it would be sent.
async fn answers(connector: &Connector, numbers: &[String]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let asked = BatchGetCitizensRequest {
        context: Some(context()),
        personal_ids: numbers.to_vec(),
        fields: Vec::new(),
    };
    let mut stream = connector.client().await?.batch_get_citizens(asked).await?.into_inner();
    let mut answers = Vec::with_capacity(numbers.len());
    let mut freshness = None;
    while let Some(answer) = stream.message().await? {
        freshness = answer.freshness.or(freshness);
        let whole = GetCitizenResponse {
            citizen: Some(answer.citizen.context("a citizen whom the node does not hold")?),
            authorised: answer.authorised,
            former_number: false,
            freshness,
            remote: false,
        };
        answers.push((answer.personal_id, whole.encode_to_vec()));
    }
    Ok(answers)
}

/// The one of middling length.
fn middle(mut answers: Vec<(String, Vec<u8>)>) -> Option<Vec<u8>> {
    answers.sort_by_key(|(_, answer)| answer.len());
    let at = answers.len() / 2;
    (at < answers.len()).then(|| answers.swap_remove(at).1)
}

/// The columns of all fields of the slice.
pub(super) fn all_columns() -> Vec<Field> {
    rows::fields_of(&FIELDS)
}

/// The statement that looks people up.
pub(super) fn select(whom: &str, columns: &[Field]) -> String {
    let columns = rows::columns(columns);
    format!("SELECT {columns} FROM slice WHERE personal_id {whom}")
}

/// A cluster with the slice as a table.
fn filled(population: &Population) -> anyhow::Result<Cluster> {
    let cluster = Cluster::start()?;
    cluster.sql(&rows::table())?;
    let bar = progress("a cluster with as many", population.citizens().into());
    rows::copy(&cluster, population.iter(), || bar.inc(1))?;
    bar.finish_and_clear();
    let columns = rows::columns(&all_columns());
    cluster.sql(&format!("CREATE TABLE slice AS SELECT {columns} FROM citizens"))?;
    cluster.sql("ALTER TABLE slice ADD PRIMARY KEY (personal_id)")?;
    cluster.sql("DROP TABLE citizens")?;
    cluster.sql("VACUUM ANALYZE slice")?;
    cluster.sql("CHECKPOINT")?;
    Ok(cluster)
}

/// The bytes of a row, on the average of some.
async fn row(cluster: &Cluster, ids: &[String]) -> anyhow::Result<usize> {
    let client = client::Client::connect(cluster, &select("= ANY ($1)", &all_columns())).await?;
    let numbers: Vec<i64> =
        ids.iter().take(FETCHED).map(|id| client::number(id)).collect::<Result<_, _>>()?;
    let mut bytes = 0;
    let count = numbers.len();
    let take = |row: &Row| {
        for place in 0..row.len() {
            // Four bytes of length before each value.
            bytes += 4 + row.try_get::<_, Option<Raw<'_>>>(place)?.map_or(0, |Raw(value)| value.len());
        }
        Ok(())
    };
    client.select(numbers, take).await?;
    Ok(bytes / count.max(1))
}

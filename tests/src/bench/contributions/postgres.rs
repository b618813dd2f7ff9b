//! The same events as rows of PostgreSQL: each inserted on its own and committed before the next.

use std::time::{Duration, Instant};

use anyhow::Context;
use dancu_proto::v1::Contribution;
use prost::Message;

use super::NODES;
use crate::{
    bench::postgres::{Cluster, client::Client},
    population::contributions::kind_of,
};

/// What a source registered, and by whom; the whole of it as it was encoded.
const TABLE: &str = "CREATE TABLE contributions (\
    id uuid PRIMARY KEY, node text NOT NULL, event text NOT NULL, effective_date date NOT NULL,\
    contribution bytea NOT NULL, received timestamptz NOT NULL DEFAULT now())";
const INSERT: &str = "INSERT INTO contributions (id, node, event, effective_date, contribution) \
    VALUES ($1::text::uuid, $2, $3, $4::text::date, $5)";

/// A cluster, and a connection for each node.
pub(super) struct Inserters {
    cluster: Cluster,
    clients: Vec<Client>,
}

impl Inserters {
    pub(super) async fn start() -> anyhow::Result<Inserters> {
        let cluster = Cluster::start()?;
        cluster.sql(TABLE)?;
        let mut clients = Vec::new();
        for _ in 0..NODES {
            clients.push(Client::connect(&cluster, INSERT).await?);
        }
        Ok(Inserters { cluster, clients })
    }

    /// CPU time of the server so far.
    pub(super) fn cpu(&self) -> Duration {
        self.cluster.cpu()
    }

    /// Inserts what each node has, all nodes at the same time: how long it took.
    pub(super) async fn insert(&mut self, work: &[Vec<Contribution>]) -> anyhow::Result<Duration> {
        let rows: Vec<Vec<Row>> = work
            .iter()
            .enumerate()
            .map(|(node, of_one)| of_one.iter().map(|one| Row::of(node, one)).collect())
            .collect();
        let started = Instant::now();
        let inserting = self.clients.iter().zip(&rows).map(|(client, rows)| async move {
            for row in rows {
                row.insert(client).await?;
            }
            anyhow::Ok(())
        });
        futures::future::try_join_all(inserting).await?;
        let took = started.elapsed();
        let stored: usize = self.cluster.sql("SELECT count(*) FROM contributions")?.parse()?;
        anyhow::ensure!(stored >= rows.iter().map(Vec::len).sum(), "PostgreSQL has {stored} rows only");
        Ok(took)
    }
}

struct Row {
    id: String,
    node: String,
    event: &'static str,
    effective_date: String,
    contribution: Vec<u8>,
}

impl Row {
    fn of(node: usize, contribution: &Contribution) -> Row {
        Row {
            id: contribution.id.clone(),
            node: format!("node-{node}"),
            event: kind_of(contribution),
            effective_date: contribution.effective_date.map(|date| date.to_string()).unwrap_or_default(),
            contribution: contribution.encode_to_vec(),
        }
    }

    async fn insert(&self, client: &Client) -> anyhow::Result<()> {
        client
            .execute(&[&self.id, &self.node, &self.event, &self.effective_date, &self.contribution])
            .await
            .context("a contribution as a row")
    }
}

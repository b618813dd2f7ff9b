//! A large slice, taken by a real node from a hub and by a subscriber from a publisher, over lines
//! that count.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use dancu_proto::node::v1::NodeState;

use super::{
    cpu,
    fleet::{self, AS_IN_SERVICE},
    people::SEED,
    postgres::{Cluster, rows},
    progress, spinner,
};
use crate::{
    population::Population,
    testkit::{Agreement, Hub, Line, Node},
};

/// The fields of the slice: those of the social insurance agency.
pub const FIELDS: [&str; 10] = [
    "former_personal_ids",
    "full_name",
    "date_of_birth",
    "sex",
    "old_id_number",
    "permanent_residence",
    "temporary_residence",
    "date_of_death",
    "date_missing",
    "mobile_number",
];
/// Between two looks whether it is done.
const LOOK: Duration = Duration::from_millis(50);
/// Longer than this nothing takes.
const LIMIT: Duration = Duration::from_secs(1800);
const AGENCY: &str = "vss";

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// By the clock.
    pub seconds: f64,
    /// CPU of who gives, seconds.
    pub giver: f64,
    /// CPU of who takes, seconds.
    pub taker: f64,
    /// Over the line, both ways, MB.
    pub megabytes: f64,
}

/// Both systems, with the same people.
pub struct Pair {
    /// The hub.
    pub hub: Hub,
    /// The node that took its slice last.
    pub node: Option<Node>,
    /// The cluster that gives.
    pub publisher: Cluster,
    /// The cluster that took a copy last, and its line.
    pub subscriber: Option<(Cluster, Line)>,
    /// How many people.
    pub citizens: u32,
    /// Every twentieth of them.
    pub twentieth: Arc<Vec<String>>,
    joined: u32,
}

impl Pair {
    /// Fills hub and publisher.
    ///
    /// # Errors
    /// If either refuses.
    pub async fn start(citizens: u32) -> anyhow::Result<Pair> {
        let population = Population::new(SEED, citizens);
        let hub = Hub::start_with(AS_IN_SERVICE).await;
        let bar = spinner(&format!("a hub with {citizens} citizens"));
        fleet::import(&hub, &population).await?;
        let agreement = Agreement {
            id: "slice".into(),
            version: 1,
            agency: AGENCY.into(),
            purpose: "1.001613".into(),
            fields: FIELDS.map(str::to_owned).to_vec(),
            provinces: Vec::new(),
            communes: Vec::new(),
            offline_limit: "30d".into(),
        };
        hub.apply(&agreement).await;
        bar.finish_and_clear();

        let publisher = Cluster::start()?;
        publisher.sql(&rows::table())?;
        let bar = progress("a publisher with as many", citizens.into());
        let mut twentieth = Vec::new();
        let mut count = 0_u32;
        let citizens_of = population.iter().inspect(|citizen| {
            if count.is_multiple_of(20) {
                twentieth.push(citizen.personal_id.clone());
            }
            count += 1;
        });
        rows::copy(&publisher, citizens_of, || bar.inc(1))?;
        bar.finish_and_clear();
        let bar = spinner("indexes");
        publisher.sql(rows::INDEXES)?;
        let columns = rows::columns(&rows::fields_of(&FIELDS));
        publisher.sql(&format!("CREATE PUBLICATION slice FOR TABLE citizens ({columns})"))?;
        publisher.sql("VACUUM ANALYZE citizens")?;
        publisher.sql("CHECKPOINT")?;
        bar.finish_and_clear();
        let twentieth = Arc::new(twentieth);
        Ok(Pair { hub, node: None, publisher, subscriber: None, citizens, twentieth, joined: 0 })
    }

    /// A new node takes its slice.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn node_takes(&mut self) -> anyhow::Result<Taken> {
        self.node = None;
        self.joined += 1;
        let name = format!("vss-{}", self.joined);
        let token = self.hub.token(&name, AGENCY).await;
        let line = self.hub.line().await;
        let (before, started) = (cpu::of_process(self.hub.process_id()), Instant::now());
        let node = Node::join(&name, line, &token).await.map_err(anyhow::Error::msg)?;
        let head = self.hub.head().await;
        serves(&node, head).await?;
        let seconds = started.elapsed().as_secs_f64();
        let taken = Taken {
            seconds,
            giver: (cpu::of_process(self.hub.process_id()) - before).as_secs_f64(),
            taker: cpu::of_process(node.process_id()).as_secs_f64(),
            megabytes: megabytes(&node.line),
        };
        let held = node.state().await?.citizens;
        ensure!(held == u64::from(self.citizens), "the node holds {held} of {} citizens", self.citizens);
        self.node = Some(node);
        Ok(taken)
    }

    /// A new subscriber takes its copy, and makes its indexes once the rows are there.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn subscriber_takes(&mut self) -> anyhow::Result<Taken> {
        if let Some((subscriber, _)) = self.subscriber.take() {
            subscriber.sql("DROP SUBSCRIPTION slice")?;
        }
        let subscriber = Cluster::start()?;
        subscriber.sql(&rows::table_of(&rows::fields_of(&FIELDS)))?;
        let line = Line::to(self.publisher.port()).await;
        let before = (self.publisher.cpu(), subscriber.cpu());
        let started = Instant::now();
        subscriber.sql(&format!(
            "CREATE SUBSCRIPTION slice CONNECTION '{}' PUBLICATION slice",
            self.publisher.remote(line.port())
        ))?;
        until(|| {
            Ok(subscriber.sql("SELECT count(*) FROM pg_subscription_rel WHERE srsubstate = 'r'")? == "1")
        })
        .await?;
        subscriber.sql(rows::SUBSCRIBER_INDEXES)?;
        let taken = Taken {
            seconds: started.elapsed().as_secs_f64(),
            giver: (self.publisher.cpu() - before.0).as_secs_f64(),
            taker: (subscriber.cpu() - before.1).as_secs_f64(),
            megabytes: megabytes(&line),
        };
        let held = subscriber.sql("SELECT count(*) FROM citizens")?;
        ensure!(held == self.citizens.to_string(), "the subscriber holds {held} rows");
        subscriber.sql("VACUUM ANALYZE citizens")?;
        self.subscriber = Some((subscriber, line));
        Ok(taken)
    }
}

/// Waits until a node answers from everything up to a revision.
///
/// # Errors
/// If it never does.
pub async fn serves(node: &Node, revision: u64) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        if let Ok(state) = node.state().await
            && state.state() == NodeState::Serving
            && state.cursor >= revision
            && state.agreements.iter().all(|agreement| !agreement.loading)
        {
            return Ok(());
        }
        ensure!(started.elapsed() < LIMIT, "the node does not come to revision {revision}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until something holds.
///
/// # Errors
/// If it never does, or asking fails.
pub async fn until(mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let started = Instant::now();
    while !holds()? {
        ensure!(started.elapsed() < LIMIT, "PostgreSQL does not finish");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// Bytes that a line has carried, both ways, in millions.
#[must_use]
pub fn megabytes(line: &Line) -> f64 {
    (line.bytes() + line.bytes_to_hub()) as f64 / 1e6
}

/// The node or subscriber that a measure goes on with.
///
/// # Errors
/// If there is none.
pub fn there<T>(taker: Option<&mut T>) -> anyhow::Result<&mut T> {
    taker.context("somebody who has taken the slice")
}

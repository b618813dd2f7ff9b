//! A hub with as many simulated nodes as a measure asks for. Each node is the office of one commune,
//! with an agency and an agreement of its own.

use std::{io::Write, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use dancu_proto::{
    hub::v1::{
        AddNodeRequest, ApplyAgreementRequest, ChangeCitizenRequest, admin_service_client::AdminServiceClient,
    },
    v1::{Citizen, Date},
};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::{
    drive::{Sightings, number_in},
    people::{Commune, OFFICE_FIELDS, SEED, communes},
    progress, spinner,
};
use crate::{
    population::{
        Population,
        writer::{self, Format},
    },
    testkit::{Agreement, Hub, Simulated},
};

/// The hub as it is in service: heartbeats as by default, not as often as tests want them.
pub const AS_IN_SERVICE: &[(&str, &str)] = &[("DANCU_HUB__SYNC__HEARTBEAT", "10s")];

/// What offices look people up for.
pub const PURPOSE: &str = "1.010041";
/// Calls to the hub that are under way together while nodes are made.
const AT_ONCE: usize = 16;
/// Nodes that connect together.
const CONNECTING: usize = 100;

/// The admin interface.
pub type Admin = AdminServiceClient<Channel>;

/// A hub and its nodes.
pub struct Fleet {
    /// The hub.
    pub hub: Hub,
    /// What the nodes see.
    pub sightings: Sightings,
    communes: Vec<Commune>,
    nodes: Vec<Simulated>,
    connected: usize,
}

impl Fleet {
    /// A hub with a population, and no node.
    ///
    /// # Errors
    /// If the hub does not take the people.
    pub async fn start(citizens: u32) -> anyhow::Result<Fleet> {
        let bar = spinner(&format!("a hub with {citizens} citizens"));
        let hub = Hub::start_with(AS_IN_SERVICE).await;
        let population = Population::new(SEED, citizens);
        import(&hub, &population).await?;
        let communes = communes(&population);
        bar.finish_and_clear();
        Ok(Fleet { hub, sightings: Sightings::default(), communes, nodes: Vec::new(), connected: 0 })
    }

    /// Connects so many nodes, all of them settled.
    ///
    /// # Errors
    /// If one cannot join.
    pub async fn connect(&mut self, count: usize) -> anyhow::Result<()> {
        if self.connected == count {
            return Ok(());
        }
        // An agreement wakes every stream, and a hub does not get thousands of them in a minute: so
        // nobody is connected meanwhile.
        self.disconnect().await;
        self.enroll(count).await?;
        let bar = progress("connecting", count as u64);
        for at in (0..count).step_by(CONNECTING) {
            let some = at..count.min(at + CONNECTING);
            let before: Vec<u64> =
                self.nodes[some.clone()].iter().map(|node| node.traffic().streams).collect();
            self.nodes[some.clone()].iter_mut().for_each(Simulated::start);
            settled(&self.nodes[some.clone()], &before).await?;
            bar.inc(some.len() as u64);
        }
        self.connected = count;
        bar.finish_and_clear();
        Ok(())
    }

    async fn enroll(&mut self, count: usize) -> anyhow::Result<()> {
        let admin = self.hub.admin().await;
        let bar = progress("enrolling", count as u64);
        bar.set_position(self.nodes.len() as u64);
        let mut next = self.nodes.len();
        let mut tasks = JoinSet::new();
        let mut joined = Vec::new();
        while joined.len() + self.nodes.len() < count {
            while next < count && tasks.len() < AT_ONCE {
                let commune = self.communes[next % self.communes.len()].code.clone();
                tasks.spawn(office(admin.clone(), self.hub.straight_line(), next, commune));
                next += 1;
            }
            let node = tasks.join_next().await.context("a node that joins")???;
            let sightings = self.sightings.clone();
            node.watch(Box::new(move |change| {
                if let Some(number) = mobile_number_in(&change.set) {
                    sightings.saw(number);
                }
            }));
            joined.push(node);
            bar.inc(1);
        }
        joined.sort_by(|a, b| a.name().cmp(b.name()));
        self.nodes.append(&mut joined);
        bar.finish_and_clear();
        Ok(())
    }

    /// People of whom each is seen by exactly one of the nodes, dealt out node by node.
    #[must_use]
    pub fn seen_once(&self) -> Vec<String> {
        let (nodes, communes) = (self.nodes.len(), self.communes.len());
        let doubled = nodes.saturating_sub(communes);
        dealt(&self.communes[doubled..nodes.min(communes)])
    }

    /// People of the last commune that only one node has.
    #[must_use]
    pub fn seen_by_one(&self) -> Vec<String> {
        let doubled = self.nodes.len().saturating_sub(self.communes.len());
        self.communes[doubled].people.clone()
    }

    /// A commune whose people no change of [`Fleet::seen_once`] touches, if there is one left.
    #[must_use]
    pub fn spare(&self) -> Option<&Commune> {
        let (nodes, communes) = (self.nodes.len(), self.communes.len());
        if nodes > communes { self.communes.first() } else { self.communes.get(nodes) }
    }

    /// Changes that came to all nodes so far.
    #[must_use]
    pub fn changes_received(&self) -> u64 {
        self.nodes.iter().map(|node| node.traffic().changes).sum()
    }

    /// Disconnects all nodes; they keep what they hold.
    pub async fn disconnect(&mut self) {
        for node in &mut self.nodes {
            node.kill().await;
        }
        self.connected = 0;
    }

    /// Streams that nodes have opened so far: more than before are connections lost meanwhile.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.nodes.iter().map(|node| node.traffic().streams).sum()
    }

    /// What went wrong at any node.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.nodes.iter().flat_map(Simulated::faults).collect()
    }
}

/// People in turn: one of each commune, then a second one of each, as often as every commune has one.
#[must_use]
pub fn dealt(communes: &[Commune]) -> Vec<String> {
    let rounds = communes.iter().map(|commune| commune.people.len()).min().unwrap_or(0);
    let round = |round: usize| communes.iter().map(move |commune| commune.people[round].clone());
    (0..rounds).flat_map(round).collect()
}

/// Waits until each has opened a stream since, and everything is loaded.
async fn settled(nodes: &[Simulated], streams: &[u64]) -> anyhow::Result<()> {
    let follows =
        |(node, streams): (&Simulated, &u64)| node.traffic().streams > *streams && node.holding().settled();
    for _ in 0..6_000 {
        if nodes.iter().zip(streams).all(follows) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let refusal = nodes.iter().find_map(Simulated::refusal);
    bail!("nodes do not settle within a minute; {refusal:?}")
}

async fn office(
    mut admin: Admin,
    line: crate::testkit::Line,
    number: usize,
    commune: String,
) -> anyhow::Result<Simulated> {
    let name = format!("office-{number:04}");
    let document = agreement(&name, &commune).document();
    admin.apply_agreement(ApplyAgreementRequest { document }).await?;
    let request = AddNodeRequest { name: name.clone(), agency: name, ..AddNodeRequest::default() };
    let token = admin.add_node(request).await?.into_inner().token;
    Simulated::join(&token, line).await
}

/// The agreement of a commune's office, which is an agency of that name.
#[must_use]
pub fn agreement(office: &str, commune: &str) -> Agreement {
    Agreement {
        id: office.into(),
        version: 1,
        agency: office.into(),
        purpose: PURPOSE.into(),
        fields: OFFICE_FIELDS.map(str::to_owned).to_vec(),
        provinces: Vec::new(),
        communes: vec![commune.to_owned()],
        offline_limit: "30d".into(),
    }
}

fn mobile_number_in(set: &[u8]) -> Option<u64> {
    let citizen: Citizen = prost::Message::decode(set).ok()?;
    number_in(&citizen.mobile_number)
}

/// Imports a population by way of a file, as an operator would; the report of the import.
///
/// # Errors
/// If the file cannot be written or the hub refuses it.
pub async fn import(hub: &Hub, population: &Population) -> anyhow::Result<serde_json::Value> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("citizens.jsonl");
    write_file(population, Format::JsonLines, &path)?;
    let out = hub.cli(&["--json", "import", path.to_str().context("a path")?]).await;
    Ok(serde_json::from_str(&out.map_err(anyhow::Error::msg)?)?)
}

/// Writes a population, compressed if the file is to end in `.zst`.
///
/// # Errors
/// If the disk refuses.
pub fn write_file(population: &Population, format: Format, path: &std::path::Path) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let bar = progress("writing people", population.citizens().into());
    if path.extension().is_some_and(|ending| ending == "zst") {
        let mut packed = zstd::Encoder::new(file, 1)?;
        writer::write(population, format, threads, &mut packed, |more| bar.inc(more))?;
        file = packed.finish()?;
    } else {
        writer::write(population, format, threads, &mut file, |more| bar.inc(more))?;
    }
    bar.finish_and_clear();
    Ok(file.flush()?)
}

/// What makes changes at a hub, one call each: of people in turn.
///
/// # Errors
/// Never; the call may fail.
pub fn change(
    admin: &Admin,
    people: &Arc<Vec<String>>,
) -> impl Fn(usize, String) -> std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + use<> {
    let (admin, people) = (admin.clone(), Arc::clone(people));
    move |turn, value| {
        let mut admin = admin.clone();
        let request = ChangeCitizenRequest {
            personal_id: people[turn % people.len()].clone(),
            set: Some(Citizen { mobile_number: value, ..Citizen::default() }),
            reason: "a benchmark".into(),
            document_number: "B/1".into(),
            effective_date: Some(Date { year: 2026, month: 1, day: 1 }),
            ..ChangeCitizenRequest::default()
        };
        Box::pin(async move {
            admin.change_citizen(request).await?;
            Ok(())
        })
    }
}

//! Offices that hand in at their nodes, and do not rest until the node says that it is queued.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use dancu_proto::{
    Reason,
    channel::{Timeouts, connect_unix},
    node::v1::{
        ContributionStatus, GetContributionRequest, SubmitContributionRequest,
        contribution_service_client::ContributionServiceClient,
    },
    v1::{Contribution, ContributionState},
};
use dancu_tests::{
    oracle::contributions::{Authority, outcomes::Queued},
    population::{
        Population, ages,
        contributions::{Contributions, Handed},
    },
    testkit::{Disk, Hub, Node},
};
use rand::{Rng, rngs::SmallRng};
use tokio::sync::Mutex;
use tonic::{Code, Status, transport::Channel};

/// The purpose under which everything is handed in.
pub(super) const PURPOSE: &str = "contribute";

/// An office with its node.
pub(super) struct Office {
    pub name: String,
    pub role: String,
    pub node: Arc<Mutex<Node>>,
    /// A disk of the node's own, which can be filled.
    pub disk: Option<Disk>,
}

/// Offices of all roles that hand anything in, so many in all; the last has a disk of its own.
pub(super) async fn offices(hub: &Hub, authority: &Authority, count: usize) -> Vec<Office> {
    let roles: Vec<&String> =
        authority.roles.iter().filter(|(_, role)| !role.events.is_empty()).map(|(name, _)| name).collect();
    for role in &roles {
        hub.let_contribute(role, role, PURPOSE).await;
    }
    // The roles that hand in most first, and each at least once where there are enough.
    let mut order = vec!["civil-status", "residence", "citizen-id", "residence", "civil-status"];
    order.extend(roles.iter().map(|role| role.as_str()).filter(|role| *role != "portal"));
    let mut offices = Vec::new();
    for number in 0..count {
        let role = order[number % order.len()];
        let name = format!("office-{number}");
        let disk = if number + 1 == count { Disk::mount(300) } else { None };
        let node = match &disk {
            Some(disk) => {
                let token = hub.token(&name, role).await;
                Node::join_on(disk, "reserve_mb = 100", &name, hub.line().await, &token).await.unwrap()
            }
            None => hub.enroll(&name, role).await,
        };
        offices.push(Office { name, role: role.into(), node: Arc::new(Mutex::new(node)), disk });
    }
    offices
}

/// What is handed in, office by office. What nobody of these offices may hand in is left out.
pub(super) fn work(
    offices: &[Office],
    authority: &Authority,
    population: &Population,
    count: usize,
    rng: &mut SmallRng,
) -> Vec<Vec<Handed>> {
    let mut work: Vec<Vec<Handed>> = offices.iter().map(|_| Vec::new()).collect();
    let mut where_handed_in: BTreeMap<String, usize> = BTreeMap::new();
    let mut source = Contributions::new(population, authority, ages::day(2026, 1, 1), 60.0);
    let mut left = count;
    while left > 0 {
        let handed = source.next().expect("lives go on");
        let of_role: Vec<usize> = (0..offices.len()).filter(|at| offices[*at].role == handed.role).collect();
        if of_role.is_empty() {
            continue;
        }
        // The same again comes at the same office: its back-end repeats what it is not sure of.
        let id = handed.contribution.id.clone();
        let at = *where_handed_in.entry(id).or_insert_with(|| of_role[rng.random_range(0..of_role.len())]);
        work[at].push(handed);
        left -= 1;
    }
    work
}

/// What a node said of what was handed in.
#[derive(Default)]
pub(super) struct Said {
    /// What it queued.
    pub queued: Vec<Queued>,
    /// What it refused for good, and why.
    pub refused: Vec<(Contribution, Status)>,
    /// How often its disk had no room.
    pub full: u32,
}

/// Hands in all of it in order, each until the node has said that it is queued, or what is wrong with it.
pub(super) async fn hand_in(office: &Office, work: Vec<Handed>, mut rng: SmallRng) -> Said {
    let socket = office.node.lock().await.socket();
    let mut said = Said::default();
    let mut before: Option<Contribution> = None;
    for handed in work {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..40))).await;
        // Sometimes the answer got lost, and it is said again.
        if let Some(before) = before.take().filter(|_| rng.random_bool(0.1)) {
            submit(&socket, &before, &mut said.full).await.expect("what was queued is queued");
        }
        match submit(&socket, &handed.contribution, &mut said.full).await {
            Ok(status) => {
                let (id, sequence) = (status.contribution_id, status.sequence);
                if handed.sort != "the same again" {
                    said.queued.push(Queued { id, node: office.name.clone(), sequence });
                }
                before = Some(handed.contribution);
            }
            Err(status) => said.refused.push((handed.contribution, status)),
        }
    }
    said
}

async fn client(socket: &Path) -> Result<ContributionServiceClient<Channel>, Status> {
    let channel = connect_unix(socket, &Timeouts::default()).await;
    Ok(ContributionServiceClient::new(channel.map_err(|error| Status::unavailable(error.to_string()))?))
}

/// Until the node answers for good.
async fn submit(
    socket: &Path,
    contribution: &Contribution,
    full: &mut u32,
) -> Result<ContributionStatus, Status> {
    for _ in 0..6_000 {
        let once = async {
            let request = SubmitContributionRequest { contribution: Some(contribution.clone()) };
            client(socket).await?.submit_contribution(request).await
        };
        match once.await {
            Ok(answer) => return Ok(answer.into_inner().status.expect("a status")),
            // What cannot be now may be later.
            Err(status)
                if matches!(
                    status.code(),
                    Code::InvalidArgument
                        | Code::FailedPrecondition
                        | Code::PermissionDenied
                        | Code::AlreadyExists
                        | Code::NotFound
                ) =>
            {
                return Err(status);
            }
            Err(status) => {
                *full += u32::from(Reason::of(&status) == Some(Reason::Storage));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    panic!("a node does not answer");
}

/// Where a contribution stands at its node.
pub(super) async fn status(node: &Node, id: &str) -> Result<ContributionStatus, Status> {
    let request = GetContributionRequest { contribution_id: id.into() };
    let mut client = ContributionServiceClient::new(node.channel().await?);
    Ok(client.get_contribution(request).await?.into_inner().status.unwrap_or_default())
}

/// Waits until the hub has said something of each.
pub(super) async fn answered(office: &Office, queued: &[Queued]) {
    let node = office.node.lock().await;
    let mut last = String::new();
    for one in queued {
        let mut said = false;
        for _ in 0..1_200 {
            match status(&node, &one.id).await {
                Ok(status) if status.outcome.is_some() => {
                    said = true;
                    break;
                }
                other => last = format!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(said, "{} of {} ({}) has no outcome: {last}", one.id, one.node, one.sequence);
    }
}

/// Waits until a node knows what became of each in the end.
pub(super) async fn settled(office: &Office, queued: &[Queued]) -> Vec<ContributionStatus> {
    let node = office.node.lock().await;
    let mut all = Vec::new();
    for one in queued {
        let mut found = None;
        for _ in 0..600 {
            let status = status(&node, &one.id).await.expect("what was queued is known");
            if matches!(status.state(), ContributionState::Accepted | ContributionState::Rejected) {
                found = Some(status);
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        all.push(found.unwrap_or_else(|| panic!("{} of {} is not settled", one.id, one.node)));
    }
    all
}

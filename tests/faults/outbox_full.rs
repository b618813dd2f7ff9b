//! An outbox on a disk that is full: what is handed in is refused before it is accepted, and never after.
//! What was accepted is handed over, and everything goes on when there is room.

use std::collections::BTreeMap;

use dancu_proto::{
    Reason,
    node::v1::{
        ContributionStatus, GetContributionRequest, SubmitContributionRequest,
        contribution_service_client::ContributionServiceClient,
    },
    v1::{Contribution, ContributionState},
};
use dancu_tests::testkit::{Disk, Hub, Node, blood_type, eventually, living};
use tonic::{Code, Status, transport::Channel};

const PURPOSE: &str = "contribute";
const FULL: &str = "the disk is full";

/// A hospital with a node on a small disk, what it has to hand in, and what the node has said of that.
struct Hospital {
    hub: Hub,
    node: Node,
    client: ContributionServiceClient<Channel>,
    disk: Disk,
    to_come: Vec<Contribution>,
    /// What was accepted, by place: all of it counts, whatever comes.
    accepted: BTreeMap<u64, String>,
    /// What was refused, to be handed in again; how often by the outbox itself.
    refused: Vec<Contribution>,
    by_outbox: u32,
    head: u64,
}

impl Hospital {
    /// With settings of the node; none where no disk can be mounted.
    async fn found(settings: &str, people_of: usize) -> Option<Hospital> {
        let disk = Disk::mount(200)?;
        let hub = Hub::start().await;
        let people = living(64, people_of);
        hub.import(&people).await;
        hub.let_contribute("health", "health", PURPOSE).await;
        let token = hub.token("health", "health").await;
        let node = Node::join_on(&disk, settings, "health", hub.line().await, &token).await.unwrap();
        let head = hub.head().await;
        node.reaches(head).await;
        let client = ContributionServiceClient::new(node.channel().await.unwrap());
        let to_come = people.iter().enumerate().rev();
        let to_come = to_come.map(|(turn, person)| blood_type(&person.personal_id, PURPOSE, turn)).collect();
        let (accepted, refused) = (BTreeMap::new(), Vec::new());
        Some(Hospital { hub, node, client, disk, to_come, accepted, refused, by_outbox: 0, head })
    }

    /// Starts the node again, which was killed.
    async fn start(&mut self) {
        self.node.start().await;
        self.client = ContributionServiceClient::new(self.node.channel().await.unwrap());
    }

    /// Hands one in, once.
    async fn hand_in(&mut self, contribution: &Contribution) -> Result<u64, Status> {
        let request = SubmitContributionRequest { contribution: Some(contribution.clone()) };
        let status = self.client.submit_contribution(request).await?.into_inner().status.unwrap();
        let known = self.accepted.insert(status.sequence, status.contribution_id.clone());
        assert!(known.is_none_or(|known| known == status.contribution_id), "a place is given once");
        Ok(status.sequence)
    }

    /// Hands in so many more, or until so many are refused one after the other.
    async fn hand_in_more(&mut self, count: usize, until_refused: usize) {
        let mut refused = 0;
        for _ in 0..count {
            let next = self.to_come.pop().expect("there is more to hand in");
            match self.hand_in(&next).await {
                Ok(_) => refused = 0,
                Err(status) => {
                    let reason = Reason::of(&status);
                    // With not a byte left the call itself cannot be recorded.
                    assert!(
                        matches!(reason, Some(Reason::Storage | Reason::AccessNotRecorded)),
                        "refused as what it is: {status}"
                    );
                    self.by_outbox += u32::from(reason == Some(Reason::Storage));
                    self.refused.push(next);
                    refused += 1;
                    if refused == until_refused {
                        return;
                    }
                }
            }
        }
    }

    async fn status(&self, id: &str) -> Result<ContributionStatus, Status> {
        let request = GetContributionRequest { contribution_id: id.into() };
        let answer = self.client.clone().get_contribution(request).await?;
        Ok(answer.into_inner().status.unwrap_or_default())
    }

    /// All that was accepted is there, at its place.
    async fn is_all_there(&self) {
        for (sequence, id) in &self.accepted {
            let status =
                self.status(id).await.unwrap_or_else(|status| panic!("{sequence} is lost: {status}"));
            assert_eq!(status.sequence, *sequence);
        }
    }

    /// Waits until the hub has said of all that was accepted that it counts.
    async fn is_all_delivered(&self) {
        for id in self.accepted.values() {
            eventually("what was queued to count", || async {
                self.status(id).await.is_ok_and(|status| status.state() == ContributionState::Accepted)
            })
            .await;
        }
    }

    /// What was refused is handed in again, and in the end everything counts once, in the order of places.
    async fn ends_well(mut self) {
        for contribution in std::mem::take(&mut self.refused) {
            self.hand_in(&contribution).await.unwrap();
        }
        self.hand_in_more(3, 1).await;
        assert!(self.refused.is_empty(), "there is room");
        self.node.line.restore();
        self.is_all_delivered().await;
        let mut last = self.head;
        for (turn, (sequence, id)) in self.accepted.iter().enumerate() {
            assert_eq!(*sequence, 1 + turn as u64, "places are without a gap");
            let outcome = self.status(id).await.unwrap().outcome.unwrap();
            assert!(
                outcome.revision > last,
                "{sequence} is carried out at {}, after {last}",
                outcome.revision
            );
            last = outcome.revision;
        }
        assert_eq!(self.hub.head().await, self.head + self.accepted.len() as u64, "each counts once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_before_it_accepts_and_what_was_accepted_is_handed_over() {
    let Some(mut office) = Hospital::found("[access_log]\nreserve_mb = 2", 400).await else { return };
    office.node.line.cut();
    office.hand_in_more(50, 1).await;
    assert!(office.refused.is_empty(), "there is room");

    // Below the reserve of the outbox, and above that of the access log.
    office.disk.fill(24);
    let next = office.to_come.pop().unwrap();
    let refused = office.hand_in(&next).await.unwrap_err();
    assert_eq!((refused.code(), Reason::of(&refused)), (Code::Unavailable, Some(Reason::Storage)));
    assert!(refused.message().contains(FULL) && refused.message().contains("not accepted"), "{refused}");
    let unknown = office.status(&next.id).await.unwrap_err();
    assert_eq!(Reason::of(&unknown), Some(Reason::NotFound), "what was refused is not there: {unknown}");
    office.refused.push(next);
    office.is_all_there().await;
    assert_eq!(office.node.status().await["state"], "offline");

    // Killed, it finds what it has, and refuses as before.
    office.node.kill();
    office.start().await;
    office.disk.fill(24);
    office.hand_in_more(3, 3).await;
    assert_eq!((office.accepted.len(), office.refused.len()), (50, 4));
    office.is_all_there().await;

    // It is handed over though the disk is full, and what became of it is told.
    office.node.line.restore();
    office.is_all_delivered().await;
    assert_eq!(office.hub.head().await, office.head + 50);
    office.hand_in_more(1, 1).await;
    assert_eq!(office.refused.len(), 5, "it is full still");

    let process = office.node.process_id();
    office.disk.make_room();
    let first = office.refused.remove(0);
    assert_eq!(office.hand_in(&first).await.unwrap(), 51);
    assert_eq!(office.node.process_id(), process, "without a restart");
    office.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outbox_whose_database_ran_dry_keeps_what_it_accepted_and_goes_on_when_there_is_room() {
    let settings =
        "reserve_mb = 0\nwrite_buffer_mb = 1\n[outbox]\nreserve_mb = 0\n[access_log]\nreserve_mb = 0";
    let Some(mut office) = Hospital::found(settings, 12_000).await else { return };
    office.node.line.cut();
    office.hand_in_more(20, 1).await;
    // The first time it goes on as it is; the second time it is killed with not a byte left.
    for killed in [false, true] {
        office.disk.fill(0);
        let before = office.accepted.len();
        office.hand_in_more(5_000, 5).await;
        eprintln!("with a full disk {} were accepted", office.accepted.len() - before);
        assert!(office.refused.len() >= 5, "a disk without a byte takes everything in");
        assert!(office.by_outbox > 0, "it is not the outbox that refused");
        if killed {
            office.node.kill();
            office.disk.make_room();
            office.start().await;
        } else {
            office.disk.make_room();
            let first = office.refused.remove(0);
            for _ in 0..300 {
                if office.hand_in(&first).await.is_ok() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            office.hand_in(&first).await.unwrap();
        }
        office.is_all_there().await;
    }
    office.ends_well().await;
}

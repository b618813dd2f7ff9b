//! Every reason for refusal is met by a real client over real sockets: with its code, with a message that
//! says what to do and tells of nobody, and with a record where calls are recorded. A reason that is neither
//! met nor listed here as not to be met fails.

mod asked;
mod hub;
mod procedures;
mod state;

use std::{collections::BTreeSet, fmt::Debug, fs};

use dancu_node::access_log::LogStore;
use dancu_proto::{
    Reason,
    v1::{AccessContext, AccessOperation, Citizen, LogRecord, log_record::Body},
};
use dancu_tests::testkit::{Agreement, Hub, Node, people};
use prost::Message;
use tonic::Status;

/// Nobody has it.
const UNKNOWN: &str = "001099999999";

/// The reasons that no back-end can meet at a node, and why.
const NOT_OF_NODES: [(Reason, &str); 11] = [
    (Reason::CertificateSuperseded, "of a node at its hub"),
    (Reason::TokenUnknown, "of a new node at its hub"),
    (Reason::TokenUsed, "of a new node at its hub"),
    (Reason::TokenExpired, "of a new node at its hub"),
    (Reason::SigningRequestRefused, "of a node at its hub"),
    (Reason::ProtocolVersion, "of a node at its hub"),
    (Reason::StreamReplaced, "of a node at its hub"),
    (Reason::AccessLogRefused, "of a node at its hub"),
    (Reason::AlreadyExists, "of an operator at the hub"),
    (Reason::AgreementInvalid, "of an operator at the hub"),
    (Reason::Overloaded, "of a node at its hub"),
];

/// The reasons that no node or operator can meet at a hub, and why.
const NOT_OF_HUBS: [(Reason, &str); 10] = [
    (Reason::OfficerNotAllowed, "officers are the node's"),
    (Reason::QuotaExceeded, "quotas are the node's"),
    (Reason::FieldNotAgreed, "nobody is looked for at the hub by anything but a number"),
    (Reason::SliceLoading, "slices are the node's"),
    (Reason::SliceNarrowing, "slices are the node's"),
    (Reason::SliceSealed, "slices are the node's"),
    (Reason::CursorExpired, "no cursor of a node expires"),
    (Reason::HubUnreachable, "it is the hub"),
    (Reason::OfflineLimitPassed, "it is the hub"),
    (Reason::AccessNotRecorded, "calls are recorded at the node"),
];

/// Faults of the software, if there are any: node/src/status.rs.
const FAULT: Reason = Reason::Internal;

/// What was met so far, and what no message may have.
struct Met {
    reasons: BTreeSet<&'static str>,
    secrets: Vec<String>,
    /// Refused calls that the node in hand has to have recorded.
    to_be_recorded: Vec<(AccessOperation, &'static str)>,
}

impl Met {
    fn new(people: &[Citizen]) -> Met {
        let of = |one: &Citizen| {
            let name = one.full_name.clone().unwrap_or_default().full();
            [one.personal_id.clone(), one.old_id_number.clone(), one.email.clone(), name]
        };
        let mut secrets: Vec<_> = people.iter().flat_map(of).filter(|text| !text.is_empty()).collect();
        secrets.push(UNKNOWN.into());
        Met { reasons: BTreeSet::new(), secrets, to_be_recorded: Vec::new() }
    }

    /// The call was refused so, its message says what to do, and nothing in it tells of anybody.
    fn refused<T: Debug>(&mut self, answer: Result<T, Status>, reason: Reason, says: &str) -> Status {
        let status = answer.expect_err(reason.name());
        assert_eq!((Reason::of(&status), status.code()), (Some(reason), reason.code()), "{status}");
        assert!(status.message().contains(says), "{says:?} is not in {:?}", status.message());
        assert!(!status.message().contains('\n'), "{:?}", status.message());
        let headers = format!("{:?}", status.metadata());
        let details = String::from_utf8_lossy(status.details());
        for secret in &self.secrets {
            let told = [status.message(), &headers, &details].iter().any(|text| text.contains(secret));
            assert!(!told, "{} tells {secret:?}", reason.name());
        }
        self.reasons.insert(reason.name());
        status
    }

    /// The same of a call about citizens, which is recorded.
    fn refused_on_record<T: Debug>(
        &mut self,
        operation: AccessOperation,
        answer: Result<T, Status>,
        reason: Reason,
        says: &str,
    ) -> Status {
        let status = self.refused(answer, reason, says);
        self.to_be_recorded.push((operation, reason.name()));
        status
    }

    /// A node that was stopped has recorded all that it refused.
    fn are_recorded_at(&mut self, node: &Node) {
        let log = LogStore::open(&node.data().join("access-log"), 0).unwrap();
        let records = log.after(0, usize::MAX).unwrap();
        let call = |record: Vec<u8>| match LogRecord::decode(&record[..]).unwrap().body.unwrap() {
            Body::Access(entry) => Some((entry.operation(), entry.outcome)),
            Body::Key(_) => None,
        };
        let mut recorded: Vec<_> = records.into_iter().filter_map(call).collect();
        for (operation, outcome) in self.to_be_recorded.drain(..) {
            let place = recorded.iter().position(|call| *call == (operation, outcome.to_owned()));
            let place = place.unwrap_or_else(|| panic!("{operation:?} refused with {outcome}: no record"));
            recorded.swap_remove(place);
        }
    }

    /// Of all reasons there are, those that are not listed were met.
    fn are_all_but(&self, not_to_be_met: &[(Reason, &str)]) {
        for reason in Reason::ALL {
            let listed = not_to_be_met.iter().find(|(listed, _)| listed == reason);
            let met = self.reasons.contains(reason.name());
            match listed {
                Some((_, why)) => assert!(!met, "{} can be met, and not only: {why}", reason.name()),
                None => assert!(met || *reason == FAULT, "{} was not met, nor is it listed", reason.name()),
            }
        }
    }
}

fn why(purpose: &str) -> Option<AccessContext> {
    Some(AccessContext { purpose: purpose.into(), case_number: "H-1".into(), officer: "lan".into() })
}

fn agreement(id: &str, agency: &str, purpose: &str, fields: &[&str]) -> Agreement {
    Agreement {
        id: id.into(),
        version: 1,
        agency: agency.into(),
        purpose: purpose.into(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        provinces: Vec::new(),
        communes: Vec::new(),
        offline_limit: "1d".into(),
    }
}

/// Applies an agreement whose document is changed in one place.
async fn apply_with(hub: &Hub, agreement: &Agreement, from: &str, to: &str) {
    let document = agreement.document();
    assert!(document.contains(from), "{from}");
    let file = hub.data_dir().join("changed.toml");
    fs::write(&file, document.replace(from, to)).unwrap();
    hub.cli(&["agreement", "apply", file.to_str().unwrap()]).await.unwrap();
}

/// Somebody who lives in a province, or who has nothing to do with it.
fn resident<'a>(people: &'a [Citizen], province: &str, lives: bool) -> &'a Citizen {
    let is_here = |one: &&Citizen| {
        let permanent = one.permanent_residence.as_ref().is_some_and(|at| at.province == province);
        permanent == lives && one.permanent_residence.is_some() && one.temporary_residence.is_none()
    };
    people.iter().find(is_here).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_a_node_is_met_says_what_to_do_and_is_recorded() {
    // Forms go out when the hub looks.
    let hub = Hub::start_with(&[("DANCU_HUB__CASE_CHECK", "200ms")]).await;
    let people = people(91, 12_000);
    hub.import(&people).await;
    let mut met = Met::new(&people);
    asked::at_a_node(&hub, &people, &mut met).await;
    procedures::of_two_offices(&hub, &people, &mut met).await;
    state::of_a_node(&hub, &people, &mut met).await;
    state::of_its_disk_and_its_end(&hub, &people, &mut met).await;
    met.are_all_but(&NOT_OF_NODES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_a_hub_is_met_and_says_what_it_is() {
    let mut hub = Hub::start().await;
    let people = people(92, 500);
    hub.import(&people).await;
    let mut met = Met::new(&people);
    hub::to_operators(&hub, &people, &mut met).await;
    hub::to_new_nodes(&hub, &mut met).await;
    hub::to_nodes(&hub, &people, &mut met).await;
    hub::to_whom_it_knows_no_more(&mut hub, &mut met).await;
    hub::without_room(&mut hub, &people, &mut met).await;
    met.are_all_but(&NOT_OF_HUBS);
}

//! What the node can do now: from what it holds, from when it last heard the hub, and from what the
//! hub last said to it.

use std::{fmt, sync::Arc, time::Duration};

use dancu_proto::{
    Reason,
    node::v1::{AgreementStatus, GetStatusResponse, NodeState, SliceProof},
    signed::SignError,
    v1::{Signed, SliceReport},
};
use time::OffsetDateTime;

use crate::{
    callers::Caller,
    lease::{Lease, Why},
    lookup::{self, Refusal},
    slice::{Grant, Phase, Slice, SliceState},
    sync::{Contact, Prover},
};

/// Tells the time; tests tell their own.
pub type Clock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// The time of this host.
#[must_use]
pub fn host_clock() -> Clock {
    Arc::new(OffsetDateTime::now_utc)
}

/// Signs a report with the node's key.
pub type SignReport = Box<dyn Fn(&SliceReport) -> Result<Signed, SignError> + Send + Sync>;

/// Who the node is, as it enrolled.
pub struct About {
    /// Its name.
    pub name: String,
    /// The agency it serves.
    pub agency: String,
    /// When its certificate expires; it changes with each renewal.
    pub certificate_expires: Box<dyn Fn() -> Option<OffsetDateTime> + Send + Sync>,
    /// Signs what it reports of its slice.
    pub sign: SignReport,
}

/// The node as the services see it.
pub struct Node {
    /// Who it is.
    pub about: About,
    /// What it holds.
    pub slice: Slice,
    /// Its line to the hub.
    pub contact: Contact,
    /// The key of what it holds.
    pub lease: Lease,
    /// Proves the slice.
    pub prover: Prover,
    /// Its clock.
    pub clock: Clock,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.about.name).finish_non_exhaustive()
    }
}

/// The line to the hub at one moment.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// When the hub was last heard.
    pub last_heard: Option<OffsetDateTime>,
    /// How long it has been out of reach; none while connected.
    pub offline: Option<Duration>,
    /// The hub's latest revision, as last heard.
    pub head: u64,
    /// Why the hub refuses this node, and in the words of its operator.
    pub refusal: Option<(Reason, String)>,
    /// Why what the hub sends cannot be stored.
    pub stuck: Option<String>,
    /// Why the slice is sealed, if it is.
    pub sealed: Option<Why>,
}

impl Line {
    /// Whether the hub lets the node answer at all.
    ///
    /// # Errors
    /// It suspended or revoked the node.
    pub fn admits(&self) -> Result<(), Refusal> {
        match &self.refusal {
            Some((Reason::NodeSuspended, message)) => Err(Refusal::Suspended(message.clone())),
            Some((Reason::NodeRevoked, message)) => Err(Refusal::Revoked(message.clone())),
            _ => Ok(()),
        }
    }
}

/// The state of a node, and why, for people.
#[must_use]
pub fn judge(slice: &SliceState, line: &Line) -> (NodeState, String) {
    let longest = slice.readable.iter().map(|grant| grant.offline_limit).max();
    match (&line.refusal, &slice.phase) {
        (Some((Reason::NodeRevoked, message)), _) => {
            (NodeState::Revoked, format!("{message}; the slice is erased"))
        }
        (Some((Reason::NodeSuspended, message)), _) => {
            (NodeState::Suspended, format!("{message}; look-ups are refused until it is resumed"))
        }
        (_, Phase::Sealed) if line.sealed == Some(Why::Operator) || !slice.registry_id.is_empty() => {
            let why = line.sealed.unwrap_or(Why::Restarted).words();
            let heard = line.offline.filter(|offline| *offline != Duration::MAX);
            let heard = heard.map(|offline| format!("; the hub was last heard {} ago", rounded(offline)));
            (NodeState::Sealed, format!("{why}{}", heard.unwrap_or_default()))
        }
        (_, Phase::Narrowing) => {
            (NodeState::Narrowing, "removing what may no longer be held; look-ups wait".into())
        }
        (refusal, Phase::Empty | Phase::Sealed) => {
            let why = match refusal {
                Some((_, message)) => format!("the hub refuses this node: {message}"),
                None if line.stuck.is_some() => line.stuck.clone().unwrap_or_default(),
                None if line.offline.is_some() => {
                    "the hub is not in reach, and nothing was received yet".into()
                }
                None => "waiting for the first policy".into(),
            };
            (NodeState::Loading, why)
        }
        _ if slice.target.is_empty() && slice.readable.is_empty() => (
            NodeState::NoAgreement,
            "no agreement gives this node anything; ask the hub's operator to apply one".into(),
        ),
        (refusal, phase) => match line.offline {
            Some(offline) if longest.is_some_and(|longest| offline > longest) => (
                NodeState::Sealed,
                format!(
                    "the hub was last heard {} ago, longer than every agreement allows",
                    rounded(offline)
                ),
            ),
            _ if slice.readable.is_empty() => {
                (NodeState::Loading, line.stuck.clone().unwrap_or_else(|| progress(phase)))
            }
            Some(offline) => {
                let why = match (refusal, &line.stuck) {
                    (Some((_, message)), _) => format!("the hub refuses this node: {message}; last heard"),
                    (None, Some(stuck)) => format!("{stuck}; last in step"),
                    (None, None) => "the hub is out of reach; last heard".into(),
                };
                (NodeState::Offline, format!("{why} {} ago", rounded(offline)))
            }
            None => (
                NodeState::Serving,
                if matches!(phase, Phase::Settled) { String::new() } else { progress(phase) },
            ),
        },
    }
}

fn progress(phase: &Phase) -> String {
    match phase {
        Phase::Loading { received: 0, remaining: 0, .. } => "loading".into(),
        Phase::Loading { received, remaining, per_second } => {
            let left = remaining.checked_div(*per_second).map(|seconds| {
                let left = rounded(Duration::from_secs(seconds + 1));
                format!(", {per_second} a second: about {left}")
            });
            let left = left.unwrap_or_default();
            format!("loading: {received} citizens received, about {remaining} to come{left}")
        }
        _ => "loading".into(),
    }
}

/// Whole seconds are exact enough for people.
pub(crate) fn rounded(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}

impl Node {
    /// The line to the hub now.
    #[must_use]
    pub fn line(&self) -> Line {
        let contact = self.contact.state();
        let offline = if contact.connected { None } else { Some(self.contact.silence((self.clock)())) };
        Line {
            last_heard: contact.last_heard,
            offline,
            head: contact.head.0,
            refusal: contact.refusal.as_ref().map(|refusal| (refusal.reason, refusal.message.clone())),
            stuck: contact.stuck,
            sealed: self.lease.sealed(),
        }
    }

    /// What a proof found, signed. None if it found nothing to compare, or the key refuses.
    #[must_use]
    pub fn report(&self, proof: &SliceProof) -> Option<Signed> {
        if proof.reloading {
            return None;
        }
        let report = SliceReport {
            node: self.about.name.clone(),
            registry_id: proof.registry_id.clone(),
            cursor: proof.cursor,
            policy: proof.policy,
            citizens: proof.citizens,
            digest: proof.digest.clone(),
            time: proof.time,
        };
        let signed = (self.about.sign)(&report);
        signed.inspect_err(|error| tracing::error!(%error, "the report is not signed")).ok()
    }

    /// What the node can do now.
    #[must_use]
    pub fn state(&self) -> NodeState {
        judge(&self.slice.state(), &self.line()).0
    }

    /// Everything about the node now, for its operator.
    #[must_use]
    pub fn status(&self) -> GetStatusResponse {
        self.status_of(&self.slice.state())
    }

    /// The same for a caller: what concerns the purposes that it is bound to, and nothing of how many are
    /// held.
    #[must_use]
    pub fn status_for(&self, caller: &Caller) -> GetStatusResponse {
        let mut slice = SliceState::clone(&self.slice.state());
        if let Phase::Loading { .. } = slice.phase {
            slice.phase = Phase::Loading { received: 0, remaining: 0, per_second: 0 };
        }
        let mut status = self.status_of(&slice);
        status.agreements.retain_mut(|agreement| {
            agreement.purposes.retain(|purpose| caller.purposes.contain(purpose));
            !agreement.purposes.is_empty()
        });
        GetStatusResponse { citizens: 0, bytes: 0, proof: None, repaired: 0, ..status }
    }

    fn status_of(&self, slice: &SliceState) -> GetStatusResponse {
        let line = self.line();
        let (state, explanation) = judge(slice, &line);
        let (loading, to_come, per_second) = match slice.phase {
            Phase::Loading { received, remaining, per_second } => (received, remaining, per_second),
            _ => (0, 0, 0),
        };
        GetStatusResponse {
            node: self.about.name.clone(),
            agency: self.about.agency.clone(),
            state: state.into(),
            explanation,
            cursor: slice.cursor.0,
            hub_head: line.head,
            as_of: line.last_heard.map(lookup::timestamp),
            offline: line.offline.and_then(|offline| prost_types::Duration::try_from(offline).ok()),
            citizens: slice.citizens,
            bytes: self.slice.size_on_disk(),
            agreements: slice.target.iter().map(|grant| agreement(grant, slice)).collect(),
            certificate_expires: (self.about.certificate_expires)().map(lookup::timestamp),
            version: env!("CARGO_PKG_VERSION").into(),
            loading,
            to_come,
            per_second,
            proof: self.prover.latest().map(without_numbers),
            repaired: self.prover.repaired(),
            // The outbox knows.
            contributions_queued: 0,
            contributions_since: None,
        }
    }
}

/// Whom a proof found is for the operator who asked for it.
fn without_numbers(proof: SliceProof) -> SliceProof {
    let (missing, different, foreign) = Default::default();
    SliceProof { missing, different, foreign, ..proof }
}

fn agreement(grant: &Grant, slice: &SliceState) -> AgreementStatus {
    AgreementStatus {
        agreement: grant.agreement.clone(),
        version: grant.version,
        title: grant.title.clone(),
        purposes: grant.purposes.clone(),
        operations: grant.operations.clone(),
        fields: grant.fields.iter().map(|field| field.name().to_owned()).collect(),
        offline_limit: prost_types::Duration::try_from(grant.offline_limit).ok(),
        loading: !matches!(slice.phase, Phase::Settled),
    }
}

#[cfg(test)]
mod tests {
    use dancu_proto::Field;

    use super::*;
    use crate::lookup::tests::fixture::{grant, load, open, policy, slice};

    fn line(offline: Option<u64>) -> Line {
        Line { offline: offline.map(Duration::from_secs), ..Line::default() }
    }

    fn refused(reason: Reason) -> Line {
        Line { refusal: Some((reason, "audit".into())), ..line(Some(1)) }
    }

    #[test]
    fn the_states_of_a_node() {
        let directory = tempfile::tempdir().unwrap();
        let slice = open(directory.path());
        let state = |line: &Line| judge(&slice.state(), line).0;
        assert_eq!(state(&line(None)), NodeState::Loading);
        assert_eq!(state(&refused(Reason::NodeSuspended)), NodeState::Suspended);
        slice.apply_policy(policy(1, vec![])).unwrap();
        slice.apply_load(load(1, vec![])).unwrap();
        assert_eq!(state(&line(None)), NodeState::NoAgreement);
        slice.apply_policy(policy(2, vec![grant(1, "a", &["lookup"], &[Field::Sex])])).unwrap();
        assert_eq!(state(&line(None)), NodeState::Loading);
        slice.apply_load(load(2, vec![])).unwrap();
        assert_eq!(state(&line(None)), NodeState::Serving);
        assert_eq!(state(&line(Some(86_400))), NodeState::Offline);
        assert_eq!(state(&line(Some(86_401))), NodeState::Sealed);
        assert_eq!(state(&refused(Reason::NodeSuspended)), NodeState::Suspended);
        assert_eq!(state(&refused(Reason::NodeRevoked)), NodeState::Revoked);
        assert_eq!(state(&refused(Reason::CertificateSuperseded)), NodeState::Offline);
        let mut narrower = policy(3, vec![]);
        narrower.removals_follow = true;
        slice.apply_policy(narrower).unwrap();
        assert_eq!(state(&line(None)), NodeState::Narrowing);
    }

    #[test]
    fn a_full_disk_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let slice = slice(directory.path(), vec![grant(1, "a", &["lookup"], &[Field::Sex])], vec![]);
        let stuck = Line { stuck: Some("the disk is full".into()), ..line(Some(90)) };
        let (state, why) = judge(&slice.state(), &stuck);
        assert_eq!((state, why.as_str()), (NodeState::Offline, "the disk is full; last in step 1m 30s ago"));
    }

    #[test]
    fn whatever_is_not_serving_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let slice = slice(directory.path(), vec![grant(1, "a", &["lookup"], &[Field::Sex])], vec![]);
        let (_, why) = judge(&slice.state(), &refused(Reason::CertificateSuperseded));
        assert!(why.contains("audit"), "{why}");
        assert_eq!(judge(&slice.state(), &line(None)).1, "");
    }
}

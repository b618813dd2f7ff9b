//! What is certain of a contribution before its turn, whatever the registry says: who signed it, what it says, and
//! whether that is well-formed and agreed.

use std::sync::Arc;

use dancu_proto::{
    Areas, Revision, Violation,
    channel::PeerIdentity,
    contribution,
    hub::v1::RefusedContribution,
    signed::VerifyError,
    v1::{Contribution, Date, QueuedContribution, RejectionReason, SignedBatch},
};
use tonic::Status;
use uuid::Uuid;

use super::{Barred, Fault, Handover, Prepared, Shared, evidence::Evidence};
use crate::{agreements::Operation, enrollment::NodeState};

/// So many faults of a contribution are told.
const TOLD: usize = 16;
/// No outbox gets to a place beyond this.
const LAST_PLACE: u64 = 1 << 48;

/// What was signed and by whom, or why that is not to be believed.
type Believed = Result<(QueuedContribution, PeerIdentity), VerifyError>;

/// A contribution that a node of this registry has signed.
struct Proven {
    id: Uuid,
    agency: String,
    queued: QueuedContribution,
}

/// What the contributions of a batch are prepared on, all of them on the same: an agreement that is withdrawn while
/// they are counts for all or for none.
struct Basis {
    at: Revision,
    areas: Arc<Areas>,
    today: Date,
    /// The roles that were asked for, each time of one node: a batch is of few.
    roles: Vec<(RolesOf, Arc<[String]>)>,
}

/// Whose roles, and under which purpose.
struct RolesOf {
    node: String,
    agency: String,
    purpose: String,
}

impl Handover {
    /// Prepares a batch, and tells which of it nothing can be written of.
    pub(super) fn prepare(
        &self,
        contributions: SignedBatch,
        barred: Barred,
    ) -> Result<(Vec<Prepared>, Vec<RefusedContribution>), Status> {
        let view = self.registry.view();
        self.office.lookout().refresh(&view)?;
        self.ledger.catch_up(&view)?;
        let at = view.revision()?;
        drop(view);
        let mut basis = Basis { at, areas: self.ledger.areas(at), today: self.today(), roles: Vec::new() };
        let (mut prepared, mut refused) = (Vec::with_capacity(contributions.len()), Vec::new());
        let mut index = 0;
        for part in contributions.parts {
            let believed = self.verifier.verify_part(&part).into_iter();
            let proven: Vec<_> = believed.map(|believed| self.proven(believed, barred)).collect();
            let evidence = Evidence::of(part, proven.iter().all(Result::is_ok));
            for (proven, evidence) in proven.into_iter().zip(evidence) {
                match proven {
                    Ok(proven) => prepared.push(self.ready(proven, evidence, &mut basis)),
                    Err(message) => refused.push(RefusedContribution { index, message }),
                }
                index += 1;
            }
        }
        Ok((prepared, refused))
    }

    /// A contribution that a node of this registry has signed, or why it is none.
    fn proven(&self, believed: Believed, barred: Barred) -> Result<Proven, String> {
        let (queued, signer) = believed.map_err(|error| error.to_string())?;
        if signer != PeerIdentity::Node(queued.node.clone()) {
            return Err(format!("a contribution of {} is signed by {signer}", queued.node));
        }
        if queued.registry_id != self.registry.id() {
            return Err("a contribution is for another registry".into());
        }
        let id = queued.contribution_id.parse::<Uuid>();
        let id = id.map_err(|_| "a contribution has no id")?;
        if queued.outbox.len() != 16 || !(1..=LAST_PLACE).contains(&queued.sequence) {
            return Err("a contribution has no place in an outbox".into());
        }
        let node = self.roll.get(&queued.node).map_err(|error| error.to_string())?;
        let is_barred = matches!(node.state, NodeState::Suspended(_) | NodeState::Revoked(_));
        if is_barred && barred == Barred::Refused {
            let name = &queued.node;
            return Err(format!(
                "{name} is suspended or revoked: an operator of the hub takes in what it queued"
            ));
        }
        Ok(Proven { id, agency: node.agency, queued })
    }

    fn ready(&self, proven: Proven, evidence: Evidence, basis: &mut Basis) -> Prepared {
        let Proven { id, agency, queued } = proven;
        let (contribution, roles) = match self.read(&queued, basis) {
            Ok(said) => self.agreed(said, &queued.node, &agency, basis),
            Err(fault) => (Err(fault), Arc::default()),
        };
        let QueuedContribution { node, outbox, sequence, .. } = queued;
        let areas = Arc::clone(&basis.areas);
        Prepared { id, node, agency, outbox, sequence, evidence, contribution, roles, areas }
    }

    /// What a contribution says.
    fn read(&self, queued: &QueuedContribution, basis: &Basis) -> Result<Contribution, Fault> {
        let invalid = |message: String, fields, said: Option<Contribution>| Fault {
            reason: RejectionReason::Invalid,
            message,
            fields,
            said: said.map(Shared::from),
        };
        // What it has beyond the limit its checks tell; more than this is not even opened.
        if queued.sealed.len() > 2 * contribution::MOST_BYTES {
            return Err(invalid(
                format!("has more than {} bytes", contribution::MOST_BYTES),
                Vec::new(),
                None,
            ));
        }
        let opened = self.log.open_contribution(queued);
        let mut said = opened.map_err(|error| invalid(error.to_string(), Vec::new(), None))?;
        match contribution::validate(&mut said, Some(&basis.areas), basis.today) {
            Ok(()) => Ok(said),
            Err(violations) => {
                let told = |violation: &Violation| format!("{}: {}", violation.field, violation.reason);
                let message = violations.iter().take(TOLD).map(told).collect::<Vec<_>>().join("; ");
                let fields = violations.into_iter().take(TOLD).map(|violation| violation.field).collect();
                Err(invalid(message, fields, Some(said)))
            }
        }
    }

    /// The contribution with the roles in which it is handed in, if it is agreed that the agency does so.
    fn agreed(
        &self,
        said: Contribution,
        node: &str,
        agency: &str,
        basis: &mut Basis,
    ) -> (Result<Shared, Fault>, Arc<[String]>) {
        let purpose = said.context.as_ref().map(|context| context.purpose.as_str()).unwrap_or_default();
        let roles = self.roles(node, agency, purpose, basis);
        if !roles.is_empty() {
            return (Ok(said.into()), roles);
        }
        let fault = Fault {
            reason: RejectionReason::NotAgreed,
            message: "no agreement lets this agency contribute under this purpose".into(),
            fields: vec!["context.purpose".into()],
            said: Some(said.into()),
        };
        (Err(fault), roles)
    }

    /// The roles in which an agency contributes under a purpose by way of a node, in order.
    fn roles(&self, node: &str, agency: &str, purpose: &str, basis: &mut Basis) -> Arc<[String]> {
        let same = |of: &RolesOf| of.node == node && of.purpose == purpose && of.agency == agency;
        if let Some((_, roles)) = basis.roles.iter().find(|(of, _)| same(of)) {
            return Arc::clone(roles);
        }
        let policy = self.ledger.policy(node, agency, basis.at);
        let agreed = policy.grants().iter().map(|grant| &grant.agreement).filter(|agreement| {
            agreement.operations.contains(&Operation::Contribute)
                && agreement.purposes.iter().any(|of| of.code == purpose)
        });
        let mut roles: Vec<_> = agreed.flat_map(|agreement| agreement.contributes_as.clone()).collect();
        roles.sort_unstable();
        roles.dedup();
        let roles: Arc<[String]> = roles.into();
        let of = RolesOf { node: node.into(), agency: agency.into(), purpose: purpose.into() };
        basis.roles.push((of, Arc::clone(&roles)));
        roles
    }
}

//! What is certain of a contribution before its turn, whatever the registry says: who signed it, what it says, and
//! whether that is well-formed and agreed.

use std::{collections::BTreeSet, sync::Arc};

use dancu_proto::{
    Areas, Violation,
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

impl Handover {
    /// Prepares a batch, and tells which of it nothing can be written of.
    pub(super) fn prepare(
        &self,
        contributions: SignedBatch,
        barred: Barred,
    ) -> Result<(Vec<Prepared>, Vec<RefusedContribution>), Status> {
        self.office.lookout().refresh(&self.registry.view())?;
        let (areas, today) = (self.areas()?, self.today());
        let (mut prepared, mut refused) = (Vec::with_capacity(contributions.len()), Vec::new());
        let mut index = 0;
        for part in contributions.parts {
            let believed = self.verifier.verify_part(&part).into_iter();
            let proven: Vec<_> = believed.map(|believed| self.proven(believed, barred)).collect();
            let evidence = Evidence::of(part, proven.iter().all(Result::is_ok));
            for (proven, evidence) in proven.into_iter().zip(evidence) {
                match proven {
                    Ok(proven) => prepared.push(self.ready(proven, evidence, &areas, today)?),
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

    fn ready(
        &self,
        proven: Proven,
        evidence: Evidence,
        areas: &Arc<Areas>,
        today: Date,
    ) -> Result<Prepared, Status> {
        let Proven { id, agency, queued } = proven;
        let (contribution, roles) = self.read(&queued, &agency, areas, today)?;
        let QueuedContribution { node, outbox, sequence, .. } = queued;
        let areas = Arc::clone(areas);
        Ok(Prepared { id, node, agency, outbox, sequence, evidence, contribution, roles, areas })
    }

    /// What a contribution says, and the roles in which it is handed in.
    fn read(
        &self,
        queued: &QueuedContribution,
        agency: &str,
        areas: &Areas,
        today: Date,
    ) -> Result<(Result<Shared, Fault>, BTreeSet<String>), Status> {
        let fault = |reason, message: String, fields, said: Option<Contribution>| Fault {
            reason,
            message,
            fields,
            said: said.map(Shared::from),
        };
        // What it has beyond the limit its checks tell; more than this is not even opened.
        if queued.sealed.len() > 2 * contribution::MOST_BYTES {
            let message = format!("has more than {} bytes", contribution::MOST_BYTES);
            let fault = fault(RejectionReason::Invalid, message, Vec::new(), None);
            return Ok((Err(fault), BTreeSet::new()));
        }
        let mut said = match self.log.open_contribution(queued) {
            Ok(said) => said,
            Err(error) => {
                let fault = fault(RejectionReason::Invalid, error.to_string(), Vec::new(), None);
                return Ok((Err(fault), BTreeSet::new()));
            }
        };
        if let Err(violations) = contribution::validate(&mut said, Some(areas), today) {
            let told = |violation: &Violation| format!("{}: {}", violation.field, violation.reason);
            let message = violations.iter().take(TOLD).map(told).collect::<Vec<_>>().join("; ");
            let fields = violations.into_iter().take(TOLD).map(|violation| violation.field).collect();
            return Ok((Err(fault(RejectionReason::Invalid, message, fields, Some(said))), BTreeSet::new()));
        }
        let view = self.registry.view();
        let policy = self.ledger.policy(&queued.node, agency, view.revision()?);
        let purpose = said.context.as_ref().map(|context| context.purpose.as_str()).unwrap_or_default();
        let agreed = policy.grants().iter().map(|grant| &grant.agreement).filter(|agreement| {
            agreement.operations.contains(&Operation::Contribute)
                && agreement.purposes.iter().any(|of| of.code == purpose)
        });
        let roles: BTreeSet<String> = agreed.flat_map(|agreement| agreement.contributes_as.clone()).collect();
        if roles.is_empty() {
            let message = "no agreement lets this agency contribute under this purpose".to_owned();
            let fields = vec!["context.purpose".to_owned()];
            return Ok((Err(fault(RejectionReason::NotAgreed, message, fields, Some(said))), roles));
        }
        Ok((Ok(said.into()), roles))
    }
}

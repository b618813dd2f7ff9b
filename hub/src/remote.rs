//! Look-ups by nodes of people outside their slices: one at a time, for a purpose whose agreement allows
//! it.

use std::sync::Arc;

use dancu_proto::{
    Field, FieldSet, PersonalId, Reason, Revision,
    area::by_order_in_force,
    channel::Peer,
    hub::v1::{LookUpCitizenRequest, LookUpCitizenResponse, lookup_service_server::LookupService},
};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use crate::{
    agreements::Operation,
    enrollment::{NodeHandle, NodeRoll},
    projection::{Grant, Ledger},
    registry::{Clock, Registry},
};

/// `dancu.hub.v1.LookupService`.
#[derive(Clone)]
pub struct RemoteLookup {
    /// The registry.
    pub registry: Arc<Registry>,
    /// The agreements.
    pub ledger: Arc<Ledger>,
    /// Who may ask.
    pub roll: Arc<NodeRoll>,
    /// The time.
    pub clock: Clock,
    /// Look-ups at once, over all nodes.
    pub at_once: Arc<Semaphore>,
}

impl RemoteLookup {
    fn look_up(
        &self,
        node: &NodeHandle,
        request: &LookUpCitizenRequest,
    ) -> Result<LookUpCitizenResponse, Status> {
        let wanted = wanted(&request.fields)?;
        let number: PersonalId = request
            .personal_id
            .parse()
            .map_err(|error| Reason::InvalidRequest.field("personal_id", format!("{error}")))?;
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        let revision = view.revision()?;
        let purpose = request.context.as_ref().map(|context| context.purpose.as_str()).unwrap_or_default();
        // Nothing about anybody is read before it is certain that it may be.
        let given = self.fields(node, purpose, revision)?;
        let nobody = || Reason::CitizenNotFound.status("no citizen has this number");
        let (key, citizen) = view.resolve(number)?.ok_or_else(nobody)?;
        let record = view.record_at(key, &citizen, revision)?.ok_or_else(nobody)?;
        let mut authorised = given.intersection(wanted);
        authorised.insert(Field::PersonalId);
        let damaged = |error| {
            tracing::error!(%error, "a record of the registry is damaged");
            Reason::Internal.status("a record of the registry is damaged; the hub's log has the rest")
        };
        let mut shown = record.project(authorised).record().decode().map_err(damaged)?;
        let former_number = shown.personal_id != number.to_string();
        if former_number && !given.contains(Field::FormerPersonalIds) {
            // To be found by a former number is to be told of it.
            return Err(nobody());
        }
        by_order_in_force(&mut shown, &self.ledger.areas(revision));
        Ok(LookUpCitizenResponse {
            citizen: Some(shown),
            authorised: authorised.iter().map(|field| dancu_proto::v1::Field::from(field).into()).collect(),
            former_number,
            revision: revision.0,
        })
    }

    /// What the agreements of the node give for a purpose by remote look-up.
    fn fields(&self, node: &NodeHandle, purpose: &str, revision: Revision) -> Result<FieldSet, Status> {
        let policy = self.ledger.policy(node.name.as_ref(), node.agency.as_ref(), revision);
        let for_purpose: Vec<_> = policy
            .grants()
            .iter()
            .filter(|grant| grant.agreement.purposes.iter().any(|agreed| agreed.code == purpose))
            .collect();
        if for_purpose.is_empty() {
            return Err(Reason::PurposeNotAgreed.status("no agreement of this node has that purpose"));
        }
        let remote = |grant: &&&Grant| grant.agreement.operations.contains(&Operation::RemoteLookup);
        let mut fields = for_purpose.iter().filter(remote).map(|grant| grant.fields).peekable();
        if fields.peek().is_none() {
            return Err(
                Reason::OperationNotAgreed.status("no agreement for this purpose allows remote_lookup")
            );
        }
        Ok(fields.fold(FieldSet::EMPTY, FieldSet::union))
    }
}

fn wanted(fields: &[i32]) -> Result<FieldSet, Status> {
    if fields.is_empty() {
        return Ok(FieldSet::all());
    }
    let field = |(position, number): (usize, &i32)| {
        let unknown = |_| Reason::InvalidRequest.field(&format!("fields[{position}]"), "no such field");
        Field::try_from(*number).map_err(unknown)
    };
    fields.iter().enumerate().map(field).collect()
}

#[tonic::async_trait]
impl LookupService for RemoteLookup {
    async fn look_up_citizen(
        &self,
        request: Request<LookUpCitizenRequest>,
    ) -> Result<Response<LookUpCitizenResponse>, Status> {
        let node = self.roll.authorise(&Peer::of(&request), (self.clock)())?;
        let place = Arc::clone(&self.at_once).acquire_owned().await;
        let place = place.map_err(|_| Reason::ShuttingDown.status("the hub is going down; ask again"))?;
        let lookup = self.clone();
        let answered = tokio::task::spawn_blocking(move || {
            let _place = place;
            lookup.look_up(&node, request.get_ref())
        });
        answered.await.map_err(|_| Reason::Internal.status("the look-up broke off"))?.map(Response::new)
    }
}

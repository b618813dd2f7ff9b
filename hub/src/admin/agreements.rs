//! Operators and agreements.

use dancu_proto::{
    Reason, Revision,
    hub::v1::{
        AgreementSummary, ApplyAgreementResponse, GetAgreementRequest, GetAgreementResponse,
        ListAgreementsResponse, WithdrawAgreementRequest, WithdrawAgreementResponse,
    },
};
use tonic::Status;

use super::Admin;
use crate::{
    agreements::{differences, parse, scope_in_words},
    projection::AgreementState,
    registry::{AgreementEvent, Commit, Content, Origin},
};

impl Admin {
    pub(super) async fn apply(
        &self,
        operator: &str,
        document: String,
    ) -> Result<ApplyAgreementResponse, Status> {
        if let Some(same) = self.applied_before(&document)? {
            return Ok(same);
        }
        let areas = self.areas()?;
        let agreement =
            parse(&document, &areas).map_err(|errors| Reason::AgreementInvalid.status(errors.to_string()))?;
        let id = agreement.id.to_string();
        let old = self.latest(&id)?;
        if let Some(old) = &old {
            if old.agreement.version == agreement.version && old.withdrawn.is_none() {
                if old.agreement.as_ref() == &agreement {
                    return Ok(ApplyAgreementResponse {
                        revision: old.applied.0,
                        agreement: id,
                        version: agreement.version,
                        differences: Vec::new(),
                        unchanged: true,
                    });
                }
                let next = agreement.version + 1;
                return Err(Reason::Conflict.status(format!(
                    "version {} of {id} is in force with other contents; give the new one version {next}",
                    agreement.version
                )));
            }
            if agreement.version <= old.agreement.version {
                let next = old.agreement.version + 1;
                return Err(Reason::Conflict.status(format!(
                    "version {} of {id} was applied before; give the new one version {next}",
                    old.agreement.version
                )));
            }
            if old.agreement.agency != agreement.agency {
                return Err(Reason::Conflict.status(format!(
                    "{id} is an agreement with {}; for another agency choose another id",
                    old.agreement.agency
                )));
            }
        }
        let in_force = old.filter(|old| old.withdrawn.is_none());
        let old = in_force
            .as_ref()
            .and_then(|old| Some((old.agreement.as_ref(), areas.division(old.written_under)?)));
        let differences = differences(old, &agreement, areas.in_force());
        let agency = agreement.agency.to_string();
        let event = AgreementEvent::Apply { agreement: id.clone(), agency, document };
        let revision = self.commit_policy(operator, format!("apply {id}"), event).await?;
        Ok(ApplyAgreementResponse {
            revision,
            agreement: id,
            version: agreement.version,
            differences,
            unchanged: false,
        })
    }

    /// The very document that is in force, be it written by an earlier administrative order.
    fn applied_before(&self, document: &str) -> Result<Option<ApplyAgreementResponse>, Status> {
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        let states = self.ledger.agreements(view.revision()?);
        let same = states.iter().find(|state| state.withdrawn.is_none() && &*state.document == document);
        Ok(same.map(|state| ApplyAgreementResponse {
            revision: state.applied.0,
            agreement: state.agreement.id.to_string(),
            version: state.agreement.version,
            differences: Vec::new(),
            unchanged: true,
        }))
    }

    pub(super) async fn withdraw(
        &self,
        operator: &str,
        request: WithdrawAgreementRequest,
    ) -> Result<WithdrawAgreementResponse, Status> {
        let id = request.agreement;
        if request.reason.trim().is_empty() {
            return Err(Reason::InvalidRequest.field("reason", "is missing: say why the agreement ends"));
        }
        let agency = match self.latest(&id)? {
            Some(state) if state.withdrawn.is_none() => state.agreement.agency.to_string(),
            Some(_) => return Err(Reason::Conflict.status(format!("{id} is withdrawn already"))),
            None => return Err(Reason::NotFound.status(format!("there is no agreement {id}"))),
        };
        let event = AgreementEvent::Withdraw { agreement: id, agency };
        let revision = self.commit_policy(operator, request.reason, event).await?;
        Ok(WithdrawAgreementResponse { revision })
    }

    async fn commit_policy(
        &self,
        operator: &str,
        reason: String,
        event: AgreementEvent,
    ) -> Result<u64, Status> {
        let origin = Origin { source: format!("operator {operator}"), reason, ..Origin::default() };
        let commit = Commit { origin, content: Content::Agreement(event) };
        let committed = self.registry.commit(commit).await?;
        tracing::warn!(operator, revision = committed.revision.0, "the sharing policy is changed");
        Ok(committed.revision.0)
    }

    fn latest(&self, id: &str) -> Result<Option<AgreementState>, Status> {
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        Ok(self.ledger.agreement(id, 0, view.revision()?))
    }

    pub(super) fn list(&self) -> Result<ListAgreementsResponse, Status> {
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        let head = view.revision()?;
        let states = self.ledger.agreements(head);
        Ok(ListAgreementsResponse {
            agreements: states.iter().map(|state| self.in_summary(state, head)).collect(),
        })
    }

    pub(super) fn agreement(&self, request: &GetAgreementRequest) -> Result<GetAgreementResponse, Status> {
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        let head = view.revision()?;
        let state = self.ledger.agreement(&request.agreement, request.version, head);
        let state = state.ok_or_else(|| {
            Reason::NotFound.status(format!("there is no such agreement: {}", request.agreement))
        })?;
        Ok(GetAgreementResponse {
            summary: Some(self.in_summary(&state, head)),
            document: state.document.to_string(),
        })
    }

    fn in_summary(&self, state: &AgreementState, at: Revision) -> AgreementSummary {
        let agreement = &state.agreement;
        let areas = self.ledger.areas(at);
        let then = areas.division(state.written_under);
        let written = then.map(|order| scope_in_words(&agreement.scope, order)).unwrap_or_default();
        let followed = agreement.scope.followed(state.written_under, &areas);
        let scope = match scope_in_words(&followed, areas.in_force()) {
            scope if scope == written => scope,
            scope => format!("{scope}; as written: {written}"),
        };
        AgreementSummary {
            agreement: agreement.id.to_string(),
            version: agreement.version,
            agency: agreement.agency.to_string(),
            title: agreement.title.clone(),
            in_force: state.in_force,
            scope,
            fields: agreement.fields.iter().map(|field| field.name().to_owned()).collect(),
            revision: state.applied.0,
            withdrawn: state.withdrawn.map_or(0, |at| at.0),
        }
    }
}

//! `dancu.hub.v1.NoticeService`: what citizens are shown of who looked at their data.
//!
//! Calls that told something of the person, oldest first; not the officer, who acts for the agency. What
//! is withheld by an agreement (its `[withhold]`: a legal basis, and the day on which it ends) is left out
//! until that day has passed, and nothing tells that it is.

use std::sync::Arc;

use dancu_proto::{
    PersonalId, Reason, Revision,
    channel::Peer,
    hub::v1::{ReportAccessRequest, ReportAccessResponse, notice_service_server::NoticeService},
    v1::{AccessNotice, AccessReport, SubjectOutcome, log_record::Body},
};
use time::OffsetDateTime;
use tonic::{Request, Response, Status};

use super::{
    log::AuditLog,
    query::{Found, Of, Query},
    service::period,
};
use crate::{
    agreements::{Agreement, Operation},
    enrollment::{NodeHandle, NodeRoll},
    projection::{AgreementState, Ledger},
    registry::{Clock, Registry},
    sync::timestamp,
};

/// Accesses of one report.
const MOST: usize = 1_000;

/// Answers nodes whose agency shows citizens who looked.
#[derive(Clone)]
pub struct NoticeServer {
    /// The log.
    pub log: Arc<AuditLog>,
    /// Who the people are.
    pub registry: Arc<Registry>,
    /// The agreements.
    pub ledger: Arc<Ledger>,
    /// Who may ask.
    pub roll: Arc<NodeRoll>,
    /// The time.
    pub clock: Clock,
}

impl NoticeServer {
    fn report(&self, node: &NodeHandle, request: &ReportAccessRequest) -> Result<AccessReport, Status> {
        let number: PersonalId = request
            .personal_id
            .parse()
            .map_err(|error| Reason::InvalidRequest.field("personal_id", format!("{error}")))?;
        let (revision, agreements) = {
            let view = self.registry.view();
            self.ledger.catch_up(&view)?;
            let revision = view.revision()?;
            (revision, self.ledger.agreements(revision))
        };
        let purpose = request.context.as_ref().map(|context| context.purpose.as_str()).unwrap_or_default();
        self.authorise(node, purpose, revision)?;
        let today = self.ledger.day(revision).as_number();
        let period = period(request.from.as_ref(), request.until.as_ref());
        let query = Query::new(&self.log)?;
        let mut accesses = Vec::new();
        for found in query.find(&self.registry, &Of::Person(number), period)? {
            let found = found?;
            let people = query.people(&found)?;
            accesses.extend(self.notice(&found, &people, number, &agreements, today)?);
        }
        accesses.sort_by_key(|access| access.time.map_or(0, |time| time.seconds));
        let more = accesses.len() > MOST;
        if more {
            accesses.drain(..accesses.len() - MOST);
        }
        Ok(AccessReport { accesses, more })
    }

    fn authorise(&self, node: &NodeHandle, purpose: &str, revision: Revision) -> Result<(), Status> {
        let policy = self.ledger.policy(node.name.as_ref(), node.agency.as_ref(), revision);
        let mut for_purpose = policy
            .grants()
            .iter()
            .filter(|grant| grant.agreement.purposes.iter().any(|agreed| agreed.code == purpose))
            .peekable();
        if for_purpose.peek().is_none() {
            return Err(Reason::PurposeNotAgreed.status("no agreement of this node has that purpose"));
        }
        if for_purpose.any(|grant| grant.agreement.operations.contains(&Operation::AccessReport)) {
            Ok(())
        } else {
            Err(Reason::OperationNotAgreed.status("no agreement for this purpose allows access_report"))
        }
    }

    /// What a citizen may be shown of a call; none where it told nothing, or is withheld.
    fn notice(
        &self,
        found: &Found,
        people: &[Option<PersonalId>],
        number: PersonalId,
        agreements: &[AgreementState],
        today: u32,
    ) -> Result<Option<AccessNotice>, Status> {
        let Some(Body::Access(entry)) = &found.record.body else { return Ok(None) };
        let agency = self.roll.get(&found.node).map(|node| node.agency).unwrap_or_default();
        let of_agency = || {
            agreements.iter().map(|state| &state.agreement).filter(|agreement| {
                agreement.agency.to_string() == agency
                    && agreement.purposes.iter().any(|purpose| purpose.code == entry.purpose)
            })
        };
        let withheld = |agreement: &Arc<Agreement>| {
            agreement.withhold.as_ref().is_some_and(|withhold| today <= withhold.until.as_number())
        };
        if of_agency().any(withheld) {
            return Ok(None);
        }
        // A person may stand in a call under another number than the one asked for.
        let view = self.registry.view();
        let person = view.key_of(number.as_u64())?;
        let mut fields = Vec::new();
        let mut told = false;
        for (subject, id) in entry.subjects.iter().zip(people) {
            let Some(id) = id else { continue };
            if subject.outcome() == SubjectOutcome::Answered && view.key_of(id.as_u64())? == person {
                told = true;
                fields.extend(&subject.fields);
            }
        }
        if !told {
            return Ok(None);
        }
        fields.sort_unstable();
        fields.dedup();
        let title = of_agency().flat_map(|agreement| &agreement.purposes);
        let title =
            title.filter(|purpose| purpose.code == entry.purpose).map(|purpose| purpose.title.clone());
        let seconds = (found.record.time_ms / 1000) as i64;
        Ok(Some(AccessNotice {
            time: OffsetDateTime::from_unix_timestamp(seconds).ok().map(timestamp),
            agency: agency.clone(),
            purpose: entry.purpose.clone(),
            purpose_title: { title }.next().unwrap_or_default(),
            operation: entry.operation,
            fields,
        }))
    }
}

#[tonic::async_trait]
impl NoticeService for NoticeServer {
    async fn report_access(
        &self,
        request: Request<ReportAccessRequest>,
    ) -> Result<Response<ReportAccessResponse>, Status> {
        let node = self.roll.authorise(&Peer::of(&request), (self.clock)())?;
        let server = self.clone();
        let report = tokio::task::spawn_blocking(move || server.report(&node, request.get_ref()));
        let report = report.await.map_err(|_| Reason::Internal.status("the report broke off"))??;
        Ok(Response::new(ReportAccessResponse { report: Some(report) }))
    }
}

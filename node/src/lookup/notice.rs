//! `dancu.node.v1.NoticeService`: the portal shows citizens who looked at their data. The hub knows.

use std::time::Duration;

use dancu_proto::{
    FieldSet, PersonalId,
    hub::v1::{self as hub, notice_service_client::NoticeServiceClient},
    node::v1::{ReportAccessRequest, ReportAccessResponse, notice_service_server::NoticeService},
    v1::{AccessOperation, AccessReport, SubjectOutcome},
};
use tonic::{Request, Response, Status};

use super::{
    authorise::{Operation, authorise},
    get,
    service::Lookup,
};
use crate::access_log::Entry;

/// Notices, answered as look-ups are.
#[derive(Clone, Debug)]
pub struct Notices(Lookup);

impl Notices {
    /// Over the same node as look-ups.
    #[must_use]
    pub fn new(lookup: Lookup) -> Notices {
        Notices(lookup)
    }

    async fn report(
        &self,
        request: Request<ReportAccessRequest>,
        entry: &mut Entry,
    ) -> Result<AccessReport, Status> {
        let call = self.0.admit(&request, entry)?;
        let request = request.into_inner();
        let id = get::personal_id(&request.personal_id);
        id.iter().for_each(|id| entry.concerns(*id));
        let asked = self.0.asked(request.context.as_ref(), &call.caller)?;
        let id = id?;
        let authorised = self.0.read(call.patience, |reader, _| {
            let permit = authorise(reader.state(), &asked, Operation::Report, None)?;
            self.0.spend(&permit, &call.caller, 1)
        });
        authorised.await?;
        let report = self.ask(request, id, call.patience).await?;
        entry.tells(id, FieldSet::EMPTY, SubjectOutcome::Answered);
        Ok(report)
    }

    async fn ask(
        &self,
        request: ReportAccessRequest,
        id: PersonalId,
        patience: Duration,
    ) -> Result<AccessReport, Status> {
        let ReportAccessRequest { context, from, until, .. } = request;
        let request = hub::ReportAccessRequest { context, personal_id: id.to_string(), from, until };
        let call = |channel| {
            let request = request.clone();
            async move { NoticeServiceClient::new(channel).report_access(request).await }
        };
        Ok(self.0.remote().call(patience, call).await?.report.unwrap_or_default())
    }
}

#[tonic::async_trait]
impl NoticeService for Notices {
    async fn report_access(
        &self,
        request: Request<ReportAccessRequest>,
    ) -> Result<Response<ReportAccessResponse>, Status> {
        let mut entry = Entry::new(AccessOperation::Report, request.get_ref().context.as_ref());
        let report = self.report(request, &mut entry).await;
        let report = self.0.conclude(entry, report).await?;
        Ok(Response::new(ReportAccessResponse { report: Some(report) }))
    }
}

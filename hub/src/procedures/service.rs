//! `dancu.hub.v1.CaseService`: how cases stand, for the hub's operators.

use std::{pin::Pin, sync::Arc};

use dancu_proto::{
    Reason,
    hub::v1::{
        Case as Message, CaseSelection, GetCaseRequest, GetCaseResponse, ListCasesRequest, ListCasesResponse,
        StepNodes, case_service_server::CaseService,
    },
};
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    case::Case,
    office::Office,
    rows::{CASE, OPEN, TABLE, name_of_case},
    tell::status,
};
use crate::{
    admin::operator,
    registry::{Clock, Registry, StoreError},
    status::of_store,
    sync::timestamp,
};

/// Cases that wait for whoever reads them.
const WAITING: usize = 64;

/// Shows cases to operators.
#[derive(Clone)]
pub struct CaseServer {
    /// The procedures.
    pub office: Arc<Office>,
    /// The registry.
    pub registry: Arc<Registry>,
    /// The time.
    pub clock: Clock,
    /// The user who owns the hub's data, beside root.
    pub owner: u32,
    /// The server's tasks.
    pub tasks: TaskTracker,
}

impl CaseServer {
    fn message(&self, case: &Case) -> Result<Message, StoreError> {
        let procedure = self.office.engine().of_case(case)?;
        let steps = procedure.steps.iter().zip(&case.steps);
        let nodes = steps
            .map(|(of, step)| StepNodes { step: of.id.clone(), nodes: step.tasks.keys().cloned().collect() });
        Ok(Message {
            status: Some(status(&procedure, case)),
            opened_by: case.id.to_string(),
            agency: case.agency.clone(),
            node: case.node.clone(),
            nodes: nodes.collect(),
            late_at: case.late_at().map(timestamp),
        })
    }

    /// Reads cases one after the other, until all are read or nobody listens.
    fn read(
        &self,
        request: &ListCasesRequest,
        to: &mpsc::Sender<Result<ListCasesResponse, Status>>,
    ) -> Result<(), StoreError> {
        let view = self.registry.view();
        let all = request.selection() == CaseSelection::All;
        let prefix = if all { CASE } else { OPEN };
        for row in view.rows_after(TABLE, &[prefix], None) {
            let (name, row) = row?;
            let row = if all { Some(row) } else { view.row(TABLE, &[&[CASE][..], &name[1..]].concat())? };
            let Some(row) = row else { continue };
            let case = Case::decode(&row)?;
            let late = request.selection() != CaseSelection::Late || case.is_late((self.clock)());
            let wanted = request.procedure.is_empty() || request.procedure == case.procedure;
            if !late || !wanted {
                continue;
            }
            let response = ListCasesResponse { case: Some(self.message(&case)?) };
            if to.blocking_send(Ok(response)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl CaseService for CaseServer {
    type ListCasesStream = Pin<Box<dyn Stream<Item = Result<ListCasesResponse, Status>> + Send>>;

    async fn list_cases(
        &self,
        request: Request<ListCasesRequest>,
    ) -> Result<Response<Self::ListCasesStream>, Status> {
        operator(&request, self.owner, (self.clock)())?;
        let (server, request) = (self.clone(), request.into_inner());
        let (to, cases) = mpsc::channel(WAITING);
        self.tasks.spawn_blocking(move || {
            if let Err(error) = server.read(&request, &to) {
                // Nobody may listen any more.
                let _ = to.blocking_send(Err(of_store(&error)));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(cases))))
    }

    async fn get_case(&self, request: Request<GetCaseRequest>) -> Result<Response<GetCaseResponse>, Status> {
        operator(&request, self.owner, (self.clock)())?;
        let id = request.get_ref().case_id.parse::<Uuid>();
        let id = id.map_err(|_| Reason::InvalidRequest.field("case_id", "is no UUID (RFC 9562)"))?;
        let row = self.registry.view().row(TABLE, &name_of_case(id)).map_err(|error| of_store(&error))?;
        let row = row.ok_or_else(|| Reason::NotFound.status("no case has this id"))?;
        let case = Case::decode(&row).map_err(|error| of_store(&error))?;
        let case = self.message(&case).map_err(|error| of_store(&error))?;
        Ok(Response::new(GetCaseResponse { case: Some(case) }))
    }
}

//! The admin interface: what operators do, by command line and console. Reached by the Unix socket
//! by the owner of the hub's data, or over mutual TLS with an operator's certificate.

mod agreements;
mod areas;
mod citizens;
mod import;
mod nodes;
mod slices;

use std::{os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};

use dancu_proto::{
    Areas, Reason,
    channel::{Peer, PeerIdentity},
    hub::v1::{admin_service_server::AdminService, *},
    v1::AreaChange,
};
use time::OffsetDateTime;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    enrollment::{Authority, NodeRoll},
    fleet::Fleet,
    intake::event,
    projection::Ledger,
    registry::{Clock, Registry},
};

/// Serves operators.
#[derive(Clone)]
pub struct Admin {
    /// The registry.
    pub registry: Arc<Registry>,
    /// Whose word counts for what.
    pub sources: Arc<event::Authority>,
    /// The agreements.
    pub ledger: Arc<Ledger>,
    /// The nodes.
    pub roll: Arc<NodeRoll>,
    /// Who is connected.
    pub fleet: Arc<Fleet>,
    /// Signs operators' certificates.
    pub authority: Arc<Authority>,
    /// For how long.
    pub operator_lifetime: Duration,
    /// The user who owns the hub's data, beside root.
    pub owner: u32,
    /// The time.
    pub clock: Clock,
    /// Owns imports.
    pub tasks: TaskTracker,
}

/// The user who owns a directory.
///
/// # Errors
/// If it cannot be looked at.
pub fn owner_of(dir: &Path) -> std::io::Result<u32> {
    Ok(std::fs::metadata(dir)?.uid())
}

impl Admin {
    fn operator<T>(&self, request: &Request<T>) -> Result<String, Status> {
        operator(request, self.owner, (self.clock)())
    }

    /// The administrative orders as of now.
    fn areas(&self) -> Result<Arc<Areas>, Status> {
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        Ok(self.ledger.areas(view.revision()?))
    }

    fn now(&self) -> OffsetDateTime {
        (self.clock)()
    }
}

/// Who the operator is that calls; everyone else is refused.
///
/// # Errors
/// It is none.
pub(crate) fn operator<T>(request: &Request<T>, owner: u32, now: OffsetDateTime) -> Result<String, Status> {
    let peer = Peer::of(request);
    if let Some(unix) = peer.unix {
        return if unix.uid == owner || unix.uid == 0 {
            Ok(format!("uid {}", unix.uid))
        } else {
            Err(Reason::CallerNotAllowed.status("only the owner of the hub's data may operate it"))
        };
    }
    match peer.certificate.as_ref().map(|certificate| (&certificate.identity, certificate.not_after)) {
        Some((Some(PeerIdentity::Operator(name)), not_after)) if now <= not_after => Ok(name.clone()),
        Some((Some(PeerIdentity::Operator(_)), _)) => {
            Err(Reason::CallerNotAllowed.status("the operator's certificate has expired; ask for a new one"))
        }
        Some(_) => Err(Reason::CallerNotAllowed.status("this certificate is not an operator's")),
        None => Err(Reason::CallerUnknown.status("show an operator's certificate")),
    }
}

/// Runs what reads much.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(read).await;
    done.map_err(|_| Reason::Internal.status("the hub failed; its log says why"))?
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_hub_status(
        &self,
        request: Request<GetHubStatusRequest>,
    ) -> Result<Response<GetHubStatusResponse>, Status> {
        self.operator(&request)?;
        let view = self.registry.view();
        self.ledger.catch_up(&view)?;
        let head = view.revision()?;
        let in_force = self.ledger.agreements(head).iter().filter(|state| state.in_force).count();
        Ok(Response::new(GetHubStatusResponse {
            head: head.0,
            citizens: view.citizens()?,
            nodes: self.roll.list().len() as u32,
            connected: self.fleet.connected() as u32,
            agreements: in_force as u32,
            day: self.ledger.day(head).date().map(|day| day.to_string()).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").into(),
            authority_fingerprint: self.authority.fingerprint().to_string(),
        }))
    }

    type ImportCitizensStream = ReceiverStream<Result<ImportCitizensResponse, Status>>;

    async fn import_citizens(
        &self,
        request: Request<Streaming<ImportCitizensRequest>>,
    ) -> Result<Response<Self::ImportCitizensStream>, Status> {
        let operator = self.operator(&request)?;
        self.import(operator, request.into_inner()).await.map(Response::new)
    }

    async fn change_citizen(
        &self,
        request: Request<ChangeCitizenRequest>,
    ) -> Result<Response<ChangeCitizenResponse>, Status> {
        let operator = self.operator(&request)?;
        self.change(&operator, request.into_inner()).await.map(Response::new)
    }

    async fn get_citizen_record(
        &self,
        request: Request<GetCitizenRecordRequest>,
    ) -> Result<Response<GetCitizenRecordResponse>, Status> {
        self.operator(&request)?;
        self.record(&request.into_inner()).map(Response::new)
    }

    async fn add_node(&self, request: Request<AddNodeRequest>) -> Result<Response<AddNodeResponse>, Status> {
        let operator = self.operator(&request)?;
        self.add(&operator, &request.into_inner()).map(Response::new)
    }

    async fn list_nodes(
        &self,
        request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        self.operator(&request)?;
        let nodes = self.roll.list();
        let nodes = nodes.iter().map(|entry| self.summary(entry)).collect::<Result<_, _>>()?;
        Ok(Response::new(ListNodesResponse { nodes }))
    }

    async fn get_node(&self, request: Request<GetNodeRequest>) -> Result<Response<GetNodeResponse>, Status> {
        self.operator(&request)?;
        let entry = self.roll.get(&request.into_inner().name)?;
        Ok(Response::new(GetNodeResponse { node: Some(self.summary(&entry)?) }))
    }

    async fn set_node_state(
        &self,
        request: Request<SetNodeStateRequest>,
    ) -> Result<Response<SetNodeStateResponse>, Status> {
        let operator = self.operator(&request)?;
        self.set_state(&operator, &request.into_inner()).map(Response::new)
    }

    async fn apply_agreement(
        &self,
        request: Request<ApplyAgreementRequest>,
    ) -> Result<Response<ApplyAgreementResponse>, Status> {
        let operator = self.operator(&request)?;
        self.apply(&operator, request.into_inner().document).await.map(Response::new)
    }

    async fn list_agreements(
        &self,
        request: Request<ListAgreementsRequest>,
    ) -> Result<Response<ListAgreementsResponse>, Status> {
        self.operator(&request)?;
        self.list().map(Response::new)
    }

    async fn get_agreement(
        &self,
        request: Request<GetAgreementRequest>,
    ) -> Result<Response<GetAgreementResponse>, Status> {
        self.operator(&request)?;
        self.agreement(&request.into_inner()).map(Response::new)
    }

    async fn withdraw_agreement(
        &self,
        request: Request<WithdrawAgreementRequest>,
    ) -> Result<Response<WithdrawAgreementResponse>, Status> {
        let operator = self.operator(&request)?;
        self.withdraw(&operator, request.into_inner()).await.map(Response::new)
    }

    async fn get_held_citizen(
        &self,
        request: Request<GetHeldCitizenRequest>,
    ) -> Result<Response<GetHeldCitizenResponse>, Status> {
        self.operator(&request)?;
        self.held(&request.into_inner()).map(Response::new)
    }

    async fn get_slice_digest(
        &self,
        request: Request<GetSliceDigestRequest>,
    ) -> Result<Response<GetSliceDigestResponse>, Status> {
        self.operator(&request)?;
        let (admin, request) = (self.clone(), request.into_inner());
        // It reads the whole slice.
        blocking(move || admin.slice_digest(&request)).await.map(Response::new)
    }

    async fn check_slice_report(
        &self,
        request: Request<CheckSliceReportRequest>,
    ) -> Result<Response<CheckSliceReportResponse>, Status> {
        self.operator(&request)?;
        let (admin, request) = (self.clone(), request.into_inner());
        blocking(move || admin.check_report(request)).await.map(Response::new)
    }

    async fn change_areas(
        &self,
        request: Request<ChangeAreasRequest>,
    ) -> Result<Response<ChangeAreasResponse>, Status> {
        let operator = self.operator(&request)?;
        self.change_order(operator, request.into_inner()).await.map(Response::new)
    }

    async fn get_area(&self, request: Request<GetAreaRequest>) -> Result<Response<GetAreaResponse>, Status> {
        self.operator(&request)?;
        let (admin, request) = (self.clone(), request.into_inner());
        blocking(move || admin.area(&request.code)).await.map(Response::new)
    }

    async fn list_areas(
        &self,
        request: Request<ListAreasRequest>,
    ) -> Result<Response<ListAreasResponse>, Status> {
        self.operator(&request)?;
        let AreaChange { from, provinces, communes, .. } = self.areas()?.in_force().to_message();
        Ok(Response::new(ListAreasResponse { from, provinces, communes }))
    }

    async fn add_operator(
        &self,
        request: Request<AddOperatorRequest>,
    ) -> Result<Response<AddOperatorResponse>, Status> {
        let operator = self.operator(&request)?;
        let AddOperatorRequest { name, csr } = request.into_inner();
        let issued = self
            .authority
            .certify_operator(&name, &csr, self.operator_lifetime, self.now())
            .map_err(|error| Reason::SigningRequestRefused.status(error.to_string()))?;
        tracing::info!(operator, name, "an operator's certificate is signed");
        Ok(Response::new(AddOperatorResponse {
            certificate: issued.certificate.to_vec(),
            authority: self.authority.certificate().to_vec(),
        }))
    }
}

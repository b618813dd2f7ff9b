//! `dancu.hub.v1.AuditService`: the hub's operators ask who looked at whom.

use std::sync::Arc;

use dancu_proto::{
    PersonalId, Reason,
    channel::SwappableIdentity,
    hub::v1::{
        AuditAlarm, FindPatternsRequest, FindPatternsResponse, GetTreeHeadRequest, GetTreeHeadResponse,
        ListAccessRequest, ListAccessResponse, ListAlarmsRequest, ListAlarmsResponse,
        audit_service_server::AuditService, list_access_request, list_access_response::Body,
    },
};
use prost_types::Timestamp;
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    alarm::Alarm,
    log::AuditLog,
    patterns::{self, Thresholds},
    query::{Of, Period, Query, QueryError},
};
use crate::{
    admin::operator,
    registry::{Clock, Registry, StoreError},
    sync::timestamp,
};

/// Records that wait for the network.
const QUEUE: usize = 64;

/// Answers about the log.
#[derive(Clone)]
pub struct AuditServer {
    /// The log.
    pub log: Arc<AuditLog>,
    /// Who the people are.
    pub registry: Arc<Registry>,
    /// Signs tree heads.
    pub identity: Arc<SwappableIdentity>,
    /// The user who owns the hub's data, beside root.
    pub owner: u32,
    /// The time.
    pub clock: Clock,
    /// When calls are odd.
    pub thresholds: Thresholds,
}

impl AuditServer {
    /// Sends the tree head and the records that are found.
    fn list(
        &self,
        of: &Of,
        period: Period,
        since: u64,
        answers: &mpsc::Sender<Result<ListAccessResponse, Status>>,
    ) -> Result<(), Status> {
        let query = Query::new(&self.log)?;
        let tree = query.tree(&self.registry, &self.identity, (self.clock)(), since)?;
        let view = self.registry.view();
        let nobody = match of {
            Of::Person(number) => view.resolve(*number)?.is_none() && !view.was_somebodys(*number)?,
            _ => false,
        };
        drop(view);
        let send = |body: Body, nobody| {
            answers.blocking_send(Ok(ListAccessResponse { body: Some(body), nobody })).is_ok()
        };
        let mut wanted = send(Body::Tree(tree), nobody);
        for found in query.find(&self.registry, of, period)? {
            if !wanted {
                break;
            }
            wanted = send(Body::Row(query.row(found?)?), false);
        }
        Ok(())
    }

    fn alarms(&self) -> Result<Vec<AuditAlarm>, StoreError> {
        let moment = |ms: u64| OffsetDateTime::from_unix_timestamp((ms / 1000) as i64).ok().map(timestamp);
        let told = |alarm: Alarm| AuditAlarm {
            kind: alarm.kind.name().to_owned(),
            node: alarm.node,
            sequence: alarm.sequence,
            text: alarm.text,
            first: moment(alarm.first_ms),
            last: moment(alarm.last_ms),
            count: alarm.count,
        };
        self.log.now().alarms().map(|alarm| alarm.map(told)).collect()
    }

    fn operator<T>(&self, request: &Request<T>) -> Result<String, Status> {
        operator(request, self.owner, (self.clock)())
    }
}

#[tonic::async_trait]
impl AuditService for AuditServer {
    type ListAccessStream = ReceiverStream<Result<ListAccessResponse, Status>>;

    async fn list_access(
        &self,
        request: Request<ListAccessRequest>,
    ) -> Result<Response<Self::ListAccessStream>, Status> {
        let operator = self.operator(&request)?;
        let request = request.into_inner();
        let of = whose(request.of)?;
        let period = period(request.from.as_ref(), request.until.as_ref());
        // Who looks at the log is looked at too.
        tracing::info!(operator, of = of.kind(), "the access log is read");
        let (answers, stream) = mpsc::channel(QUEUE);
        let server = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(status) = server.list(&of, period, request.since, &answers) {
                let _ = answers.blocking_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_tree_head(
        &self,
        request: Request<GetTreeHeadRequest>,
    ) -> Result<Response<GetTreeHeadResponse>, Status> {
        self.operator(&request)?;
        let since = request.into_inner().since;
        let tree = Query::new(&self.log)?.tree(&self.registry, &self.identity, (self.clock)(), since)?;
        Ok(Response::new(GetTreeHeadResponse { tree: Some(tree) }))
    }

    async fn list_alarms(
        &self,
        request: Request<ListAlarmsRequest>,
    ) -> Result<Response<ListAlarmsResponse>, Status> {
        self.operator(&request)?;
        Ok(Response::new(ListAlarmsResponse { alarms: self.alarms()? }))
    }

    async fn find_patterns(
        &self,
        request: Request<FindPatternsRequest>,
    ) -> Result<Response<FindPatternsResponse>, Status> {
        let operator = self.operator(&request)?;
        let request = request.into_inner();
        let period = period(request.from.as_ref(), request.until.as_ref());
        tracing::info!(operator, "the access log is searched for patterns");
        let server = self.clone();
        let found = tokio::task::spawn_blocking(move || {
            let query = Query::new(&server.log)?;
            patterns::find(&query, &server.registry, period, server.thresholds)
        });
        let found = found.await.map_err(|_| Reason::Internal.status("the search broke off"))?;
        let (patterns, records) = found?;
        Ok(Response::new(FindPatternsResponse { patterns, records }))
    }
}

fn whose(of: Option<list_access_request::Of>) -> Result<Of, Status> {
    use list_access_request::Of as Asked;
    match of {
        Some(Asked::PersonalId(number)) => {
            let number: Result<PersonalId, _> = number.parse();
            number
                .map(Of::Person)
                .map_err(|error| Reason::InvalidRequest.field("personal_id", error.to_string()))
        }
        Some(Asked::Officer(officer)) => Ok(Of::Officer(officer)),
        Some(Asked::Node(node)) => Ok(Of::Node(node)),
        Some(Asked::Everyone(true)) => Ok(Of::Everyone),
        _ => Err(Reason::InvalidRequest.field("of", "say whose records are wanted")),
    }
}

pub(super) fn period(from: Option<&Timestamp>, until: Option<&Timestamp>) -> Period {
    let ms = |time: &Timestamp| u64::try_from(time.seconds).unwrap_or_default().saturating_mul(1000);
    Period { from_ms: from.map_or(0, ms), until_ms: until.map_or(u64::MAX, ms) }
}

impl From<QueryError> for Status {
    fn from(error: QueryError) -> Status {
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::Sign(error) => Reason::Internal.status(error.to_string()),
            QueryError::Larger(_) => Reason::InvalidRequest.field("since", error.to_string()),
        }
    }
}

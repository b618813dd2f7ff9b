//! `dancu.node.v1.OutboxService`, for the node's operator.

use std::pin::Pin;

use dancu_proto::{
    Reason,
    channel::Peer,
    node::v1::{
        ExportOutboxRequest, ExportOutboxResponse, GetOutboxRequest, GetOutboxResponse, ImportOutboxRequest,
        ImportOutboxResponse, outbox_service_server::OutboxService,
    },
    v1::Signed,
};
use futures::Stream;
use prost::Message;
use prost_types::Timestamp;
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};

use super::store::{Outbox, OutboxError};

/// Messages of an export that wait.
const WAITING: usize = 4;
/// Bytes of a message of an export.
const BYTES: usize = 256 << 10;

/// Shows the outbox to the operator, and lets it travel as a file.
#[derive(Clone, Debug)]
pub struct OutboxDesk {
    outbox: Outbox,
    owner: u32,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl OutboxDesk {
    /// Of an outbox; `owner` is the user that the node runs as. Exports are made among `tasks`, until `closing`.
    #[must_use]
    pub fn new(outbox: Outbox, owner: u32, tasks: TaskTracker, closing: CancellationToken) -> OutboxDesk {
        OutboxDesk { outbox, owner, tasks, closing }
    }

    fn for_operator<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let process = Peer::of(request).unix;
        if process.is_some_and(|process| process.uid == 0 || process.uid == self.owner) {
            return Ok(());
        }
        Err(Reason::CallerNotAllowed.status("only the node's operator may, at its Unix socket"))
    }
}

#[tonic::async_trait]
impl OutboxService for OutboxDesk {
    async fn get_outbox(
        &self,
        request: Request<GetOutboxRequest>,
    ) -> Result<Response<GetOutboxResponse>, Status> {
        self.for_operator(&request)?;
        let outbox = self.outbox.clone();
        let read = spawn_blocking(move || -> Result<_, OutboxError> {
            Ok((outbox.standing(), outbox.oldest()?, outbox.brought()?))
        });
        let (standing, oldest, brought) = read.await.map_err(|_| broke_off())??;
        Ok(Response::new(GetOutboxResponse {
            outbox: standing.outbox.to_vec(),
            last_sequence: standing.last_sequence,
            queued: standing.tally.queued,
            oldest,
            handed_over: standing.tally.handed_over,
            in_review: standing.tally.in_review,
            accepted: standing.tally.accepted,
            rejected: standing.tally.rejected,
            hub_sequence: standing.hub_sequence,
            last_delivered: (standing.delivered > 0)
                .then_some(Timestamp { seconds: standing.delivered, nanos: 0 }),
            brought,
        }))
    }

    type ExportOutboxStream = Pin<Box<dyn Stream<Item = Result<ExportOutboxResponse, Status>> + Send>>;

    async fn export_outbox(
        &self,
        request: Request<ExportOutboxRequest>,
    ) -> Result<Response<Self::ExportOutboxStream>, Status> {
        self.for_operator(&request)?;
        let (to, messages) = mpsc::channel(WAITING);
        let (outbox, closing) = (self.outbox.clone(), self.closing.clone());
        // It ends with its reader, or with the node.
        self.tasks.spawn(async move {
            let read = closing.run_until_cancelled(export(&outbox, &to)).await;
            if let Some(Err(error)) = read {
                let _ = to.try_send(Err(error.into()));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn import_outbox(
        &self,
        request: Request<Streaming<ImportOutboxRequest>>,
    ) -> Result<Response<ImportOutboxResponse>, Status> {
        self.for_operator(&request)?;
        let mut parts = request.into_inner();
        let (mut kept, mut own) = (0, 0);
        while let Some(part) = parts.message().await? {
            let outbox = self.outbox.clone();
            let brought = spawn_blocking(move || outbox.bring(&part.contributions)).await;
            let brought = brought.map_err(|_| broke_off())?.map_err(|error| match error {
                OutboxError::Foreign(_) => Reason::InvalidRequest.field("contributions", error.to_string()),
                error => error.into(),
            })?;
            kept += brought.kept;
            own += brought.own;
        }
        Ok(Response::new(ImportOutboxResponse { kept, own }))
    }
}

type Exported = Result<ExportOutboxResponse, Status>;

/// Everything that the hub has not said the outcome of, in order.
async fn export(outbox: &Outbox, to: &mpsc::Sender<Exported>) -> Result<(), OutboxError> {
    let mut after = 0;
    loop {
        let reading = outbox.clone();
        let part = spawn_blocking(move || part(&reading, after)).await;
        let (contributions, last) = part.map_err(|_| OutboxError::Closed)??;
        if contributions.is_empty() {
            return Ok(());
        }
        after = last;
        if to.send(Ok(ExportOutboxResponse { contributions })).await.is_err() {
            return Ok(());
        }
    }
}

/// What comes after a place, in one message, and the last place of it.
fn part(outbox: &Outbox, after: u64) -> Result<(Vec<Signed>, u64), OutboxError> {
    let (mut part, mut size, mut last) = (Vec::new(), 0, after);
    for exported in outbox.export(after) {
        let (place, signed) = exported?;
        last = place;
        size += signed.encoded_len();
        part.push(signed);
        if size >= BYTES {
            break;
        }
    }
    Ok((part, last))
}

fn broke_off() -> Status {
    Reason::Internal.status("the node failed; tell its operator, whose log says why")
}

//! Operators and bulk imports: the file streams in, progress and rejects stream out.

use std::{
    io::{self, Read},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use dancu_proto::{
    Reason,
    hub::v1::{ImportCitizensRequest, ImportCitizensResponse, ImportFormat as WireFormat, ImportReject},
};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Admin;
use crate::intake::{Import, ImportError, ImportFormat, Progress, Reject, Summary};

/// Pieces of the file that wait to be read.
const PIECES: usize = 4;
/// Rejects that wait to be told.
const REJECTS: usize = 1024;
/// Rejects told at a time.
const TOLD: usize = 256;
/// Between two reports.
const REPORT: Duration = Duration::from_millis(200);

type Reports = mpsc::Sender<Result<ImportCitizensResponse, Status>>;

impl Admin {
    pub(super) async fn import(
        &self,
        operator: String,
        mut inbound: Streaming<ImportCitizensRequest>,
    ) -> Result<ReceiverStream<Result<ImportCitizensResponse, Status>>, Status> {
        let Some(first) = inbound.message().await? else {
            return Err(Reason::InvalidRequest.field("format", "is missing"));
        };
        let format = match WireFormat::try_from(first.format) {
            Ok(WireFormat::JsonLines) => ImportFormat::JsonLines,
            Ok(WireFormat::Csv) => ImportFormat::Csv,
            _ => return Err(Reason::InvalidRequest.field("format", "is JSON Lines or CSV")),
        };
        let (pieces, input) = mpsc::channel(PIECES);
        let (reject, rejects) = mpsc::channel(REJECTS);
        let (reports, responses) = mpsc::channel(4);
        let progress = Arc::new(Progress::default());
        let import = Import {
            registry: Arc::clone(&self.registry),
            areas: self.areas()?,
            format,
            source: first.source,
            progress: Arc::clone(&progress),
            rejects: reject,
            runtime: Handle::current(),
        };
        tracing::info!(operator, "an import begins");
        let rest = Pieces { input, piece: first.data, read: 0 };
        let running = self.tasks.spawn_blocking(move || import.run(rest));
        self.tasks.spawn(async move {
            let feeding = feed(inbound, pieces);
            let reporting = report(running, progress, rejects, &reports);
            // The file ends before the import does; the report goes on.
            let (_, outcome) = tokio::join!(feeding, reporting);
            let last = outcome.map(done).map_err(|error| {
                tracing::warn!(%error, "an import failed");
                status(error)
            });
            let _ = reports.send(last).await;
        });
        Ok(ReceiverStream::new(responses))
    }
}

fn status(error: ImportError) -> Status {
    match error {
        ImportError::Commit(error) => error.into(),
        ImportError::Store(error) => error.into(),
        error @ (ImportError::File(_) | ImportError::Header(_)) => {
            Reason::InvalidRequest.field("data", error.to_string())
        }
    }
}

/// Hands the pieces of the file on. A caller that breaks off makes the import fail, not end early.
async fn feed(mut inbound: Streaming<ImportCitizensRequest>, pieces: mpsc::Sender<io::Result<Vec<u8>>>) {
    loop {
        let piece = match inbound.message().await {
            Ok(Some(request)) => Ok(request.data),
            Ok(None) => return,
            Err(_) => Err(io::Error::other("the caller broke off")),
        };
        let broken = piece.is_err();
        if pieces.send(piece).await.is_err() || broken {
            return;
        }
    }
}

async fn report(
    mut running: tokio::task::JoinHandle<Result<Summary, ImportError>>,
    progress: Arc<Progress>,
    mut rejects: mpsc::Receiver<Reject>,
    reports: &Reports,
) -> Result<Summary, ImportError> {
    let mut ticks = tokio::time::interval(REPORT);
    let mut told = Vec::with_capacity(TOLD);
    loop {
        let mut ended = None;
        tokio::select! {
            // Rejects first: a full queue holds the import up.
            biased;
            count = rejects.recv_many(&mut told, TOLD) => if count == 0 {
                // The import has dropped its end: its outcome comes at once.
                ended = Some((&mut running).await);
            },
            _ = ticks.tick() => {}
        }
        let response = ImportCitizensResponse {
            rows: progress.rows.load(Ordering::Relaxed),
            rejected: progress.rejected.load(Ordering::Relaxed),
            written: progress.written.load(Ordering::Relaxed),
            phase: if progress.phase.load(Ordering::Relaxed) == 0 { "reading" } else { "writing" }.into(),
            rejects: told.drain(..).map(wire).collect(),
            ..ImportCitizensResponse::default()
        };
        // No one listens any more: the import goes on, and its rejects are dropped.
        let _ = reports.send(Ok(response)).await;
        if let Some(outcome) = ended {
            return outcome
                .unwrap_or_else(|_| Err(ImportError::File(io::Error::other("the import stopped"))));
        }
    }
}

fn wire(reject: Reject) -> ImportReject {
    ImportReject {
        line: reject.line,
        field: reject.error.field,
        reason: reject.error.reason,
        row: reject.row,
    }
}

fn done(summary: Summary) -> ImportCitizensResponse {
    ImportCitizensResponse {
        rows: summary.rows,
        added: summary.added,
        changed: summary.changed,
        unchanged: summary.unchanged,
        rejected: summary.rejected,
        written: summary.added + summary.changed,
        revision: summary.revision.0,
        phase: "done".into(),
        done: true,
        rejects: Vec::new(),
    }
}

/// The pieces of a file, as a reader.
struct Pieces {
    input: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    read: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            match self.input.blocking_recv() {
                Some(piece) => (self.piece, self.read) = (piece?, 0),
                None => return Ok(0),
            }
        }
        let rest = &self.piece[self.read..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Ok(length)
    }
}

//! `dancu-node outbox`: where the outbox stands, and how it travels in a file.

use std::{
    fs::File,
    io::{BufReader, BufWriter, ErrorKind},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use console::style;
use dancu_proto::{
    channel::file,
    contribution::{read_file, write_file},
    node::v1::{
        ExportOutboxRequest, GetOutboxRequest, GetOutboxResponse, ImportOutboxRequest,
        outbox_service_client::OutboxServiceClient,
    },
    v1::Signed,
};
use prost::Message;
use serde_json::json;

use super::{
    connect::Target,
    failure::{Failure, counted},
    print,
};
use crate::config::Config;

/// Bytes of a message of an import.
const BYTES: usize = 256 << 10;
/// Messages of one call.
const PARTS: usize = 4;

/// `outbox`
#[derive(Debug, Subcommand)]
pub(super) enum Outbox {
    /// Show where the outbox stands
    Status(Status),
    /// Write what the hub has not said the outcome of into a file: signed, sealed, counted once
    Export {
        #[command(flatten)]
        travel: Travel,
        /// Write over a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Take in another node's file, to be sent on to the hub
    Import(Travel),
}

/// `outbox status`
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `outbox export`, `outbox import`
#[derive(Debug, Args)]
pub(super) struct Travel {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    target: Target,
}

impl Outbox {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        match self {
            Outbox::Status(status) => status.run(config).await,
            Outbox::Export { travel, force } => travel.export(config, *force).await,
            Outbox::Import(travel) => travel.import(config).await,
        }
    }
}

impl Status {
    async fn run(&self, config: &Config) -> Result<(), Failure> {
        let mut client = OutboxServiceClient::new(self.target.connect(config).await?);
        let outbox = client.get_outbox(GetOutboxRequest {}).await?.into_inner();
        let identity: String = outbox.outbox.iter().map(|byte| format!("{byte:02x}")).collect();
        if self.json {
            return print::json(&json!({
                "outbox": identity,
                "last_sequence": outbox.last_sequence,
                "queued": outbox.queued,
                "oldest": print::rfc3339(outbox.oldest.as_ref()),
                "handed_over": outbox.handed_over,
                "in_review": outbox.in_review,
                "accepted": outbox.accepted,
                "rejected": outbox.rejected,
                "hub_sequence": outbox.hub_sequence,
                "last_delivered": print::rfc3339(outbox.last_delivered.as_ref()),
                "brought": outbox.brought,
            }));
        }
        print::table(&["hộp gửi / outbox", &identity], rows(&outbox))
    }
}

fn rows(outbox: &GetOutboxResponse) -> Vec<Vec<String>> {
    let moment = |at: &Option<prost_types::Timestamp>| {
        print::time_of(at.as_ref()).map_or_else(|| "–".to_owned(), print::moment)
    };
    let rows = [
        ("số cuối / last sequence", outbox.last_sequence.to_string()),
        ("chờ gửi / queued", outbox.queued.to_string()),
        ("cũ nhất / oldest of them", moment(&outbox.oldest)),
        ("đã gửi / at the hub", outbox.handed_over.to_string()),
        ("đang xem xét / in review", outbox.in_review.to_string()),
        ("đã ghi nhận / accepted", outbox.accepted.to_string()),
        ("bị từ chối / rejected", outbox.rejected.to_string()),
        ("hub có đến / the hub has up to", outbox.hub_sequence.to_string()),
        ("gửi lần cuối / last delivered", moment(&outbox.last_delivered)),
        ("của nút khác / of other nodes", outbox.brought.to_string()),
    ];
    rows.into_iter().map(|(label, value)| vec![label.to_owned(), value]).collect()
}

impl Travel {
    fn failed(&self, source: std::io::Error) -> Failure {
        Failure::File { path: self.file.clone(), source }
    }

    async fn export(&self, config: &Config, force: bool) -> Result<(), Failure> {
        // One that is there may be the only copy of something.
        if self.file.exists() && !force {
            return Err(self.is_there());
        }
        let mut client = OutboxServiceClient::new(self.target.connect(config).await?);
        let mut parts = client.export_outbox(ExportOutboxRequest {}).await?.into_inner();
        let mut contributions = Vec::new();
        while let Some(part) = parts.message().await? {
            contributions.extend(part.contributions);
        }
        self.write(&contributions, force)?;
        print::line(format_args!(
            "{} {} in {}, and in the outbox as before; what comes both ways counts once",
            style("✓").green(),
            counted(contributions.len() as u64, "is", "are"),
            self.file.display()
        ))
    }

    fn write(&self, contributions: &[Signed], force: bool) -> Result<(), Failure> {
        if force {
            // Whole, or as it was.
            let mut content = Vec::new();
            let written = write_file(&mut content, contributions);
            let written = written.and_then(|()| file::replace(&self.file, &content, file::PUBLIC));
            return written.map_err(|source| self.failed(source));
        }
        let file = File::options().write(true).create_new(true).open(&self.file);
        let file = file.map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => self.is_there(),
            _ => self.failed(source),
        })?;
        let written = write_file(BufWriter::new(&file), contributions).and_then(|()| file.sync_all());
        written.map_err(|source| self.failed(source))
    }

    fn is_there(&self) -> Failure {
        Failure::Usage(format!(
            "{} exists already, and may be the only copy of something: name another file, or write over it with --force",
            self.file.display()
        ))
    }

    async fn import(&self, config: &Config) -> Result<(), Failure> {
        let file = File::open(&self.file).map_err(|source| self.failed(source))?;
        let contributions = read_file(BufReader::new(file)).map_err(|source| self.failed(source))?;
        let mut parts = vec![ImportOutboxRequest::default()];
        let mut size = 0;
        for contribution in contributions {
            size += contribution.encoded_len();
            if size > BYTES {
                size = contribution.encoded_len();
                parts.push(ImportOutboxRequest::default());
            }
            if let Some(part) = parts.last_mut() {
                part.contributions.push(contribution);
            }
        }
        let mut client = OutboxServiceClient::new(self.target.connect(config).await?);
        let (mut kept, mut own) = (0, 0);
        // A call has its deadline, and a file may be long. What is kept twice is kept once.
        for parts in parts.chunks(PARTS) {
            let answer = client.import_outbox(futures::stream::iter(parts.to_vec())).await?.into_inner();
            kept += answer.kept;
            own += answer.own;
        }
        print::line(format_args!(
            "{} {} here, to be sent on while the line to the hub stands; of this node's own: {own}",
            style("✓").green(),
            counted(kept, "is", "are"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        travel: Travel,
    }

    #[test]
    fn a_file_that_is_there_is_written_over_only_by_force() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outbox");
        let travel = Line::parse_from(["x", path.to_str().unwrap()]).travel;
        travel.write(&[Signed::default()], false).unwrap();
        let refused = travel.write(&[], false).unwrap_err().to_string();
        assert!(refused.contains("--force"), "{refused}");
        assert_eq!(read_file(File::open(&path).unwrap()).unwrap().len(), 1);
        travel.write(&[], true).unwrap();
        assert_eq!(read_file(File::open(&path).unwrap()).unwrap().len(), 0);
    }
}

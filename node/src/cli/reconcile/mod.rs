//! `dancu-node reconcile`: cleans an agency's own list against the population database.

mod columns;
mod output;
mod sheet;
mod tally;

use std::path::{Path, PathBuf};

use clap::Args;
use dancu_proto::{
    node::v1::{
        ReconcileCitizensRequest, ReconcileOutcome, Reconciliation,
        citizen_service_client::CitizenServiceClient,
    },
    v1::{AccessContext, Citizen},
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use self::{
    columns::Columns,
    output::{Output, identity},
    sheet::Sheet,
};
use super::{connect::Target, context::Context, failure::Failure, print};
use crate::config::Config;

/// Records of one request.
const PART: usize = 1_000;
/// Parts that are on their way.
const AHEAD: usize = 8;

/// `reconcile`
#[derive(Debug, Args)]
pub(super) struct ReconcileFile {
    /// The list: CSV in UTF-8, or XLSX; its first row names the columns
    file: PathBuf,
    /// Where to write the list with what is wrong in each row, as CSV
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    context: Context,
    /// Which column is which field, where its title does not say so: personal_id=Mã,full_name=Tên
    #[arg(long, value_delimiter = ',', value_name = "FIELD=TITLE")]
    columns: Vec<String>,
    /// Also write the right values of what differs, where the purpose gives them
    #[arg(long)]
    disclose: bool,
    /// Go on with a run that broke off
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A row, and what it claims or what is wrong with it.
type Claimed = (Vec<String>, Result<Citizen, String>);

/// Rows, and what of them was sent: a row that cannot be read claims nothing.
type Part = Vec<Claimed>;

/// The rows of a table, each with what it claims of a citizen. `said` is what the operator says of the
/// columns (`field=title`).
///
/// # Errors
/// The file cannot be read, or no column tells who is meant; a row, if it is not text.
pub fn claims(
    path: &Path,
    said: &[String],
) -> Result<impl Iterator<Item = Result<Claimed, Failure>>, Failure> {
    let sheet = Sheet::open(path)?;
    let columns = Columns::of(&sheet.header, said)?;
    Ok(claimed(sheet.rows, columns))
}

fn claimed(
    rows: impl Iterator<Item = Result<Vec<String>, Failure>>,
    columns: Columns,
) -> impl Iterator<Item = Result<Claimed, Failure>> {
    rows.map(move |row| row.map(|row| (columns.claim(&row), row)).map(|(claim, row)| (row, claim)))
}

impl ReconcileFile {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        let sheet = Sheet::open(&self.file)?;
        let columns = Columns::of(&sheet.header, &self.columns)?;
        let fields = columns.fields();
        let asked = format!("{fields:?} {} {:?}", self.disclose, self.context.to_message().purpose);
        let of = identity(&self.file, &asked)?;
        let disclosed = if self.disclose { fields.clone() } else { Vec::new() };
        let mut client = CitizenServiceClient::new(self.target.connect(config).await?);
        let mut output = Output::open(&self.out, of, &sheet.header, disclosed, self.resume)?;
        let width = sheet.header.len();
        let bar = self.bar(sheet.count);
        bar.set_position(output.mark.rows);
        bar.reset_eta();

        let (parts, mut sent) = mpsc::channel::<Part>(AHEAD);
        let (requests, stream) = mpsc::channel(AHEAD);
        let first = self.first();
        let (skip, rows) = (output.mark.rows, sheet.rows);
        let reading =
            tokio::task::spawn_blocking(move || read(rows, columns, skip, first, &parts, &requests));
        let mut answers = client.reconcile_citizens(ReceiverStream::new(stream)).await?.into_inner();
        // What the node says of the purpose comes before any row.
        answers.message().await?;
        while let Some(part) = sent.recv().await {
            let answer = answers.message().await?.unwrap_or_default();
            let mut said = answer.records.into_iter();
            let count = part.len() as u64;
            for (row, claim) in part {
                let (claim, said) = match claim {
                    Ok(claim) => (claim, said.next().ok_or_else(short)?),
                    Err(why) => (Citizen::default(), invalid(why)),
                };
                output.mark.tally.count(&claim, &fields, &said);
                output.row(row, width, &said)?;
            }
            output.mark_if_due()?;
            bar.inc(count);
        }
        reading.await.map_err(|error| Failure::Runtime(std::io::Error::other(error)))??;
        let tally = output.finish()?;
        bar.finish_and_clear();
        if self.json {
            return print::json(&tally.json());
        }
        tally.print()?;
        print::line(format_args!(
            "{} {} rows are in {}",
            console::style("✓").green(),
            tally.total(),
            self.out.display()
        ))
    }

    /// The request that says why.
    fn first(&self) -> (AccessContext, bool) {
        (self.context.to_message(), self.disclose)
    }

    fn bar(&self, count: Option<u64>) -> ProgressBar {
        let bar = match count {
            _ if self.json => ProgressBar::hidden(),
            Some(count) => ProgressBar::new(count),
            None => ProgressBar::no_length(),
        };
        let template = "{bar:40.green} {human_pos} of {human_len} rows · {per_sec} · {eta} left";
        bar.with_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        )
    }
}

/// Reads rows and sends them, until there are no more or nobody wants them.
fn read(
    rows: impl Iterator<Item = Result<Vec<String>, Failure>>,
    columns: Columns,
    skip: u64,
    (context, disclose): (AccessContext, bool),
    parts: &mpsc::Sender<Part>,
    requests: &mpsc::Sender<ReconcileCitizensRequest>,
) -> Result<(), Failure> {
    let first = ReconcileCitizensRequest { context: Some(context), disclose, records: Vec::new() };
    if requests.blocking_send(first).is_err() {
        return Ok(());
    }
    let mut rows = claimed(rows.skip(usize::try_from(skip).unwrap_or(usize::MAX)), columns);
    loop {
        let part = rows.by_ref().take(PART).collect::<Result<Part, Failure>>()?;
        if part.is_empty() {
            return Ok(());
        }
        let records = part.iter().filter_map(|(_, claim)| claim.as_ref().ok().cloned()).collect();
        let request = ReconcileCitizensRequest { records, ..ReconcileCitizensRequest::default() };
        if requests.blocking_send(request).is_err() || parts.blocking_send(part).is_err() {
            return Ok(());
        }
    }
}

fn invalid(why: String) -> Reconciliation {
    let outcome = ReconcileOutcome::Invalid.into();
    Reconciliation { outcome, invalid: why, ..Reconciliation::default() }
}

fn short() -> Failure {
    Failure::Usage("the node answered fewer records than were sent; run again with --resume".into())
}

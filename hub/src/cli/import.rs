//! `dancu-hub import`.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use dancu_proto::hub::v1::{ImportCitizensRequest, ImportCitizensResponse, ImportFormat, ImportReject};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::{Global, connect, output};

/// Bytes of the file in a message.
const PIECE: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The file, which may be compressed (.zst), or - for standard input
    file: PathBuf,
    /// How it is written [default: by the file's ending; jsonl for standard input]
    #[arg(long)]
    format: Option<FileFormat>,
    /// Where refused rows go [default: FILE.rejects.jsonl]
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    Jsonl,
    Csv,
}

pub(super) async fn run(global: &Global, args: ImportArgs) -> anyhow::Result<()> {
    let stdin = args.file.as_os_str() == "-";
    let packed = ends_in(&args.file, "zst");
    let format = args.format.unwrap_or_else(|| {
        let plain = if packed { args.file.with_extension("") } else { args.file.clone() };
        if ends_in(&plain, "csv") { FileFormat::Csv } else { FileFormat::Jsonl }
    });
    let (input, bar): (Box<dyn Read + Send>, ProgressBar) = if stdin {
        let bar = progress_bar(None);
        (Box::new(bar.wrap_read(io::stdin())), bar)
    } else {
        let unreadable = || format!("cannot read {}", args.file.display());
        let file = File::open(&args.file).with_context(unreadable)?;
        let bar = progress_bar(Some(file.metadata().with_context(unreadable)?.len()));
        let file = bar.wrap_read(file);
        (if packed { Box::new(zstd::Decoder::new(file)?) } else { Box::new(file) }, bar)
    };
    let rejects = args.rejects.unwrap_or_else(|| {
        if stdin { "import.rejects.jsonl".into() } else { appended(&args.file, ".rejects.jsonl") }
    });
    // The journal keeps the file's name, not where it lay on the operator's machine.
    let name = args.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let source = if stdin { "standard input".into() } else { name.unwrap_or_default() };
    let started = Instant::now();
    let (pieces, requests) = mpsc::channel(4);
    // Held until the whole file is read: an end of the requests is the end of the file to the hub,
    // and a file that cannot be read to its end is not imported.
    let mut open = Some(pieces.clone());
    let (ended, mut reading) = oneshot::channel();
    // A thread, because standard input cannot be left once it is waited for.
    thread::spawn(move || ended.send(read(input, format, source, &pieces)));
    let mut admin = connect::admin(global).await?;
    let mut answers = admin.import_citizens(ReceiverStream::new(requests)).await?.into_inner();
    let mut rejected = Rejects::new(rejects);
    let mut last = ImportCitizensResponse::default();
    loop {
        let answer = tokio::select! {
            read = &mut reading, if open.is_some() => {
                read.context("the file was not read to its end")?.context("the file cannot be read; nothing is imported")?;
                open = None;
                continue;
            }
            answer = answers.message() => answer?,
        };
        let Some(answer) = answer else { break };
        rejected.write(&answer.rejects)?;
        let phase = if answer.phase == "writing" {
            format!("writing {} of {} citizens", output::number(answer.written), output::number(answer.rows))
        } else {
            format!("{} rows, {} refused", output::number(answer.rows), output::number(answer.rejected))
        };
        bar.set_message(phase);
        last = answer;
    }
    bar.finish_and_clear();
    if !last.done {
        bail!("the hub ended the import before it was complete; import the same file again");
    }
    rejected.finish()?;
    report(global, &last, &rejected, started)
}

fn appended(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn progress_bar(size: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::new(size.unwrap_or(0));
    let template = match size {
        Some(_) => "{bar:30.green} {bytes:>10}/{total_bytes} {binary_bytes_per_sec} {eta}  {msg}",
        None => "{spinner} {bytes:>10} {binary_bytes_per_sec}  {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn ends_in(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|other| other.eq_ignore_ascii_case(ending))
}

/// Sends the file to the hub, in pieces.
fn read(
    mut input: impl Read,
    format: FileFormat,
    source: String,
    pieces: &mpsc::Sender<ImportCitizensRequest>,
) -> io::Result<()> {
    let format = match format {
        FileFormat::Jsonl => ImportFormat::JsonLines,
        FileFormat::Csv => ImportFormat::Csv,
    };
    let mut first = Some(source);
    loop {
        let mut data = Vec::with_capacity(PIECE);
        input.by_ref().take(PIECE as u64).read_to_end(&mut data)?;
        if data.is_empty() && first.is_none() {
            return Ok(());
        }
        let source = first.take().unwrap_or_default();
        let request = ImportCitizensRequest { format: format.into(), data, source };
        if pieces.blocking_send(request).is_err() {
            // The hub has ended the import and says why itself.
            return Ok(());
        }
    }
}

/// The file of refused rows; made when there is one.
struct Rejects {
    path: PathBuf,
    file: Option<std::io::BufWriter<std::fs::File>>,
}

impl Rejects {
    fn new(path: PathBuf) -> Rejects {
        Rejects { path, file: None }
    }

    fn write(&mut self, rejects: &[ImportReject]) -> anyhow::Result<()> {
        for reject in rejects {
            let file = match &mut self.file {
                Some(file) => file,
                None => {
                    let file = std::fs::File::create(&self.path)
                        .with_context(|| format!("cannot write {}", self.path.display()))?;
                    self.file.insert(std::io::BufWriter::new(file))
                }
            };
            let row = String::from_utf8_lossy(&reject.row);
            let line =
                json!({ "line": reject.line, "field": reject.field, "reason": reject.reason, "row": row });
            writeln!(file, "{line}")?;
        }
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        Ok(())
    }
}

fn report(
    global: &Global,
    last: &ImportCitizensResponse,
    rejected: &Rejects,
    started: Instant,
) -> anyhow::Result<()> {
    let seconds = started.elapsed().as_secs_f64();
    if global.json {
        return output::json(&json!({
            "rows": last.rows, "added": last.added, "changed": last.changed, "unchanged": last.unchanged,
            "rejected": last.rejected, "revision": last.revision, "seconds": seconds,
            "rejects": rejected.file.as_ref().map(|_| rejected.path.display().to_string()),
        }));
    }
    let rate = (last.rows as f64 / seconds.max(0.001)) as u64;
    output::done(&format!(
        "{} rows in {seconds:.1} s ({} a second), revision {}",
        output::number(last.rows),
        output::number(rate),
        last.revision
    ));
    output::pairs(&[
        ("added", output::number(last.added)),
        ("changed", output::number(last.changed)),
        ("unchanged", output::number(last.unchanged)),
        ("refused", output::number(last.rejected)),
    ]);
    if rejected.file.is_some() {
        println!("refused rows, with line, field and reason: {}", rejected.path.display());
    }
    Ok(())
}

//! The table that comes out: the one that went in, with what there is to say of each row. A mark beside it
//! says how far it is safely written, so that a run that broke off goes on from there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, digest};
use dancu_proto::{Field, channel::file, node::v1::Reconciliation};
use serde::{Deserialize, Serialize};

use super::tally::{Tally, outcome};
use crate::cli::{claim, failure::Failure, print};

/// Between two marks.
const MARK: Duration = Duration::from_secs(2);
/// Of the input so much is remembered, to know it again.
const SAMPLE: usize = 64 << 10;

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Rows of the input that are answered.
    pub(super) rows: u64,
    /// Bytes of the output that they make.
    bytes: u64,
    /// What the input and the options were.
    of: String,
    /// What was counted.
    pub(super) tally: Tally,
}

/// The output being written.
pub(super) struct Output {
    path: PathBuf,
    writer: csv::Writer<BufWriter<File>>,
    marked: Instant,
    pub(super) mark: Mark,
    disclosed: Vec<Field>,
}

/// What tells one input from another: its length and its beginning, and what is asked of it.
pub(super) fn identity(input: &Path, asked: &str) -> Result<String, Failure> {
    let failed = |source| Failure::File { path: input.to_owned(), source };
    let file = File::open(input).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut sample = Vec::new();
    file.take(SAMPLE as u64).read_to_end(&mut sample).map_err(failed)?;
    sample.extend(length.to_be_bytes());
    sample.extend(asked.as_bytes());
    Ok(digest(&SHA256, &sample).as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Output {
    /// Begins an output, or goes on with one that broke off.
    pub(super) fn open(
        path: &Path,
        of: String,
        header: &[String],
        disclosed: Vec<Field>,
        resume: bool,
    ) -> Result<Output, Failure> {
        let failed = |source| Failure::File { path: path.to_owned(), source };
        let mut mark = Mark { of, ..Mark::default() };
        if resume {
            let kept = fs::read(mark_path(path)).ok();
            let kept = kept.and_then(|content| serde_json::from_slice::<Mark>(&content).ok());
            match kept {
                Some(kept) if kept.of == mark.of => mark = kept,
                Some(_) => {
                    let fault = "was made of another file, or with other options; run without --resume";
                    return Err(Failure::Usage(format!("{} {fault}", path.display())));
                }
                None if path.exists() => {
                    let fault = "is whole, or was not made by this command: nothing to resume";
                    return Err(Failure::Usage(format!("{} {fault}", path.display())));
                }
                None => {}
            }
        }
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
        file.set_len(mark.bytes).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let writer = csv::WriterBuilder::new().flexible(true).from_writer(BufWriter::new(file));
        let path = path.to_owned();
        let mut output = Output { path, writer, marked: Instant::now(), mark, disclosed };
        if output.mark.bytes == 0 {
            let ours = ["dancu_outcome", "dancu_fields", "dancu_note"].map(str::to_owned);
            let right = output.disclosed.iter().map(|field| format!("dancu_{}", field.name()));
            let right: Vec<_> = right.collect();
            output.record(header.iter().cloned().chain(ours).chain(right))?;
        }
        Ok(output)
    }

    /// Writes a row with what there is to say of it. Text of ours that a spreadsheet would take for a
    /// formula is made text.
    pub(super) fn row(
        &mut self,
        row: Vec<String>,
        width: usize,
        said: &Reconciliation,
    ) -> Result<(), Failure> {
        let mut cells = row;
        cells.resize(width.max(cells.len()), String::new());
        cells.push(outcome(said.outcome()).to_owned());
        let verdict = |one: &dancu_proto::node::v1::AttributeVerdict| {
            let field = Field::try_from(one.field).map(Field::name).unwrap_or_default();
            let in_question = if one.in_question { " (in question)" } else { "" };
            format!("{field}: {}{in_question}", print::verdict(one.verdict()))
        };
        cells.push(said.verdicts.iter().map(verdict).collect::<Vec<_>>().join("; "));
        cells.push(plain(note(said)));
        for field in &self.disclosed {
            let right = said.registered.as_ref().map(|citizen| claim::shown(citizen, *field));
            cells.push(plain(right.unwrap_or_default()));
        }
        self.mark.rows += 1;
        self.record(cells)
    }

    fn record(&mut self, cells: impl IntoIterator<Item = String>) -> Result<(), Failure> {
        self.writer.write_record(cells).map_err(|error| self.failed(io::Error::other(error)))
    }

    /// Brings what is written to the disk, if it is time to.
    pub(super) fn mark_if_due(&mut self) -> Result<(), Failure> {
        if self.marked.elapsed() < MARK { Ok(()) } else { self.set_mark() }
    }

    /// Brings what is written to the disk, and says so beside it.
    pub(super) fn set_mark(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| self.failed(error))?;
        let file = self.writer.get_ref().get_ref();
        let written = file.sync_data().and_then(|()| file.metadata());
        self.mark.bytes = written.map_err(|error| self.failed(error))?.len();
        let content = serde_json::to_vec(&self.mark)?;
        let path = mark_path(&self.path);
        file::replace(&path, &content, file::SECRET).map_err(|source| Failure::File { path, source })?;
        self.marked = Instant::now();
        Ok(())
    }

    /// Everything is written.
    pub(super) fn finish(mut self) -> Result<Tally, Failure> {
        self.set_mark()?;
        let path = mark_path(&self.path);
        fs::remove_file(&path).map_err(|source| Failure::File { path, source })?;
        Ok(self.mark.tally)
    }

    fn failed(&self, source: io::Error) -> Failure {
        Failure::File { path: self.path.clone(), source }
    }
}

fn mark_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".progress");
    name.into()
}

fn note(said: &Reconciliation) -> String {
    if !said.invalid.is_empty() {
        said.invalid.clone()
    } else if said.candidates > 0 {
        format!("{} candidates", said.candidates)
    } else {
        let former = said.former_number.then_some("the number is a former one");
        let death = said.death_in_question.then_some("the death is in question");
        former.into_iter().chain(death).collect::<Vec<_>>().join("; ")
    }
}

fn plain(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use dancu_proto::{node::v1::ReconcileOutcome, v1::Citizen};

    use super::*;

    fn said(number: u64) -> Reconciliation {
        let outcome = [ReconcileOutcome::Confirmed, ReconcileOutcome::Invalid][(number % 2) as usize];
        let registered = Box::new(Citizen { email: format!("={number}"), ..Citizen::default() });
        let invalid = if number.is_multiple_of(2) { String::new() } else { "why".into() };
        Reconciliation {
            outcome: outcome.into(),
            registered: Some(registered),
            invalid,
            ..Default::default()
        }
    }

    /// Writes rows from where the output is up to some, and breaks off there without a mark.
    fn run(path: &Path, up_to: u64, mark_at: u64, resume: bool) -> Output {
        let header = ["id".to_owned(), "tên".into()];
        let mut output = Output::open(path, "same".into(), &header, vec![Field::Email], resume).unwrap();
        for number in output.mark.rows..up_to {
            output.mark.tally.count(&Citizen::default(), &[], &said(number));
            output.row(vec![number.to_string(), "Hà, \"An\"".into()], 2, &said(number)).unwrap();
            if number == mark_at {
                output.set_mark().unwrap();
            }
        }
        output
    }

    #[test]
    fn a_run_that_broke_off_anywhere_ends_like_one_that_did_not() {
        let directory = tempfile::tempdir().unwrap();
        let whole = directory.path().join("whole.csv");
        let tally = run(&whole, 100, u64::MAX, false).finish().unwrap();
        let expected = fs::read(&whole).unwrap();
        let text = String::from_utf8(expected.clone()).unwrap();
        assert!(text.starts_with("id,tên,dancu_outcome,dancu_fields,dancu_note,dancu_email\n0,"), "{text}");
        assert!(text.contains("'=1"), "no formula of ours");
        let path = directory.path().join("broken.csv");
        for (mark_at, broken_at) in [(0, 1), (10, 11), (10, 60), (59, 60), (98, 99)] {
            drop(run(&path, broken_at, mark_at, false));
            // What a crash leaves behind the mark, or takes from it no more than was not marked.
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(b"half a li").unwrap();
            let resumed = run(&path, 100, u64::MAX, true);
            assert_eq!(resumed.finish().unwrap(), tally);
            assert_eq!(fs::read(&path).unwrap(), expected, "{mark_at} {broken_at}");
        }
    }

    #[test]
    fn another_file_is_not_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.csv");
        drop(run(&path, 20, 10, false));
        let open = |of: &str| Output::open(&path, of.into(), &["id".to_owned()], Vec::new(), true).map(drop);
        assert!(open("other").unwrap_err().to_string().contains("another file"));
        assert!(open("same").is_ok());
        run(&path, 20, 10, true).finish().unwrap();
        assert!(open("same").unwrap_err().to_string().contains("is whole"));
    }
}

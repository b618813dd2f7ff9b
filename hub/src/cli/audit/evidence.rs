//! Records with their proofs in a file, and the checking of it, which needs no hub.
//!
//! The first line has the signed head of the log and the proof that an older one is a part of it; every
//! further line a record: its place, its leaf, its proof, and what it says, for people. All binary values
//! are base64.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use dancu_proto::{
    channel::PeerIdentity,
    hub::v1::AccessRow,
    signed,
    v1::{Signed, TreeHead},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Part, Shown};
use crate::{
    audit::{extends, includes},
    cli::statement::{self, Authority},
};

/// The head of a log, whose signature is right.
pub(super) struct Head {
    pub(super) size: u64,
    root: [u8; 32],
    registry_id: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct First {
    head: String,
    since: u64,
    consistency: String,
}

#[derive(Serialize, Deserialize)]
struct Row {
    index: u64,
    leaf: String,
    proof: String,
    shown: Value,
}

/// What a check found.
pub(super) struct Outcome {
    pub(super) records: u64,
    pub(super) size: u64,
    pub(super) faults: Vec<String>,
}

/// A file being written.
pub(super) struct Evidence(Box<dyn FinishingWrite>);

trait FinishingWrite: Write {
    fn finish(self: Box<Self>) -> std::io::Result<()>;
}

impl FinishingWrite for BufWriter<File> {
    fn finish(self: Box<Self>) -> std::io::Result<()> {
        self.into_inner().map_err(|error| error.into_error())?.sync_all()
    }
}

impl FinishingWrite for zstd::Encoder<'static, BufWriter<File>> {
    fn finish(self: Box<Self>) -> std::io::Result<()> {
        Box::new(zstd::Encoder::finish(*self)?).finish()
    }
}

impl Evidence {
    pub(super) fn create(path: &Path) -> anyhow::Result<Evidence> {
        let failed = || format!("cannot write {}", path.display());
        let file = BufWriter::new(File::create(path).with_context(failed)?);
        Ok(Evidence(if path.extension().is_some_and(|ends| ends == "zst") {
            Box::new(zstd::Encoder::new(file, 3).with_context(failed)?)
        } else {
            Box::new(file)
        }))
    }

    pub(super) fn add(&mut self, part: &Part) -> anyhow::Result<()> {
        match part {
            Part::Tree(tree, since) => {
                let head = tree.head.as_ref().map(Signed::to_text).unwrap_or_default();
                let consistency = STANDARD.encode(&tree.consistency);
                serde_json::to_writer(&mut self.0, &First { head, since: *since, consistency })?;
            }
            Part::Row(row) => {
                let (leaf, proof) = (STANDARD.encode(&row.leaf), STANDARD.encode(&row.proof));
                let Ok(shown) = Shown::of(row) else { return Ok(()) };
                serde_json::to_writer(
                    &mut self.0,
                    &Row { index: row.index, leaf, proof, shown: shown.json() },
                )?;
            }
        }
        Ok(self.0.write_all(b"\n")?)
    }

    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.0.flush()?;
        Ok(self.0.finish()?)
    }
}

impl Head {
    /// Whether the log that this is the head of begins with that of an older head.
    pub(super) fn begins_with(&self, kept: &Head, proof: &[u8]) -> bool {
        self.registry_id == kept.registry_id
            && extends((&self.root, self.size), (&kept.root, kept.size), proof)
    }
}

/// A head in a file.
pub(super) fn read_head(path: &Path, authority: &Authority) -> anyhow::Result<Head> {
    head_of(&statement::read(path)?, authority).with_context(|| format!("{}", path.display()))
}

/// How many records the log of a head in a file has. Nothing is checked.
pub(super) fn size_of(path: &Path) -> anyhow::Result<u64> {
    let signed = statement::read(path)?;
    let head: TreeHead = prost::Message::decode(signed.content.as_slice())
        .with_context(|| format!("{} is no head of an access log", path.display()))?;
    Ok(head.size)
}

/// A signed head, if it is one and the hub's.
pub(super) fn head_of(signed: &Signed, authority: &Authority) -> anyhow::Result<Head> {
    let (head, signer): (TreeHead, _) = signed::verify(signed, authority)?;
    ensure!(signer == PeerIdentity::Hub, "{signer} signed it, not the hub");
    let root = head.root.as_slice().try_into().context("the head cannot be read")?;
    Ok(Head { size: head.size, root, registry_id: head.registry_id })
}

/// Checks a file of records.
pub(super) fn verify(path: &Path, kept: Option<&Head>, authority: &Authority) -> anyhow::Result<Outcome> {
    let unreadable = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(unreadable)?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|ends| ends == "zst") {
        Box::new(zstd::Decoder::new(file).with_context(unreadable)?)
    } else {
        Box::new(file)
    };
    let mut lines = BufReader::new(reader).lines();
    let first = lines.next().context("the file is empty")?.with_context(unreadable)?;
    let first: First = serde_json::from_str(&first).context("the first line is not that of such a file")?;
    let signed = Signed::from_text(&first.head).context("the head cannot be read")?;
    let head = head_of(&signed, authority).context("the head")?;
    let mut outcome = Outcome { records: 0, size: head.size, faults: Vec::new() };
    if let Some(kept) = kept {
        let proof = STANDARD.decode(&first.consistency)?;
        if kept.size != first.since && kept.size != head.size {
            let fault = "the file has no proof for the head that was kept: make it with --head of that file";
            outcome.faults.push(fault.into());
        } else if !head.begins_with(kept, if kept.size == head.size { &[] } else { &proof }) {
            let fault = "the log does not begin with the head that was kept: records were changed or removed";
            outcome.faults.push(fault.into());
        }
    }
    for (line, text) in (2..).zip(lines) {
        let text = text.with_context(unreadable)?;
        outcome.records += 1;
        if let Err(fault) = check(&text, &head) {
            outcome.faults.push(format!("line {line}: {fault}"));
        }
    }
    Ok(outcome)
}

/// Whether a line says what a record in the log says.
fn check(line: &str, head: &Head) -> anyhow::Result<()> {
    let row: Row = serde_json::from_str(line).context("is not a record")?;
    let (leaf, proof) = (STANDARD.decode(&row.leaf)?, STANDARD.decode(&row.proof)?);
    ensure!(includes(&head.root, head.size, &leaf, row.index, &proof), "the record is not in the log");
    // Who the people are only the hub can open: that much is its word.
    let told = row.shown["people"].as_array().cloned().unwrap_or_default();
    let personal_ids =
        told.iter().map(|person| person["personal_id"].as_str().unwrap_or_default().to_owned());
    let said = AccessRow { index: row.index, leaf, proof, personal_ids: personal_ids.collect() };
    ensure!(Shown::of(&said)?.json() == row.shown, "what is shown is not what the record says");
    Ok(())
}

//! `dancu-node verify-slice`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use console::style;
use dancu_proto::{
    node::v1::{SliceProof, VerifySliceRequest, node_service_client::NodeServiceClient},
    v1::Signed,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{connect::Target, failure::Failure, print};
use crate::config::Config;

/// `verify-slice`
#[derive(Debug, Args)]
pub(super) struct VerifySlice {
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write what was found to a file, signed by the node, for `dancu-hub slice check`
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl VerifySlice {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        let channel = self.target.connect(config).await?;
        let mut stream =
            NodeServiceClient::new(channel).verify_slice(VerifySliceRequest {}).await?.into_inner();
        let bar = if self.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        // The template is a constant, and good.
        let template = "{bar:30} {human_pos} of {human_len} citizens, {per_sec}, {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let mut proof = None;
        while let Some(message) = stream.message().await? {
            bar.set_length(message.citizens);
            bar.set_position(message.compared);
            proof = message.proof;
        }
        bar.finish_and_clear();
        let proof = proof.unwrap_or_default();
        if let Some(path) = &self.report {
            write_report(path, proof.report.as_ref())?;
        }
        if self.json { print::json(&as_json(&proof)) } else { tell(&proof) }
    }
}

fn write_report(path: &Path, report: Option<&Signed>) -> Result<(), Failure> {
    let signed = report.ok_or_else(|| Failure::Usage("the slice is loaded anew: no report yet".into()))?;
    fs::write(path, signed.to_text()).map_err(|source| Failure::File { path: path.to_owned(), source })
}

fn as_json(proof: &SliceProof) -> serde_json::Value {
    json!({
        "cursor": proof.cursor, "policy": proof.policy, "citizens": proof.citizens,
        "digest": print::hex(&proof.digest), "missing": proof.missing, "different": proof.different,
        "foreign": proof.foreign, "index_entries": proof.index_entries,
        "unrepaired": proof.unrepaired, "reloading": proof.reloading,
    })
}

fn tell(proof: &SliceProof) -> Result<(), Failure> {
    if proof.reloading {
        return print::line(style("the slice cannot be read from the disk; it is loaded anew").red());
    }
    let lists = [
        ("missing", &proof.missing),
        ("another record", &proof.different),
        ("should not have been there", &proof.foreign),
    ];
    let wrong = lists.iter().map(|(_, numbers)| numbers.len()).sum::<usize>() as u64 + proof.index_entries;
    for (what, numbers) in lists {
        for number in numbers {
            print::line(format_args!("{number}  {}", style(what).yellow()))?;
        }
    }
    if proof.index_entries > 0 {
        print::line(format_args!("{} index entries were wrong", proof.index_entries))?;
    }
    match (wrong, proof.unrepaired) {
        (0, 0) => print::line(format_args!(
            "{} {} citizens are as they should be",
            style("✓").green(),
            proof.citizens
        ))?,
        (_, 0) => print::line(format_args!("{} {wrong} differences, all repaired", style("✓").green()))?,
        (_, ranges) => {
            print::line(style(format!("{ranges} ranges differ and are not repaired; run this again")).red())?
        }
    }
    print::line(
        style(format!(
            "revision {}, policy of revision {}, digest {} as it was found",
            proof.cursor,
            proof.policy,
            print::hex(&proof.digest)
        ))
        .dim(),
    )
}

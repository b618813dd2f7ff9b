//! What a node signed, and what the hub signed of it: in files, and checked without a hub.

use std::{fs::File, io::Write, path::Path};

use anyhow::{Context, bail, ensure};
use dancu_proto::{
    channel::PeerIdentity,
    hub::v1::GetContributionRequest,
    signed::{Statement, verify as believed},
    v1::{ContributionReceipt, QueuedContribution, Signed},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{hex, reason_name, state_name};
use crate::cli::{Global, connect, output, statement};

/// Writes what a node signed.
pub(super) async fn write(
    global: &Global,
    id: String,
    out: Option<std::path::PathBuf>,
) -> anyhow::Result<()> {
    let mut reviews = connect::reviews(global).await?;
    let request = GetContributionRequest { contribution_id: id };
    let found = reviews.get_contribution(request).await?.into_inner();
    let signed = found.evidence.context("what was signed is not kept")?;
    let Some(out) = out else {
        print!("{}", signed.to_text());
        return Ok(());
    };
    let mut file = File::create_new(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let written = file.write_all(signed.to_text().as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half of it proves nothing, and would be in the way of the next attempt.
        let _ = std::fs::remove_file(&out);
        return Err(error).with_context(|| format!("{} cannot be written", out.display()));
    }
    eprintln!("{} written", out.display());
    Ok(())
}

/// Says whose word a file is, and of what.
pub(super) fn verify(global: &Global, file: &Path, of: Option<&Path>) -> anyhow::Result<()> {
    let signed = statement::read(file)?;
    let authority = statement::authority(global, of)?;
    let not_believed = || format!("{} proves nothing", file.display());
    match signed.kind.as_str() {
        ContributionReceipt::KIND => {
            let (receipt, signer) =
                believed::<ContributionReceipt>(&signed, &authority).with_context(not_believed)?;
            ensure!(signer == PeerIdentity::Hub, "{}: not the hub signed it", not_believed());
            receipt_says(global, &receipt)
        }
        QueuedContribution::KIND => {
            let (queued, signer) =
                believed::<QueuedContribution>(&signed, &authority).with_context(not_believed)?;
            let node = PeerIdentity::Node(queued.node.clone());
            ensure!(signer == node, "{}: not the node {} signed it", not_believed(), queued.node);
            queued_says(global, &signed, &queued)
        }
        other => bail!("{} is {other:?}, neither what a node handed in nor a receipt", file.display()),
    }
}

fn receipt_says(global: &Global, receipt: &ContributionReceipt) -> anyhow::Result<()> {
    let (state, reason) = (state_name(receipt.state), reason_name(receipt.reason));
    if global.json {
        return output::json(&json!({
            "signed_by": "hub", "contribution_id": receipt.contribution_id, "node": receipt.node,
            "sequence": receipt.sequence, "state": state, "revision": receipt.revision,
            "reason": (receipt.reason != 0).then_some(reason),
            "time": output::moment(receipt.time.as_ref()), "hash": hex(&receipt.hash),
            "registry": hex(&receipt.registry_id),
        }));
    }
    output::done("the hub signed this receipt");
    let revision = if receipt.revision == 0 { "–".into() } else { output::number(receipt.revision) };
    output::pairs(&[
        ("contribution", receipt.contribution_id.clone()),
        ("node", format!("{}, place {}", receipt.node, receipt.sequence)),
        ("signed", output::moment(receipt.time.as_ref())),
        ("state", state.into()),
        ("revision", revision),
        ("reason", if receipt.reason == 0 { "–".into() } else { reason }),
        ("of SHA-256", hex(&receipt.hash)),
        ("registry", hex(&receipt.registry_id)),
    ]);
    Ok(())
}

fn queued_says(global: &Global, signed: &Signed, queued: &QueuedContribution) -> anyhow::Result<()> {
    let hash = hex(&Sha256::digest(&signed.content));
    if global.json {
        return output::json(&json!({
            "signed_by": queued.node, "contribution_id": queued.contribution_id, "node": queued.node,
            "sequence": queued.sequence, "time": output::moment(queued.time.as_ref()), "hash": hash,
            "registry": hex(&queued.registry_id),
        }));
    }
    output::done(&format!("the node {} signed this", queued.node));
    output::pairs(&[
        ("contribution", output::plain(&queued.contribution_id)),
        ("place", queued.sequence.to_string()),
        ("signed", output::moment(queued.time.as_ref())),
        ("SHA-256", hash),
        ("registry", hex(&queued.registry_id)),
        ("what it says", "sealed for the hub: `dancu-hub contribution show` at the hub".into()),
    ]);
    Ok(())
}

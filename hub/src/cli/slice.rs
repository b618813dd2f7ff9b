//! `dancu-hub slice`: what a node held, as of any revision.

use anyhow::Context;
use clap::Subcommand;
use dancu_proto::{
    Field,
    hub::v1::{
        GetHeldCitizenRequest, GetHeldCitizenResponse, GetSliceDigestRequest, PointInTime,
        point_in_time::Point,
    },
};
use serde_json::json;

use super::{
    Global,
    citizen::{parse_time, plain},
    connect, output,
};

#[derive(Debug, Subcommand)]
pub(super) enum SliceCommand {
    /// What a node held of a citizen, and by which agreements
    Show {
        /// The node
        #[arg(long)]
        node: String,
        /// The personal number, in force or former
        #[arg(long)]
        citizen: String,
        /// As of a revision, or a time (2026-01-31 or 2026-01-31T12:00:00, Vietnam) [default: now]
        #[arg(long, value_name = "REVISION|TIME")]
        at: Option<String>,
    },
    /// The digest of a node's slice, to hold against the node's own
    Digest {
        /// The node
        #[arg(long)]
        node: String,
        /// As of a revision, or a time (2026-01-31 or 2026-01-31T12:00:00, Vietnam) [default: now]
        #[arg(long, value_name = "REVISION|TIME")]
        at: Option<String>,
    },
}

pub(super) async fn run(global: &Global, command: SliceCommand) -> anyhow::Result<()> {
    let mut admin = connect::admin(global).await?;
    match command {
        SliceCommand::Show { node, citizen, at } => {
            let at = at.as_deref().map(point).transpose()?;
            let request = GetHeldCitizenRequest { node: node.clone(), personal_id: citizen, at };
            show(global, &node, &admin.get_held_citizen(request).await?.into_inner())
        }
        SliceCommand::Digest { node, at } => {
            let at = at.as_deref().map(point).transpose()?;
            let answer = admin.get_slice_digest(GetSliceDigestRequest { node, at }).await?.into_inner();
            let digest: String = answer.digest.iter().map(|byte| format!("{byte:02x}")).collect();
            if global.json {
                return output::json(&json!({
                    "revision": answer.revision, "policy": answer.policy,
                    "citizens": answer.citizens, "digest": digest,
                }));
            }
            output::pairs(&[
                ("revision", output::number(answer.revision)),
                ("policy of revision", output::number(answer.policy)),
                ("citizens", output::number(answer.citizens)),
                ("digest", digest),
            ]);
            Ok(())
        }
    }
}

fn point(text: &str) -> anyhow::Result<PointInTime> {
    let point = match text.parse() {
        Ok(revision) => Point::Revision(revision),
        Err(_) => {
            let time = parse_time(text).context("--at is a revision, or a time like 2026-01-31T12:00:00")?;
            Point::Time(prost_types::Timestamp { seconds: time.unix_timestamp(), nanos: 0 })
        }
    };
    Ok(PointInTime { point: Some(point) })
}

fn show(global: &Global, node: &str, answer: &GetHeldCitizenResponse) -> anyhow::Result<()> {
    if global.json {
        let agreements = answer.agreements.iter().map(
            |under| json!({ "agreement": under.agreement, "version": under.version, "fields": under.fields }),
        );
        return output::json(&json!({
            "node": node, "revision": answer.revision, "policy": answer.policy, "day": answer.day,
            "citizen": answer.citizen, "agreements": agreements.collect::<Vec<_>>(),
        }));
    }
    let Some(citizen) = &answer.citizen else {
        println!("{node} held nothing of this person as of revision {} ({})", answer.revision, answer.day);
        return Ok(());
    };
    let values = serde_json::to_value(citizen)?;
    let mut table = output::table(["field", "label", "value", "by"]);
    for field in Field::ALL {
        let givers: Vec<_> = answer
            .agreements
            .iter()
            .filter(|under| under.fields.iter().any(|name| name == field.name()))
            .map(|under| format!("{} v{}", under.agreement, under.version))
            .collect();
        if !givers.is_empty() {
            table.add_row([
                field.name().to_owned(),
                field.spec().label_vi.to_owned(),
                plain(&values[field.name()]),
                givers.join(", "),
            ]);
        }
    }
    println!("{table}");
    println!(
        "{node} held this as of revision {} ({}), by its policy of revision {}",
        answer.revision, answer.day, answer.policy
    );
    Ok(())
}

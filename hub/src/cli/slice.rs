//! `dancu-hub slice`: what a node held, as of any revision.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Subcommand;
use dancu_proto::{
    Field,
    hub::v1::{
        CheckSliceReportRequest, CheckSliceReportResponse, GetHeldCitizenRequest, GetHeldCitizenResponse,
        GetSliceDigestRequest, PointInTime, point_in_time::Point,
    },
};
use serde_json::json;

use super::{
    Global,
    citizen::{parse_time, words},
    connect, output, statement,
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
    /// Hold a node's signed report of its slice against what the slice should have been
    Check {
        /// What `dancu-node verify-slice --report FILE` wrote
        file: PathBuf,
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
            show(global, &node, &admin.get_held_citizen(request).await?.into_inner()).await
        }
        SliceCommand::Check { file } => {
            let report = Some(statement::read(&file)?);
            checked(global, admin.check_slice_report(CheckSliceReportRequest { report }).await?.into_inner())
        }
        SliceCommand::Digest { node, at } => {
            let at = at.as_deref().map(point).transpose()?;
            let answer = admin.get_slice_digest(GetSliceDigestRequest { node, at }).await?.into_inner();
            let digest = hex(&answer.digest);
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A report that is not right is a failure, so that a script notices.
fn checked(global: &Global, answer: CheckSliceReportResponse) -> anyhow::Result<()> {
    let (said, expected) = (answer.report.unwrap_or_default(), answer.expected.unwrap_or_default());
    if global.json {
        output::json(&json!({
            "node": said.node, "time": output::moment(said.time.as_ref()), "revision": said.cursor, "right": answer.right,
            "reported": { "policy": said.policy, "citizens": said.citizens, "digest": hex(&said.digest) },
            "expected":
                { "policy": expected.policy, "citizens": expected.citizens, "digest": hex(&expected.digest) },
        }))?;
    } else {
        let mut table = output::table(["", "reported", "expected"]);
        let number = output::number;
        table.add_row(["policy of revision".into(), number(said.policy), number(expected.policy)]);
        table.add_row(["citizens".into(), number(said.citizens), number(expected.citizens)]);
        table.add_row(["digest".into(), hex(&said.digest), hex(&expected.digest)]);
        output::show(table);
    }
    let which =
        format!("{} at revision {}, reported {}", said.node, said.cursor, output::moment(said.time.as_ref()));
    ensure!(answer.right, "{which}: the slice was not what it should have been");
    if !global.json {
        output::done(&format!("{which}: signed by the node, and right"));
    }
    Ok(())
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

async fn show(global: &Global, node: &str, answer: &GetHeldCitizenResponse) -> anyhow::Result<()> {
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
    let areas = connect::order(global).await?;
    let order = areas.in_force();
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
                words(*field, citizen, order),
                givers.join(", "),
            ]);
        }
    }
    output::show(table);
    println!(
        "{node} held this as of revision {} ({}), by its policy of revision {}",
        answer.revision, answer.day, answer.policy
    );
    Ok(())
}

//! `dancu-hub contribution`: what nodes handed in.

mod evidence;

use std::{io::BufReader, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;
use console::style;
use dancu_proto::{
    Field,
    hub::v1::{
        DerivedAccess, GetContributionRequest, ImportContributionsRequest, ListOutboxesRequest, Outbox,
        SequenceRange,
    },
    v1::{ContributionState, RejectionReason, Signed},
    words::event,
};
use serde_json::{Value, json};

use super::{Global, audit::operation_name, connect, output};
use crate::review::names_of;

#[derive(Debug, Subcommand)]
pub(super) enum ContributionCommand {
    /// What a contribution says, what became of it, and what others derived before it was known
    Show {
        /// Its id
        id: String,
    },
    /// What the node signed of a contribution, as it came: for whoever is to check later whose word it was
    Evidence {
        /// Its id
        id: String,
        /// A new file for it; without, it goes to the terminal
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check what a node signed, or a receipt that a node kept: whose word it is, and of what; needs no hub
    Verify {
        /// What `evidence` wrote, or `dancu-node contribution receipt`
        file: PathBuf,
        /// The certificate of the hub's authority [default: this hub's]
        #[arg(long, value_name = "FILE")]
        authority: Option<PathBuf>,
    },
    /// Where the hub stands with each outbox, and what never came
    Outboxes,
    /// Take over contributions from the file of an outbox that came on paper roads (a USB stick)
    Import {
        /// The file, as `dancu-node outbox export` wrote it
        file: PathBuf,
        /// Also what nodes queued that are suspended or revoked by now: you know that it is theirs
        #[arg(long)]
        of_barred_nodes: bool,
    },
}

pub(super) async fn run(global: &Global, command: ContributionCommand) -> anyhow::Result<()> {
    match command {
        ContributionCommand::Show { id } => show(global, id).await,
        ContributionCommand::Evidence { id, out } => evidence::write(global, id, out).await,
        ContributionCommand::Verify { file, authority } => {
            evidence::verify(global, &file, authority.as_deref())
        }
        ContributionCommand::Outboxes => outboxes(global).await,
        ContributionCommand::Import { file, of_barred_nodes } => import(global, &file, of_barred_nodes).await,
    }
}

pub(super) fn state_name(state: i32) -> &'static str {
    match ContributionState::try_from(state).unwrap_or_default() {
        ContributionState::Accepted => "accepted",
        ContributionState::Rejected => "rejected",
        ContributionState::InReview => "in review",
        ContributionState::Queued => "queued",
        ContributionState::HandedOver => "handed over",
        ContributionState::Unspecified => "–",
    }
}

pub(super) fn reason_name(reason: i32) -> String {
    let reason = RejectionReason::try_from(reason).unwrap_or_default();
    reason.as_str_name().trim_start_matches("REJECTION_REASON_").to_lowercase().replace('_', " ")
}

async fn show(global: &Global, id: String) -> anyhow::Result<()> {
    let mut reviews = connect::reviews(global).await?;
    let request = GetContributionRequest { contribution_id: id };
    let found = reviews.get_contribution(request).await?.into_inner();
    let outcome = found.outcome.unwrap_or_default();
    let said = serde_json::to_value(found.contribution.unwrap_or_default())?;
    if global.json {
        let derived: Vec<Value> = found
            .derived
            .iter()
            .map(|one| {
                json!({
                    "revision": one.revision, "event": one.event, "source": one.source,
                    "contribution_id": one.contribution_id, "person": one.personal_id,
                    "effective_date": one.effective_date.as_ref().map(ToString::to_string),
                })
            })
            .collect();
        return output::json(&json!({
            "contribution": said, "state": state_name(outcome.state), "revision": outcome.revision,
            "reason": reason_name(outcome.reason), "message": outcome.message, "agency": found.agency,
            "node": outcome.node, "role": found.role, "personal_id": outcome.personal_id,
            "review": found.review, "derived": derived,
            "taken_back": (found.taken_back != 0).then_some(found.taken_back),
            "taken_back_by": (!found.taken_back_by.is_empty()).then_some(&found.taken_back_by),
            "accesses": found.accesses.iter().map(access_json).collect::<Vec<_>>(),
            "accesses_left_off": found.accesses_left_off,
        }));
    }
    let mut state = state_name(outcome.state).to_owned();
    if found.taken_back != 0 {
        let by = match found.taken_back_by.as_str() {
            "" => "an operator's decision".to_owned(),
            id => format!("contribution {id}"),
        };
        state = format!("{state}, and taken back by revision {} ({by})", output::number(found.taken_back));
    }
    output::pairs(&[
        ("contribution", outcome.contribution_id.clone()),
        ("node", format!("{} of {}, place {}", outcome.node, found.agency, outcome.sequence)),
        ("role", found.role),
        ("taken over", output::moment(found.taken_at.as_ref())),
        ("state", state),
        ("revision", if outcome.revision == 0 { "–".into() } else { output::number(outcome.revision) }),
        ("reason", output::plain(&outcome.message)),
        ("number given", outcome.personal_id),
        ("review", if found.review == 0 { "–".into() } else { found.review.to_string() }),
    ]);
    println!("{}", output::plain_lines(&serde_json::to_string_pretty(&said)?));
    if !found.derived.is_empty() {
        println!("{}", style("Events that hold from a later day and were known before:").bold());
        let mut table = output::table(["revision", "event", "from", "known", "source", "contribution"]);
        for one in found.derived {
            table.add_row([
                one.revision.to_string(),
                event(&one.event),
                one.effective_date.map(|date| date.to_string()).unwrap_or_default(),
                output::moment(one.known_at.as_ref()),
                one.source,
                one.contribution_id,
            ]);
        }
        output::show(table);
    }
    accesses(&found.accesses, found.accesses_left_off);
    Ok(())
}

/// Who was answered without it, before it was known.
fn accesses(accesses: &[DerivedAccess], left_off: u64) {
    if accesses.is_empty() {
        return;
    }
    println!("{}", style("Calls that were answered without it, from the day on from which it holds:").bold());
    let header =
        ["time", "node / caller", "officer", "purpose", "case", "call", "person", "fields", "record"];
    let mut table = output::table(header);
    for access in accesses {
        let by = match access.caller.as_str() {
            "" => access.node.clone(),
            caller => format!("{} / {caller}", access.node),
        };
        let cells = [
            output::moment(access.time.as_ref()),
            by,
            access.officer.clone(),
            access.purpose.clone(),
            access.case_number.clone(),
            operation_name(access.operation()).to_owned(),
            access.personal_id.clone(),
            names_of(&access.fields),
            access.index.to_string(),
        ];
        // Officer, case and more are what a back-end or a node chose to say.
        table.add_row(cells.iter().map(|cell| output::plain(cell)));
    }
    output::show(table);
    if left_off > 0 {
        let more = format!(
            "{} earlier ones are left off; `dancu-hub audit citizen NUMBER` shows all.",
            output::number(left_off)
        );
        println!("{}", style(more).dim());
    }
}

fn access_json(access: &DerivedAccess) -> Value {
    let fields = access.fields.iter().filter_map(|number| Field::try_from(*number).ok());
    json!({
        "index": access.index, "time": output::moment(access.time.as_ref()), "node": access.node,
        "caller": access.caller, "officer": access.officer, "purpose": access.purpose,
        "case_number": access.case_number, "operation": operation_name(access.operation()),
        "revision": access.revision, "person": access.personal_id,
        "fields": fields.map(Field::name).collect::<Vec<_>>(),
    })
}

async fn outboxes(global: &Global) -> anyhow::Result<()> {
    let mut reviews = connect::reviews(global).await?;
    let outboxes = reviews.list_outboxes(ListOutboxesRequest {}).await?.into_inner().outboxes;
    if global.json {
        return output::json(&outboxes.iter().map(as_json).collect());
    }
    let mut table = output::table(["node", "outbox", "queued", "taken over", "never came", "last", "state"]);
    for outbox in &outboxes {
        let missing = ranges(&outbox.missing);
        let state = match (outbox.lost, missing.is_empty()) {
            (true, false) => style("lost").red().to_string(),
            (true, true) => "replaced".into(),
            (false, false) => style("has gaps").yellow().to_string(),
            (false, true) => style("in order").green().to_string(),
        };
        table.add_row([
            outbox.node.clone(),
            hex(&outbox.outbox[..outbox.outbox.len().min(4)]),
            output::number(outbox.queued),
            output::number(outbox.taken),
            missing,
            output::moment(outbox.last_taken.as_ref()),
            state,
        ]);
    }
    output::show(table);
    Ok(())
}

fn as_json(outbox: &Outbox) -> Value {
    let missing: Vec<_> = outbox.missing.iter().map(|range| [range.from, range.until]).collect();
    json!({
        "node": outbox.node, "outbox": hex(&outbox.outbox), "queued": outbox.queued, "taken": outbox.taken,
        "missing": missing, "lost": outbox.lost, "last_taken": output::moment(outbox.last_taken.as_ref()),
    })
}

fn ranges(missing: &[SequenceRange]) -> String {
    let range = |range: &SequenceRange| match range.from == range.until {
        true => range.from.to_string(),
        false => format!("{}–{}", range.from, range.until),
    };
    missing.iter().map(range).collect::<Vec<_>>().join(", ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Contributions of one message.
const AT_ONCE: usize = 200;

async fn import(global: &Global, file: &std::path::Path, of_barred_nodes: bool) -> anyhow::Result<()> {
    let opened = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let contributions = dancu_proto::contribution::read_file(BufReader::new(opened))
        .with_context(|| format!("{} is not the file of an outbox", file.display()))?;
    let total = contributions.len();
    let bar = indicatif::ProgressBar::new(total as u64);
    let parts: Vec<Vec<Signed>> = contributions.chunks(AT_ONCE).map(<[Signed]>::to_vec).collect();
    let moving = bar.clone();
    let requests = parts.into_iter().map(move |contributions| {
        moving.inc(contributions.len() as u64);
        ImportContributionsRequest { contributions, of_barred_nodes }
    });
    let mut reviews = connect::reviews(global).await?;
    let done = reviews.import_contributions(futures::stream::iter(requests)).await?.into_inner();
    bar.finish_and_clear();
    if global.json {
        output::json(&json!({ "taken": done.taken, "known": done.known, "refused": done.refused }))?;
    } else {
        output::done(&format!("{} taken over, {} had come before, of {total}", done.taken, done.known));
    }
    if !done.refused.is_empty() {
        anyhow::bail!("not everything was taken over: {}", done.refused);
    }
    Ok(())
}

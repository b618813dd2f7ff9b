//! `dancu-hub audit`: who looked at whom, and the proof of it.

mod evidence;
mod show;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, ValueEnum};
use dancu_proto::{
    hub::v1::{
        AccessRow, AccessTree, FindPatternsRequest, GetTreeHeadRequest, ListAccessRequest, ListAlarmsRequest,
        list_access_request::Of, list_access_response::Body,
    },
    v1::AccessOperation,
};
use prost_types::Timestamp;
use serde_json::json;
use time::OffsetDateTime;

use self::{evidence::Evidence, show::Shown};
use super::{Global, citizen::parse_time, connect, output, statement};

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Everyone who looked at a person
    Citizen {
        /// The personal number, in force or former
        personal_id: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Everything that an officer asked
    Officer {
        /// The officer's code
        officer: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Everything that was asked at a node
    Node {
        /// The node
        node: String,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Write every record with its proof to a file
    Export {
        /// JSON Lines; compressed if it ends in .zst
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Also prove that the log begins with this head, kept earlier
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
    /// Write the signed head of the log, to be kept elsewhere
    Head {
        /// Where to
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a file of records against a head that was kept elsewhere; needs no hub
    Verify {
        /// What --proofs or `export` wrote
        file: PathBuf,
        /// The head that was kept
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        /// The certificate of the hub's authority [default: this hub's]
        #[arg(long, value_name = "FILE")]
        authority: Option<PathBuf>,
    },
    /// Prove that the log still begins with a head that was kept elsewhere
    Consistency {
        /// The head that was kept
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The certificate of the hub's authority [default: this hub's]
        #[arg(long, value_name = "FILE")]
        authority: Option<PathBuf>,
    },
    /// What was wrong with the logs that nodes handed in
    Alarms,
    /// Calls that are worth a question
    Patterns {
        #[command(flatten)]
        period: Period,
    },
}

#[derive(Debug, Args)]
pub(super) struct Period {
    /// From this day or time on (2026-01-31 or 2026-01-31T12:00:00, Vietnam)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until the end of this day, or until this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Wanted {
    #[command(flatten)]
    period: Period,
    /// The language of the table
    #[arg(long, value_enum, default_value_t = Language::Vi)]
    lang: Language,
    /// Also write the records with their proofs to a file, for `audit verify`
    #[arg(long, value_name = "FILE")]
    proofs: Option<PathBuf>,
    /// Also prove that the log begins with this head, kept earlier
    #[arg(long, value_name = "FILE", requires = "proofs")]
    head: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Vietnamese
    Vi,
    /// English
    En,
}

pub(super) async fn run(global: &Global, command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Citizen { personal_id, wanted } => {
            list(global, Of::PersonalId(personal_id), &wanted).await
        }
        AuditCommand::Officer { officer, wanted } => list(global, Of::Officer(officer), &wanted).await,
        AuditCommand::Node { node, wanted } => list(global, Of::Node(node), &wanted).await,
        AuditCommand::Export { out, head } => export(global, &out, head.as_deref()).await,
        AuditCommand::Head { out } => keep_head(global, &out).await,
        AuditCommand::Verify { file, head, authority } => {
            let authority = statement::authority(global, authority.as_deref())?;
            let kept = head.as_deref().map(|path| evidence::read_head(path, &authority)).transpose()?;
            verify(global, &file, kept.as_ref(), &authority)
        }
        AuditCommand::Consistency { from, authority } => {
            consistency(global, &from, authority.as_deref()).await
        }
        AuditCommand::Alarms => alarms(global).await,
        AuditCommand::Patterns { period } => patterns(global, &period).await,
    }
}

/// What was asked for, in English.
pub(super) fn operation_name(operation: AccessOperation) -> &'static str {
    show::operation(operation, Language::En)
}

/// Shows records, and keeps their proofs where that is asked for.
async fn list(global: &Global, of: Of, wanted: &Wanted) -> anyhow::Result<()> {
    let person = match &of {
        Of::PersonalId(number) => Some(number.clone()),
        _ => None,
    };
    let mut evidence = wanted.proofs.as_deref().map(Evidence::create).transpose()?;
    let mut shown = Vec::new();
    let nobody = records(global, of, &wanted.period, wanted.head.as_deref(), |part| {
        if let Some(evidence) = &mut evidence {
            evidence.add(&part)?;
        }
        if let Part::Row(row) = part {
            shown.push(Shown::of(&row)?);
        }
        Ok(())
    })
    .await?;
    // By the time of the record: nodes hand in late.
    shown.sort_by_key(|row| row.time_ms);
    if let Some(evidence) = evidence {
        evidence.finish()?;
    }
    if nobody {
        let note = match wanted.lang {
            Language::Vi => "Trong cơ sở dữ liệu không có ai mang, hoặc từng mang, số định danh này",
            Language::En => "Nobody in the registry has, or had, this personal number",
        };
        // Somebody may have asked for it all the same.
        eprintln!("{}", console::style(note).yellow().for_stderr());
    }
    if global.json {
        return output::json(&shown.iter().map(Shown::json).collect());
    }
    show::table(&shown, person.as_deref(), wanted.lang);
    Ok(())
}

async fn export(global: &Global, out: &Path, head: Option<&Path>) -> anyhow::Result<()> {
    let (mut evidence, mut count) = (Evidence::create(out)?, 0);
    let always = Period { from: None, until: None };
    let bar = output::counting("records");
    records(global, Of::Everyone(true), &always, head, |part| {
        if matches!(part, Part::Row(_)) {
            count += 1;
            bar.set_position(count);
        }
        evidence.add(&part)
    })
    .await?;
    bar.finish_and_clear();
    evidence.finish()?;
    output::done(&format!("{} records in {}", output::number(count), out.display()));
    Ok(())
}

/// A message of a list of records.
enum Part {
    Tree(AccessTree, u64),
    Row(AccessRow),
}

/// Asks for records; whether nobody has the number that was asked for.
async fn records(
    global: &Global,
    of: Of,
    period: &Period,
    head: Option<&Path>,
    mut each: impl FnMut(Part) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    // What it is worth is checked by `verify`.
    let since = head.map(evidence::size_of).transpose()?.unwrap_or(0);
    let request = ListAccessRequest {
        of: Some(of),
        from: period.from.as_deref().map(beginning).transpose()?,
        until: period.until.as_deref().map(end).transpose()?,
        since,
    };
    let mut answers = connect::audit(global).await?.list_access(request).await?.into_inner();
    let mut nobody = false;
    while let Some(answer) = answers.message().await? {
        nobody |= answer.nobody;
        match answer.body.context("the hub's answer cannot be read")? {
            Body::Tree(tree) => each(Part::Tree(tree, since))?,
            Body::Row(row) => each(Part::Row(row))?,
        }
    }
    Ok(nobody)
}

async fn keep_head(global: &Global, out: &Path) -> anyhow::Result<()> {
    let answer = connect::audit(global).await?.get_tree_head(GetTreeHeadRequest { since: 0 }).await?;
    let head = answer.into_inner().tree.and_then(|tree| tree.head).context("the hub has no head")?;
    fs::write(out, head.to_text()).with_context(|| format!("cannot write {}", out.display()))?;
    let size = evidence::size_of(out)?;
    output::done(&format!(
        "the head of {} records is in {}; keep it where nobody who has the hub can change it",
        output::number(size),
        out.display()
    ));
    Ok(())
}

fn verify(
    global: &Global,
    file: &Path,
    kept: Option<&evidence::Head>,
    authority: &statement::Authority,
) -> anyhow::Result<()> {
    let outcome = evidence::verify(file, kept, authority)?;
    if global.json {
        output::json(&json!({
            "records": outcome.records, "faults": outcome.faults, "size": outcome.size,
            "against_kept_head": kept.is_some(),
        }))?;
    } else {
        outcome.faults.iter().for_each(|fault| println!("{} {fault}", console::style("✗").red()));
    }
    ensure!(outcome.faults.is_empty(), "{} of the file is not in the log as it says", outcome.faults.len());
    if !global.json {
        let against = if kept.is_some() { "and the log begins with the head that was kept" } else { "" };
        let (records, size) = (output::number(outcome.records), output::number(outcome.size));
        output::done(&format!("{records} records stand in the log of {size} {against}"));
    }
    Ok(())
}

async fn consistency(global: &Global, from: &Path, authority: Option<&Path>) -> anyhow::Result<()> {
    let authority = statement::authority(global, authority)?;
    let kept = evidence::read_head(from, &authority)?;
    let answer = connect::audit(global).await?.get_tree_head(GetTreeHeadRequest { since: kept.size }).await?;
    let tree = answer.into_inner().tree.context("the hub has no head")?;
    let now = evidence::head_of(&tree.head.unwrap_or_default(), &authority)?;
    ensure!(
        now.begins_with(&kept, &tree.consistency),
        "the log does not begin with the head that was kept: records were changed or removed"
    );
    let (size, kept) = (output::number(now.size), output::number(kept.size));
    output::done(&format!("the log of {size} records begins with the {kept} of the head that was kept"));
    Ok(())
}

async fn alarms(global: &Global) -> anyhow::Result<()> {
    let alarms = connect::audit(global).await?.list_alarms(ListAlarmsRequest {}).await?.into_inner().alarms;
    if global.json {
        let row = |alarm: &dancu_proto::hub::v1::AuditAlarm| {
            json!({ "kind": alarm.kind, "node": alarm.node, "record": alarm.sequence, "text": alarm.text,
                    "first": output::moment(alarm.first.as_ref()), "last": output::moment(alarm.last.as_ref()),
                    "count": alarm.count })
        };
        return output::json(&alarms.iter().map(row).collect());
    }
    if alarms.is_empty() {
        output::done("no alarms");
        return Ok(());
    }
    let mut table = output::table(["Node", "Kind", "Record", "What", "First", "Last", "Times"]);
    for alarm in alarms {
        let (first, last) = (output::moment(alarm.first.as_ref()), output::moment(alarm.last.as_ref()));
        let (record, count) = (output::number(alarm.sequence), output::number(alarm.count));
        let kind = console::style(alarm.kind).red().to_string();
        table.add_row([alarm.node, kind, record, alarm.text, first, last, count]);
    }
    output::show(table);
    Ok(())
}

async fn patterns(global: &Global, period: &Period) -> anyhow::Result<()> {
    let request = FindPatternsRequest {
        from: period.from.as_deref().map(beginning).transpose()?,
        until: period.until.as_deref().map(end).transpose()?,
    };
    let found = connect::audit(global).await?.find_patterns(request).await?.into_inner();
    if global.json {
        let row = |one: &dancu_proto::hub::v1::AccessPattern| {
            json!({ "rule": one.rule, "explanation": one.explanation, "node": one.node,
                    "officer": one.officer, "personal_id": one.personal_id, "count": one.count,
                    "first": output::moment(one.first.as_ref()), "last": output::moment(one.last.as_ref()) })
        };
        return output::json(&found.patterns.iter().map(row).collect());
    }
    if !found.patterns.is_empty() {
        let mut table = output::table(["Rule", "Node", "Officer", "Person", "Count", "First", "Last"]);
        for one in found.patterns {
            let (first, last) = (output::moment(one.first.as_ref()), output::moment(one.last.as_ref()));
            let count = output::number(one.count);
            let officer = output::plain(&one.officer);
            table.add_row([one.explanation, one.node, officer, one.personal_id, count, first, last]);
        }
        output::show(table);
    }
    output::done(&format!("{} records were looked at", output::number(found.records)));
    Ok(())
}

/// The beginning of a day, or a moment.
fn beginning(text: &str) -> anyhow::Result<Timestamp> {
    let text = if text.len() == 10 { format!("{text}T00:00:00") } else { text.to_owned() };
    Ok(stamp(parse_time(&text)?))
}

/// The end of a day, or a moment.
fn end(text: &str) -> anyhow::Result<Timestamp> {
    let until = parse_time(text)?;
    Ok(stamp(if text.len() == 10 { until + time::Duration::SECOND } else { until }))
}

fn stamp(at: OffsetDateTime) -> Timestamp {
    Timestamp { seconds: at.unix_timestamp(), nanos: 0 }
}

//! `dancu-hub change` and `dancu-hub citizen`.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use dancu_proto::{
    Field, Record,
    area::Division,
    field::Format,
    hub::v1::{ChangeCitizenRequest, GetCitizenRecordRequest, GetCitizenRecordResponse, HistoryEntry},
    v1::{Citizen, Date},
    words::describe,
};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, PrimitiveDateTime, macros::format_description};
use uuid::Uuid;

use super::{Global, connect, output};

/// Beside a value that sources disagree on.
const IN_QUESTION: &str = "đang xem xét / in question";
/// Where there is no value.
const NONE: &str = "–";

#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// The citizen's personal number, in force or former
    id: String,
    /// A new value: field=text, or field=JSON for a value of several parts
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// A field to empty
    #[arg(long = "clear", value_name = "FIELD")]
    clear: Vec<String>,
    /// Why
    #[arg(long)]
    reason: String,
    /// Number of the document that orders the change
    #[arg(long, value_name = "NUMBER")]
    document: String,
    /// The day from which the new values hold
    #[arg(long, value_name = "DATE")]
    effective: String,
    /// Id of the change, a UUID: the same id is carried out once
    #[arg(long, value_name = "UUID")]
    contribution: Option<Uuid>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CitizenCommand {
    /// A citizen's record and who supplied each value
    Show {
        /// The personal number, in force or former
        id: String,
        /// As known at a revision, or at a time (2026-01-31 or 2026-01-31T12:00:00, Vietnam)
        #[arg(long, value_name = "REVISION|TIME")]
        at: Option<String>,
        /// As it held on a day
        #[arg(long, value_name = "DATE")]
        on: Option<String>,
        /// Every change too
        #[arg(long)]
        history: bool,
    },
}

pub(super) async fn change(global: &Global, args: ChangeArgs) -> anyhow::Result<()> {
    let mut clear = Vec::new();
    for name in &args.clear {
        let field: Field = name.parse()?;
        clear.push(dancu_proto::v1::Field::from(field).into());
    }
    let request = ChangeCitizenRequest {
        personal_id: args.id,
        set: Some(values(&args.set)?),
        clear,
        reason: args.reason,
        document_number: args.document,
        effective_date: Some(args.effective.parse::<Date>().context("--effective")?),
        contribution_id: args.contribution.unwrap_or_else(Uuid::now_v7).to_string(),
    };
    let mut admin = connect::admin(global).await?;
    let answer = admin.change_citizen(request).await?.into_inner();
    if global.json {
        return output::json(&json!({ "revision": answer.revision, "unchanged": answer.unchanged }));
    }
    if answer.unchanged {
        output::done("nothing to change: the record has these values already");
    } else {
        output::done(&format!("changed as of revision {}", answer.revision));
    }
    Ok(())
}

/// `field=value` pairs as a citizen. A dotted field sets a part, as in a CSV header.
fn values(pairs: &[String]) -> anyhow::Result<Citizen> {
    let mut object = Map::new();
    for pair in pairs {
        let Some((path, text)) = pair.split_once('=') else { bail!("--set {pair}: write field=value") };
        let mut parts = path.split('.');
        let field: Field =
            parts.next().unwrap_or_default().parse().with_context(|| format!("--set {path}"))?;
        let list = matches!(field.spec().format, Format::Countries | Format::PersonalIds);
        let value = match serde_json::from_str(text) {
            Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
            _ if list => text.split(';').map(|item| Value::from(item.trim())).collect(),
            _ => Value::from(text),
        };
        let parts: Vec<&str> = parts.collect();
        let nested = parts.iter().rev().fold(value, |inner, part| json!({ *part: inner }));
        match (object.get_mut(field.name()), nested) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, nested) => _ = object.insert(field.name().into(), nested),
        }
    }
    serde_path_to_error::deserialize(Value::Object(object))
        .map_err(|error| anyhow::anyhow!("--set {}: {}", error.path(), error.inner()))
}

pub(super) async fn run(global: &Global, command: CitizenCommand) -> anyhow::Result<()> {
    let CitizenCommand::Show { id, at, on, history } = command;
    let mut request = GetCitizenRecordRequest { personal_id: id, history, ..Default::default() };
    if let Some(at) = at {
        match at.parse() {
            Ok(revision) => request.at_revision = revision,
            Err(_) => {
                let time =
                    parse_time(&at).context("--at is a revision, or a time like 2026-01-31T12:00:00")?;
                request.at_time = Some(prost_types::Timestamp { seconds: time.unix_timestamp(), nanos: 0 });
            }
        }
    }
    if let Some(on) = on {
        request.valid_on = Some(on.parse::<Date>().context("--on")?);
    }
    let mut admin = connect::admin(global).await?;
    let answer = admin.get_citizen_record(request).await?.into_inner();
    if global.json {
        return output::json(&as_json(&answer)?);
    }
    print(&answer, connect::order(global).await?.in_force())
}

/// A time of Vietnam; a day alone means its end.
pub(super) fn parse_time(text: &str) -> anyhow::Result<OffsetDateTime> {
    let whole = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let text = if text.len() == 10 { format!("{text}T23:59:59") } else { text.to_owned() };
    Ok(PrimitiveDateTime::parse(&text, &whole)?.assume_offset(time::macros::offset!(+7)))
}

fn as_json(answer: &GetCitizenRecordResponse) -> anyhow::Result<Value> {
    let name = |number: i32| Field::try_from(number).map_or("?", Field::name);
    let sources = answer.sources.iter().map(|source| {
        json!({ "field": name(source.field), "revision": source.revision, "source": source.source,
                "contribution": source.contribution_id,
                "effective": source.effective_date.map(|date| date.to_string()) })
    });
    let history = answer.history.iter().map(|entry| {
        json!({ "revision": entry.revision, "time": output::moment(entry.time.as_ref()), "source": entry.source,
                "contribution": entry.contribution_id, "reason": entry.reason,
                "document": entry.document_number,
                "effective": entry.effective_date.map(|date| date.to_string()),
                "fields": entry.fields.iter().map(|field| name(*field)).collect::<Vec<_>>(),
                "before": entry.before, "after": entry.after })
    });
    Ok(json!({
        "revision": answer.revision,
        "citizen": answer.citizen,
        "sources": sources.collect::<Vec<_>>(),
        "history": history.collect::<Vec<_>>(),
    }))
}

fn print(answer: &GetCitizenRecordResponse, order: &Division) -> anyhow::Result<()> {
    let citizen = answer.citizen.clone().unwrap_or_default();
    let mut in_question = Record::encode(&citizen).in_question();
    let mut table = output::table(["field", "label", "value", "since", "source"]);
    for source in &answer.sources {
        let Ok(field) = Field::try_from(source.field) else { continue };
        let mut value = words(field, &citizen, order);
        if in_question.contains(field) {
            value.push_str(&format!("\n({IN_QUESTION})"));
        }
        table.add_row([
            field.name().to_owned(),
            field.spec().label_vi.to_owned(),
            value,
            format!("r{}", source.revision),
            source.source.clone(),
        ]);
        in_question.remove(field);
    }
    // Whether there is a value at all.
    for field in in_question.iter() {
        let (name, label) = (field.name().to_owned(), field.spec().label_vi.to_owned());
        table.add_row([name, label, format!("–\n({IN_QUESTION})"), String::new(), String::new()]);
    }
    output::show(table);
    for entry in &answer.history {
        print_entry(entry, order);
    }
    println!("as known at revision {}", answer.revision);
    Ok(())
}

fn print_entry(entry: &HistoryEntry, order: &Division) {
    let holds = entry.effective_date.map_or("unknown".into(), |date| date.to_string());
    println!(
        "revision {}, known {}, holds from {holds}: {} (document {}, {})",
        entry.revision,
        output::moment(entry.time.as_ref()),
        entry.reason,
        entry.document_number,
        entry.source
    );
    let before = entry.before.clone().unwrap_or_default();
    let after = entry.after.clone().unwrap_or_default();
    let questioned = Record::encode(&after).in_question();
    let settled = Record::encode(&before).in_question();
    for field in entry.fields.iter().filter_map(|number| Field::try_from(*number).ok()) {
        let name = field.name();
        let [was, is] = [&before, &after].map(|of| words(field, of, order));
        if was != NONE || is != NONE {
            println!("  {name}: {was} → {is}");
        }
        match (settled.contains(field), questioned.contains(field)) {
            (false, true) => println!("  {name}: {IN_QUESTION}"),
            (true, false) => println!("  {name}: hết xem xét / no longer in question"),
            _ => {}
        }
    }
}

/// A value as a person reads it.
pub(super) fn words(field: Field, citizen: &Citizen, order: &Division) -> String {
    describe(field, citizen, order).unwrap_or_else(|| NONE.to_owned())
}

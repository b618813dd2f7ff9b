//! What a person reads, and its JSON form for scripts.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use console::style;
use dancu_proto::{
    Field,
    node::v1::{AttributeVerdict, GetStatusResponse, NodeState, Verdict},
    v1::{Citizen, Freshness},
};
use serde_json::{Value, json};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::{describe::describe, failure::Failure};
use crate::state::rounded;

/// Vietnam has had one time zone, without summer time, since 1975.
const VIETNAM: (i8, i8, i8) = (7, 0, 0);

pub(super) fn json(value: &Value) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.to_vec());
    table.add_rows(rows);
    println!("{table}");
}

/// A moment as people in Vietnam read clocks.
pub(super) fn moment(moment: OffsetDateTime) -> String {
    let local = UtcOffset::from_hms(VIETNAM.0, VIETNAM.1, VIETNAM.2)
        .map_or(moment, |offset| moment.to_offset(offset));
    let (date, time) = (local.date(), local.time());
    format!("{date} {:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

fn time_of(timestamp: Option<&prost_types::Timestamp>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(timestamp?.seconds).ok()
}

fn rfc3339(timestamp: Option<&prost_types::Timestamp>) -> Option<String> {
    time_of(timestamp)?.format(&Rfc3339).ok()
}

fn span(duration: Option<&prost_types::Duration>) -> Option<std::time::Duration> {
    u64::try_from(duration?.seconds).ok().map(std::time::Duration::from_secs)
}

/// Names of fields, from their numbers.
pub(super) fn names(fields: &[i32]) -> Vec<&'static str> {
    fields.iter().filter_map(|number| Field::try_from(*number).ok()).map(Field::name).collect()
}

pub(super) fn citizen(citizen: &Citizen, authorised: &[i32]) {
    let fields = authorised.iter().filter_map(|number| Field::try_from(*number).ok());
    let rows = fields.map(|field| {
        let value = describe(field, citizen).unwrap_or_else(|| "–".into());
        vec![field.spec().label_vi.to_owned(), field.name().to_owned(), value]
    });
    table(&["Thông tin", "Field", "Giá trị / Value"], rows.collect());
}

pub(super) fn former_number(in_force: Option<&str>) {
    let now = in_force.map(|number| format!("; the number in force is {number}")).unwrap_or_default();
    println!("{}", style(format!("the number asked for is a former one{now}")).yellow());
}

pub(super) fn matches(count: usize, more: bool) {
    match (count, more) {
        (_, true) => println!("{count} matches, and there are more: ask more narrowly"),
        (1, _) => println!("1 match"),
        _ => println!("{count} matches"),
    }
}

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unspecified => "unspecified",
        Verdict::Match => "match",
        Verdict::Mismatch => "mismatch",
        Verdict::NotAuthorised => "not_authorised",
        Verdict::NoValue => "no_value",
    }
}

pub(super) fn verdicts(verdicts: &[AttributeVerdict]) {
    let words = |verdict: Verdict| match verdict {
        Verdict::Match => style("khớp / match").green(),
        Verdict::Mismatch => style("không khớp / mismatch").red(),
        Verdict::NotAuthorised => style("không được phép / not authorised").yellow(),
        Verdict::NoValue => style("không có dữ liệu / no value").dim(),
        Verdict::Unspecified => style("–"),
    };
    let rows = verdicts.iter().filter_map(|one| {
        let field = Field::try_from(one.field).ok()?;
        Some(vec![
            field.spec().label_vi.to_owned(),
            field.name().to_owned(),
            words(one.verdict()).to_string(),
        ])
    });
    table(&["Thông tin", "Field", "Kết quả / Verdict"], rows.collect());
}

pub(super) fn freshness(freshness: Option<&Freshness>) {
    let Some(freshness) = freshness else { return };
    let mut line = format!("revision {}", freshness.revision);
    if let Some(as_of) = time_of(freshness.as_of.as_ref()) {
        line.push_str(&format!(", as of {} (+07:00)", moment(as_of)));
    }
    match span(freshness.offline.as_ref()) {
        None => println!("{}", style(format!("{line}, hub connected")).dim()),
        Some(offline) => {
            println!("{}", style(format!("{line}, hub out of reach for {}", rounded(offline))).yellow());
        }
    }
}

pub(super) fn freshness_json(freshness: Option<&Freshness>) -> Value {
    let Some(freshness) = freshness else { return Value::Null };
    json!({
        "revision": freshness.revision,
        "as_of": rfc3339(freshness.as_of.as_ref()),
        "offline_seconds": freshness.offline.map(|offline| offline.seconds),
    })
}

fn state_name(state: NodeState) -> String {
    state.as_str_name().trim_start_matches("NODE_STATE_").to_lowercase()
}

pub(super) fn status_json(status: &GetStatusResponse) -> Value {
    let agreements: Vec<_> = status
        .agreements
        .iter()
        .map(|held| {
            json!({
                "agreement": held.agreement, "version": held.version, "title": held.title,
                "purposes": held.purposes, "operations": held.operations, "fields": held.fields,
                "offline_limit_seconds": held.offline_limit.map(|limit| limit.seconds),
                "loading": held.loading,
            })
        })
        .collect();
    json!({
        "node": status.node,
        "agency": status.agency,
        "state": state_name(status.state()),
        "explanation": status.explanation,
        "cursor": status.cursor,
        "hub_head": status.hub_head,
        "as_of": rfc3339(status.as_of.as_ref()),
        "offline_seconds": status.offline.map(|offline| offline.seconds),
        "citizens": status.citizens,
        "bytes": status.bytes,
        "loading": status.loading,
        "agreements": agreements,
        "certificate_expires": rfc3339(status.certificate_expires.as_ref()),
        "version": status.version,
    })
}

pub(super) fn status(status: &GetStatusResponse) -> Result<(), Failure> {
    let name = state_name(status.state());
    let state = match status.state() {
        NodeState::Serving => style(name).green(),
        NodeState::Offline | NodeState::Loading | NodeState::Narrowing => style(name).yellow(),
        _ => style(name).red(),
    };
    println!("{} ({}): {}", style(&status.node).bold(), status.agency, state.bold());
    if !status.explanation.is_empty() {
        println!("{}", status.explanation);
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let local = |timestamp| time_of(timestamp).map(|at| format!("{} (+07:00)", moment(at)));
    let mut rows = vec![
        vec!["Revision".into(), format!("{} (hub: {})", status.cursor, status.hub_head)],
        vec!["Hub last heard".into(), or_dash(local(status.as_of.as_ref()))],
        vec![
            "Out of reach for".into(),
            or_dash(span(status.offline.as_ref()).map(|offline| rounded(offline).to_string())),
        ],
        vec!["Citizens".into(), format!("{} ({})", status.citizens, size(status.bytes))],
        vec!["Certificate until".into(), or_dash(local(status.certificate_expires.as_ref()))],
        vec!["Software".into(), status.version.clone()],
    ];
    if status.loading > 0 {
        rows.push(vec!["Loading".into(), format!("{} citizens received", status.loading)]);
    }
    table(&["Node", ""], rows);
    let agreements = status.agreements.iter().map(|held| {
        let limit = span(held.offline_limit.as_ref()).map(|limit| rounded(limit).to_string());
        let loading = if held.loading { " (loading)" } else { "" };
        vec![
            format!("{} v{}{loading}\n{}", held.agreement, held.version, held.title),
            held.purposes.join("\n"),
            held.operations.join("\n"),
            held.fields.join(", "),
            or_dash(limit),
        ]
    });
    let rows: Vec<_> = agreements.collect();
    if !rows.is_empty() {
        table(&["Agreement", "Purposes", "Operations", "Fields", "Offline limit"], rows);
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

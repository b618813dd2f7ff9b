//! What a person reads, and its JSON form for scripts.

use std::{
    fmt::Display,
    io::{self, Write},
};

use comfy_table::{Cell, Color, ContentArrangement, Row, Table, presets::UTF8_FULL_CONDENSED};
use console::style;
use dancu_proto::{
    Field,
    area::Division,
    node::v1::{AttributeVerdict, GetStatusResponse, NameDifference, NodeState, Verdict},
    v1::{Citizen, Freshness},
    words::describe,
};
use serde_json::{Value, json};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::failure::Failure;
use crate::state::rounded;

/// Vietnam has had one time zone, without summer time, since 1975.
const VIETNAM: (i8, i8, i8) = (7, 0, 0);

/// Writes a line. A reader that has seen enough is no fault, and no reason to panic.
pub(super) fn line(text: impl Display) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}").map_err(Failure::Output)
}

/// Columns of a table that goes to no terminal.
const WIDTH: u16 = 120;

pub(super) fn json(value: &Value) -> Result<(), Failure> {
    line(serde_json::to_string_pretty(value)?)
}

pub(super) fn table<R: Into<Row>>(header: &[&str], rows: Vec<R>) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH);
    }
    table.set_header(header.to_vec());
    table.add_rows(rows);
    line(table)
}

/// A moment as people in Vietnam read clocks.
pub(super) fn moment(moment: OffsetDateTime) -> String {
    let local = UtcOffset::from_hms(VIETNAM.0, VIETNAM.1, VIETNAM.2)
        .map_or(moment, |offset| moment.to_offset(offset));
    let (date, time) = (local.date(), local.time());
    format!("{date} {:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

pub(super) fn time_of(timestamp: Option<&prost_types::Timestamp>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(timestamp?.seconds).ok()
}

pub(super) fn rfc3339(timestamp: Option<&prost_types::Timestamp>) -> Option<String> {
    time_of(timestamp)?.format(&Rfc3339).ok()
}

fn span(duration: Option<&prost_types::Duration>) -> Option<std::time::Duration> {
    u64::try_from(duration?.seconds).ok().map(std::time::Duration::from_secs)
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names of fields, from their numbers.
pub(super) fn names(fields: &[i32]) -> Vec<&'static str> {
    fields.iter().filter_map(|number| Field::try_from(*number).ok()).map(Field::name).collect()
}

/// Beside what sources disagree on.
pub(super) const IN_QUESTION: &str = "đang xem xét / in question";

/// A field's value in words, and whether it is in question; none where it has none and that is certain.
pub(super) fn value(field: Field, citizen: &Citizen, order: &Division) -> Option<String> {
    let value = describe(field, citizen, order);
    let number = i32::from(dancu_proto::v1::Field::from(field));
    if citizen.in_question.contains(&number) {
        return Some(format!("{} ({IN_QUESTION})", value.as_deref().unwrap_or("–")));
    }
    value
}

pub(super) fn citizen(citizen: &Citizen, authorised: &[i32], order: &Division) -> Result<(), Failure> {
    let fields = authorised.iter().filter_map(|number| Field::try_from(*number).ok());
    let (mut rows, mut without) = (Vec::new(), Vec::new());
    for field in fields {
        let label = field.spec().label_vi;
        match value(field, citizen, order) {
            Some(value) => rows.push(vec![label.to_owned(), field.name().to_owned(), value]),
            None => without.push(label),
        }
    }
    table(&["Thông tin", "Field", "Giá trị / Value"], rows)?;
    // Authorised and empty is not the same as not authorised.
    if without.is_empty() {
        return Ok(());
    }
    line(style(format!("không có dữ liệu / no value: {}", without.join(" · "))).dim())
}

pub(super) fn former_number(in_force: Option<&str>) -> Result<(), Failure> {
    let now = in_force.map(|number| format!("; the number in force is {number}")).unwrap_or_default();
    line(style(format!("the number asked for is a former one{now}")).yellow())
}

pub(super) fn remote() -> Result<(), Failure> {
    line(style("not in this node's slice: the hub answered").dim())
}

pub(super) fn matches(count: usize, more: bool) -> Result<(), Failure> {
    match (count, more) {
        (_, true) => line(format_args!("{count} matches, and there are more: ask more narrowly")),
        (1, _) => line("1 match"),
        _ => line(format_args!("{count} matches")),
    }
}

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unspecified => "unspecified",
        Verdict::Match => "match",
        Verdict::Mismatch => "mismatch",
        Verdict::NotAuthorised => "not_authorised",
        Verdict::NoValue => "no_value",
        Verdict::MatchIgnoringMarks => "match_ignoring_marks",
    }
}

/// In what a name is written otherwise.
fn difference(difference: NameDifference) -> &'static str {
    match difference {
        NameDifference::Unspecified => "–",
        NameDifference::UnicodeForm => "mã Unicode / Unicode form",
        NameDifference::Spacing => "khoảng trắng / spaces",
        NameDifference::Case => "chữ hoa, thường / capitals",
        NameDifference::Marks => "dấu / marks",
        NameDifference::MiddleNameOrder => "thứ tự tên đệm / order of middle names",
    }
}

pub(super) fn verdicts(verdicts: &[AttributeVerdict]) -> Result<(), Failure> {
    let cell = |verdict: Verdict| match verdict {
        Verdict::Match => Cell::new("khớp / match").fg(Color::Green),
        Verdict::MatchIgnoringMarks => Cell::new("khớp nếu bỏ dấu / match ignoring marks").fg(Color::Yellow),
        Verdict::Mismatch => Cell::new("không khớp / mismatch").fg(Color::Red),
        Verdict::NotAuthorised => Cell::new("không được phép / not authorised").fg(Color::Yellow),
        Verdict::NoValue => Cell::new("không có dữ liệu / no value").fg(Color::DarkGrey),
        Verdict::Unspecified => Cell::new("–"),
    };
    let rows = verdicts.iter().filter_map(|one| {
        let field = Field::try_from(one.field).ok()?;
        let written = one.differences().map(difference).collect::<Vec<_>>().join(", ");
        let (label, name) = (Cell::new(field.spec().label_vi), Cell::new(field.name()));
        let questioned = Cell::new(if one.in_question { IN_QUESTION } else { "" }).fg(Color::Yellow);
        Some(vec![label, name, cell(one.verdict()), Cell::new(written), questioned])
    });
    let header = ["Thông tin", "Field", "Kết quả / Verdict", "Khác ở / Written otherwise", ""];
    table(&header, rows.collect())
}

pub(super) fn freshness(freshness: Option<&Freshness>) -> Result<(), Failure> {
    let Some(freshness) = freshness else { return Ok(()) };
    let mut text = format!("revision {}", freshness.revision);
    if let Some(as_of) = time_of(freshness.as_of.as_ref()) {
        text.push_str(&format!(", as of {} (+07:00)", moment(as_of)));
    }
    match span(freshness.offline.as_ref()) {
        None => line(style(format!("{text}, hub connected")).dim()),
        Some(offline) => line(style(format!("{text}, hub out of reach for {}", rounded(offline))).yellow()),
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
        "loading": status.loading, "to_come": status.to_come, "per_second": status.per_second,
        "agreements": agreements,
        "certificate_expires": rfc3339(status.certificate_expires.as_ref()),
        "version": status.version,
        "proved": status.proof.as_ref().map(|proof| json!({
            "time": rfc3339(proof.time.as_ref()), "cursor": proof.cursor, "citizens": proof.citizens,
            "unrepaired": proof.unrepaired, "reloading": proof.reloading,
        })),
        "repaired": status.repaired,
        "contributions_queued": status.contributions_queued,
        "contributions_since": rfc3339(status.contributions_since.as_ref()),
    })
}

pub(super) fn status(status: &GetStatusResponse) -> Result<(), Failure> {
    let name = state_name(status.state());
    let state = match status.state() {
        NodeState::Serving => style(name).green(),
        NodeState::Offline | NodeState::Loading | NodeState::Narrowing => style(name).yellow(),
        _ => style(name).red(),
    };
    line(format_args!("{} ({}): {}", style(&status.node).bold(), status.agency, state.bold()))?;
    if !status.explanation.is_empty() {
        line(&status.explanation)?;
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
        vec!["Certificate until".into(), or_dash(local(status.certificate_expires.as_ref()))],
        vec!["Proved".into(), or_dash(status.proof.as_ref().and_then(|proof| local(proof.time.as_ref())))],
        vec!["Software".into(), status.version.clone()],
    ];
    // Not told to everyone.
    if status.citizens > 0 || status.bytes > 0 {
        rows.push(vec!["Citizens".into(), format!("{} ({})", status.citizens, size(status.bytes))]);
    }
    if status.contributions_queued > 0 {
        let since = or_dash(local(status.contributions_since.as_ref()));
        rows.push(vec![
            "Contributions".into(),
            format!("{} wait for the hub, the oldest since {since}", status.contributions_queued),
        ]);
    }
    if status.repaired > 0 {
        rows.push(vec!["Repaired".into(), format!("{} differences since the start", status.repaired)]);
    }
    if status.loading > 0 {
        rows.push(vec!["Loading".into(), format!("{} citizens received", status.loading)]);
    }
    table(&["Node", ""], rows)?;
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
    if rows.is_empty() {
        return Ok(());
    }
    table(&["Agreement", "Purposes", "Operations", "Fields", "Offline limit"], rows)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

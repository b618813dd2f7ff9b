//! What a terminal shows: tables, numbers, colour where there is a terminal.

use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Width of a table where there is no terminal that has one.
const WIDTH: u16 = 140;

/// Starts logging to standard error.
pub(super) fn start_log(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(console::colors_enabled_stderr()).init(),
    }
    Ok(())
}

/// Prints JSON.
pub(super) fn json(value: &serde_json::Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table with a header.
pub(super) fn table<const N: usize>(header: [&str; N]) -> Table {
    table_of(header.to_vec())
}

/// A table whose columns depend on what is shown.
pub(super) fn table_of(header: Vec<&str>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    table.set_header(header.into_iter().map(|name| style(name).bold().to_string()));
    table
}

/// Names and values, one a line.
pub(super) fn pairs(rows: &[(&str, String)]) {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in rows {
        println!("{}{}  {value}", style(name).dim(), " ".repeat(width - name.chars().count()));
    }
}

/// A text that others chose, such as the case number of a call, without what a terminal would obey: control
/// characters, and those that turn around or hide what stands beside them.
pub(super) fn plain(text: &str) -> String {
    let obeyed = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    text.chars().map(|letter| if obeyed(letter) { char::REPLACEMENT_CHARACTER } else { letter }).collect()
}

/// The same of a text of several lines.
pub(super) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// A number with its thousands apart.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (count, digit) in digits.chars().enumerate() {
        if count > 0 && (digits.len() - count).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment, to the second, in the time of Vietnam.
pub(super) fn moment(at: Option<&prost_types::Timestamp>) -> String {
    let at = at.and_then(|at| time::OffsetDateTime::from_unix_timestamp(at.seconds).ok());
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    at.and_then(|at| at.to_offset(time::macros::offset!(+7)).format(&format).ok())
        .unwrap_or_else(|| "–".into())
}

/// Until when, by its last day.
pub(super) fn deadline(until: Option<&prost_types::Timestamp>) -> String {
    let until = until.and_then(|until| time::OffsetDateTime::from_unix_timestamp(until.seconds).ok());
    until.map_or_else(|| "–".into(), dancu_proto::words::deadline)
}

/// A count that grows, on a terminal.
pub(super) fn counting(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {human_pos} {msg} · {per_sec}");
    ProgressBar::no_length()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(what.to_owned())
}

/// One word for the outcome of a command.
pub(super) fn done(text: &str) {
    println!("{} {text}", style("✓").green());
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_stand_apart() {
        assert_eq!(super::number(0), "0");
        assert_eq!(super::number(1_234_567), "1,234,567");
        assert_eq!(super::number(100), "100");
    }

    #[test]
    fn a_terminal_obeys_nothing_that_others_wrote() {
        assert_eq!(super::plain("H30.7-Nguyễn Thị Hoà"), "H30.7-Nguyễn Thị Hoà");
        assert_eq!(
            super::plain("a\u{1b}[2J\nb\u{9b}m\u{202e}c\u{200b}"),
            "a\u{fffd}[2J\u{fffd}b\u{fffd}m\u{fffd}c\u{fffd}"
        );
    }
}

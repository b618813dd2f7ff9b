//! What a terminal shows: tables, numbers, colour where there is a terminal.

use comfy_table::{
    Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets::UTF8_HORIZONTAL_ONLY,
};
use console::{Term, measure_text_width, strip_ansi_codes, style};
use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Width of a table where nothing says one.
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
    table.set_header(header.into_iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    table
}

/// Prints a table.
pub(super) fn show(table: Table) {
    // Of the terminal, or what COLUMNS says where there is none.
    let terminal = Term::stdout().size_checked().map(|(_, columns)| columns);
    let width = terminal.or_else(|| std::env::var("COLUMNS").ok()?.parse().ok());
    println!("{}", arranged(table, width.filter(|width| *width > 0)));
}

/// A table as wide as there is room, in which no word is broken: an id in two halves cannot be taken up. Where
/// the room is not enough for that, one value below the other.
fn arranged(mut table: Table, width: Option<u16>) -> String {
    let texts = |row: &comfy_table::Row| row.cell_iter().map(Cell::content).collect::<Vec<_>>();
    let header = table.header().map(texts).unwrap_or_default();
    let rows: Vec<_> = table.row_iter().map(texts).collect();
    let longest = |column: usize| {
        let cells = rows.iter().chain([&header]).filter_map(|row| row.get(column));
        cells.flat_map(|cell| cell.split_whitespace()).map(measure_text_width).max().unwrap_or(0)
    };
    // With a space on both sides.
    let least: Vec<_> = (0..header.len()).map(|column| longest(column) + 2).collect();
    let needed = least.iter().sum::<usize>();
    let room = width.map_or(needed.max(WIDTH.into()), usize::from);
    if needed > room {
        return one_by_one(&header, &rows);
    }
    for (row, texts) in table.row_iter_mut().zip(&rows) {
        *row = texts.iter().map(|text| cell(text)).collect::<Vec<_>>().into();
    }
    let fixed = |width: &usize| Width::Fixed(u16::try_from(*width).unwrap_or(u16::MAX));
    table.set_constraints(least.iter().map(|width| ColumnConstraint::LowerBoundary(fixed(width))));
    table.set_width(u16::try_from(room).unwrap_or(u16::MAX));
    table.to_string()
}

/// A cell of a text that is styled or not. A table would measure what styles it as letters.
fn cell(text: &str) -> Cell {
    let cell = Cell::new(strip_ansi_codes(text));
    let styles = [
        ("\u{1b}[31m", Color::Red),
        ("\u{1b}[32m", Color::Green),
        ("\u{1b}[33m", Color::Yellow),
        ("\u{1b}[2m", Color::DarkGrey),
    ];
    match styles.into_iter().find(|(code, _)| text.contains(code)) {
        Some((_, color)) => cell.fg(color),
        None => cell,
    }
}

/// Rows as names and values, one a line.
fn one_by_one(header: &[String], rows: &[Vec<String>]) -> String {
    let width = header.iter().map(|name| measure_text_width(name)).max().unwrap_or(0);
    let line = |(name, value): (&String, &String)| {
        let value = value.replace('\n', &format!("\n{}", " ".repeat(width + 2)));
        format!("{}{}  {value}", style(name).dim(), " ".repeat(width - measure_text_width(name)))
    };
    let row = |row: &Vec<String>| {
        let told = header.iter().zip(row).filter(|(_, value)| !value.is_empty());
        told.map(line).collect::<Vec<_>>().join("\n")
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n\n")
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
    use super::*;

    const ID: &str = "01a223f8-6dfd-715f-aa3c-fbf231b316d8";

    fn table() -> Table {
        let mut table = super::table(["case", "procedure", "step"]);
        let late = "\u{1b}[31mĐăng ký thường trú cho trẻ\u{1b}[0m";
        table.add_row([ID, "lien-thong-khai-sinh", late]);
        table
    }

    #[test]
    fn an_id_is_never_broken_and_a_table_no_wider_than_the_terminal() {
        for width in [72, 80, 140] {
            let shown = arranged(table(), Some(width));
            assert!(shown.contains(ID) && shown.contains("lien-thong-khai-sinh"), "{shown}");
            let widest = shown.lines().map(measure_text_width).max().unwrap();
            assert!(widest <= usize::from(width), "{widest} {width}\n{shown}");
        }
        // The step takes two lines, or one.
        assert!(!arranged(table(), Some(72)).contains("Đăng ký thường trú cho trẻ"));
        assert!(arranged(table(), Some(140)).contains("Đăng ký thường trú cho trẻ"));
    }

    #[test]
    fn what_has_no_room_beside_each_other_stands_below_each_other() {
        let shown = arranged(table(), Some(40));
        assert_eq!(shown.lines().count(), 3, "{shown}");
        assert!(shown.contains(ID), "{shown}");
        // Nothing says a width: it is as wide as it must be.
        let mut wide = super::table(["a", "b", "c", "d", "e"]);
        wide.add_row([ID; 5]);
        assert_eq!(arranged(wide, None).matches(ID).count(), 5);
    }

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

//! The table that a person reads.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_BORDERS_ONLY};
use console::style;

use super::outcome::{A_SECOND, Bound, Outcome, System};

/// Prints an outcome.
pub fn print(outcome: &Outcome) {
    println!("\n{} — {}", style(outcome.measure).bold().cyan(), outcome.title);
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
    let systems = outcome.systems();
    let others: Vec<System> = systems.iter().copied().filter(|system| *system != System::Dancu).collect();
    let mut header = vec![String::new(), String::new()];
    header.extend(systems.iter().map(|system| system.name().to_owned()));
    header.extend(others.iter().map(|other| format!("{} : {}", System::Dancu.name(), other.name())));
    table.set_header(header.iter().map(|name| style(name).bold().to_string()));
    let mut rows: Vec<(&str, &str, &str)> = Vec::new();
    for figure in outcome.arranged() {
        let row = (figure.name, figure.setting.as_str(), figure.unit);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    for (name, setting, unit) in rows {
        let of = |system| outcome.value(system, name, setting);
        let shown =
            |value: Option<f64>| value.map_or(String::new(), |value| format!("{} {unit}", number(value)));
        let ratio = |other: &System| {
            let both = of(System::Dancu).zip(of(*other)).filter(|(_, theirs)| *theirs > 0.0);
            both.map_or(String::new(), |(ours, theirs)| coloured(ours / theirs, unit))
        };
        let mut row = vec![name.to_owned(), setting.to_owned()];
        row.extend(systems.iter().map(|system| shown(of(*system))));
        row.extend(others.iter().map(ratio));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    for goal in &outcome.goals {
        let mark = if goal.met { style("met").green() } else { style("not met").red() };
        let bound = match goal.bound {
            Bound::AtMost => "at most",
            Bound::AtLeast => "at least",
        };
        println!("{mark}  {}: {} ({bound} {})", goal.text, number(goal.value), number(goal.limit));
    }
    for note in &outcome.notes {
        println!("{}", style(format!("· {note}")).dim());
    }
}

/// A ratio, green where Dancu is not the worse.
fn coloured(ratio: f64, unit: &str) -> String {
    let text = format!("{ratio:.3}");
    let better = if unit == A_SECOND { ratio >= 1.0 } else { ratio <= 1.0 };
    if better { style(text).green().to_string() } else { style(text).yellow().to_string() }
}

/// Three digits that count, and thousands apart.
#[must_use]
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() { grouped } else { format!("{grouped}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_for_people() {
        let all = [1_234_567.8, 999.6, 12.34, 1.234, 0.1234].map(number);
        assert_eq!(all, ["1,234,568", "1,000", "12.3", "1.23", "0.123"]);
    }
}

//! A plot: for each thing counted a panel of bars, one for each situation and system.

use std::fmt::Write;

use super::{
    machine::Machine,
    outcome::{Figure, Outcome, System},
    table::number,
};

const WIDTH: f64 = 860.0;
/// Where bars begin and how long the longest is.
const BARS: (f64, f64) = (300.0, 420.0);
const ROW: f64 = 22.0;

/// The plot of an outcome.
#[must_use]
pub fn svg(outcome: &Outcome, machine: &Machine, quick: bool) -> String {
    let (mut body, mut y) = (String::new(), 64.0);
    let mut names: Vec<(&str, &str)> = Vec::new();
    let arranged = outcome.arranged();
    for figure in &arranged {
        if !names.contains(&(figure.name, figure.unit)) {
            names.push((figure.name, figure.unit));
        }
    }
    for (name, unit) in names {
        let figures: Vec<&Figure> = arranged.iter().copied().filter(|figure| figure.name == name).collect();
        panel(&mut body, &mut y, name, unit, &figures);
    }
    let height = y + 34.0;
    let about = format!("{machine}{}", if quick { "; a quick run" } else { "" });
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"30\" font-size=\"17\" font-weight=\"bold\">{}</text>\n\
         {}\n\
         {body}<text x=\"20\" y=\"{}\" font-size=\"10\" fill=\"#666\">{}</text>\n</svg>\n",
        escaped(outcome.title),
        legend(outcome),
        height - 12.0,
        escaped(&about),
    )
}

/// Whose colour is which, of the systems that were measured.
fn legend(outcome: &Outcome) -> String {
    let systems = outcome.systems();
    let entries = systems.iter().enumerate().map(|(at, system)| {
        let x = 20 + at * 110;
        format!(
            "<rect x=\"{x}\" y=\"42\" width=\"11\" height=\"11\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"52\">{}</text>",
            colour(*system),
            x + 16,
            system.name(),
        )
    });
    entries.collect()
}

fn panel(body: &mut String, y: &mut f64, name: &str, unit: &str, figures: &[&Figure]) {
    let most = figures.iter().map(|figure| figure.median).fold(f64::MIN_POSITIVE, f64::max);
    *y += 24.0;
    // Writing to a String cannot fail.
    let _ = writeln!(
        body,
        "<text x=\"20\" y=\"{y}\" font-weight=\"bold\">{}, {}</text>",
        escaped(name),
        escaped(unit)
    );
    for figure in figures {
        *y += ROW;
        let length = (figure.median / most * BARS.1).max(1.0);
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{}\" y=\"{}\" width=\"{length:.1}\" height=\"14\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{y}\">{}</text>",
            BARS.0 - 10.0,
            escaped(&figure.setting),
            BARS.0,
            *y - 11.0,
            colour(figure.system),
            BARS.0 + length + 8.0,
            number(figure.median),
        );
    }
    *y += 8.0;
}

fn colour(system: System) -> &'static str {
    match system {
        System::Dancu => "#c0392b",
        System::PostgreSql => "#336791",
        System::Echo => "#999999",
        System::Redis => "#d98c00",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

//! What a measure gives.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use super::{machine::Machine, plot};

/// One of those that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Hub and nodes.
    Dancu,
    /// PostgreSQL.
    PostgreSql,
    /// A gRPC server that does nothing.
    Echo,
    /// Redis.
    Redis,
}

impl System {
    /// All of them.
    pub const ALL: [System; 4] = [System::Dancu, System::PostgreSql, System::Echo, System::Redis];

    /// What readers call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            System::Dancu => "Dancu",
            System::PostgreSql => "PostgreSQL",
            System::Echo => "empty echo",
            System::Redis => "Redis",
        }
    }
}

/// Counted by the second: more is better. Of everything else less is.
pub const A_SECOND: &str = "/s";

/// One figure: the median of its samples.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Of what.
    pub system: System,
    /// What is counted: "CPU a change".
    pub name: &'static str,
    /// In which situation: "64 connected".
    pub setting: String,
    /// In what it is counted.
    pub unit: &'static str,
    /// The middle one of the samples.
    pub median: f64,
    /// Each repetition.
    pub samples: Vec<f64>,
}

/// On which side of a limit a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Below.
    AtMost,
    /// Above.
    AtLeast,
}

/// What the project wants, and whether it is so.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// In words.
    pub text: String,
    /// What was measured.
    pub value: f64,
    /// What it may be at the most, or must be at the least.
    pub limit: f64,
    /// Which of the two.
    pub bound: Bound,
    /// It is so.
    pub met: bool,
}

/// All that a measure gives.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// The measure.
    pub measure: &'static str,
    /// What it measures, in a line.
    pub title: &'static str,
    /// The figures.
    pub figures: Vec<Figure>,
    /// The goals.
    pub goals: Vec<Goal>,
    /// What a reader of the figures has to know.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Nothing yet.
    #[must_use]
    pub fn new(measure: &'static str, title: &'static str) -> Outcome {
        Outcome { measure, title, ..Outcome::default() }
    }

    /// Adds a figure; none where there are no samples.
    pub fn add(
        &mut self,
        system: System,
        name: &'static str,
        setting: impl Into<String>,
        unit: &'static str,
        samples: Vec<f64>,
    ) {
        if let Some(median) = quantile(&samples, 0.5) {
            self.figures.push(Figure { system, name, setting: setting.into(), unit, median, samples });
        }
    }

    /// A figure's median.
    #[must_use]
    pub fn value(&self, system: System, name: &str, setting: &str) -> Option<f64> {
        let found =
            |figure: &&Figure| figure.system == system && figure.name == name && figure.setting == setting;
        self.figures.iter().find(found).map(|figure| figure.median)
    }

    /// One system's figure by another's: the median of the ratios, each of two samples taken one after
    /// the other.
    #[must_use]
    pub fn ratio(&self, of: System, to: System, name: &str, setting: &str) -> Option<f64> {
        let samples = |system| {
            let found = |figure: &&Figure| {
                figure.system == system && figure.name == name && figure.setting == setting
            };
            self.figures.iter().find(found).map(|figure| &figure.samples)
        };
        let ratios: Vec<f64> = samples(of)?.iter().zip(samples(to)?).map(|(of, to)| of / to).collect();
        quantile(&ratios, 0.5)
    }

    /// Who was measured.
    #[must_use]
    pub fn systems(&self) -> Vec<System> {
        let measured = |system: &System| self.figures.iter().any(|figure| figure.system == *system);
        System::ALL.into_iter().filter(measured).collect()
    }

    /// The figures in an order for readers: by what is counted, then by how many, then by system.
    #[must_use]
    pub fn arranged(&self) -> Vec<&Figure> {
        let mut names: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !names.contains(&figure.name) {
                names.push(figure.name);
            }
        }
        let how_many = |figure: &Figure| {
            figure.setting.split(' ').next().and_then(|word| word.replace(',', "").parse::<u64>().ok())
        };
        let place = |figure: &Figure| names.iter().position(|name| *name == figure.name);
        let mut figures: Vec<&Figure> = self.figures.iter().collect();
        figures.sort_by(|a, b| {
            (place(a), how_many(a), &a.setting, a.system).cmp(&(place(b), how_many(b), &b.setting, b.system))
        });
        figures
    }

    /// Adds a goal, if what it is about was measured.
    pub fn goal(&mut self, text: impl Into<String>, value: Option<f64>, limit: f64) {
        if let Some(value) = value {
            let (bound, met) = (Bound::AtMost, value <= limit);
            self.goals.push(Goal { text: text.into(), value, limit, bound, met });
        }
    }

    /// The same, where more is better.
    pub fn goal_at_least(&mut self, text: impl Into<String>, value: Option<f64>, limit: f64) {
        if let Some(value) = value {
            let (bound, met) = (Bound::AtLeast, value >= limit);
            self.goals.push(Goal { text: text.into(), value, limit, bound, met });
        }
    }

    /// Notes connections that broke while something was measured, which their making anew is a part of.
    pub fn note_lost(&mut self, setting: &str, connections: u64) {
        if connections > 0 {
            self.note(format!("{setting}: {connections} connections were lost and made again meanwhile"));
        }
    }

    /// Adds a note.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Writes the figures as JSON, and a plot.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, dir: &Path, machine: &Machine, quick: bool) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let document = json!({ "machine": machine, "quick": quick, "outcome": self });
        let text = serde_json::to_string_pretty(&document)? + "\n";
        std::fs::write(dir.join(self.measure).with_extension("json"), text)?;
        std::fs::write(dir.join(self.measure).with_extension("svg"), plot::svg(self, machine, quick))?;
        Ok(())
    }
}

/// The value below which a share of the samples lies.
#[must_use]
pub fn quantile(samples: &[f64], share: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len().checked_sub(1)?) as f64 * share).round() as usize;
    sorted.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
        let hundred: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.99), Some(99.0));
    }
}

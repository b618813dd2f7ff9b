//! `dancu-hub procedure`: the documents of procedures.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use dancu_proto::words::event;
use serde_json::json;

use super::{Global, output};
use crate::procedures::{self, Catalogue, Procedure};

#[derive(Debug, Subcommand)]
pub(super) enum ProcedureCommand {
    /// The procedures of the configured directory, or those that come with the hub
    List,
    /// Check the document of a procedure; every problem is named with its line
    Check {
        /// The file
        file: PathBuf,
    },
}

pub(super) fn run(global: &Global, command: ProcedureCommand) -> anyhow::Result<()> {
    match command {
        ProcedureCommand::List => list(global),
        ProcedureCommand::Check { file } => {
            let text =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            match procedures::parse(&text) {
                Ok(procedure) => show(global, &procedure),
                Err(errors) => {
                    for problem in &errors.0 {
                        let (line, column) = (problem.line, problem.column);
                        eprintln!("{}:{line}:{column}: {}", file.display(), problem.message);
                    }
                    bail!("{} is not good", file.display())
                }
            }
        }
    }
}

fn list(global: &Global) -> anyhow::Result<()> {
    let config = global.load()?;
    let catalogue = Catalogue::load(config.procedures.as_deref(), config.forms.as_deref())?;
    if global.json {
        let procedure = |of: &Procedure| json!({ "id": of.id, "version": of.version, "title": of.title });
        return output::json(&catalogue.procedures().map(procedure).collect());
    }
    let mut table = output::table(["procedure", "version", "opened by", "title", "steps", "forms"]);
    for procedure in catalogue.procedures() {
        let steps = procedure.steps.iter().map(|step| step.title.as_str());
        let forms = catalogue.forms().iter().filter(|form| form.procedures.contains(&procedure.id));
        table.add_row([
            procedure.id.clone(),
            procedure.version.to_string(),
            event(procedure.opened_by),
            procedure.title.clone(),
            steps.collect::<Vec<_>>().join(" → "),
            forms.map(|form| form.id.as_str()).collect::<Vec<_>>().join(", "),
        ]);
    }
    output::show(table);
    println!("Public holidays are known until {}.", catalogue.days().known_until());
    Ok(())
}

fn show(global: &Global, procedure: &Procedure) -> anyhow::Result<()> {
    if global.json {
        return output::json(&json!({ "id": procedure.id, "version": procedure.version, "good": true }));
    }
    output::done(&format!("{} version {}: {}", procedure.id, procedure.version, procedure.title));
    let mut table = output::table(["step", "role", "completed by", "after", "working days", "may", "title"]);
    for step in &procedure.steps {
        let after = step.after.iter().map(|place| procedure.steps[*place].id.as_str());
        let may = [("refuse", step.may_refuse), ("return", step.may_return)];
        let asks = step.asks.iter().map(|ask| ask.name.as_str()).collect::<Vec<_>>().join(", ");
        table.add_row([
            step.id.clone(),
            step.role.clone(),
            step.event.map_or(asks, event),
            after.collect::<Vec<_>>().join(", "),
            step.deadline.map_or_else(|| "–".to_owned(), |days| days.to_string()),
            may.iter().filter(|(_, may)| *may).map(|(way, _)| *way).collect::<Vec<_>>().join(", "),
            step.title.clone(),
        ]);
    }
    output::show(table);
    Ok(())
}

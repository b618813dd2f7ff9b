//! `dancu-hub case`: cases of procedures that run across agencies.

use clap::Subcommand;
use comfy_table::Table;
use console::style;
use dancu_proto::{
    hub::v1::{Case, CaseSelection, GetCaseRequest, ListCasesRequest},
    v1::{StepState, StepStatus},
    words::step_state,
};
use serde_json::{Value, json};

use super::{Global, connect, output};

#[derive(Debug, Subcommand)]
pub(super) enum CaseCommand {
    /// Cases that are open
    List {
        /// Only those with a step that is late
        #[arg(long, conflicts_with = "all")]
        late: bool,
        /// Also those that are closed
        #[arg(long)]
        all: bool,
        /// Only of this procedure
        #[arg(long, value_name = "ID", default_value = "")]
        procedure: String,
    },
    /// One case, step by step
    Show {
        /// Its id: that of the contribution that opened it
        id: String,
    },
}

pub(super) async fn run(global: &Global, command: CaseCommand) -> anyhow::Result<()> {
    match command {
        CaseCommand::List { late, all, procedure } => {
            let selection = match (late, all) {
                (true, _) => CaseSelection::Late,
                (false, true) => CaseSelection::All,
                (false, false) => CaseSelection::Unspecified,
            };
            list(global, selection, procedure).await
        }
        CaseCommand::Show { id } => show(global, id).await,
    }
}

async fn list(global: &Global, selection: CaseSelection, procedure: String) -> anyhow::Result<()> {
    let mut cases = connect::cases(global).await?;
    let request = ListCasesRequest { selection: selection.into(), procedure };
    let mut stream = cases.list_cases(request).await?.into_inner();
    let mut found = Vec::new();
    while let Some(row) = stream.message().await? {
        found.extend(row.case);
    }
    let opened = |case: &Case| case.status.as_ref().and_then(|status| status.opened_at).map(|at| at.seconds);
    found.sort_by_key(|case| std::cmp::Reverse(opened(case)));
    if global.json {
        return output::json(&found.iter().map(as_json).collect());
    }
    if found.is_empty() {
        println!(
            "{}",
            if selection == CaseSelection::Late { "Nothing is late." } else { "No case is open." }
        );
        return Ok(());
    }
    let mut table = output::table(["case", "procedure", "number", "opened", "step", "agency", "due"]);
    for case in &found {
        let status = case.status.clone().unwrap_or_default();
        let open = status.steps.iter().find(|step| step.state() == StepState::Open);
        let (step, agency, due) = match open {
            Some(step) => (step.title.clone(), agency(step), due(step)),
            None => (style("closed").green().to_string(), String::new(), String::new()),
        };
        table.add_row([
            status.case_id.clone(),
            status.procedure.clone(),
            output::plain(&status.case_number),
            output::moment(status.opened_at.as_ref()),
            step,
            agency,
            due,
        ]);
    }
    output::show(table);
    Ok(())
}

async fn show(global: &Global, case_id: String) -> anyhow::Result<()> {
    let mut cases = connect::cases(global).await?;
    let case = cases.get_case(GetCaseRequest { case_id }).await?.into_inner().case.unwrap_or_default();
    if global.json {
        return output::json(&as_json(&case));
    }
    let status = case.status.clone().unwrap_or_default();
    output::pairs(&[
        ("case", status.case_id.clone()),
        ("procedure", format!("{} ({})", status.title, status.procedure)),
        ("number", output::plain(&status.case_number)),
        (
            "opened",
            format!("{} by {} ({})", output::moment(status.opened_at.as_ref()), case.agency, case.node),
        ),
        ("closed", output::moment(status.closed_at.as_ref())),
    ]);
    output::show(steps(&case, &status.steps));
    Ok(())
}

fn steps(case: &Case, steps: &[StepStatus]) -> Table {
    let mut table = output::table(["step", "state", "agency", "nodes", "opened", "due", "ended", "note"]);
    for step in steps {
        let nodes = case.nodes.iter().find(|of| of.step == step.step);
        table.add_row([
            step.title.clone(),
            step_state(step.state()).to_owned(),
            agency(step),
            nodes.map(|of| of.nodes.join(", ")).unwrap_or_default(),
            output::moment(step.opened_at.as_ref()),
            due(step),
            output::moment(step.ended_at.as_ref()),
            output::plain(&step.note),
        ]);
    }
    table
}

/// Whose task a step is; marked where it is open and nobody's.
fn agency(step: &StepStatus) -> String {
    match (step.agency.as_str(), step.state()) {
        ("", StepState::Open) => style("no agreement covers it").red().to_string(),
        (agency, _) => agency.to_owned(),
    }
}

fn due(step: &StepStatus) -> String {
    let due = output::deadline(step.due_at.as_ref());
    if step.escalated { style(format!("{due}, late")).red().to_string() } else { due }
}

fn as_json(case: &Case) -> Value {
    let status = case.status.clone().unwrap_or_default();
    let step = |step: &StepStatus| {
        let nodes = case.nodes.iter().find(|of| of.step == step.step).map(|of| of.nodes.clone());
        json!({
            "step": step.step, "title": step.title, "state": step_state(step.state()), "agency": step.agency,
            "nodes": nodes, "opened_at": output::moment(step.opened_at.as_ref()),
            "due_at": output::moment(step.due_at.as_ref()), "ended_at": output::moment(step.ended_at.as_ref()),
            "escalated": step.escalated, "note": step.note,
        })
    };
    json!({
        "case_id": status.case_id, "procedure": status.procedure, "title": status.title,
        "case_number": status.case_number, "agency": case.agency, "node": case.node,
        "opened_at": output::moment(status.opened_at.as_ref()),
        "closed_at": status.closed_at.as_ref().map(|at| output::moment(Some(at))),
        "steps": status.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

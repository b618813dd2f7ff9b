//! `dancu-node task`, `case` and `form`: procedures that run across agencies, from a terminal.

mod form;

use std::{collections::BTreeMap, fs, path::PathBuf};

use clap::{Args, Subcommand};
use console::style;
use dancu_proto::{
    node::v1::{
        CompleteTaskRequest, ContributionStatus, GetCaseRequest, ListTasksRequest, ListTasksResponse,
        procedure_service_client::ProcedureServiceClient,
    },
    v1::{CaseStatus, Contribution, ContributionState, PrefilledValue, Task, TaskAnswer, TaskEnd},
    words::{deadline, event, step_state},
};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tonic::transport::Channel;
use uuid::Uuid;

pub(super) use self::form::FormCommand;
use super::{
    call::Call,
    context::SAYS_OTHERWISE,
    failure::Failure,
    outcome::{Stands, Waiting, as_json, described, is_concluded},
    print,
};
use crate::config::Config;

async fn client(call: &Call, config: &Config) -> Result<ProcedureServiceClient<Channel>, Failure> {
    Ok(ProcedureServiceClient::new(call.target.connect(config).await?))
}

/// `task`
#[allow(clippy::large_enum_variant, reason = "one is alive, for one command")]
#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// The open tasks of this agency under a purpose, with what is known for each; those that were answered
    /// stay until the hub has the answer, and say so
    List {
        /// Only of this procedure
        #[arg(long, default_value = "", hide_default_value = true)]
        procedure: String,
        #[command(flatten)]
        call: CallArgs,
    },
    /// End a task: with the event or the answers that it asks for, refused, or returned for more
    Complete(Box<Complete>),
}

/// Options, boxed where a command has more.
#[derive(Debug, Args)]
pub(super) struct CallArgs {
    #[command(flatten)]
    call: Call,
}

/// `task complete`
#[derive(Debug, Args)]
pub(super) struct Complete {
    /// The case that the task is of, as `task list` shows it
    case_id: String,
    /// The step
    step: String,
    /// Done: with the contribution (JSON) that has the event, as `dancu-node contribute` takes it
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Done: with an answer, as NAME=VALUE; repeat it for several
    #[arg(long = "answer", value_name = "NAME=VALUE", value_parser = pair)]
    answers: Vec<(String, String)>,
    /// Refused: why
    #[arg(long, value_name = "WHY", conflicts_with_all = ["event", "answers", "return_for"])]
    refuse: Option<String>,
    /// Returned for more: what is needed
    #[arg(long = "return", value_name = "WHAT", conflicts_with_all = ["event", "answers"])]
    return_for: Option<String>,
    /// The id of an attempt of before that broke off, as it was printed: it counts once
    #[arg(long, value_name = "UUID")]
    id: Option<Uuid>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    call: Call,
}

/// `case`
#[derive(Debug, Subcommand)]
pub(super) enum CaseCommand {
    /// How a case stands that this agency takes part in or follows
    Show {
        /// Its id: that of the contribution that opened it
        case_id: String,
        #[command(flatten)]
        call: CallArgs,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

impl TaskCommand {
    pub(super) async fn run(self, config: &Config) -> Result<(), Failure> {
        match self {
            TaskCommand::List { procedure, call } => list(config, procedure, &call.call).await,
            TaskCommand::Complete(complete) => complete.run(config).await,
        }
    }
}

async fn list(config: &Config, procedure: String, call: &Call) -> Result<(), Failure> {
    let request = ListTasksRequest { context: Some(call.context.to_message()), procedure };
    let mut stream = client(call, config).await?.list_tasks(request).await?.into_inner();
    let mut tasks = Vec::new();
    while let Some(row) = stream.message().await? {
        tasks.push(row);
    }
    if call.json {
        return print::json(&tasks.iter().map(listed_json).collect());
    }
    if tasks.is_empty() {
        return print::line("no task is open under this purpose");
    }
    for listed in &tasks {
        let task = listed.task.clone().unwrap_or_default();
        print::line(format_args!("{}  {}", style(&task.title).bold(), style(&task.case_id).dim()))?;
        let due = until(task.due_at.as_ref());
        let due = if task.escalated { style(format!("{due}, late")).red().to_string() } else { due };
        print::line(format_args!("step {}, until {due}", task.step))?;
        if let Some(answered) = answered(listed) {
            print::line(format_args!("{}: contribution {}\n", style(answered).green(), listed.answered_by))?;
            // What to do for it is done.
            continue;
        }
        if !task.note.is_empty() {
            print::line(format_args!("{} {}", style("came back:").yellow(), task.note))?;
        }
        let mut persons: Vec<_> = task.persons.iter().collect();
        persons.sort();
        let persons =
            persons.into_iter().map(|(role, number)| vec![role.clone(), number.clone(), String::new()]);
        let values = task.prefilled.iter().map(row);
        print::table(&["", "value", "from"], persons.chain(values).collect::<Vec<_>>())?;
        if !task.missing.is_empty() {
            print::line(format_args!("still to be asked: {}", task.missing.join(", ")))?;
        }
        let ends = if task.event.is_empty() { task.asks.join(", ") } else { event(&task.event) };
        print::line(format_args!("ends with: {ends}\n"))?;
    }
    Ok(())
}

/// What a task that was answered here waits for.
fn answered(listed: &ListTasksResponse) -> Option<&'static str> {
    match listed.answer_state() {
        ContributionState::Queued => Some("answered, waiting for the hub"),
        ContributionState::HandedOver => Some("answered, at the hub"),
        ContributionState::InReview => Some("answered, a person at the hub decides"),
        _ => None,
    }
}

impl Complete {
    async fn run(&self, config: &Config) -> Result<(), Failure> {
        let mut contribution = match &self.event {
            None => Contribution::default(),
            Some(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|source| Failure::File { path: path.clone(), source })?;
                serde_json::from_str(&text).map_err(|error| {
                    Failure::Usage(format!("{}: this is no contribution: {error}", path.display()))
                })?
            }
        };
        let (end, note) = match (&self.refuse, &self.return_for) {
            (Some(why), _) => (TaskEnd::Refused, why.clone()),
            (None, Some(what)) => (TaskEnd::Returned, what.clone()),
            (None, None) => (TaskEnd::Done, String::new()),
        };
        if let Some(id) = self.id {
            contribution.id = id.to_string();
        } else if contribution.id.is_empty() {
            contribution.id = Uuid::now_v7().to_string();
            // Before it is sent: if that breaks off, it is the same one that is handed in again.
            let again = format!("if this breaks off, repeat it with --id {}", contribution.id);
            eprintln!("{}", style(again).dim().for_stderr());
        }
        if self.call.context.fill(&mut contribution.context) {
            eprintln!("{}", style(SAYS_OTHERWISE).dim().for_stderr());
        }
        let answers: BTreeMap<_, _> = self.answers.iter().cloned().collect();
        if answers.len() < self.answers.len() {
            return Err(Failure::Usage("--answer gives one name twice; each has one value".into()));
        }
        contribution.task = Some(TaskAnswer {
            case_id: self.case_id.clone(),
            step: self.step.clone(),
            end: end.into(),
            note,
            answers,
        });
        let id = contribution.id.clone();
        let request = CompleteTaskRequest { contribution: Some(contribution) };
        let channel = self.call.target.connect(config).await?;
        let mut client = ProcedureServiceClient::new(channel.clone());
        let mut status = client.complete_task(request).await?.into_inner().status.unwrap_or_default();
        let mut open = 0;
        if self.waiting.wait && !is_concluded(status.state()) {
            let bar = ProgressBar::hidden();
            open = self.waiting.follow(channel, vec![id.clone()], &bar, |told| status = told).await?;
        }
        self.show(&id, status, open)
    }

    fn show(&self, id: &str, status: ContributionStatus, open: u64) -> Result<(), Failure> {
        let (state, sequence) = (status.state(), status.sequence);
        let stands = Stands::Taken(Box::new(status));
        if self.call.json {
            let mut json = as_json(id, &stands);
            json["contribution_id"] = id.into();
            json["sequence"] = sequence.into();
            print::json(&json)?;
        } else if self.waiting.wait || is_concluded(state) {
            let (label, reason) = described(&stands);
            print::line(format_args!("{id}: {label}"))?;
            reason.map_or(Ok(()), print::line)?;
        } else {
            print::line(format_args!(
                "{} queued as {id}; what becomes of it: dancu-node contribution show {id}",
                style("✓").green(),
            ))?;
        }
        match state {
            ContributionState::Rejected => Err(Failure::NotCounted(1)),
            ContributionState::InReview => Err(Failure::InReview(1)),
            _ if open > 0 => Err(Failure::StillOpen(open)),
            _ => Ok(()),
        }
    }
}

impl CaseCommand {
    pub(super) async fn run(self, config: &Config) -> Result<(), Failure> {
        let CaseCommand::Show { case_id, call: CallArgs { call } } = self;
        let context = Some(call.context.to_message());
        let request = GetCaseRequest { context, case_id, opened_by: String::new() };
        let response = client(&call, config).await?.get_case(request).await?.into_inner();
        let case = response.case.unwrap_or_default();
        if call.json {
            return print::json(&json!({
                "case": case_json(&case), "freshness": print::freshness_json(response.freshness.as_ref()),
            }));
        }
        print::line(format_args!("{}  {}", style(&case.title).bold(), style(&case.case_id).dim()))?;
        print::line(format_args!(
            "case file {}, opened {}, closed {}",
            case.case_number,
            moment(case.opened_at.as_ref()),
            moment(case.closed_at.as_ref())
        ))?;
        let rows = case.steps.iter().map(|step| {
            let late = if step.escalated { " (late)" } else { "" };
            vec![
                step.title.clone(),
                format!("{}{late}", step_state(step.state())),
                step.agency.clone(),
                until(step.due_at.as_ref()),
                moment(step.ended_at.as_ref()),
                step.note.clone(),
            ]
        });
        let rows: Vec<_> = rows.collect();
        print::table(&["step", "stands", "agency", "until", "ended", "note"], rows)?;
        print::freshness(response.freshness.as_ref())
    }
}

fn row(value: &PrefilledValue) -> Vec<String> {
    let question = if value.in_question { " (in question)" } else { "" };
    vec![value.label.clone(), format!("{}{question}", value.value), value.source.clone()]
}

fn moment(timestamp: Option<&prost_types::Timestamp>) -> String {
    let at = timestamp.and_then(|at| OffsetDateTime::from_unix_timestamp(at.seconds).ok());
    at.map_or_else(|| "–".to_owned(), print::moment)
}

/// Until when, by its last day.
fn until(timestamp: Option<&prost_types::Timestamp>) -> String {
    print::time_of(timestamp).map_or_else(|| "–".to_owned(), deadline)
}

fn value_json(value: &PrefilledValue) -> Value {
    json!({
        "name": value.name, "label": value.label, "value": value.value, "source": value.source,
        "as_of": moment(value.as_of.as_ref()), "revision": value.revision, "in_question": value.in_question,
    })
}

fn listed_json(listed: &ListTasksResponse) -> Value {
    let mut json = task_json(&listed.task.clone().unwrap_or_default());
    let by = (!listed.answered_by.is_empty()).then_some(&listed.answered_by);
    json["answered_by"] = by.cloned().into();
    json["stands"] = answered(listed).unwrap_or("open").into();
    json
}

fn task_json(task: &Task) -> Value {
    json!({
        "case_id": task.case_id, "procedure": task.procedure, "step": task.step, "title": task.title,
        "event": task.event, "asks": task.asks, "persons": task.persons,
        "prefilled": task.prefilled.iter().map(value_json).collect::<Vec<_>>(), "missing": task.missing,
        "opened_at": moment(task.opened_at.as_ref()), "due_at": moment(task.due_at.as_ref()),
        "escalated": task.escalated, "note": task.note, "purposes": task.purposes,
    })
}

fn case_json(case: &CaseStatus) -> Value {
    let steps = case.steps.iter().map(|step| {
        json!({
            "step": step.step, "title": step.title, "agency": step.agency, "state": step_state(step.state()),
            "due_at": moment(step.due_at.as_ref()), "ended_at": moment(step.ended_at.as_ref()),
            "escalated": step.escalated, "note": step.note,
        })
    });
    json!({
        "case_id": case.case_id, "procedure": case.procedure, "title": case.title,
        "case_number": case.case_number, "opened_at": moment(case.opened_at.as_ref()),
        "closed_at": case.closed_at.as_ref().map(|at| moment(Some(at))), "steps": steps.collect::<Vec<_>>(),
    })
}

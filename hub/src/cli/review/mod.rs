//! `dancu-hub review`: what waits for a decision.

mod show;

use clap::Subcommand;
use console::style;
use dancu_proto::{
    hub::v1::{DecideReviewRequest, ListReviewsRequest, Review},
    words::event,
};
use serde_json::{Value, json};

use super::{
    Global, connect,
    contribution::{reason_name, state_name},
    output,
};
use crate::review::names_of;

#[derive(Debug, Subcommand)]
pub(super) enum ReviewCommand {
    /// What waits for a decision
    List {
        /// Also what is decided
        #[arg(long)]
        all: bool,
    },
    /// One of them, side by side with the registry
    Show {
        /// Its number
        number: u64,
    },
    /// Decide: the contribution counts
    Accept(Decision),
    /// Decide: the contribution does not count
    Reject(Decision),
}

#[derive(Debug, clap::Args)]
pub(super) struct Decision {
    /// Its number
    number: u64,
    /// Why; the agency is told
    #[arg(long)]
    reason: String,
    /// Number of the document that orders it
    #[arg(long)]
    document: String,
}

pub(super) async fn run(global: &Global, command: ReviewCommand) -> anyhow::Result<()> {
    match command {
        ReviewCommand::List { all } => list(global, all).await,
        ReviewCommand::Show { number } => show::show(global, number).await,
        ReviewCommand::Accept(decision) => decide(global, decision, true).await,
        ReviewCommand::Reject(decision) => decide(global, decision, false).await,
    }
}

fn why(review: &Review) -> String {
    if review.dependent { "rested on a reversal".into() } else { reason_name(review.reason) }
}

fn as_json(review: &Review) -> Value {
    let decision = review.decision.as_ref().map(|decision| {
        json!({
            "accepted": decision.accepted, "reason": decision.reason, "operator": decision.operator,
            "document_number": decision.document_number,
            "time": output::moment(decision.time.as_ref()),
        })
    });
    json!({
        "number": review.number, "contribution_id": review.contribution_id, "event": review.event,
        "node": review.node, "agency": review.agency, "reason": why(review), "message": review.message,
        "fields": names_of(&review.fields), "since": output::moment(review.since.as_ref()),
        "dependent": review.dependent, "decision": decision,
    })
}

async fn list(global: &Global, all: bool) -> anyhow::Result<()> {
    let mut reviews = connect::reviews(global).await?;
    let mut stream = reviews.list_reviews(ListReviewsRequest { decided: all }).await?.into_inner();
    let mut found = Vec::new();
    while let Some(row) = stream.message().await? {
        found.extend(row.review);
    }
    if global.json {
        return output::json(&found.iter().map(as_json).collect());
    }
    if found.is_empty() {
        println!("Nothing waits for a decision.");
        return Ok(());
    }
    let mut table = output::table(["number", "event", "agency", "why", "in question", "since", "decision"]);
    for review in &found {
        let decision = match &review.decision {
            None => style("open").yellow().to_string(),
            Some(decision) if decision.accepted => style("accepted").green().to_string(),
            Some(_) => style("rejected").red().to_string(),
        };
        table.add_row([
            review.number.to_string(),
            event(&review.event),
            review.agency.clone(),
            why(review),
            names_of(&review.fields),
            output::moment(review.since.as_ref()),
            decision,
        ]);
    }
    output::show(table);
    Ok(())
}

async fn decide(global: &Global, decision: Decision, accept: bool) -> anyhow::Result<()> {
    let mut reviews = connect::reviews(global).await?;
    let Decision { number, reason, document } = decision;
    let request = DecideReviewRequest { number, accept, reason, document_number: document };
    let done = reviews.decide_review(request).await?.into_inner();
    let outcome = done.outcome.unwrap_or_default();
    if global.json {
        return output::json(&json!({
            "contribution_id": outcome.contribution_id, "state": state_name(outcome.state),
            "revision": outcome.revision, "looked_at_again": done.looked_at_again,
        }));
    }
    let again = match done.looked_at_again {
        0 => String::new(),
        count => format!("; {count} that waited for it were looked at again"),
    };
    output::done(&format!("{} is {}{again}", outcome.contribution_id, state_name(outcome.state)));
    Ok(())
}

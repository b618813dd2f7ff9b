//! `dancu-hub review`: what waits for a decision.

use clap::Subcommand;
use console::style;
use dancu_proto::{
    Field,
    hub::v1::{DecideReviewRequest, GetReviewRequest, ListReviewsRequest, Review, ReviewSide},
    v1::Citizen,
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
        ReviewCommand::Show { number } => show(global, number).await,
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
            review.event.clone(),
            review.agency.clone(),
            why(review),
            names_of(&review.fields),
            output::moment(review.since.as_ref()),
            decision,
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn show(global: &Global, number: u64) -> anyhow::Result<()> {
    let mut reviews = connect::reviews(global).await?;
    let found = reviews.get_review(GetReviewRequest { number }).await?.into_inner();
    let review = found.review.unwrap_or_default();
    let said = serde_json::to_value(found.contribution.unwrap_or_default())?;
    if global.json {
        let sides: Vec<Value> = found.sides.iter().map(side_as_json).collect();
        return output::json(&json!({ "review": as_json(&review), "contribution": said, "sides": sides }));
    }
    output::pairs(&[
        ("review", review.number.to_string()),
        ("event", format!("{} of {} ({})", review.event, review.agency, review.node)),
        ("contribution", review.contribution_id.clone()),
        ("why", format!("{}: {}", why(&review), review.message)),
        ("since", output::moment(review.since.as_ref())),
    ]);
    for side in &found.sides {
        println!("\n{} {}", style("Person").bold(), side.personal_id);
        let mut table = output::table(["field", "registered", "by", "from", "handed in"]);
        for source in fields_of(side) {
            let known = side.sources.iter().find(|known| known.field == i32::from(source.1));
            table.add_row([
                source.0.to_owned(),
                value(side.registered.as_ref(), source.0),
                known.map(|known| known.source.clone()).unwrap_or_default(),
                known.and_then(|known| known.effective_date).map(|date| date.to_string()).unwrap_or_default(),
                if side.cleared.contains(&i32::from(source.1)) {
                    style("no value").italic().to_string()
                } else {
                    value(side.handed_in.as_ref(), source.0)
                },
            ]);
        }
        println!("{table}");
    }
    println!("\n{}", output::plain_lines(&serde_json::to_string_pretty(&said)?));
    if let Some(decision) = &review.decision {
        let what = if decision.accepted { "accepted" } else { "rejected" };
        println!(
            "{what} by {} at {}: {}",
            decision.operator,
            output::moment(decision.time.as_ref()),
            decision.reason
        );
    }
    Ok(())
}

fn fields_of(side: &ReviewSide) -> Vec<(&'static str, dancu_proto::v1::Field)> {
    let named =
        |citizen: Option<&Citizen>| citizen.map(dancu_proto::Record::encode).unwrap_or_default().fields();
    let cleared = side.cleared.iter().filter_map(|number| Field::try_from(*number).ok()).collect();
    let all = named(side.registered.as_ref()).union(named(side.handed_in.as_ref())).union(cleared);
    all.iter().map(|field| (field.name(), field.into())).collect()
}

fn value(of: Option<&Citizen>, field: &str) -> String {
    let shown = of.and_then(|citizen| serde_json::to_value(citizen).ok());
    match shown.as_ref().and_then(|citizen| citizen.get(field)) {
        None => "–".into(),
        Some(Value::String(text)) => output::plain(text),
        Some(other) => output::plain(&other.to_string()),
    }
}

fn side_as_json(side: &ReviewSide) -> Value {
    json!({
        "personal_id": side.personal_id,
        "registered": side.registered,
        "handed_in": side.handed_in,
        "cleared": names_of(&side.cleared),
    })
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

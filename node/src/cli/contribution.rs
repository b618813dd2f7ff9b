//! `dancu-node contribution`: what became of what was handed in.

use clap::{Args, Subcommand};
use dancu_proto::{
    node::v1::{
        ContributionStatus, GetContributionRequest, WatchContributionsRequest,
        contribution_service_client::ContributionServiceClient,
    },
    v1::ContributionState,
};
use serde_json::Value;

use super::{
    connect::Target,
    failure::Failure,
    outcome::{Stands, as_json, described},
    print,
    receipt::{Receipt, Verify},
};
use crate::config::Config;

/// `contribution`
#[derive(Debug, Subcommand)]
pub(super) enum ContributionCommand {
    /// What became of one: its state, why it was rejected, the number that was given
    Show {
        /// Its id
        id: String,
        #[command(flatten)]
        call: Call,
    },
    /// Those that this caller has handed in and the node still keeps, the latest last
    List {
        /// Only those that are not accepted and not rejected yet
        #[arg(long, conflicts_with = "rejected")]
        open: bool,
        /// Only those that were rejected
        #[arg(long)]
        rejected: bool,
        #[command(flatten)]
        call: Call,
    },
    /// The receipt of one, which the hub signed: to be kept with the case
    Receipt(Receipt),
    /// Check a receipt that was kept: that the hub signed it, and what it says; needs neither node nor hub
    Verify(Verify),
}

/// Options of both.
#[derive(Debug, Args)]
pub(super) struct Call {
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ContributionCommand {
    pub(super) async fn run(self, config: &Config) -> Result<(), Failure> {
        match self {
            ContributionCommand::Show { id, call } => show(config, id, &call).await,
            ContributionCommand::List { open, rejected, call } => {
                let wanted = |state: ContributionState| match state {
                    ContributionState::Accepted => !open && !rejected,
                    ContributionState::Rejected => !open,
                    _ => !rejected,
                };
                let none = match (open, rejected) {
                    (true, _) => "none of those that this caller has handed in is open",
                    (_, true) => "none of those that this caller has handed in was rejected",
                    _ => "there is none that this caller has handed in",
                };
                list(config, wanted, none, &call).await
            }
            ContributionCommand::Receipt(receipt) => receipt.run(config).await,
            ContributionCommand::Verify(verify) => verify.run(config),
        }
    }
}

async fn show(config: &Config, id: String, call: &Call) -> Result<(), Failure> {
    let mut client = ContributionServiceClient::new(call.target.connect(config).await?);
    let request = GetContributionRequest { contribution_id: id };
    let status = client.get_contribution(request).await?.into_inner().status.unwrap_or_default();
    if call.json {
        return print::json(&json(status));
    }
    let id = status.contribution_id.clone();
    print::table(&["đóng góp / contribution", &id], rows(status))
}

async fn list(
    config: &Config,
    wanted: impl Fn(ContributionState) -> bool,
    none: &str,
    call: &Call,
) -> Result<(), Failure> {
    let mut client = ContributionServiceClient::new(call.target.connect(config).await?);
    let request = WatchContributionsRequest { once: true, ..WatchContributionsRequest::default() };
    let mut stream = client.watch_contributions(request).await?.into_inner();
    let mut found = Vec::new();
    while let Some(told) = stream.message().await? {
        found.extend(told.status.filter(|status| wanted(status.state())));
    }
    found.sort_by_key(|status| status.sequence);
    if call.json {
        return print::json(&found.into_iter().map(json).collect());
    }
    if found.is_empty() {
        return print::line(none);
    }
    let rows = found.into_iter().map(|status| {
        let (id, queued) = (status.contribution_id.clone(), moment(status.queued_at.as_ref()));
        let (label, reason) = described(&Stands::Taken(Box::new(status)));
        vec![id, label.to_owned(), queued, reason.unwrap_or_default()]
    });
    let header = ["id", "trạng thái / state", "nhận lúc / queued", "lý do / reason"];
    print::table(&header, rows.collect())
}

fn moment(at: Option<&prost_types::Timestamp>) -> String {
    print::time_of(at).map_or_else(|| "–".to_owned(), print::moment)
}

/// One contribution, in words.
fn rows(status: ContributionStatus) -> Vec<Vec<String>> {
    let outcome = status.outcome.clone().unwrap_or_default();
    let (queued, told) = (moment(status.queued_at.as_ref()), moment(status.told_at.as_ref()));
    let sequence = status.sequence;
    let (label, reason) = described(&Stands::Taken(Box::new(status)));
    let mut rows = vec![
        ("trạng thái / state", label.to_owned()),
        ("nhận lúc / queued", format!("{queued}, place {sequence} of the outbox")),
        ("trả lời lúc / the hub's word came", told),
    ];
    if let Some(reason) = reason {
        rows.push(("lý do / reason", reason));
    }
    if outcome.revision != 0 {
        rows.push(("revision", outcome.revision.to_string()));
    }
    if !outcome.personal_id.is_empty() {
        rows.push(("số định danh cá nhân / personal number given", outcome.personal_id));
    }
    if !outcome.not_in_force.is_empty() {
        let fields = print::names(&outcome.not_in_force).join(", ");
        rows.push(("giữ giá trị khác / another source's value stays", fields));
    }
    rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
}

fn json(status: ContributionStatus) -> Value {
    let (queued, told) = (print::rfc3339(status.queued_at.as_ref()), print::rfc3339(status.told_at.as_ref()));
    let not_in_force = status.outcome.as_ref().map(|outcome| print::names(&outcome.not_in_force));
    let id = status.contribution_id.clone();
    let mut json = as_json(&id, &Stands::Taken(Box::new(status)));
    json["queued_at"] = queued.into();
    json["told_at"] = told.into();
    json["not_in_force"] = not_in_force.unwrap_or_default().into();
    json
}

#[cfg(test)]
mod tests {
    use dancu_proto::v1::{ContributionOutcome, RejectionReason};

    use super::*;

    #[test]
    fn a_rejection_is_told_with_its_reason_and_no_number() {
        let outcome = ContributionOutcome {
            reason: RejectionReason::NotAgreed.into(),
            message: "no agreement".into(),
            fields: vec!["event".into()],
            ..ContributionOutcome::default()
        };
        let status = ContributionStatus {
            contribution_id: "x".into(),
            sequence: 7,
            state: ContributionState::Rejected.into(),
            outcome: Some(outcome),
            ..ContributionStatus::default()
        };
        let rows = rows(status);
        let of = |name: &str| rows.iter().find(|row| row[0].contains(name)).map(|row| row[1].as_str());
        assert_eq!(of("state"), Some("bị từ chối / rejected"));
        assert_eq!(of("reason"), Some("NOT_AGREED: no agreement (event)"));
        assert_eq!(of("queued"), Some("–, place 7 of the outbox"));
        assert_eq!((of("personal number"), of("revision")), (None, None));
    }
}

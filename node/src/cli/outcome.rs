//! What becomes of contributions that were handed in: waited for, and in words.

use std::{collections::HashSet, time::Duration};

use clap::Args;
use console::style;
use dancu_proto::{
    Reason,
    node::v1::{
        ContributionStatus, WatchContributionsRequest, contribution_service_client::ContributionServiceClient,
    },
    v1::ContributionState,
};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at, sleep_until};
use tonic::{Status, transport::Channel};

use super::{
    failure::{Failure, hint},
    notice::Notice,
};

/// Contributions that one call follows.
const FOLLOWED: usize = 10_000;
/// After so long whoever waits is told what for, and looked again.
const LOOK: Duration = Duration::from_secs(3);

/// What is known of a contribution that was handed in.
pub(super) enum Stands {
    Taken(Box<ContributionStatus>),
    Refused(Box<Status>),
}

/// Whether to wait for what becomes of it.
#[derive(Debug, Args)]
pub(super) struct Waiting {
    /// Wait until it is said what becomes of each: accepted, rejected or in review
    #[arg(long)]
    pub(super) wait: bool,
    /// Wait no longer than this (30s, 5m, 2h): what is queued stays queued, and counts once
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

impl Waiting {
    /// Waits for contributions, and tells of each as it changes. How many are still open when the time is up.
    /// Whoever waits for long is told what for.
    pub(super) async fn follow(
        &self,
        channel: Channel,
        ids: Vec<String>,
        bar: &ProgressBar,
        mut told: impl FnMut(ContributionStatus),
    ) -> Result<u64, Failure> {
        let until = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut client = ContributionServiceClient::new(channel.clone());
        let (mut notice, mut look) = (Notice::new(channel), interval_at(Instant::now() + LOOK, LOOK));
        let mut open: HashSet<&str> = ids.iter().map(String::as_str).collect();
        for ids in ids.chunks(FOLLOWED) {
            let request = WatchContributionsRequest { contribution_ids: ids.to_vec(), ..Default::default() };
            let mut statuses = client.watch_contributions(request).await?.into_inner();
            while ids.iter().any(|id| open.contains(id.as_str())) {
                tokio::select! {
                    status = statuses.message() => {
                        let Some(status) = status?.and_then(|told| told.status) else { break };
                        if is_concluded(status.state()) {
                            open.remove(status.contribution_id.as_str());
                        }
                        told(status);
                    }
                    () = elapsed(until) => return Ok(open.len() as u64),
                    _ = look.tick() => {
                        if let Some(text) = notice.look(open.len()).await {
                            bar.suspend(|| eprintln!("{}", style(text).dim().for_stderr()));
                        }
                    }
                }
            }
        }
        Ok(0)
    }
}

async fn elapsed(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Whether somebody has said what becomes of it, or is to.
pub(super) fn is_concluded(state: ContributionState) -> bool {
    matches!(state, ContributionState::Accepted | ContributionState::Rejected | ContributionState::InReview)
}

/// Where it stands in words, and why, if there is a reason.
pub(super) fn described(stands: &Stands) -> (&'static str, Option<String>) {
    let status = match stands {
        Stands::Refused(status) => {
            let reason = Reason::of(status).map(Reason::name).unwrap_or("REFUSED");
            return (
                "nút không nhận / refused by the node",
                Some(format!("{reason}: {}{}", status.message(), hint(status))),
            );
        }
        Stands::Taken(status) => status,
    };
    let label = label(status.state());
    let outcome = status.outcome.as_ref().filter(|outcome| outcome.reason != 0);
    let reason = outcome.map(|outcome| {
        let name = outcome.reason().as_str_name().trim_start_matches("REJECTION_REASON_");
        let fields = if outcome.fields.is_empty() {
            String::new()
        } else {
            format!(" ({})", outcome.fields.join(", "))
        };
        format!("{name}: {}{fields}", outcome.message)
    });
    (label, reason)
}

/// Where it stands in words.
pub(super) fn label(state: ContributionState) -> &'static str {
    match state {
        ContributionState::Unspecified => "?",
        ContributionState::Queued => "chờ gửi / queued",
        ContributionState::HandedOver => "đã gửi / at the hub",
        ContributionState::Accepted => "đã ghi nhận / accepted",
        ContributionState::Rejected => "bị từ chối / rejected",
        ContributionState::InReview => "đang xem xét / in review",
    }
}

/// The same as JSON.
pub(super) fn as_json(id: &str, stands: &Stands) -> Value {
    match stands {
        Stands::Refused(status) => json!({
            "id": id,
            "state": "refused",
            "reason": Reason::of(status).map(Reason::name),
            "message": status.message(),
            "fields": Reason::faults(status).into_iter().map(|(field, _)| field).collect::<Vec<_>>(),
        }),
        Stands::Taken(status) => {
            let state = status.state().as_str_name().trim_start_matches("CONTRIBUTION_STATE_").to_lowercase();
            let outcome = status.outcome.clone().unwrap_or_default();
            let reason = outcome.reason().as_str_name().trim_start_matches("REJECTION_REASON_");
            json!({
                "id": status.contribution_id,
                "sequence": status.sequence,
                "state": state,
                "revision": outcome.revision,
                "reason": (outcome.reason != 0).then_some(reason),
                "message": outcome.message,
                "fields": outcome.fields,
                "personal_id": (!outcome.personal_id.is_empty()).then_some(&outcome.personal_id),
                "receipt": outcome.receipt.as_ref().map(dancu_proto::v1::Signed::to_text),
            })
        }
    }
}

//! `dancu-node interest`: names the people whom the agency serves.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use console::style;
use dancu_proto::node::v1::{
    ListInterestsRequest, RegisterInterestRequest, WithdrawInterestRequest,
    interest_service_client::InterestServiceClient,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tonic::transport::Channel;

use super::{call::Call, failure::Failure, print};
use crate::config::Config;

/// Numbers of one call.
const NUMBERS: usize = 10_000;

/// `interest`
#[derive(Debug, Subcommand)]
pub(super) enum Interest {
    /// Name people: this node then holds them and follows their changes
    Add(Change),
    /// Withdraw people: this node drops them
    Withdraw(Change),
    /// Show who is named
    List(List),
}

/// Whom.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Personal numbers
    personal_ids: Vec<String>,
    /// A file of numbers, one a line, the first column of a CSV; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "personal_ids")]
    file: Option<PathBuf>,
    #[command(flatten)]
    call: Call,
}

/// `interest list`
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    call: Call,
}

impl Interest {
    pub(super) async fn run(self, config: &Config) -> Result<(), Failure> {
        match self {
            Interest::Add(change) => change.run(config, true).await,
            Interest::Withdraw(change) => change.run(config, false).await,
            Interest::List(list) => list.run(config).await,
        }
    }
}

impl Change {
    async fn run(&self, config: &Config, add: bool) -> Result<(), Failure> {
        let numbers = match &self.file {
            None => self.personal_ids.clone(),
            Some(path) if path.as_os_str() == "-" => lines(std::io::stdin())?,
            Some(path) => lines(std::fs::File::open(path).map_err(Failure::Output)?)?,
        };
        let mut client = InterestServiceClient::new(self.call.target.connect(config).await?);
        let bar = if numbers.len() > NUMBERS && !self.call.json {
            ProgressBar::new(numbers.len() as u64)
        } else {
            ProgressBar::hidden()
        };
        // The template is a constant, and good.
        let template = "{bar:30} {human_pos} of {human_len} numbers, {per_sec}, {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let (mut agreement, mut waiting) = (String::new(), 0);
        // An empty call too, so that the node says what is wrong with it.
        let parts = numbers.chunks(NUMBERS).map(<[String]>::to_vec);
        for part in parts.chain(numbers.is_empty().then(Vec::new)) {
            bar.inc(part.len() as u64);
            (agreement, waiting) = self.call(&mut client, part, add).await?;
        }
        bar.finish_and_clear();
        if self.call.json {
            return print::json(&json!({
                "agreement": agreement, "numbers": numbers.len(), "waiting": waiting,
            }));
        }
        let verb = if add { "named" } else { "withdrawn" };
        print::line(format_args!(
            "{} {} {verb} under {agreement}; {waiting} wait to be told to the hub",
            style("✓").green(),
            numbers.len(),
        ))
    }

    async fn call(
        &self,
        client: &mut InterestServiceClient<Channel>,
        personal_ids: Vec<String>,
        add: bool,
    ) -> Result<(String, u64), Failure> {
        let context = Some(self.call.context.to_message());
        Ok(if add {
            let request = RegisterInterestRequest { context, personal_ids };
            let answer = client.register_interest(request).await?.into_inner();
            (answer.agreement, answer.waiting)
        } else {
            let request = WithdrawInterestRequest { context, personal_ids };
            let answer = client.withdraw_interest(request).await?.into_inner();
            (answer.agreement, answer.waiting)
        })
    }
}

impl List {
    async fn run(&self, config: &Config) -> Result<(), Failure> {
        let mut client = InterestServiceClient::new(self.call.target.connect(config).await?);
        let request = ListInterestsRequest { context: Some(self.call.context.to_message()) };
        let mut parts = client.list_interests(request).await?.into_inner();
        let (mut numbers, mut waiting) = (Vec::new(), 0);
        while let Some(part) = parts.message().await? {
            numbers.extend(part.personal_ids);
            waiting = part.waiting;
        }
        if self.call.json {
            return print::json(&json!({ "personal_ids": numbers, "waiting": waiting }));
        }
        for number in &numbers {
            print::line(number)?;
        }
        let text = format!("{} named, {waiting} wait to be told to the hub", numbers.len());
        print::line(style(text).dim())
    }
}

/// The first column of each line; a heading is none.
fn lines(from: impl Read) -> Result<Vec<String>, Failure> {
    let mut numbers = Vec::new();
    for line in BufReader::new(from).lines() {
        let line = line.map_err(Failure::Output)?;
        let first = line.split([',', ';', '\t']).next().unwrap_or_default().trim().trim_matches('"');
        if first.bytes().any(|byte| byte.is_ascii_digit()) {
            numbers.push(first.to_owned());
        }
    }
    Ok(numbers)
}

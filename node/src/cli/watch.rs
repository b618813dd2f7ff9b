//! `dancu-node watch`: what changes, as it happens.

use std::{fs, io, path::PathBuf, time::Duration};

use clap::Args;
use console::style;
use dancu_proto::{
    Areas, Field, FieldSet,
    channel::file,
    node::v1::{
        BroadChange, ChangeReason, CitizenChange, CitizenChangeKind, WatchCitizensRequest,
        WatchCitizensResponse, citizen_service_client::CitizenServiceClient, watch_citizens_response::Event,
    },
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tonic::{Code, transport::Channel};

use super::{ask, connect::Target, context::Context, failure::Failure, print};
use crate::config::Config;

/// How long it waits before it calls a node again that went down.
const PAUSE: Duration = Duration::from_secs(1);

/// `watch`
#[derive(Debug, Args)]
pub(super) struct Watch {
    #[command(flatten)]
    context: Context,
    /// The fields of interest [default: all that the purpose gives]
    #[arg(long, value_delimiter = ',')]
    fields: Vec<Field>,
    /// Go on after this cursor [default: begin with what comes from now on]
    #[arg(long, conflicts_with = "cursor_file")]
    cursor: Option<String>,
    /// Keep the cursor in a file, and go on after the one that it has
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub(super) async fn run(&self, config: &Config) -> Result<(), Failure> {
        let mut cursor = match (&self.cursor, &self.cursor_file) {
            (Some(cursor), _) => cursor.clone(),
            (None, Some(path)) => match fs::read_to_string(path) {
                Ok(text) => text.trim().to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                Err(source) => return Err(Failure::File { path: path.clone(), source }),
            },
            (None, None) => String::new(),
        };
        let mut came = false;
        loop {
            match self.follow(config, &mut cursor, &mut came).await {
                // It may be restarting; what happens meanwhile is told then.
                Err(Failure::Refused(status)) if came && status.code() == Code::Unavailable => {
                    eprintln!("{}", style(format!("{}; following again", Failure::Refused(status))).dim());
                }
                Err(Failure::Connect { .. }) if came => {}
                ended => return ended,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn follow(&self, config: &Config, cursor: &mut String, came: &mut bool) -> Result<(), Failure> {
        let channel = self.target.connect(config).await?;
        let fields: FieldSet = self.fields.iter().copied().collect();
        let request = WatchCitizensRequest {
            context: Some(self.context.to_message()),
            cursor: cursor.clone(),
            fields: fields.iter().map(|field| dancu_proto::v1::Field::from(field).into()).collect(),
        };
        let responses = CitizenServiceClient::new(channel.clone()).watch_citizens(request).await?;
        let (mut responses, mut areas) = (responses.into_inner(), ask::areas(channel.clone()).await?);
        while let Some(response) = responses.message().await? {
            *came = true;
            self.show(&response, &mut areas, &channel).await?;
            // Kept once it is shown: whoever is killed in between is told again.
            cursor.clone_from(&response.cursor);
            if let Some(path) = &self.cursor_file {
                file::replace(path, format!("{cursor}\n").as_bytes(), file::SECRET)
                    .map_err(|source| Failure::File { path: path.clone(), source })?;
            }
        }
        Ok(())
    }

    async fn show(
        &self,
        response: &WatchCitizensResponse,
        areas: &mut Areas,
        channel: &Channel,
    ) -> Result<(), Failure> {
        let Some(event) = &response.event else { return Ok(()) };
        if *event == Event::Broad(BroadChange::AdministrativeOrder.into()) {
            *areas = ask::areas(channel.clone()).await?;
        }
        if self.json {
            return print::line(to_json(response, event));
        }
        match event {
            Event::Citizen(change) => citizen(change, areas),
            Event::Broad(broad) => print::line(format_args!("{} {}", time(), style(words(*broad)).yellow())),
        }
    }
}

fn time() -> String {
    style(print::moment(OffsetDateTime::now_utc())).dim().to_string()
}

fn words(broad: i32) -> &'static str {
    match BroadChange::try_from(broad) {
        Ok(BroadChange::AdministrativeOrder) => {
            "đơn vị hành chính thay đổi / the administrative order is another: addresses are told by it"
        }
        _ => "thỏa thuận thay đổi / the agreements are others: read anew what you keep",
    }
}

fn citizen(change: &CitizenChange, areas: &Areas) -> Result<(), Failure> {
    let kind = match change.kind() {
        CitizenChangeKind::Entered => style("vào / entered").green(),
        CitizenChangeKind::Left => style("ra / left").red(),
        _ => style("đổi / changed").cyan(),
    };
    let mut line = format!("{} {} {kind}", time(), style(&change.personal_id).bold());
    let reasons: Vec<_> = change.reasons().map(reason).collect();
    if !reasons.is_empty() {
        line.push_str(&format!(" ({})", reasons.join(", ")));
    }
    print::line(line)?;
    let citizen = change.citizen.clone().unwrap_or_default();
    for field in change.changed.iter().filter_map(|number| Field::try_from(*number).ok()) {
        let value = print::value(field, &citizen, areas.in_force()).unwrap_or_else(|| "–".into());
        print::line(format_args!("    {}: {value}", style(field.spec().label_vi).dim()))?;
    }
    Ok(())
}

fn reason(reason: ChangeReason) -> &'static str {
    match reason {
        ChangeReason::Death => "khai tử / death",
        ChangeReason::Move => "chuyển nơi ở / move",
        ChangeReason::Correction => "cải chính / correction",
        ChangeReason::Question => "xem xét / question",
        ChangeReason::Unspecified => "–",
    }
}

fn to_json(response: &WatchCitizensResponse, event: &Event) -> Value {
    let freshness = print::freshness_json(response.freshness.as_ref());
    let short = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_lowercase();
    match event {
        Event::Citizen(change) => json!({
            "cursor": response.cursor,
            "personal_id": change.personal_id,
            "kind": short(change.kind().as_str_name(), "CITIZEN_CHANGE_KIND_"),
            "changed": print::names(&change.changed),
            "citizen": change.citizen,
            "reasons": change.reasons()
                .map(|reason| short(reason.as_str_name(), "CHANGE_REASON_")).collect::<Vec<_>>(),
            "freshness": freshness,
        }),
        Event::Broad(broad) => json!({
            "cursor": response.cursor,
            "broad": BroadChange::try_from(*broad).map(|broad| short(broad.as_str_name(), "BROAD_CHANGE_")).ok(),
            "freshness": freshness,
        }),
    }
}

//! `dancu-hub node`.

use std::time::Duration;

use clap::Subcommand;
use console::style;
use dancu_proto::hub::v1::{
    AddNodeRequest, GetNodeRequest, ListNodesRequest, LoadProgress, NodeEnrollmentState, NodeSummary,
    SetNodeStateRequest,
};
use serde_json::{Value, json};

use super::{Global, connect, output};

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Add a node and print the one-time token it joins with
    Add {
        /// The agency it serves, as agreements name it
        #[arg(long, required_unless_present = "rejoin", default_value = "")]
        agency: String,
        /// Its name: lower-case letters, digits and hyphens, 2 to 40
        #[arg(long)]
        name: String,
        /// How long the token lasts
        #[arg(long, default_value = "24h", value_parser = humantime::parse_duration)]
        expires: Duration,
        /// A new token for a node that exists, whose machine was lost or replaced
        #[arg(long)]
        rejoin: bool,
    },
    /// All nodes
    List,
    /// One node
    Show {
        /// Its name
        name: String,
    },
    /// Suspend a node: its stream is cut, and it refuses look-ups until it is resumed
    Suspend {
        /// Its name
        name: String,
        /// Why; the node shows it to its own operator
        #[arg(long)]
        reason: String,
    },
    /// Let a suspended node come back
    Resume {
        /// Its name
        name: String,
    },
    /// Revoke a node for ever: it erases what it holds
    Revoke {
        /// Its name
        name: String,
        /// Why; the node shows it to its own operator
        #[arg(long)]
        reason: String,
    },
}

pub(super) async fn run(global: &Global, command: NodeCommand) -> anyhow::Result<()> {
    let mut admin = connect::admin(global).await?;
    let mut set = async |name: String, state: NodeEnrollmentState, reason: String| {
        let request = SetNodeStateRequest { name, state: state.into(), reason };
        let node = admin.set_node_state(request).await?.into_inner().node.unwrap_or_default();
        if global.json {
            return output::json(&as_json(&node));
        }
        let now = match state {
            NodeEnrollmentState::Suspended => "suspended",
            NodeEnrollmentState::Revoked => "revoked",
            _ => "resumed",
        };
        output::done(&format!("{} is {now}", node.name));
        Ok(())
    };
    match command {
        NodeCommand::Suspend { name, reason } => set(name, NodeEnrollmentState::Suspended, reason).await,
        NodeCommand::Resume { name } => set(name, NodeEnrollmentState::Active, String::new()).await,
        NodeCommand::Revoke { name, reason } => set(name, NodeEnrollmentState::Revoked, reason).await,
        NodeCommand::Add { agency, name, expires, rejoin } => {
            let request =
                AddNodeRequest { name, agency, token_lifetime_seconds: expires.as_secs().max(1), rejoin };
            let answer = admin.add_node(request).await?.into_inner();
            if global.json {
                let expires = output::moment(answer.expires.as_ref());
                return output::json(&json!({
                    "token": answer.token, "expires": expires, "agency": answer.agency,
                    "agreements": answer.agreements,
                }));
            }
            // The token alone on standard output, so that scripts can take it.
            println!("{}", answer.token);
            let expires = output::moment(answer.expires.as_ref());
            eprintln!(
                "One use, until {expires}. On the node: dancu-node join --hub https://HUB:7400 --token …"
            );
            if answer.agreements.is_empty() {
                let note = format!(
                    "Note: no agreement with {} is in force; the node can join, and is given nothing until one is applied.",
                    answer.agency
                );
                eprintln!("{}", style(note).yellow().for_stderr());
            }
            Ok(())
        }
        NodeCommand::List => {
            let nodes = admin.list_nodes(ListNodesRequest {}).await?.into_inner().nodes;
            if global.json {
                return output::json(&nodes.iter().map(as_json).collect());
            }
            let mut table = output::table([
                "node",
                "agency",
                "state",
                "cursor",
                "citizens",
                "last seen",
                "certificate until",
            ]);
            for node in &nodes {
                table.add_row([
                    node.name.clone(),
                    node.agency.clone(),
                    state_of(node),
                    output::number(node.cursor),
                    output::number(node.citizens),
                    output::moment(node.last_seen.as_ref()),
                    output::moment(node.certificate_expires.as_ref()),
                ]);
            }
            output::show(table);
            Ok(())
        }
        NodeCommand::Show { name } => {
            let node = admin.get_node(GetNodeRequest { name }).await?.into_inner().node.unwrap_or_default();
            if global.json {
                return output::json(&as_json(&node));
            }
            output::pairs(&[
                ("node", node.name.clone()),
                ("agency", node.agency.clone()),
                ("state", state_of(&node)),
                ("reason", node.reason.clone()),
                ("agreements", node.agreements.join(", ")),
                ("cursor", output::number(node.cursor)),
                ("citizens", output::number(node.citizens)),
                ("last seen", output::moment(node.last_seen.as_ref())),
                ("added", output::moment(node.added.as_ref())),
                ("certificate until", output::moment(node.certificate_expires.as_ref())),
                ("software", node.software.clone()),
            ]);
            Ok(())
        }
    }
}

fn state_of(node: &NodeSummary) -> String {
    match (node.state(), node.connected) {
        (NodeEnrollmentState::Active, true) => {
            let connected = style("connected").green();
            node.loading
                .as_ref()
                .map_or(connected.to_string(), |load| format!("{connected}, {}", progress(load)))
        }
        (NodeEnrollmentState::Active, false) => style("not connected").yellow().to_string(),
        (NodeEnrollmentState::Invited, _) => style("invited").dim().to_string(),
        (NodeEnrollmentState::Suspended, _) => style("suspended").red().to_string(),
        (NodeEnrollmentState::Revoked, _) => style("revoked").red().to_string(),
        (NodeEnrollmentState::Unspecified, _) => "unknown".into(),
    }
}

fn progress(load: &LoadProgress) -> String {
    let share = load.done * 100 / (load.done + load.to_come).max(1);
    let left = load.to_come.checked_div(load.per_second).map(|seconds| {
        let left = humantime::format_duration(std::time::Duration::from_secs(seconds + 1));
        format!(", {} a second, {left} left", output::number(load.per_second))
    });
    format!("loading {share} %{}", left.unwrap_or_default())
}

fn as_json(node: &NodeSummary) -> Value {
    let state = node.state().as_str_name().trim_start_matches("NODE_ENROLLMENT_STATE_").to_lowercase();
    json!({
        "name": node.name, "agency": node.agency, "state": state, "reason": node.reason,
        "connected": node.connected, "cursor": node.cursor, "citizens": node.citizens,
        "last_seen": node.last_seen.map(|at| at.seconds), "added": node.added.map(|at| at.seconds),
        "certificate_expires": node.certificate_expires.map(|at| at.seconds),
        "software": node.software, "agreements": node.agreements,
        "loading": node.loading.as_ref().map(|load| {
            json!({ "done": load.done, "to_come": load.to_come, "per_second": load.per_second })
        }),
    })
}

//! The command line of `dancu-hub`.

mod agreement;
mod area;
mod audit;
mod case;
mod citizen;
mod connect;
mod contribution;
mod import;
mod node;
mod operator;
mod output;
mod procedure;
mod review;
mod slice;
mod statement;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use dancu_proto::{hub::v1::GetHubStatusRequest, v1::Date};

use crate::{config::Config, lifecycle};

/// The hub of Dancu: owns the population registry and enforces the sharing policy.
#[derive(Debug, Parser)]
#[command(name = "dancu-hub", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
struct Global {
    /// Configuration file [default: /etc/dancu/hub.toml, if there]
    #[arg(long, global = true, env = "DANCU_HUB_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, instead of the configured one
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Admin socket of the running hub, instead of the configured one
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Address of a hub on another machine (https://host:port); needs --identity
    #[arg(long, global = true, value_name = "URL", requires = "identity")]
    hub: Option<String>,
    /// Directory of an operator's identity, as `operator add` writes it
    #[arg(long, global = true, value_name = "DIR")]
    identity: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new hub: its data directory, authority and empty registry
    Init {
        /// CSV of the administrative order to begin with [default: the one since 2025-07-01]
        #[arg(long, value_name = "FILE")]
        areas: Option<PathBuf>,
        /// The day from which that order holds
        #[arg(long, value_name = "DAY", requires = "areas")]
        areas_from: Option<Date>,
    },
    /// Run the hub
    Serve,
    /// The hub at a glance
    Status,
    /// Load citizens from JSON Lines or CSV
    Import(import::ImportArgs),
    /// Correct fields of one citizen
    Change(citizen::ChangeArgs),
    /// Look at one citizen
    #[command(subcommand)]
    Citizen(citizen::CitizenCommand),
    /// What nodes handed in: look at one, outboxes, import a file
    #[command(subcommand)]
    Contribution(contribution::ContributionCommand),
    /// What waits for a decision: list, show side by side, accept, reject
    #[command(subcommand)]
    Review(review::ReviewCommand),
    /// Nodes: add, list, show, suspend, resume, revoke
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// The access log: who looked at whom, and the proof of it
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Sharing agreements: check, apply, list, show, withdraw
    #[command(subcommand)]
    Agreement(agreement::AgreementCommand),
    /// The administrative order: merge areas, rename them, look one up
    #[command(subcommand)]
    Area(area::AreaCommand),
    /// Cases of procedures that run across agencies: list, show
    #[command(subcommand)]
    Case(case::CaseCommand),
    /// The documents of procedures: list, check
    #[command(subcommand)]
    Procedure(procedure::ProcedureCommand),
    /// What nodes held: of one citizen, or the digest of it all
    #[command(subcommand)]
    Slice(slice::SliceCommand),
    /// Operators on other machines
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
}

/// Runs a command.
///
/// # Errors
/// What went wrong, for people, in one line.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let global = &cli.global;
    match cli.command {
        Command::Init { areas, areas_from } => {
            let config = global.load()?;
            let order = area::first_order(areas.as_deref(), areas_from)?;
            let fingerprint = lifecycle::init(&config.data_dir, &order)?;
            println!("A new hub is in {}.", config.data_dir.display());
            println!("Authority: SHA-256 {fingerprint}");
            println!("Next: dancu-hub serve");
            Ok(())
        }
        Command::Serve => {
            let config = global.load()?;
            output::start_log(&config.log)?;
            lifecycle::serve(config).await
        }
        Command::Status => status(global).await,
        Command::Import(args) => import::run(global, args).await,
        Command::Change(args) => citizen::change(global, args).await,
        Command::Citizen(command) => citizen::run(global, command).await,
        Command::Contribution(command) => contribution::run(global, command).await,
        Command::Review(command) => review::run(global, command).await,
        Command::Node(command) => node::run(global, command).await,
        Command::Agreement(command) => agreement::run(global, command).await,
        Command::Area(command) => area::run(global, command).await,
        Command::Case(command) => case::run(global, command).await,
        Command::Procedure(command) => procedure::run(global, command),
        Command::Slice(command) => slice::run(global, command).await,
        Command::Audit(command) => audit::run(global, command).await,
        Command::Operator(command) => operator::run(global, command).await,
    }
}

impl Global {
    fn load(&self) -> anyhow::Result<Config> {
        let mut config = Config::load(self.config.as_deref()).context("the configuration is not valid")?;
        if let Some(data) = &self.data {
            config.data_dir = data.clone();
        }
        if let Some(socket) = &self.socket {
            config.listen.admin_socket = socket.clone();
        }
        Ok(config)
    }
}

async fn status(global: &Global) -> anyhow::Result<()> {
    let mut admin = connect::admin(global).await?;
    let status = admin.get_hub_status(GetHubStatusRequest {}).await?.into_inner();
    if global.json {
        return output::json(&serde_json::json!({
            "head": status.head, "citizens": status.citizens, "nodes": status.nodes,
            "connected": status.connected, "agreements": status.agreements, "day": status.day,
            "version": status.version, "authority_sha256": status.authority_fingerprint,
        }));
    }
    output::pairs(&[
        ("citizens", output::number(status.citizens)),
        ("revision", output::number(status.head)),
        ("nodes", format!("{} enrolled, {} connected", status.nodes, status.connected)),
        ("agreements in force", status.agreements.to_string()),
        ("day", status.day),
        ("authority SHA-256", status.authority_fingerprint),
        ("version", status.version),
    ]);
    Ok(())
}

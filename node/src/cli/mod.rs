//! `dancu-node` at a terminal.

mod ask;
mod call;
mod claim;
mod client;
mod connect;
mod context;
mod contribute;
mod contribution;
mod failure;
mod interest;
mod notice;
mod officer;
mod outbox;
mod outcome;
mod print;
mod procedure;
mod proof;
mod receipt;
mod reconcile;
mod seal;
mod watch;

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use console::style;

pub use failure::Failure;
pub use reconcile::claims;

use crate::{config::Config, identity::join::join, lifecycle};

/// Caches an agency's slice of the population registry, answers from it, works offline.
#[derive(Debug, Parser)]
#[command(name = "dancu-node", version, about)]
pub struct Cli {
    /// The configuration file [default: /etc/dancu/node.toml, if there is one]
    #[arg(long, global = true, env = "DANCU_NODE_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory, before the configuration's
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Join a hub with a one-time token from its operator
    Join {
        /// The hub, as https://host:port
        #[arg(long)]
        hub: String,
        /// The token
        #[arg(long, env = "DANCU_TOKEN", hide_env_values = true)]
        token: String,
        /// Replace the identity this node has already
        #[arg(long)]
        force: bool,
    },
    /// Run the node
    Serve,
    /// Show what the running node can do now
    Status(ask::Status),
    /// Look up a citizen by personal number (số định danh cá nhân), in force or former
    Get(ask::Get),
    /// Find citizens by name and date of birth, or by old 9-digit number
    Find(ask::Find),
    /// Compare what you hold with the record; discloses nothing
    Verify(ask::Verify),
    /// Clean a list (CSV, XLSX) against the slice: what is wrong in each row, and in all
    Reconcile(reconcile::ReconcileFile),
    /// Follow what changes in the slice for a purpose, as it happens
    Watch(watch::Watch),
    /// Compare the slice with what the hub says it should be, and repair what differs
    VerifySlice(proof::VerifySlice),
    /// Make the node forget the key of its slice: nothing is answered or readable until `unseal`
    Seal(seal::Sealing),
    /// Let the node ask the hub for its key again
    Unseal(seal::Sealing),
    /// Name the people whom the agency serves, where an agreement's scope is an interest list
    #[command(subcommand)]
    Interest(interest::Interest),
    /// Hand in what the agency registered: births, moves, cards; one, or a file of them
    Contribute(contribute::Contribute),
    /// What became of what was handed in: show one, list them
    #[command(subcommand)]
    Contribution(contribution::ContributionCommand),
    /// Show what waits to be handed over, and carry it in a file
    #[command(subcommand)]
    Outbox(outbox::Outbox),
    /// Tasks of procedures that run across agencies: list, complete
    #[command(subcommand)]
    Task(procedure::TaskCommand),
    /// Cases of such procedures: show how one stands
    #[command(subcommand)]
    Case(procedure::CaseCommand),
    /// Forms (tờ khai): list them, fill one from the slice
    #[command(subcommand)]
    Form(procedure::FormCommand),
    /// Manage the back-ends that may call this node
    #[command(subcommand)]
    Client(client::Client),
    /// Manage the officers who may act, for agreements that want them listed
    #[command(subcommand)]
    Officer(officer::Officers),
}

impl Cli {
    /// Does what was asked. Exit codes: 1 refused or failed, 2 wrong usage, 3 not found, 4 in
    /// review, 5 not concluded in time.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self.execute() {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads the output, `head` perhaps, has seen enough.
            Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{} {failure}", style("error:").red().bold().for_stderr());
                failure.exit_code()
            }
        }
    }

    fn execute(self) -> Result<(), Failure> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(data) = self.data {
            config.data_dir = data;
        }
        let mut runtime = match self.command {
            Command::Serve => tokio::runtime::Builder::new_multi_thread(),
            _ => tokio::runtime::Builder::new_current_thread(),
        };
        let runtime = runtime.enable_all().build().map_err(Failure::Runtime)?;
        runtime.block_on(dispatch(self.command, config))
    }
}

async fn dispatch(command: Command, config: Config) -> Result<(), Failure> {
    match command {
        Command::Join { hub, token, force } => {
            let identity = join(&config.data_dir, &hub, &token, force).await?;
            print::line(format_args!(
                "joined {} as node {} of agency {}; the certificate is good until {}",
                identity.hub_url(),
                style(identity.name()).bold(),
                identity.agency(),
                print::moment(identity.expires()),
            ))?;
            print::line(format_args!("next: dancu-node serve --data {}", config.data_dir.display()))
        }
        Command::Serve => {
            lifecycle::log(&config);
            Ok(Box::pin(lifecycle::run(config)).await?)
        }
        Command::Status(status) => status.run(&config).await,
        Command::Get(get) => get.run(&config).await,
        Command::Find(find) => find.run(&config).await,
        Command::Verify(verify) => Box::pin(verify.run(&config)).await,
        Command::Reconcile(list) => Box::pin(list.run(&config)).await,
        Command::Watch(watch) => Box::pin(watch.run(&config)).await,
        Command::VerifySlice(verify) => verify.run(&config).await,
        Command::Seal(sealing) => sealing.seal(&config).await,
        Command::Unseal(sealing) => sealing.unseal(&config).await,
        Command::Interest(interest) => interest.run(&config).await,
        Command::Contribute(contribute) => Box::pin(contribute.run(&config)).await,
        Command::Contribution(command) => command.run(&config).await,
        Command::Outbox(outbox) => outbox.run(&config).await,
        Command::Task(task) => Box::pin(task.run(&config)).await,
        Command::Case(case) => case.run(&config).await,
        Command::Form(form) => form.run(&config).await,
        Command::Client(client) => client.run(&config),
        Command::Officer(officers) => officers.run(&config),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

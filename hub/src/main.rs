//! `dancu-hub`: owns the population registry and enforces the sharing policy.

use std::process::ExitCode;

use clap::Parser;
use console::style;
use dancu_hub::cli;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {}", style("error:").red().bold(), in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// A refusal by the hub says all in its message; other errors tell their causes.
fn in_one_line(error: &anyhow::Error) -> String {
    match error.downcast_ref::<tonic::Status>() {
        Some(status) => status.message().to_owned(),
        None => format!("{error:#}"),
    }
}

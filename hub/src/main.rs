//! `dancu-hub`: owns the population registry and enforces the sharing policy.

use std::{panic, process::ExitCode};

use clap::Parser;
use console::style;
use dancu_hub::cli;

/// Frames and records come and go by the million: the system's allocator takes a sixth of a load's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
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

/// A reader that has seen enough (`… | head`) is no fault of this command: it ends quietly.
fn end_quietly_when_nobody_reads() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout")) {
            std::process::exit(0);
        }
        report(info);
    }));
}

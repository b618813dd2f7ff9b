//! `dancu-node`: caches an agency's slice, answers from it, works offline.

use std::process::ExitCode;

use clap::Parser;
use dancu_node::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}

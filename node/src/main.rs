//! `dancu-node`: caches an agency's slice, answers from it, works offline.

use std::process::ExitCode;

use clap::Parser;
use dancu_node::cli::Cli;

/// Answers are made of many small parts: the system's allocator takes an eighth of a look-up's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}

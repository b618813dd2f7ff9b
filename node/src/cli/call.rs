//! Options that the commands share which call a node.

use clap::Args;

use super::{connect::Target, context::Context};

/// For whom, which node, and in what form.
#[derive(Debug, Args)]
pub(super) struct Call {
    #[command(flatten)]
    pub(super) context: Context,
    #[command(flatten)]
    pub(super) target: Target,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

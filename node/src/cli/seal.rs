//! `dancu-node seal` and `unseal`.

use clap::Args;
use console::style;
use dancu_proto::node::v1::{SealSliceRequest, UnsealSliceRequest, node_service_client::NodeServiceClient};

use super::{connect::Target, failure::Failure, print};
use crate::config::Config;

/// `seal`, `unseal`
#[derive(Debug, Args)]
pub(super) struct Sealing {
    #[command(flatten)]
    target: Target,
}

impl Sealing {
    pub(super) async fn seal(&self, config: &Config) -> Result<(), Failure> {
        let channel = self.target.connect(config).await?;
        NodeServiceClient::new(channel).seal_slice(SealSliceRequest {}).await?;
        print::line(format_args!(
            "{}: the node has forgotten the key of its slice; `dancu-node unseal` asks the hub for it",
            style("sealed").bold()
        ))
    }

    pub(super) async fn unseal(&self, config: &Config) -> Result<(), Failure> {
        let channel = self.target.connect(config).await?;
        NodeServiceClient::new(channel).unseal_slice(UnsealSliceRequest {}).await?;
        print::line(format_args!("the hub is asked for a lease; `dancu-node status` shows when it is here"))
    }
}

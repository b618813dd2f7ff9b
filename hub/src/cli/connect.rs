//! The way to the running hub: its admin socket, or mutual TLS with an operator's identity.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use dancu_proto::{
    Areas,
    channel::{
        HUB_SERVER_NAME, SwappableIdentity, Timeouts, client_config, connect, connect_unix,
        identity::{certificates_from_pem, roots},
    },
    hub::v1::{
        ListAreasRequest, ListAreasResponse, admin_service_client::AdminServiceClient,
        audit_service_client::AuditServiceClient, case_service_client::CaseServiceClient,
        review_service_client::ReviewServiceClient,
    },
    v1::AreaChange,
};
use tonic::transport::Channel;

use super::Global;

/// Answers are at most this large: a citizen's whole history.
const LARGEST_ANSWER: usize = 64 << 20;

pub(super) async fn admin(global: &Global) -> anyhow::Result<AdminServiceClient<Channel>> {
    Ok(AdminServiceClient::new(channel(global).await?).max_decoding_message_size(LARGEST_ANSWER))
}

pub(super) async fn audit(global: &Global) -> anyhow::Result<AuditServiceClient<Channel>> {
    Ok(AuditServiceClient::new(channel(global).await?).max_decoding_message_size(LARGEST_ANSWER))
}

pub(super) async fn reviews(global: &Global) -> anyhow::Result<ReviewServiceClient<Channel>> {
    Ok(ReviewServiceClient::new(channel(global).await?).max_decoding_message_size(LARGEST_ANSWER))
}

pub(super) async fn cases(global: &Global) -> anyhow::Result<CaseServiceClient<Channel>> {
    Ok(CaseServiceClient::new(channel(global).await?))
}

/// The administrative order in force: names of the places in an answer.
pub(super) async fn order(global: &Global) -> anyhow::Result<Areas> {
    let order = admin(global).await?.list_areas(ListAreasRequest {}).await?.into_inner();
    let ListAreasResponse { from, provinces, communes } = order;
    let order = AreaChange { from, provinces, communes, ..AreaChange::default() };
    Areas::founded_on(&order).context("the hub's areas")
}

async fn channel(global: &Global) -> anyhow::Result<Channel> {
    Ok(match (&global.hub, &global.identity) {
        (Some(url), Some(dir)) => remote(url, dir).await?,
        (Some(_), None) => bail!("--hub needs --identity"),
        (None, _) => {
            let socket = global.load()?.listen.admin_socket;
            connect_unix(&socket, &Timeouts::default()).await.with_context(|| {
                format!("no hub answers at {}; is `dancu-hub serve` running?", socket.display())
            })?
        }
    })
}

async fn remote(url: &str, dir: &Path) -> anyhow::Result<Channel> {
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let identity = SwappableIdentity::from_pem(&read("operator.crt")?, &read("operator.key")?)?;
    let authorities = certificates_from_pem(&read("authority.crt")?)?;
    let config = client_config(roots(&authorities)?, Some(identity))?;
    Ok(connect(url, config, HUB_SERVER_NAME, &Timeouts::default()).await?)
}

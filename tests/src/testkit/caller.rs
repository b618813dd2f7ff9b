//! A back-end of the agency, which calls a node over mutual TLS.

use std::{fs, sync::Arc};

use dancu_proto::{
    channel::{
        SwappableIdentity, Timeouts, client_config, connect_lazy,
        identity::{certificates_from_pem, roots},
    },
    node::v1::{
        GetStatusRequest, citizen_service_client::CitizenServiceClient,
        contribution_service_client::ContributionServiceClient,
        interest_service_client::InterestServiceClient, node_service_client::NodeServiceClient,
        notice_service_client::NoticeServiceClient, procedure_service_client::ProcedureServiceClient,
    },
};
use rustls::{ClientConfig, client::ResolvesClientCert};
use tonic::transport::Channel;

use super::{Node, eventually};

/// A back-end with a certificate of the agency's authority.
#[derive(Clone)]
pub struct Caller {
    tls: Arc<ClientConfig>,
    url: String,
    channel: Channel,
}

impl Caller {
    /// Lists a back-end at a node, with more arguments of `client add`, and waits until it may call.
    ///
    /// # Panics
    /// If it is not listed.
    pub async fn add(node: &Node, name: &str, purposes: &str, more: &[&str]) -> Caller {
        let args = [&["client", "add", "--name", name, "--purposes", purposes], more].concat();
        node.cli(&args).await.expect("a caller that is listed");
        let files = node.data().join("agency").join("clients").join(name);
        let file = |name: &str| fs::read(files.join(name)).expect("a file of the caller");
        let authority = certificates_from_pem(&file("authority.crt")).expect("a certificate");
        let identity = SwappableIdentity::from_pem(&file("client.crt"), &file("client.key"));
        let identity: Arc<dyn ResolvesClientCert> = identity.expect("an identity");
        let trusted = roots(&authority).expect("an authority");
        let tls = client_config(trusted, Some(identity)).expect("TLS");
        let url = format!("https://{}", node.address);
        let channel = channel(&url, &tls);
        let caller = Caller { tls, url, channel };
        eventually("the node to know a caller", || async {
            NodeServiceClient::new(caller.channel()).get_status(GetStatusRequest {}).await.is_ok()
        })
        .await;
        caller
    }

    /// Its connection.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Another connection of its own.
    #[must_use]
    pub fn another_channel(&self) -> Channel {
        channel(&self.url, &self.tls)
    }

    /// Look-ups.
    #[must_use]
    pub fn citizens(&self) -> CitizenServiceClient<Channel> {
        CitizenServiceClient::new(self.channel())
    }

    /// Interest lists.
    #[must_use]
    pub fn interests(&self) -> InterestServiceClient<Channel> {
        InterestServiceClient::new(self.channel())
    }

    /// Who looked.
    #[must_use]
    pub fn notices(&self) -> NoticeServiceClient<Channel> {
        NoticeServiceClient::new(self.channel())
    }

    /// What it hands in.
    #[must_use]
    pub fn contributions(&self) -> ContributionServiceClient<Channel> {
        ContributionServiceClient::new(self.channel())
    }

    /// Tasks, cases and forms.
    #[must_use]
    pub fn procedures(&self) -> ProcedureServiceClient<Channel> {
        ProcedureServiceClient::new(self.channel())
    }

    /// The node itself.
    #[must_use]
    pub fn node(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel())
    }
}

fn channel(url: &str, tls: &Arc<ClientConfig>) -> Channel {
    connect_lazy(url, Arc::clone(tls), "127.0.0.1", &Timeouts::default()).expect("an address")
}

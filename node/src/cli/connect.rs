//! From a terminal to a running node.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use dancu_proto::channel::{
    SwappableIdentity, Timeouts, client_config, connect, connect_unix,
    identity::{certificates_from_pem, roots},
};
use tonic::transport::Channel;

use super::failure::Failure;
use crate::config::Config;

/// Where the node is: the configuration's Unix socket, unless said otherwise.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The node's Unix socket
    #[arg(long, value_name = "PATH", conflicts_with = "address")]
    socket: Option<PathBuf>,
    /// The node's address, as https://host:port
    #[arg(long, value_name = "URL", requires_all = ["cert", "key", "authority"])]
    address: Option<String>,
    /// This caller's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "address")]
    cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "address")]
    key: Option<PathBuf>,
    /// The authority of the node's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "address")]
    authority: Option<PathBuf>,
}

impl Target {
    pub(super) async fn connect(&self, config: &Config) -> Result<Channel, Failure> {
        match (&self.address, &self.cert, &self.key, &self.authority) {
            (Some(address), Some(cert), Some(key), Some(authority)) => {
                let identity = SwappableIdentity::from_pem(&read(cert)?, &read(key)?)?;
                let trusted = roots(&certificates_from_pem(&read(authority)?)?)?;
                let tls = client_config(trusted, Some(identity))?;
                let channel = connect(address, tls, &server_name(address), &Timeouts::default()).await;
                channel.map_err(|source| Failure::Connect { at: address.clone(), source })
            }
            _ => {
                let socket = self.socket.as_deref().or(config.listen.unix());
                let socket = socket.ok_or_else(|| {
                    Failure::Usage(
                        "the configuration has no Unix socket; say where the node is with --address".into(),
                    )
                })?;
                let channel = connect_unix(socket, &Timeouts::default()).await;
                channel.map_err(|source| Failure::Connect { at: socket.display().to_string(), source })
            }
        }
    }
}

/// The name that the node's certificate must have. Agency authorities put `localhost` in it, which
/// stands for addresses that cannot be a gRPC authority as they are written.
fn server_name(address: &str) -> String {
    let uri: Option<http::Uri> = address.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).unwrap_or("localhost");
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V6(_)) => "localhost".into(),
        _ => host.to_owned(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|source| Failure::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_checked_by_the_name_it_was_called_by() {
        assert_eq!(server_name("https://node.ha-giang.vn:7443"), "node.ha-giang.vn");
        assert_eq!(server_name("https://127.0.0.1:7443"), "127.0.0.1");
        assert_eq!(server_name("https://[::1]:7443"), "localhost");
    }
}

//! `dancu-hub operator`.

use std::path::PathBuf;

use clap::Subcommand;
use dancu_proto::{
    channel::{SigningRequest, file},
    hub::v1::AddOperatorRequest,
};

use super::{Global, connect, output};

#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
    /// Make an operator's identity: a key and a certificate for use from another machine
    Add {
        /// Name: lower-case letters, digits and hyphens
        #[arg(long)]
        name: String,
        /// Directory to write operator.key, operator.crt and authority.crt to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

pub(super) async fn run(global: &Global, command: OperatorCommand) -> anyhow::Result<()> {
    let OperatorCommand::Add { name, out } = command;
    let request = SigningRequest::new(&name)?;
    let csr = request.csr.to_vec();
    let mut admin = connect::admin(global).await?;
    let answer = admin.add_operator(AddOperatorRequest { name: name.clone(), csr }).await?.into_inner();
    std::fs::create_dir_all(&out)?;
    let pem = |der: &[u8]| pem_of("CERTIFICATE", der);
    file::replace(&out.join("operator.key"), request.key_pem().as_bytes(), file::SECRET)?;
    file::replace(&out.join("operator.crt"), pem(&answer.certificate).as_bytes(), file::PUBLIC)?;
    file::replace(&out.join("authority.crt"), pem(&answer.authority).as_bytes(), file::PUBLIC)?;
    output::done(&format!(
        "operator {name}: use with `dancu-hub --hub https://HOST:7400 --identity {} …`",
        out.display()
    ));
    Ok(())
}

/// DER as PEM (RFC 7468).
fn pem_of(label: &str, der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

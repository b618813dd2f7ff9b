//! Receipts: what the hub signed of a contribution, in a file of its own, and the checking of it, which needs neither
//! node nor hub.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use console::style;
use dancu_proto::{
    channel::{PeerIdentity, identity::certificates_from_pem},
    node::v1::{GetContributionRequest, contribution_service_client::ContributionServiceClient},
    signed::verify_by_any,
    v1::{ContributionReceipt, Signed},
};
use serde_json::{Value, json};

use super::{connect::Target, failure::Failure, outcome::label, print};
use crate::{config::Config, identity::store::IdentityStore};

/// `contribution receipt`
#[derive(Debug, Args)]
pub(super) struct Receipt {
    /// Id of the contribution
    id: String,
    /// A new file for it; without, it goes to the terminal
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// `contribution verify`
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The receipt, as `contribution receipt` wrote it
    file: PathBuf,
    /// The certificate of the hub's authority [default: the one that this node joined]
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Receipt {
    pub(super) async fn run(self, config: &Config) -> Result<(), Failure> {
        let mut client = ContributionServiceClient::new(self.target.connect(config).await?);
        let request = GetContributionRequest { contribution_id: self.id };
        let status = client.get_contribution(request).await?.into_inner().status;
        let receipt = status.and_then(|status| status.outcome?.receipt).ok_or_else(|| {
            let none =
                "the hub has said nothing of it yet: `dancu-node contribution show` says where it stands";
            Failure::Usage(none.into())
        })?;
        let Some(out) = self.out else { return print::line(receipt.to_text().trim_end()) };
        let failed = |source| Failure::File { path: out.clone(), source };
        let mut file = File::create_new(&out).map_err(failed)?;
        let written = file.write_all(receipt.to_text().as_bytes()).and_then(|()| file.sync_all());
        if let Err(source) = written {
            // Half of it is no receipt, and would be in the way of the next attempt.
            let _ = fs::remove_file(&out);
            return Err(failed(source));
        }
        print::line(format_args!("{} {}", style("✓").green(), out.display()))
    }
}

impl Verify {
    pub(super) fn run(&self, config: &Config) -> Result<(), Failure> {
        let authority = match &self.authority {
            Some(path) => path.clone(),
            None => IdentityStore::of(&config.data_dir).authority(),
        };
        let authorities = certificates_from_pem(&read(&authority)?).map_err(|error| {
            let fault = format!(
                "{}: {error}; name the authority's certificate with --authority",
                authority.display()
            );
            Failure::Usage(fault)
        })?;
        let text = String::from_utf8_lossy(&read(&self.file)?).into_owned();
        let receipt = Signed::from_text(&text)
            .and_then(|signed| verify_by_any::<ContributionReceipt>(&signed, &authorities));
        let not_believed = |fault: String| Failure::Usage(format!("{}: {fault}", self.file.display()));
        match receipt.map_err(|error| not_believed(error.to_string()))? {
            (receipt, PeerIdentity::Hub) if self.json => print::json(&as_json(&receipt)),
            (receipt, PeerIdentity::Hub) => {
                print::line(format_args!("{} {}", style("✓").green(), "the hub signed this"))?;
                print::table(&["đóng góp / contribution", &receipt.contribution_id], rows(&receipt))
            }
            _ => Err(not_believed("not the hub signed it: it is no receipt".into())),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|source: io::Error| Failure::File { path: path.to_owned(), source })
}

fn rows(receipt: &ContributionReceipt) -> Vec<Vec<String>> {
    let when = print::time_of(receipt.time.as_ref()).map_or_else(|| "–".to_owned(), print::moment);
    let mut rows = vec![
        ("trạng thái / state", label(receipt.state()).to_owned()),
        ("ký lúc / signed", when),
        ("nút / node", format!("{}, place {} of its outbox", receipt.node, receipt.sequence)),
    ];
    if receipt.revision != 0 {
        rows.push(("revision", receipt.revision.to_string()));
    }
    if receipt.reason != 0 {
        let reason = receipt.reason().as_str_name().trim_start_matches("REJECTION_REASON_");
        rows.push(("lý do / reason", reason.to_owned()));
    }
    rows.push(("SHA-256 of what the node signed", print::hex(&receipt.hash)));
    rows.push(("registry", print::hex(&receipt.registry_id)));
    rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
}

fn as_json(receipt: &ContributionReceipt) -> Value {
    let state = receipt.state().as_str_name().trim_start_matches("CONTRIBUTION_STATE_").to_lowercase();
    let reason = receipt.reason().as_str_name().trim_start_matches("REJECTION_REASON_");
    json!({
        "contribution_id": receipt.contribution_id, "node": receipt.node, "sequence": receipt.sequence,
        "state": state, "revision": receipt.revision,
        "reason": (receipt.reason != 0).then_some(reason),
        "time": print::rfc3339(receipt.time.as_ref()), "hash": print::hex(&receipt.hash),
        "registry": print::hex(&receipt.registry_id),
    })
}

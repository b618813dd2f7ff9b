//! What monitoring reads, in the text format of Prometheus. Nothing here tells of a person: labels are
//! few and fixed.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use dancu_proto::node::v1::SliceProof;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;

use crate::{slice::Phase, state::Node};

/// Between two looks at what is not counted where it happens.
const LOOK: Duration = Duration::from_secs(5);

const PROOFS: &str = "dancu_node_proofs_total";
const DIFFERENCES: &str = "dancu_node_proof_differences_total";
const UNREPAIRED: &str = "dancu_node_proof_ranges_unrepaired";
const RELOADS: &str = "dancu_node_slice_reloads_total";
const CURSOR: &str = "dancu_node_cursor";
const HUB_HEAD: &str = "dancu_node_hub_head";
const CITIZENS: &str = "dancu_node_citizens";
const OFFLINE: &str = "dancu_node_offline_seconds";
pub(crate) const QUEUED: &str = "dancu_node_contributions_queued";
pub(crate) const OLDEST: &str = "dancu_node_contribution_oldest_seconds";

/// The slice was compared with what it should be.
pub(crate) fn proved(proof: &SliceProof) {
    counter!(PROOFS).increment(1);
    counter!(RELOADS).increment(u64::from(proof.reloading));
    for (kind, number) in [
        ("missing", proof.missing.len() as u64),
        ("different", proof.different.len() as u64),
        ("foreign", proof.foreign.len() as u64),
        ("index", proof.index_entries),
    ] {
        counter!(DIFFERENCES, "kind" => kind).increment(number);
    }
    gauge!(UNREPAIRED).set(proof.unrepaired as f64);
}

/// Starts to count, and to answer; to be called once, within a runtime. It ends with the process.
///
/// # Errors
/// The address is not free.
pub fn listen(address: SocketAddr) -> io::Result<()> {
    let built = PrometheusBuilder::new().with_http_listener(address).build();
    let (recorder, exporter) = built.map_err(|error| io::Error::other(error.to_string()))?;
    metrics::set_global_recorder(recorder).map_err(|error| io::Error::other(error.to_string()))?;
    tokio::spawn(exporter);
    describe_counter!(PROOFS, "comparisons of the slice with what it should be");
    describe_counter!(DIFFERENCES, "citizens and index entries that were not as they should be");
    describe_gauge!(UNREPAIRED, "ranges that differ and were not repaired in time");
    describe_counter!(RELOADS, "times the slice could not be read from the disk and was loaded anew");
    describe_gauge!(CURSOR, "the revision the slice stands at");
    describe_gauge!(HUB_HEAD, "the hub's latest revision, as last heard");
    describe_gauge!(CITIZENS, "citizens held");
    describe_gauge!(OFFLINE, "seconds since the hub was last heard; 0 while connected");
    describe_gauge!(QUEUED, "contributions that the hub is not known to have");
    describe_gauge!(OLDEST, "age of the oldest of them in seconds; 0 for none");
    // A counter that was never counted up is there, and 0.
    counter!(PROOFS).absolute(0);
    counter!(RELOADS).absolute(0);
    for kind in ["missing", "different", "foreign", "index"] {
        counter!(DIFFERENCES, "kind" => kind).absolute(0);
    }
    Ok(())
}

/// Looks at the node from time to time, until cancelled.
pub(crate) async fn follow(node: Arc<Node>, cancel: CancellationToken) {
    let mut changes = node.slice.watch();
    loop {
        let (slice, line) = (node.slice.state(), node.line());
        gauge!(CURSOR).set(slice.cursor.0 as f64);
        gauge!(HUB_HEAD).set(line.head as f64);
        gauge!(CITIZENS).set(slice.citizens as f64);
        gauge!(OFFLINE).set(line.offline.unwrap_or_default().as_secs_f64());
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
            // A number of citizens that is not known is not shown for long.
            _ = changes.wait_for(|now| now.phase != Phase::Sealed), if slice.phase == Phase::Sealed => {}
        }
    }
}

//! What monitoring reads, in the text format of Prometheus. Nothing here tells of a person: labels are
//! few and fixed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;

use crate::{fleet::Fleet, registry::Registry};

/// Between two looks at what is not counted where it happens.
const LOOK: Duration = Duration::from_secs(5);

const COMPARED: &str = "dancu_hub_ranges_compared_total";
const DIFFERING: &str = "dancu_hub_ranges_differing_total";
const ALARMS: &str = "dancu_hub_audit_alarms_total";
const RECORDS: &str = "dancu_hub_audit_records_total";
const REVISION: &str = "dancu_hub_revision";
const CONNECTED: &str = "dancu_hub_nodes_connected";

/// A node had a range of its slice compared.
pub(crate) fn range_compared(right: bool) {
    counter!(COMPARED).increment(1);
    counter!(DIFFERING).increment(u64::from(!right));
}

/// Something is wrong with a node's access log.
pub(crate) fn audit_alarm(kind: &'static str) {
    counter!(ALARMS, "kind" => kind).increment(1);
}

/// Records of nodes were taken over.
pub(crate) fn records_taken_over(count: usize) {
    counter!(RECORDS).increment(count as u64);
}

/// Listens, and answers until cancelled.
///
/// # Errors
/// The address is not free.
pub fn serve(
    address: SocketAddr,
    registry: Arc<Registry>,
    fleet: Arc<Fleet>,
    cancel: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()>> {
    let builder = PrometheusBuilder::new().with_http_listener(address);
    let (recorder, exporter) = builder.build().with_context(|| format!("cannot listen on {address}"))?;
    // There is one hub in a process; in a test that has two, the first one's counts are both's.
    let _ = metrics::set_global_recorder(recorder);
    describe_counter!(COMPARED, "ranges of slices that nodes had compared");
    describe_counter!(DIFFERING, "ranges in which a node's slice was not what it should be");
    describe_counter!(ALARMS, "faults found in the access logs of nodes, by kind");
    describe_counter!(RECORDS, "records of nodes' access logs that were taken over");
    describe_gauge!(REVISION, "the latest revision of the registry");
    describe_gauge!(CONNECTED, "nodes with a live stream");
    range_compared_from_zero();
    let look = async move {
        loop {
            gauge!(REVISION).set(registry.head().0 as f64);
            gauge!(CONNECTED).set(fleet.connected() as f64);
            tokio::time::sleep(LOOK).await;
        }
    };
    Ok(async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = look => {}
            _ = exporter => tracing::warn!("the listener for monitoring stopped"),
        }
    })
}

/// A counter that was never counted up is there, and 0.
fn range_compared_from_zero() {
    counter!(COMPARED).absolute(0);
    counter!(DIFFERING).absolute(0);
}

//! Proof: what the digests of ranges of a node's slice should be, as of the node's own cursor and
//! policy.

use dancu_proto::{
    Digest, Reason, Revision,
    hub::v1::{CompareDigestsRequest, CompareDigestsResponse, RangeDigest},
};
use tonic::Status;

use crate::{
    metrics,
    projection::{Ledger, SliceAt},
    registry::Registry,
};

/// Ranges of one call.
const RANGES: usize = 64;
/// A range with this many citizens more than the node has of it differs: counting on is of no use.
const FAR_MORE: u64 = 4096;

/// Answers a node.
///
/// # Errors
/// If the node's slice is of another registry or of the future, or the ranges do not ascend.
pub(super) fn compare(
    registry: &Registry,
    ledger: &Ledger,
    node: &str,
    agency: &str,
    request: &CompareDigestsRequest,
) -> Result<CompareDigestsResponse, Status> {
    let view = registry.view();
    ledger.catch_up(&view)?;
    let head = view.revision()?;
    let (cursor, revision) = (Revision(request.cursor), Revision(request.policy));
    if request.registry_id != registry.id() || cursor > head || revision > head {
        return Err(Reason::Conflict.status("the slice is not of this registry; open a stream first"));
    }
    let mut after = request.after;
    let ascending =
        request.ranges.iter().all(|range| std::mem::replace(&mut after, range.up_to) < range.up_to);
    if !ascending || request.ranges.len() > RANGES {
        return Err(Reason::InvalidRequest.field("ranges", format!("must ascend, at most {RANGES}")));
    }
    let policy = ledger.policy(node, agency, revision);
    let slice = SliceAt::open(&view, ledger, &policy, cursor)?;
    let mut after = request.after;
    let mut ranges = Vec::with_capacity(request.ranges.len());
    for range in &request.ranges {
        let enough = range.citizens.saturating_mul(2).saturating_add(FAR_MORE);
        let digest = slice.digest(after, range.up_to, enough)?;
        metrics::range_compared(Digest::from_parts(range.citizens, &range.sum) == Some(digest));
        ranges.push(RangeDigest {
            up_to: range.up_to,
            citizens: digest.citizens,
            sum: digest.to_bytes().to_vec(),
        });
        after = range.up_to;
    }
    Ok(CompareDigestsResponse { ranges })
}

//! How fresh an answer is: said in every one.

use std::time::Duration;

use dancu_proto::{Revision, v1::Freshness};
use time::OffsetDateTime;

/// The freshness of an answer from the slice at a revision.
#[must_use]
pub(super) fn freshness(
    revision: Revision,
    last_heard: Option<OffsetDateTime>,
    offline: Option<Duration>,
) -> Freshness {
    Freshness {
        revision: revision.0,
        as_of: last_heard.map(timestamp),
        offline: offline.and_then(|offline| prost_types::Duration::try_from(offline).ok()),
    }
}

/// A moment as messages write it.
pub(crate) fn timestamp(moment: OffsetDateTime) -> prost_types::Timestamp {
    // Nanoseconds within a second fit in 30 bits.
    let nanos = i32::try_from(moment.nanosecond()).unwrap_or_default();
    prost_types::Timestamp { seconds: moment.unix_timestamp(), nanos }
}

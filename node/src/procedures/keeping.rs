//! How long what the hub told is kept.

use std::time::Duration;

use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use super::store::Desk;
use crate::{slice::Slice, state::Clock};

/// Between two looks at what is too old to be kept.
const PRUNE: Duration = Duration::from_secs(3600);

/// Forgets cases that were closed long ago, and everything as soon as the slice is erased, until cancelled.
pub async fn keep(desk: Desk, slice: Slice, keep: Duration, clock: Clock, cancel: CancellationToken) {
    let mut states = slice.watch();
    loop {
        let erased = states.borrow_and_update().registry_id.is_empty();
        let (looked, slice) = (desk.clone(), slice.clone());
        let before = clock().unix_timestamp() - i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
        let kept = spawn_blocking(move || match erased {
            // Something else may have come since.
            true if slice.state().registry_id.is_empty() => looked.clear(),
            true => Ok(()),
            false => looked.prune(before),
        });
        if let Ok(Err(error)) = kept.await {
            tracing::error!(%error, "tasks and cases that are no longer to be kept are still there");
        }
        let erasure = async {
            while let Ok(()) = states.changed().await {
                if states.borrow_and_update().registry_id.is_empty() != erased {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = erasure => {}
            () = sleep(PRUNE) => {}
        }
    }
}

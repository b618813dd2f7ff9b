//! What whoever waits for the hub is told, on standard error.

use dancu_proto::node::v1::{GetStatusRequest, GetStatusResponse, node_service_client::NodeServiceClient};
use time::{Duration, OffsetDateTime};
use tonic::transport::Channel;

use super::{failure::counted, print};

/// What a contribution waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// The line.
    Line,
    /// The hub's word.
    Hub,
}

/// Tells what is waited for, once, and again when that is another.
pub(super) struct Notice {
    node: NodeServiceClient<Channel>,
    told: Option<For>,
}

impl Notice {
    pub(super) fn new(channel: Channel) -> Notice {
        Notice { node: NodeServiceClient::new(channel), told: None }
    }

    /// Looks at the line; what is to be said to whoever waits for so many contributions.
    pub(super) async fn look(&mut self, open: usize) -> Option<String> {
        // Who cannot be asked now is asked again.
        let status = self.node.get_status(GetStatusRequest {}).await.ok()?.into_inner();
        let (waits, text) = words(&status, open, OffsetDateTime::now_utc());
        let new = self.told.replace(waits) != Some(waits);
        new.then_some(text)
    }
}

fn words(status: &GetStatusResponse, open: usize, now: OffsetDateTime) -> (For, String) {
    let what = counted(open as u64, "is", "are");
    let Some(offline) = &status.offline else {
        return (For::Hub, format!("{what} safely queued; the line is up: waiting for the hub's word"));
    };
    let since = now - Duration::seconds(offline.seconds);
    let heard = match status.as_of {
        Some(_) => format!("down since {} (+07:00)", print::moment(since)),
        None => "not up yet".to_owned(),
    };
    let why = match status.explanation.as_str() {
        "" => String::new(),
        explanation => format!(" ({explanation})"),
    };
    let text = format!(
        "{what} safely queued on this node's disk; waiting for the line to the hub, {heard}{why}. Interrupting loses nothing"
    );
    (For::Line, text)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn who_waits_is_told_for_what() {
        let now = datetime!(2026-11-28 10:00 UTC);
        let up = GetStatusResponse::default();
        assert_eq!(words(&up, 2, now).0, For::Hub);
        let offline = prost_types::Duration { seconds: 3600, nanos: 0 };
        let as_of = Some(prost_types::Timestamp::default());
        let down = GetStatusResponse { offline: Some(offline), as_of, ..up };
        let (waits, text) = words(&down, 1, now);
        assert_eq!(waits, For::Line);
        assert!(text.starts_with("1 contribution is safely queued on this node's disk"), "{text}");
        assert!(text.contains("down since 2026-11-28 16:00:00 (+07:00)"), "{text}");
        let never = GetStatusResponse { as_of: None, ..down };
        assert!(words(&never, 1, now).1.contains("not up yet"));
    }
}

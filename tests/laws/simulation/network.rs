//! The line between a node and the hub, message by message: what is under way arrives in order or, when the
//! connection is lost, from some message on not at all.

use std::collections::VecDeque;

use dancu_proto::hub::v1::{SubmitContributionsRequest, SubmitContributionsResponse};
use prost::Message;

/// A connection that lasts until it is lost.
#[derive(Default)]
pub(super) struct Connection {
    to_hub: VecDeque<Vec<u8>>,
    to_node: VecDeque<Vec<u8>>,
}

/// Messages that a side may have under way before it has to wait, as the buffers of a real line have it.
pub(super) const WINDOW: usize = 4;

impl Connection {
    /// Whether more may be sent to the hub.
    pub(super) fn takes_requests(&self) -> bool {
        self.to_hub.len() < WINDOW
    }

    /// Whether more may be sent to the node.
    pub(super) fn takes_answers(&self) -> bool {
        self.to_node.len() < WINDOW
    }

    /// Puts a request on the line.
    pub(super) fn ask(&mut self, request: &SubmitContributionsRequest) {
        self.to_hub.push_back(request.encode_to_vec());
    }

    /// Puts an answer on the line.
    pub(super) fn answer(&mut self, answer: &SubmitContributionsResponse) {
        self.to_node.push_back(answer.encode_to_vec());
    }

    /// The next request that arrives.
    pub(super) fn asked(&mut self) -> Option<SubmitContributionsRequest> {
        Some(SubmitContributionsRequest::decode(self.to_hub.pop_front()?.as_slice()).expect("as it was sent"))
    }

    /// The next answer that arrives.
    pub(super) fn answered(&mut self) -> Option<SubmitContributionsResponse> {
        Some(
            SubmitContributionsResponse::decode(self.to_node.pop_front()?.as_slice())
                .expect("as it was sent"),
        )
    }
}

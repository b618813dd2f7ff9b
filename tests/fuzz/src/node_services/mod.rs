//! The services of a node, through their tower stack: whatever comes in, nothing panics, and nothing goes
//! out that the caller's purpose does not give. The same call goes to a second node that holds what the
//! purpose gives and nothing else: if the two answer differently, one has told something.

mod answer;
mod node;
mod request;

use std::cell::RefCell;

use dancu_proto::Reason;
use tonic::Status;

use self::{answer::Answer, node::Held, request::Asked};

/// What stands in values that the purpose does not give.
const MARK: &str = "Dauhieu";
/// Calls that a node answers before another takes its place, so that its log does not grow for ever.
const CALLS: u32 = 20_000;
/// Bytes of headers that gRPC libraries take.
const HEADERS: usize = 8 << 10;

struct Nodes {
    runtime: tokio::runtime::Runtime,
    whole: Held,
    bare: Held,
    calls: u32,
}

thread_local! {
    static NODES: RefCell<Option<Nodes>> = const { RefCell::new(None) };
}

/// Choices of path, caller, headers and framing, and a body.
pub fn node_services(data: &[u8]) {
    let contains = |mark: &str| data.windows(mark.len()).any(|part| part == mark.as_bytes());
    // What the caller knows already may be told back.
    if contains(MARK) {
        return;
    }
    let asked = Asked::read(data);
    NODES.with_borrow_mut(|kept| {
        if kept.as_ref().is_some_and(|nodes| nodes.calls >= CALLS) {
            *kept = None;
        }
        kept.get_or_insert_with(Nodes::start).answer(&asked);
    });
}

impl Nodes {
    fn start() -> Nodes {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (whole, bare) = runtime.block_on(async { (Held::whole().await, Held::bare().await) });
        Nodes { runtime, whole, bare, calls: 0 }
    }

    fn answer(&mut self, asked: &Asked) {
        self.calls += 1;
        let (whole, bare) = self
            .runtime
            .block_on(async { (Answer::of(&self.whole, asked).await, Answer::of(&self.bare, asked).await) });
        whole.shows_only_what_is_agreed(&asked.path);
        for answer in [&whole, &bare] {
            let status = Status::from_header_map(&answer.headers);
            let internal = status.as_ref().is_some_and(|status| Reason::of(status) == Some(Reason::Internal));
            assert!(!internal, "a fault of the node: {status:?}");
            let bytes = answer.bytes_of_headers();
            // tonic quotes the encodings that it does not know, byte by byte.
            let most = HEADERS + asked.bytes_of_header() * 8;
            assert!(bytes <= most, "{bytes} bytes of headers: {:?}", answer.headers);
        }
        // The state of a node says how many it holds; its operator decides who may call for that.
        if ["CitizenService", "ContributionService"].iter().any(|service| asked.path.contains(service)) {
            let (whole, bare) = (whole.comparable(&asked.path), bare.comparable(&asked.path));
            assert_eq!(whole, bare, "an answer depends on what the purpose does not give");
        }
    }
}

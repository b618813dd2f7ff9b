//! Calls from bytes.

use bytes::Bytes;
use dancu_proto::{
    channel::{Peer, UnixPeer},
    node::v1::WatchContributionsRequest,
    v1::{AccessContext, Contribution, Date, Document},
};
use http::Request;
use http_body_util::Full;
use prost::Message;

use super::{
    super::input::Input,
    node::{CALLER, Held, PURPOSE},
};

/// The call that has no end: its first part is looked at.
pub(super) const WATCH: &str = "/dancu.node.v1.CitizenService/WatchCitizens";

/// The other call that has no end, unless what is followed comes to one.
pub(super) const WATCH_CONTRIBUTIONS: &str = "/dancu.node.v1.ContributionService/WatchContributions";

/// The call whose context is within a contribution.
const SUBMIT: &str = "/dancu.node.v1.ContributionService/SubmitContribution";

/// Paths of calls, and one of none.
const PATHS: &[&str] = &[
    "/dancu.node.v1.CitizenService/GetCitizen",
    "/dancu.node.v1.CitizenService/BatchGetCitizens",
    "/dancu.node.v1.CitizenService/FindCitizen",
    "/dancu.node.v1.CitizenService/VerifyCitizen",
    "/dancu.node.v1.CitizenService/ReconcileCitizens",
    "/dancu.node.v1.InterestService/RegisterInterest",
    "/dancu.node.v1.InterestService/WithdrawInterest",
    "/dancu.node.v1.InterestService/ListInterests",
    "/dancu.node.v1.NodeService/GetStatus",
    "/dancu.node.v1.NodeService/ListAreas",
    "/dancu.node.v1.NodeService/VerifySlice",
    "/dancu.node.v1.NoticeService/ReportAccess",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/dancu.node.v1.CitizenService/Nothing",
    WATCH,
    SUBMIT,
    "/dancu.node.v1.ContributionService/GetContribution",
    WATCH_CONTRIBUTIONS,
];

/// Headers that mean something to the stack.
const HEADERS: &[&str] =
    &["grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "content-type", "te", "content-length"];

/// A call that can be made more than once.
pub(super) struct Asked {
    pub(super) path: String,
    peer: Option<u32>,
    header: Option<(&'static str, Vec<u8>)>,
    body: Body,
}

/// What is sent.
enum Body {
    /// To both nodes alike.
    Alike(Bytes),
    /// A message after the context and the cursor that each node gave.
    AfterCursor(Vec<u8>),
}

impl Asked {
    /// A path, a caller, a header up to the end of a line, how the body is framed, and the body.
    pub(super) fn read(data: &[u8]) -> Asked {
        let mut input = Input::new(data);
        let path = (*input.one_of(PATHS)).to_owned();
        let peer = match input.byte() % 8 {
            0 => None,
            1 => Some(CALLER + 1),
            _ => Some(CALLER),
        };
        let header = match usize::from(input.byte()) {
            0 => None,
            choice => Some((HEADERS[choice % HEADERS.len()], input.until(b'\n').to_vec())),
        };
        let body = body(&path, input);
        Asked { path, peer, header, body }
    }

    pub(super) fn bytes_of_header(&self) -> usize {
        self.header.as_ref().map_or(0, |(_, value)| value.len())
    }

    /// The contributions that it asks to follow, if it is such a call and can be read.
    pub(super) fn follows(&self) -> Option<WatchContributionsRequest> {
        let Body::Alike(bytes) = &self.body else { return None };
        let (head, rest) = bytes.split_first_chunk::<5>()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let message = rest.get(..length).filter(|_| self.path == WATCH_CONTRIBUTIONS && head[0] == 0)?;
        WatchContributionsRequest::decode(message).ok()
    }

    /// Asks a node to tell what changes from now on.
    pub(super) fn to_follow() -> Asked {
        let body = Body::Alike(framed(0, &context()).into());
        Asked { path: WATCH.into(), peer: Some(CALLER), header: None, body }
    }

    /// The call to a node.
    pub(super) fn request(&self, node: &Held) -> Option<Request<Full<Bytes>>> {
        let mut request = Request::post(&self.path);
        if self.header.as_ref().is_none_or(|(name, _)| *name != "content-type") {
            request = request.header("content-type", "application/grpc");
        }
        if let Some((name, value)) = &self.header {
            request = request.header(*name, value.as_slice());
        }
        let unix = self.peer.map(|uid| UnixPeer { uid, gid: uid, pid: None });
        let peer = Peer { unix, ..Peer::default() };
        let body = match &self.body {
            Body::Alike(bytes) => bytes.clone(),
            Body::AfterCursor(rest) => {
                let mut cursor = Vec::new();
                prost::encoding::string::encode(2, &node.cursor, &mut cursor);
                framed(0, &[&context(), &cursor, &rest[..]].concat()).into()
            }
        };
        request.extension(peer).body(Full::new(body)).ok()
    }
}

fn body(path: &str, mut input: Input<'_>) -> Body {
    let bytes = match input.byte() % 8 {
        0 => input.rest().to_vec(),
        1 => framed(0, input.rest()),
        // Messages of one another's type merge when they stand one after the other.
        2 => framed(0, &[input.rest(), &opening(path)].concat()),
        3 => {
            let flags = input.byte();
            framed(flags, input.rest())
        }
        4 => {
            let length = u32::from(input.byte()) << (input.byte() % 32);
            [&[0], &length.to_be_bytes()[..], input.rest()].concat()
        }
        5 => {
            // Several messages.
            let messages = input.rest().split(|byte| *byte == 0xFF).map(|message| framed(0, message));
            std::iter::once(framed(0, &opening(path))).chain(messages).flatten().collect()
        }
        6 if path == WATCH => return Body::AfterCursor(input.rest().to_vec()),
        _ => framed(0, &[&opening(path), input.rest()].concat()),
    };
    Body::Alike(bytes.into())
}

/// A message on the wire of gRPC.
fn framed(flags: u8, message: &[u8]) -> Vec<u8> {
    [&[flags], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// What a request begins with: field 1 says why.
fn opening(path: &str) -> Vec<u8> {
    if path != SUBMIT {
        return context();
    }
    let mut field = Vec::new();
    prost::encoding::message::encode(1, &contribution("01890a5d-ac96-774b-bcce-b302099a8057"), &mut field);
    field
}

/// What a contribution begins with; its event is to come.
pub(super) fn contribution(id: &str) -> Contribution {
    let date = Some(Date { year: 2026, month: 11, day: 20 });
    Contribution {
        id: id.into(),
        context: Some(why()),
        effective_date: date,
        document: Some(Document { number: "12".into(), date, issued_by: "UBND".into() }),
        ..Contribution::default()
    }
}

fn why() -> AccessContext {
    AccessContext { purpose: PURPOSE.into(), case_number: "H-1".into(), officer: "CB-7".into() }
}

/// The context of a call, as field 1 of most requests.
fn context() -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::message::encode(1, &why(), &mut field);
    field
}

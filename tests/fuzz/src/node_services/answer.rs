//! Answers, and what stands in them.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{Bytes, BytesMut};
use dancu_proto::{
    Record,
    node::v1::{
        BatchGetCitizensResponse, FindCitizenResponse, GetCitizenResponse, ReconcileCitizensResponse,
        WatchCitizensResponse, watch_citizens_response::Event,
    },
    v1::Citizen,
};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use prost::Message;
use tower::ServiceExt;

use super::{
    MARK,
    node::{AGREED, Held},
    request::{Asked, WATCH},
};

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    /// Headers, and trailers.
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// What a node answers; nothing to what is no request of HTTP.
    pub(super) async fn of(node: &Held, asked: &Asked) -> Answer {
        let Some(request) = asked.request(node) else {
            return Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::new() };
        };
        let answer = node.routes.clone().oneshot(request).await.unwrap();
        let (parts, mut stream) = answer.into_parts();
        let (mut headers, mut body) = (parts.headers, BytesMut::new());
        // Of contributions that are followed, what is told before the caller has to wait.
        let told = asked.follows().and_then(|follows| node.told_at_once(&follows));
        while told.is_none_or(|told| messages(&body).count() < told) {
            let Some(frame) = stream.frame().await else { break };
            match frame.unwrap().into_data() {
                Ok(data) => {
                    body.extend_from_slice(&data);
                    // What comes after it comes when something changes.
                    if asked.path == WATCH {
                        break;
                    }
                }
                // Nobody asks for more after trailers, and tonic would go on for ever.
                Err(frame) => {
                    headers.extend(frame.into_trailers().unwrap_or_default());
                    break;
                }
            }
        }
        Answer { status: parts.status, headers, body: body.freeze() }
    }

    /// The cursor of the last response to one who follows.
    pub(super) fn cursor(&self) -> String {
        let last = self.messages().last().expect("a response");
        WatchCitizensResponse::decode(last).unwrap().cursor
    }

    /// What is to be the same of two nodes. A cursor is another each time that it is sealed.
    pub(super) fn comparable(&self, path: &str) -> (StatusCode, &HeaderMap, Vec<Vec<u8>>) {
        let plain = |message: &[u8]| match path {
            WATCH => {
                let told = WatchCitizensResponse::decode(message).unwrap();
                WatchCitizensResponse { cursor: String::new(), ..told }.encode_to_vec()
            }
            _ => message.to_vec(),
        };
        (self.status, &self.headers, self.messages().map(plain).collect())
    }

    fn messages(&self) -> impl Iterator<Item = &[u8]> {
        messages(&self.body)
    }

    pub(super) fn bytes_of_headers(&self) -> usize {
        self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    }

    /// Nothing of what is marked, in whatever part of the answer; and of citizens the fields that are
    /// agreed.
    pub(super) fn shows_only_what_is_agreed(&self, path: &str) {
        has_no_mark(&self.body);
        for (name, value) in &self.headers {
            has_no_mark(value.as_bytes());
            if name.as_str().ends_with("-bin") {
                has_no_mark(&STANDARD_NO_PAD.decode(value.as_bytes()).unwrap());
            }
        }
        let mut bytes = 0;
        for message in self.messages() {
            citizens(path, message).iter().for_each(has_agreed_fields);
            bytes += 5 + message.len();
        }
        assert_eq!(bytes, self.body.len(), "an answer is cut off");
    }
}

/// The messages in a body.
fn messages(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (head, more) = rest.split_first_chunk::<5>()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let (message, more) = more.split_at(length);
        rest = more;
        Some(message)
    })
}

fn has_no_mark(bytes: &[u8]) {
    let marked = bytes.windows(MARK.len()).any(|part| part.eq_ignore_ascii_case(MARK.as_bytes()));
    assert!(!marked, "an answer shows what the purpose does not give");
}

fn has_agreed_fields(citizen: &Citizen) {
    let record = Record::encode(citizen);
    let told = record.fields().union(record.in_question());
    assert!(told.difference(AGREED.iter().copied().collect()).is_empty(), "{told:?}");
}

/// The citizens of a message.
fn citizens(path: &str, message: &[u8]) -> Vec<Citizen> {
    let call = path.rsplit('/').next().unwrap_or_default();
    match call {
        "GetCitizen" => GetCitizenResponse::decode(message).unwrap().citizen.into_iter().collect(),
        "BatchGetCitizens" => {
            BatchGetCitizensResponse::decode(message).unwrap().citizen.into_iter().collect()
        }
        "FindCitizen" => {
            let found = FindCitizenResponse::decode(message).unwrap().matches;
            found.into_iter().filter_map(|found| found.citizen).collect()
        }
        "ReconcileCitizens" => {
            let compared = ReconcileCitizensResponse::decode(message).unwrap().records;
            compared.into_iter().filter_map(|record| record.registered).map(|citizen| *citizen).collect()
        }
        "WatchCitizens" => match WatchCitizensResponse::decode(message).unwrap().event {
            Some(Event::Citizen(change)) => change.citizen.into_iter().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

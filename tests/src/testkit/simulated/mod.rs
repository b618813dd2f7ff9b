//! A simulated node: the sync protocol over real mutual TLS with a certificate of its own, and the
//! slice in memory. Thousands fit into one process, and a test can look into each at any moment.

mod holding;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use dancu_proto::{
    Reason,
    channel::{
        Fingerprint, HUB_SERVER_NAME, PinnedAuthority, SigningRequest, SwappableIdentity, Timeouts, Token,
        client_config, connect, identity::roots, pinned_client_config,
    },
    frame,
    hub::v1::{
        Ack, Change, EnrollRequest, SyncSliceRequest, enrollment_service_client::EnrollmentServiceClient,
        sync_service_client::SyncServiceClient, sync_slice_request, sync_slice_response::Body,
    },
    signed::{SignError, Statement, sign, sign_together},
    v1::{Signed, SignedBatch},
};
use prost::Message;
use rustls::{ClientConfig, pki_types::CertificateDer};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

pub use holding::{Held, Holding};

use super::{Line, eventually};

const PROTOCOL: u32 = 1;
/// Between two acknowledgements.
const ACK_EVERY: Duration = Duration::from_secs(1);
/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(30);
/// Between two frames and a heartbeat, at the most; then the line is taken for dead. More than two
/// heartbeats as a hub sends them by default.
const SILENCE: Duration = Duration::from_secs(25);

/// What came over the stream, in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Streams opened.
    pub streams: u64,
    /// Frames but heartbeats.
    pub frames: u64,
    /// Their size.
    pub bytes: u64,
    /// Changes of citizens in them.
    pub changes: u64,
    /// Heartbeats.
    pub heartbeats: u64,
}

/// What a node held at a moment.
#[derive(Clone, Debug)]
pub struct Observation {
    /// What came before it.
    pub after: &'static str,
    /// All it held.
    pub holding: Holding,
}

/// A simulated node.
pub struct Simulated {
    name: String,
    agency: String,
    /// Its line to the hub.
    pub line: Line,
    config: Arc<ClientConfig>,
    identity: Arc<SwappableIdentity>,
    shared: Arc<Mutex<Shared>>,
    running: Option<JoinHandle<()>>,
}

/// Hears of each change as soon as it is applied.
pub type Watcher = Box<dyn Fn(&Change) + Send>;

#[derive(Default)]
struct Shared {
    holding: Holding,
    traffic: Traffic,
    refusal: Option<(Reason, String)>,
    observes: bool,
    observations: Vec<Observation>,
    watcher: Option<Watcher>,
    faults: Vec<String>,
    /// Time that a frame takes to be stored.
    slowness: Duration,
}

impl Simulated {
    /// Joins with a token, over a line.
    ///
    /// # Errors
    /// If the hub refuses, or what it answers is not right.
    pub async fn join(token: &str, line: Line) -> anyhow::Result<Simulated> {
        let token = Token::parse(token)?;
        let request = SigningRequest::new(&token.node)?;
        let pinned = pinned_client_config(PinnedAuthority::new(token.authority))?;
        let channel = connect(&line.url(), pinned, HUB_SERVER_NAME, &Timeouts::default()).await?;
        let call = EnrollRequest { token_secret: token.secret.to_vec(), csr: request.csr.clone() };
        let answer = EnrollmentServiceClient::new(channel).enroll(call).await?.into_inner();
        let authority = CertificateDer::from(answer.authority);
        ensure!(Fingerprint::of_certificate(&authority) == Some(token.authority), "another authority");
        let chain = vec![CertificateDer::from(answer.certificate)];
        let identity = SwappableIdentity::new(chain, request.key())?;
        let config = client_config(roots([&authority])?, Some(Arc::clone(&identity) as _))?;
        let (name, agency) = (answer.node, answer.agency);
        Ok(Simulated { name, agency, line, config, identity, shared: Arc::default(), running: None })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The agency it serves.
    #[must_use]
    pub fn agency(&self) -> &str {
        &self.agency
    }

    /// Its identity.
    #[must_use]
    pub fn identity(&self) -> Arc<SwappableIdentity> {
        Arc::clone(&self.identity)
    }

    /// Signs a statement with the node's key.
    ///
    /// # Errors
    /// If the key refuses.
    pub fn sign<S: Statement>(&self, statement: &S) -> Result<Signed, SignError> {
        sign(statement, &self.identity)
    }

    /// Signs statements with one signature of the node's key.
    ///
    /// # Errors
    /// If the key refuses.
    pub fn sign_together<S: Statement>(&self, statements: &[S]) -> Result<SignedBatch, SignError> {
        sign_together(statements, &self.identity)
    }

    /// A connection to the hub, with the node's certificate.
    ///
    /// # Panics
    /// If the hub does not answer.
    pub async fn channel(&self) -> Channel {
        let config = Arc::clone(&self.config);
        let channel = connect(&self.line.url(), config, HUB_SERVER_NAME, &Timeouts::default()).await;
        channel.expect("a hub that answers")
    }

    /// Keeps what is held after every frame from now on, for a test to check.
    pub fn observe(&self) {
        self.shared().observes = true;
    }

    /// Has somebody told of every change of a delta from now on, once it is applied.
    pub fn watch(&self, watcher: Watcher) {
        self.shared().watcher = Some(watcher);
    }

    /// Makes every frame take a while to be stored; a frame under way too. One that takes for ever
    /// makes a node that is connected and reads nothing.
    pub fn slow_down(&self, by: Duration) {
        self.shared().slowness = by;
    }

    /// Follows the hub, and goes on after every break. A hub has one stream of a node: one that runs goes on.
    pub fn start(&mut self) {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        let (url, config, shared) = (self.line.url(), Arc::clone(&self.config), Arc::clone(&self.shared));
        self.running = Some(tokio::spawn(async move {
            loop {
                // Why a stream ended does not matter to a node that tries again anyhow.
                let _ = follow(&url, &config, &shared).await;
                if matches!(lock(&shared).refusal, Some((Reason::NodeRevoked, _))) {
                    lock(&shared).holding = Holding::default();
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
        }));
    }

    /// Stops in the middle of whatever it does, as a killed process would. What it stored stays.
    pub async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    /// What is held now.
    #[must_use]
    pub fn holding(&self) -> Holding {
        self.shared().holding.clone()
    }

    /// What came so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.shared().traffic
    }

    /// Why the hub last refused the node, if it did since the last frame.
    #[must_use]
    pub fn refusal(&self) -> Option<(Reason, String)> {
        self.shared().refusal.clone()
    }

    /// What was observed since the last time this was asked.
    #[must_use]
    pub fn observations(&self) -> Vec<Observation> {
        std::mem::take(&mut self.shared().observations)
    }

    /// What came that may never come: frames that make no sense, or that tell of people whom the
    /// node does not know.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.shared().faults.clone()
    }

    /// Waits until the slice stands at a revision, with everything loaded.
    pub async fn wait_until_at(&self, revision: u64) {
        let reached = || async {
            let shared = self.shared();
            shared.holding.settled() && shared.holding.cursor >= revision
        };
        eventually(&format!("{} stands at revision {revision}", self.name), reached).await;
    }

    /// Waits until the hub refuses the node.
    pub async fn wait_until_refused(&self, reason: Reason) {
        let refused = || async { self.refusal().is_some_and(|(why, _)| why == reason) };
        eventually(&format!("{} is refused with {}", self.name, reason.name()), refused).await;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One stream, until it ends.
async fn follow(url: &str, config: &Arc<ClientConfig>, shared: &Mutex<Shared>) -> anyhow::Result<()> {
    let channel = connect(url, Arc::clone(config), HUB_SERVER_NAME, &Timeouts::default()).await?;
    let (outbound, requests) = mpsc::channel(4);
    let first = lock(shared).holding.to_wire(PROTOCOL);
    outbound.send(SyncSliceRequest { body: Some(sync_slice_request::Body::Holding(first)) }).await?;
    let mut client = SyncServiceClient::new(channel).max_decoding_message_size(32 << 20);
    let opened = client.sync_slice(ReceiverStream::new(requests)).await;
    let mut frames = match opened {
        Ok(response) => response.into_inner(),
        Err(status) => return refused(shared, &status),
    };
    let mut last_ack: Option<Instant> = None;
    lock(shared).traffic.streams += 1;
    loop {
        let frame = match tokio::time::timeout(SILENCE, frames.message()).await.context("silence")? {
            Ok(Some(frame)) => frame,
            Ok(None) => bail!("the hub closed the stream"),
            Err(status) => return refused(shared, &status),
        };
        let came = Instant::now();
        while came.elapsed() < lock(shared).slowness {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let size = frame.encoded_len() as u64;
        let ack = {
            let mut shared = lock(shared);
            shared.take(frame.body.context("a frame without a body")?, size)?;
            shared.refusal = None;
            shared.holding.acknowledgement()
        };
        // As a real node: at most one a second; what is left over goes with the next frame.
        if last_ack.is_none_or(|at| at.elapsed() >= ACK_EVERY) {
            send(&outbound, ack);
            last_ack = Some(Instant::now());
        }
    }
}

/// An acknowledgement is for operators' eyes: where the queue is full the next one says it.
fn send(outbound: &mpsc::Sender<SyncSliceRequest>, ack: Ack) {
    let _ = outbound.try_send(SyncSliceRequest { body: Some(sync_slice_request::Body::Ack(ack)) });
}

fn refused(shared: &Mutex<Shared>, status: &tonic::Status) -> anyhow::Result<()> {
    if let Some(reason) = Reason::of(status) {
        lock(shared).refusal = Some((reason, status.message().to_owned()));
    }
    bail!("{}", status.message())
}

impl Shared {
    fn take(&mut self, body: Body, size: u64) -> anyhow::Result<()> {
        let after = match &body {
            Body::Policy(_) => "policy",
            Body::Delta(_) => "delta",
            Body::Load(_) => "load",
            Body::Heartbeat(_) => "heartbeat",
            Body::Repair(_) => "repair",
        };
        if matches!(body, Body::Heartbeat(_)) {
            self.traffic.heartbeats += 1;
        } else {
            self.traffic.frames += 1;
            self.traffic.bytes += size;
        }
        let watched = match (&self.watcher, &body) {
            (Some(_), Body::Delta(delta)) => delta.changes.as_ref().map(frame::unpack).transpose()?,
            _ => None,
        };
        let changes = match self.holding.apply(body) {
            Ok(changes) => changes,
            Err(error) => {
                self.faults.push(format!("{after}: {error:#}"));
                return Err(error);
            }
        };
        self.traffic.changes += changes;
        if let (Some(watcher), Some(list)) = (&self.watcher, watched) {
            list.changes.iter().for_each(watcher);
        }
        if self.observes {
            self.observations.push(Observation { after, holding: self.holding.clone() });
        }
        Ok(())
    }
}

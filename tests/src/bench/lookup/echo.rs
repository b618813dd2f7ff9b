//! The least that a gRPC server can do: it takes a call and answers with bytes that it has ready.

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    path::Path,
    pin::Pin,
    process::Stdio,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use anyhow::Context;
use bytes::{Buf, BufMut, Bytes};
use dancu_proto::channel::{self, ClientAuth, Incoming, Limits};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService, UnaryService},
};
use tower::Service;

use super::{
    super::{cpu, tls},
    callers::Connector,
};

/// The file with the answer.
const ANSWER: &str = "answer";

/// The server, as a process of its own; ended when dropped.
pub(super) struct Echo {
    dir: TempDir,
    port: u16,
    process: Child,
}

impl Echo {
    /// Starts it with an answer.
    pub(super) async fn start(answer: &[u8]) -> anyhow::Result<Echo> {
        let dir = tempfile::tempdir()?;
        tls::write(dir.path(), "server")?;
        tls::write(dir.path(), "client")?;
        fs::write(dir.path().join(ANSWER), answer)?;
        let mut server = Command::new(std::env::current_exe()?);
        server.arg("echo").arg(dir.path()).kill_on_drop(true);
        // It ends when its input does, so that it never outlives this process.
        let mut process = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        BufReader::new(process.stdout.take().context("a pipe")?).read_line(&mut said).await?;
        let port = said.trim().parse().context("the port of the echo")?;
        Ok(Echo { dir, port, process })
    }

    /// How callers connect.
    pub(super) fn connector(&self) -> anyhow::Result<Connector> {
        let config = tls::mutual(self.dir.path(), "server.crt")?;
        Ok(Connector { url: format!("https://127.0.0.1:{}", self.port), config })
    }

    /// CPU time of the server.
    pub(super) fn cpu(&self) -> Duration {
        self.process.id().map_or(Duration::ZERO, cpu::of_process)
    }
}

/// Serves until its input ends. What it shows, whom it trusts and the answer are in a directory; its port
/// goes to its output.
///
/// # Errors
/// If a file is not there, or serving fails.
pub async fn serve(dir: &Path) -> anyhow::Result<()> {
    let answer = Bytes::from(fs::read(dir.join(ANSWER))?);
    let clients = ClientAuth::Required(tls::trust(&dir.join("client.crt"))?);
    let config = channel::server_config(tls::identity(dir, "server")?, clients)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let incoming = Incoming::tls(listener, config, Limits::default(), CancellationToken::new());
    let ended = async {
        let _ = tokio::io::stdin().read_u8().await;
    };
    channel::server().add_service(Answer(answer)).serve_with_incoming_shutdown(incoming, ended).await?;
    Ok(())
}

/// The service: every call has the same answer.
#[derive(Clone)]
struct Answer(Bytes);

impl NamedService for Answer {
    const NAME: &'static str = "dancu.node.v1.CitizenService";
}

impl Service<http::Request<Body>> for Answer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.clone();
        Box::pin(async move { Ok(Grpc::new(Raw).unary(answer, request).await) })
    }
}

impl UnaryService<Bytes> for Answer {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

/// Messages that are not looked into.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}

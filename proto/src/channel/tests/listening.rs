//! Listeners that nobody can stop or fill.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_stream::StreamExt;

use super::*;

#[tokio::test]
async fn failed_and_idle_handshakes_harm_nobody_else() {
    let authority = Authority::new("ours");
    let clients = ClientAuth::Required(authority.roots());
    let limits = Limits { handshakes: 2, handshake_timeout: Duration::from_millis(200), connections: 100 };
    let server = TestServer::start(authority.hub(), clients, limits).await;
    let mut garbage = TcpStream::connect(server.address).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..2 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    let config = client_config(authority.roots(), Some(authority.node("ha-giang"))).unwrap();
    assert_eq!(call(&server, config).await.unwrap(), "dancu:node:ha-giang");
    for mut stream in idle {
        let end = timeout(Duration::from_secs(5), stream.read(&mut [0; 8])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)), "an idle connection is given up");
    }
}

#[tokio::test]
async fn handshakes_beyond_the_limit_wait() {
    let authority = Authority::new("ours");
    let clients = ClientAuth::Required(authority.roots());
    let limits = Limits { handshakes: 2, handshake_timeout: Duration::from_millis(500), connections: 100 };
    let server = Arc::new(TestServer::start(authority.hub(), clients, limits).await);
    let started = std::time::Instant::now();
    let mut idle = Vec::new();
    for _ in 0..2 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    // A herd comes while all places are taken: each is served in its turn, and not before.
    let config = client_config(authority.roots(), Some(authority.node("ha-giang"))).unwrap();
    let mut herd = JoinSet::new();
    for _ in 0..20 {
        let (server, config) = (Arc::clone(&server), config.clone());
        herd.spawn(async move { call(&server, config).await.map(|_| std::time::Instant::now()) });
    }
    while let Some(served) = herd.join_next().await {
        assert!(served.unwrap().unwrap() - started >= Duration::from_millis(450));
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let authority = Authority::new("ours");
    let clients = ClientAuth::Required(authority.roots());
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = TestServer::start(authority.hub(), clients, limits).await;
    let config = client_config(authority.roots(), Some(authority.node("ha-giang"))).unwrap();
    let first = server.connect(config.clone()).await.unwrap();
    who(&first).await.unwrap();
    assert!(server.connect(config.clone()).await.is_err());
    drop(first);
    timeout(Duration::from_secs(5), async { while call(&server, config.clone()).await.is_err() {} })
        .await
        .expect("a place is free again");
}

#[tokio::test]
async fn a_cancelled_listener_ends() {
    let authority = Authority::new("ours");
    let clients = ClientAuth::Optional(authority.roots());
    let server = TestServer::start(authority.hub(), clients, Limits::default()).await;
    server.cancel.cancel();
    let mut serving = server._serving;
    timeout(Duration::from_secs(5), serving.join_next()).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

fn listen(path: &Path) -> std::io::Result<Incoming<UnixStream>> {
    Incoming::unix(path, 0o660, Limits::default(), CancellationToken::new())
}

#[tokio::test]
async fn a_unix_socket_tells_who_calls() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let incoming = listen(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut serving = JoinSet::new();
    let router = server().add_service(EnrollmentServiceServer::new(WhoCalls));
    serving.spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
    let channel = connect_unix(&path, &Timeouts::default()).await.unwrap();
    let answer = EnrollmentServiceClient::new(channel).enroll(EnrollRequest::default()).await.unwrap();
    let own = UnixStream::pair().unwrap().0.peer_cred().unwrap().uid();
    assert_eq!(answer.into_inner().agency, own.to_string());
    serving.shutdown().await;
    assert!(!path.exists());
    let error = connect_unix(&path, &Timeouts::default()).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable(cause) if cause.contains("admin.sock")), "{error:?}");
}

#[tokio::test]
async fn a_socket_in_use_is_respected_and_a_stale_one_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let mut first = listen(&path).unwrap();
    let error = listen(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    // The probe is seen as a connection, and is nothing worse than that.
    assert!(first.next().await.unwrap().is_ok());

    let stale = directory.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let mut replaced = listen(&stale).unwrap();
    let _caller = UnixStream::connect(&stale).await.unwrap();
    assert!(replaced.next().await.unwrap().is_ok());

    let file = directory.path().join("file");
    fs::write(&file, "kept").unwrap();
    assert_eq!(listen(&file).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"kept");
}

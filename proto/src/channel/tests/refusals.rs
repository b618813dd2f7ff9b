//! Who is let in, and who is not.

use rustls::NamedGroup;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::*;

#[tokio::test]
async fn both_sides_know_each_other() {
    let authority = Authority::new("ours");
    let clients = ClientAuth::Required(authority.roots());
    let server = TestServer::start(authority.hub(), clients, Limits::default()).await;
    let config = client_config(authority.roots(), Some(authority.node("ha-giang"))).unwrap();
    assert_eq!(call(&server, config).await.unwrap(), "dancu:node:ha-giang");
}

#[tokio::test]
async fn the_key_exchange_is_post_quantum() {
    let authority = Authority::new("ours");
    let clients = ClientAuth::Optional(authority.roots());
    let server = TestServer::start(authority.hub(), clients, Limits::default()).await;
    let config = client_config(authority.roots(), None).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = HUB_SERVER_NAME.try_into().unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    let session = stream.get_ref().1;
    let group = session.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(session.alpn_protocol(), Some(ALPN));
}

#[tokio::test]
async fn a_caller_without_certificate_is_let_in_only_where_that_is_allowed() {
    let authority = Authority::new("ours");
    let config = client_config(authority.roots(), None).unwrap();
    let open =
        TestServer::start(authority.hub(), ClientAuth::Optional(authority.roots()), Limits::default()).await;
    assert_eq!(call(&open, config.clone()).await.unwrap(), "");
    let closed =
        TestServer::start(authority.hub(), ClientAuth::Required(authority.roots()), Limits::default()).await;
    let error = call(&closed, config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_either_way() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("ours"));
    for clients in [ClientAuth::Optional(ours.roots()), ClientAuth::Required(ours.roots())] {
        let server = TestServer::start(ours.hub(), clients, Limits::default()).await;
        let stranger = client_config(ours.roots(), Some(theirs.node("ha-giang"))).unwrap();
        let error = call(&server, stranger).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");

        let misled = client_config(theirs.roots(), Some(theirs.node("ha-giang"))).unwrap();
        let error = call(&server, misled).await.unwrap_err();
        assert!(matches!(error, ConnectError::WrongAuthority), "{error:?}");
    }
}

#[tokio::test]
async fn a_node_cannot_pose_as_the_hub() {
    let authority = Authority::new("ours");
    let san = SanType::DnsName(HUB_SERVER_NAME.try_into().unwrap());
    let (leaf, key) = authority.leaf(san, ExtendedKeyUsagePurpose::ClientAuth);
    let posing = SwappableIdentity::new(vec![leaf, authority.certificate()], key).unwrap();
    let server = TestServer::start(posing, ClientAuth::Optional(authority.roots()), Limits::default()).await;
    let error = call(&server, client_config(authority.roots(), None).unwrap()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Certificate(_)), "{error:?}");
}

#[tokio::test]
async fn a_pinned_authority_is_enough_and_another_is_not() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let clients = || ClientAuth::Optional(ours.roots());
    let server = TestServer::start(ours.hub(), clients(), Limits::default()).await;
    let pinned = |authority: &Authority| pinned_client_config(PinnedAuthority::new(authority.pin())).unwrap();
    assert_eq!(call(&server, pinned(&ours)).await.unwrap(), "");
    let error = call(&server, pinned(&theirs)).await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongAuthority), "{error:?}");

    // The pinned certificate is no secret: to send it along must not be enough.
    let san = SanType::DnsName(HUB_SERVER_NAME.try_into().unwrap());
    let (leaf, key) = theirs.leaf(san, ExtendedKeyUsagePurpose::ServerAuth);
    let posing = SwappableIdentity::new(vec![leaf, ours.certificate()], key).unwrap();
    let server = TestServer::start(posing, clients(), Limits::default()).await;
    let error = call(&server, pinned(&ours)).await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongAuthority), "{error:?}");
}

/// A handshake message in a record of TLS 1.2.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let mut record = vec![0x16, 3, 3];
    record.extend(length(body.len() + 4));
    record.extend([kind, 0]);
    record.extend(length(body.len()));
    record.extend(body);
    record
}

#[tokio::test]
async fn a_caller_with_tls_1_2_is_refused() {
    let authority = Authority::new("ours");
    let clients = ClientAuth::Optional(authority.roots());
    let server = TestServer::start(authority.hub(), clients, Limits::default()).await;
    let mut hello = vec![3, 3];
    hello.extend([7; 32]); // random
    hello.push(0); // no session
    hello.extend([0, 2, 0xc0, 0x2b]); // ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    hello.extend([1, 0]); // no compression
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..], // groups: P-256
        &[0, 13, 0, 4, 0, 2, 4, 3][..],  // signatures: ECDSA with SHA-256
        &[0, 11, 0, 2, 1, 0][..],        // points: uncompressed
    ]
    .concat();
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&record(1, &hello)).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // A fatal alert, protocol_version.
    assert_eq!((answer[0], &answer[5..]), (21, &[2, 70][..]));
}

#[tokio::test]
async fn a_server_with_tls_1_2_is_refused() {
    let authority = Authority::new("ours");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = vec![3, 3];
        hello.extend([7; 32]);
        hello.extend([0, 0xc0, 0x2b, 0]);
        stream.write_all(&record(2, &hello)).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let config = client_config(authority.roots(), None).unwrap();
    let error = connect(&url, config, HUB_SERVER_NAME, &Timeouts::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn addresses_are_checked_and_absent_servers_told() {
    let config = client_config(Authority::new("ours").roots(), None).unwrap();
    for url in ["", "hub", "http://hub:1", "https://hub", "https://hub:1/path", "https://hub:99999"] {
        let error = connect(url, config.clone(), HUB_SERVER_NAME, &Timeouts::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Address(_)), "{url}: {error:?}");
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("https://{free}");
    let error = connect(&url, config, HUB_SERVER_NAME, &Timeouts::default()).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable(cause) if cause.contains("refused")), "{error:?}");
}

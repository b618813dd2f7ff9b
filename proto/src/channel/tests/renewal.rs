//! Certificates replaced while in use.

use super::*;

#[tokio::test]
async fn a_new_certificate_is_shown_from_the_next_connection_on() {
    let authority = Authority::new("ours");
    let hub = authority.hub();
    let clients = ClientAuth::Required(authority.roots());
    let server = TestServer::start(hub.clone(), clients, Limits::default()).await;
    let node = authority.node("before");
    let config = client_config(authority.roots(), Some(node.clone())).unwrap();
    let old = server.connect(config.clone()).await.unwrap();
    assert_eq!(who(&old).await.unwrap(), "dancu:node:before");

    let (leaf, key) = authority.node_leaf("after");
    node.replace(vec![leaf.clone()], key).unwrap();
    assert_eq!(node.chain(), vec![leaf]);
    // Were sessions resumed, the old certificate would come back here.
    for _ in 0..3 {
        assert_eq!(call(&server, config.clone()).await.unwrap(), "dancu:node:after");
    }
    assert_eq!(who(&old).await.unwrap(), "dancu:node:before");

    let san = SanType::DnsName("elsewhere.dancu".try_into().unwrap());
    let (leaf, key) = authority.leaf(san, ExtendedKeyUsagePurpose::ServerAuth);
    hub.replace(vec![leaf], key).unwrap();
    assert!(matches!(call(&server, config).await.unwrap_err(), ConnectError::Certificate(_)));
    assert_eq!(who(&old).await.unwrap(), "dancu:node:before");
}

#[test]
fn a_key_that_does_not_fit_replaces_nothing() {
    let authority = Authority::new("ours");
    let node = authority.node("ha-giang");
    let before = node.chain();
    let ((leaf, _), (_, key)) = (authority.node_leaf("ha-giang"), authority.node_leaf("ha-giang"));
    assert!(matches!(node.replace(vec![leaf], key), Err(IdentityError::Key(_))));
    assert!(matches!(node.replace(Vec::new(), authority.node_leaf("x1").1), Err(IdentityError::Empty)));
    assert_eq!(node.chain(), before);
}

#[test]
fn files_that_are_not_pem_are_told() {
    assert!(matches!(SwappableIdentity::from_pem(b"", b""), Err(IdentityError::Empty)));
    let authority = Authority::new("ours");
    let certificate = authority.0.pem();
    let error = SwappableIdentity::from_pem(certificate.as_bytes(), b"x").unwrap_err();
    assert!(matches!(error, IdentityError::Pem { what: "key", .. }));
    let key = authority.0.key().serialize_pem();
    assert!(SwappableIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
}

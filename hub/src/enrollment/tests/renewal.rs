//! Which of a node's certificates is good.

use super::*;

#[tokio::test]
async fn renewal_asks_for_a_certificate() {
    let hub = Hub::start().await;
    hub.node("ha-giang").await;
    let config = client_config(hub.authority.roots().unwrap(), None).unwrap();
    let channel = channel::connect(&hub.url, config, HUB_SERVER_NAME, &Timeouts::default()).await.unwrap();
    let call = RenewCertificateRequest { csr: SigningRequest::new("ha-giang").unwrap().csr };
    let refused = EnrollmentServiceClient::new(channel).renew_certificate(call).await;
    assert_eq!(refusal(refused), Some(Reason::CallerUnknown));
    assert_eq!(reason(hub.roll.authorise(&Peer::default(), now())), Some(Reason::CallerUnknown));
}

#[tokio::test]
async fn a_renewed_certificate_supersedes_the_one_before_once_it_is_shown() {
    let hub = Hub::start().await;
    let node = hub.node("ha-giang").await;
    let live = node.connect().await.unwrap();
    // An answer that is lost leaves the node with the certificate it had.
    let (lost, lost_request) = node.renew(live.clone(), "ha-giang").await.unwrap();
    let (taken, request) = node.renew(live.clone(), "ha-giang").await.unwrap();
    hub.roll.authorise(&node.peer(), now()).unwrap();
    let lost = Node::new(&hub, "ha-giang".into(), lost, &lost_request);
    assert_eq!(reason(hub.roll.authorise(&lost.peer(), now())), Some(Reason::CertificateSuperseded));

    let old = node.peer();
    node.identity.replace(vec![CertificateDer::from(taken)], request.key()).unwrap();
    hub.roll.authorise(&node.peer(), now()).unwrap();
    assert_eq!(reason(hub.roll.authorise(&old, now())), Some(Reason::CertificateSuperseded));
    // The connection made with the old certificate lives, and is told the same.
    assert_eq!(refusal(node.renew(live, "ha-giang").await), Some(Reason::CertificateSuperseded));
    node.renew(node.connect().await.unwrap(), "ha-giang").await.unwrap();
    let again = NodeRoll::open(hub.authority.clone(), hub.store.clone(), DAY).unwrap();
    assert_eq!(reason(again.authorise(&old, now())), Some(Reason::CertificateSuperseded));
}

#[tokio::test]
async fn a_certificate_ends_even_while_its_connection_lives() {
    let hub = Hub::with_lifetime(Duration::from_secs(2)).await;
    let node = hub.node("ha-giang").await;
    hub.roll.authorise(&node.peer(), now()).unwrap();
    let later = now() + Duration::from_secs(3);
    assert_eq!(reason(hub.roll.authorise(&node.peer(), later)), Some(Reason::CallerUnknown));
}

#[tokio::test]
async fn joining_again_ends_the_certificate_before() {
    let hub = Hub::start().await;
    let first = hub.node("ha-giang").await;
    let mut told = hub.roll.subscribe("ha-giang").unwrap();
    let token = hub.roll.rejoin("ha-giang", DAY, now()).unwrap();
    hub.roll.authorise(&first.peer(), now()).unwrap();
    assert!(!told.has_changed().unwrap());
    let second = hub.join(&token).await;
    timeout(Duration::from_secs(1), told.changed()).await.unwrap().unwrap();
    assert_eq!(reason(hub.roll.authorise(&first.peer(), now())), Some(Reason::CertificateSuperseded));
    hub.roll.authorise(&second.peer(), now()).unwrap();
    assert_eq!(second.name, first.name);

    // The token that a newer one replaced is worth nothing.
    let old = hub.roll.rejoin("ha-giang", DAY, now()).unwrap();
    let _new = hub.roll.rejoin("ha-giang", DAY, now()).unwrap();
    let request = SigningRequest::new("ha-giang").unwrap();
    assert_eq!(refusal(hub.enroll(&old, &request).await), Some(Reason::TokenUnknown));
}

//! Tokens and signing requests, good and bad.

use super::*;

#[tokio::test]
async fn a_node_joins_with_its_token() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    assert_eq!(hub.roll.get("ha-giang").unwrap().state, NodeState::Invited);
    let request = SigningRequest::new("ha-giang").unwrap();
    let response = hub.enroll(&Token::parse(&token.reveal()).unwrap(), &request).await.unwrap();
    assert_eq!((response.node.as_str(), response.agency.as_str()), ("ha-giang", "province-02"));
    assert_eq!(response.authority, hub.authority.certificate().to_vec());

    let certificate = PeerCertificate::read(vec![response.certificate.clone().into()]).unwrap();
    assert_eq!(certificate.identity, Some(PeerIdentity::Node("ha-giang".into())));
    assert_eq!(certificate.common_name.as_deref(), Some("ha-giang"));
    assert_eq!(certificate.serial.len(), 16);
    assert_eq!(certificate.not_after.unix_timestamp(), response.expires.unwrap().seconds);

    let node = Node::new(&hub, "ha-giang".into(), response.certificate, &request);
    let handle = hub.roll.authorise(&node.peer(), now()).unwrap();
    assert_eq!((&*handle.name, &*handle.agency, handle.number), ("ha-giang", "province-02", 1));
    let entry = hub.roll.get("ha-giang").unwrap();
    assert_eq!(entry.state, NodeState::Active);
    assert_eq!(entry.certificate_expires(), Some(certificate.not_after));

    // A restart forgets nothing, and keeps no secret.
    let again = NodeRoll::open(hub.authority.clone(), hub.store.clone(), DAY).unwrap();
    assert_eq!(again.list(), hub.roll.list());
    assert_eq!(again.authorise(&node.peer(), now()).unwrap(), handle);
    let kept = hub.store.entries.lock().unwrap()["ha-giang"].clone();
    assert!(!String::from_utf8(kept).unwrap().contains(&serde_json::to_string(&token.secret).unwrap()));
}

#[tokio::test]
async fn a_token_is_good_once_and_for_its_time() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    let request = SigningRequest::new("ha-giang").unwrap();
    hub.enroll(&token, &request).await.unwrap();
    let second = hub.enroll(&token, &request).await.unwrap_err();
    assert_eq!(Reason::of(&second), Some(Reason::TokenUsed));
    assert!(second.message().contains("ha-giang"), "{}", second.message());

    let late = hub.roll.add("bac-kan", "province-06", DAY, now() - 2 * DAY).unwrap();
    let request = SigningRequest::new("bac-kan").unwrap();
    assert_eq!(refusal(hub.enroll(&late, &request).await), Some(Reason::TokenExpired));

    let guessed = Token { secret: [7; 32], ..token };
    assert_eq!(refusal(hub.enroll(&guessed, &request).await), Some(Reason::TokenUnknown));
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down() {
    let hub = Hub::start().await;
    let guessed = Token { secret: [7; 32], ..hub.token("ha-giang") };
    let request = SigningRequest::new("ha-giang").unwrap();
    for _ in 0..40 {
        let refused = refusal(hub.enroll(&guessed, &request).await);
        if refused == Some(Reason::Overloaded) {
            return;
        }
        assert_eq!(refused, Some(Reason::TokenUnknown));
    }
    panic!("forty guesses were answered");
}

#[tokio::test]
async fn a_signing_request_must_be_the_nodes_own() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    let other = SigningRequest::new("bac-kan").unwrap();
    assert_eq!(refusal(hub.enroll(&token, &other).await), Some(Reason::SigningRequestRefused));

    let mut forged = SigningRequest::new("ha-giang").unwrap();
    *forged.csr.last_mut().unwrap() ^= 1;
    assert_eq!(refusal(hub.enroll(&token, &forged).await), Some(Reason::SigningRequestRefused));
    for csr in [Vec::new(), b"nonsense".to_vec(), vec![0x30; 9000]] {
        forged.csr = csr;
        assert_eq!(refusal(hub.enroll(&token, &forged).await), Some(Reason::SigningRequestRefused));
    }
    // The token is still good: nothing was given for it.
    hub.enroll(&token, &SigningRequest::new("ha-giang").unwrap()).await.unwrap();

    let node = hub.node("cao-bang").await;
    let refused = node.renew(node.connect().await.unwrap(), "ha-giang").await;
    assert_eq!(refusal(refused), Some(Reason::SigningRequestRefused));
}

#[tokio::test]
async fn another_hub_is_told_from_the_one_of_the_token() {
    let (ours, theirs) = (Hub::start().await, Hub::start().await);
    let token = ours.token("ha-giang");
    let config = pinned_client_config(PinnedAuthority::new(token.authority)).unwrap();
    let error =
        channel::connect(&theirs.url, config, HUB_SERVER_NAME, &Timeouts::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongAuthority), "{error:?}");

    // A certificate of another authority is refused even if the name is known here too.
    let (_, stranger) = (ours.node("bac-kan").await, theirs.node("bac-kan").await);
    let stranger = Node {
        url: ours.url.clone(),
        config: client_config(ours.authority.roots().unwrap(), Some(stranger.identity.clone())).unwrap(),
        ..stranger
    };
    let refused = match stranger.connect().await {
        Ok(channel) => ConnectError::of(&stranger.renew(channel, "bac-kan").await.err().unwrap()).unwrap(),
        Err(error) => error,
    };
    assert!(matches!(refused, ConnectError::Refused(_)), "{refused:?}");
}

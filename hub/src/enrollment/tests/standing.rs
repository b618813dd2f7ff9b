//! Nodes suspended, resumed and revoked; the roll itself.

use super::*;

#[tokio::test]
async fn suspending_and_revoking_tell_at_once_and_why() {
    let hub = Hub::start().await;
    let node = hub.node("ha-giang").await;
    let mut told = hub.roll.subscribe("ha-giang").unwrap();
    assert_eq!(reason(hub.roll.suspend("ha-giang", " ")), Some(Reason::InvalidRequest));
    hub.roll.suspend("ha-giang", "audit").unwrap();
    timeout(Duration::from_secs(1), told.changed()).await.unwrap().unwrap();
    assert_eq!(*told.borrow_and_update(), NodeState::Suspended("audit".into()));
    let refused = hub.roll.authorise(&node.peer(), now()).unwrap_err();
    assert_eq!(refused.reason(), Reason::NodeSuspended);
    assert!(refused.to_string().contains("audit"));
    // It may keep its certificate current, and come back.
    node.renew(node.connect().await.unwrap(), "ha-giang").await.unwrap();
    hub.roll.resume("ha-giang").unwrap();
    hub.roll.authorise(&node.peer(), now()).unwrap();

    told.mark_unchanged();
    hub.roll.revoke("ha-giang", "stolen").unwrap();
    timeout(Duration::from_secs(1), told.changed()).await.unwrap().unwrap();
    let refused = hub.roll.authorise(&node.peer(), now()).unwrap_err();
    assert_eq!(refused.reason(), Reason::NodeRevoked);
    assert!(refused.to_string().contains("stolen"));
    let refused = node.renew(node.connect().await.unwrap(), "ha-giang").await;
    assert_eq!(refusal(refused), Some(Reason::NodeRevoked));
    assert_eq!(reason(hub.roll.resume("ha-giang")), Some(Reason::Conflict));
    assert_eq!(reason(hub.roll.rejoin("ha-giang", DAY, now())), Some(Reason::Conflict));
    assert_eq!(hub.roll.revoke("ha-giang", "again").unwrap().state, NodeState::Revoked("stolen".into()));
}

#[tokio::test]
async fn a_token_of_a_revoked_node_is_worth_nothing() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    hub.roll.suspend("ha-giang", "wait").unwrap();
    assert_eq!(hub.roll.resume("ha-giang").unwrap().state, NodeState::Invited);
    hub.roll.revoke("ha-giang", "mistake").unwrap();
    let request = SigningRequest::new("ha-giang").unwrap();
    assert_eq!(refusal(hub.enroll(&token, &request).await), Some(Reason::NodeRevoked));
}

#[tokio::test]
async fn the_roll_checks_names_and_counts_on() {
    let hub = Hub::start().await;
    let add = |name: &str, agency: &str| hub.roll.add(name, agency, DAY, now());
    assert_eq!(reason(add("Hà Giang", "x")), Some(Reason::InvalidRequest));
    assert_eq!(reason(add("ha-giang", "")), Some(Reason::InvalidRequest));
    add("ha-giang", "x").unwrap();
    assert_eq!(reason(add("ha-giang", "x")), Some(Reason::AlreadyExists));
    add("bac-kan", "x").unwrap();
    let numbers: Vec<_> = hub.roll.list().iter().map(|entry| (entry.name.clone(), entry.number)).collect();
    assert_eq!(numbers, [("bac-kan".to_owned(), 2), ("ha-giang".to_owned(), 1)]);
    assert_eq!(reason(hub.roll.get("x1")), Some(Reason::NotFound));
    assert_eq!(reason(hub.roll.subscribe("x1")), Some(Reason::NotFound));
}

#[tokio::test]
async fn what_is_not_kept_does_not_count() {
    let hub = Hub::start().await;
    let token = hub.token("ha-giang");
    *hub.store.broken.lock().unwrap() = true;
    let request = SigningRequest::new("ha-giang").unwrap();
    let status = hub.enroll(&token, &request).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::Storage));
    assert!(!status.message().contains("no space"), "what went wrong inside is not for a peer");
    assert_eq!(reason(hub.roll.suspend("ha-giang", "audit")), Some(Reason::Storage));
    assert_eq!(hub.roll.get("ha-giang").unwrap().state, NodeState::Invited);
    *hub.store.broken.lock().unwrap() = false;
    hub.enroll(&token, &request).await.unwrap();
}

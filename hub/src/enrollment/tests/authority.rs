//! The authority, and the hub's own certificate.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;

#[test]
fn what_a_request_asks_for_beyond_its_key_is_left_aside() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), now()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([HUB_SERVER_NAME.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "ha-giang");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let csr = params.serialize_request(&key).unwrap();
    let issued = authority.certify_node("ha-giang", csr.der(), DAY, now()).unwrap();
    let (_, read) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
    assert!(!read.is_ca());
    let usage = read.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let names = &read.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(format!("{names:?}"), "[URI(\"dancu:node:ha-giang\")]");

    let operator =
        authority.certify_operator("an", &SigningRequest::new("an").unwrap().csr, DAY, now()).unwrap();
    let read = PeerCertificate::read(vec![operator.certificate]).unwrap();
    assert_eq!(read.identity, Some(PeerIdentity::Operator("an".into())));
}

#[tokio::test]
async fn the_hub_renews_its_own_certificate_under_live_connections() {
    let hub = Hub::with_lifetime(90 * DAY).await;
    let node = hub.node("ha-giang").await;
    let live = node.connect().await.unwrap();
    let before = hub.certificate.identity().chain();
    assert!(!hub.certificate.renew_if_due(now() + 59 * DAY).unwrap());
    assert_eq!(hub.certificate.identity().chain(), before);
    let due = now() + 61 * DAY;
    assert!(hub.certificate.renew_if_due(due).unwrap());
    assert!(!hub.certificate.renew_if_due(due).unwrap());
    assert!(hub.certificate.expires() > due + 89 * DAY);
    assert_ne!(hub.certificate.identity().chain(), before);
    node.renew(live, "ha-giang").await.unwrap();
}

#[tokio::test]
async fn the_hubs_certificate_is_kept_current_and_the_task_ends() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Arc::new(Authority::create(directory.path(), now()).unwrap());
    let certificate = HubCertificate::issue(authority, Vec::new(), Duration::from_secs(3), now()).unwrap();
    let before = certificate.identity().chain();
    let cancel = CancellationToken::new();
    let stop = async {
        while certificate.identity().chain() == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cancel.cancel();
    };
    let both = async { tokio::join!(certificate.keep_current(now, cancel.clone()), stop) };
    timeout(Duration::from_secs(10), both).await.unwrap();
}

#[test]
fn an_authority_is_made_once_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let path: &Path = directory.path();
    let made = Authority::create(path, now()).unwrap();
    let mode = fs::metadata(path.join("authority.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let opened = Authority::open(path).unwrap();
    assert_eq!(made.fingerprint(), opened.fingerprint());
    assert_eq!(made.certificate(), opened.certificate());
    assert!(matches!(Authority::create(path, now()), Err(AuthorityError::Exists(_))));
    let read = PeerCertificate::read(vec![made.certificate().clone()]).unwrap();
    assert!(read.not_after > now() + 10 * 365 * DAY);

    let other = tempfile::tempdir().unwrap();
    Authority::create(other.path(), now()).unwrap();
    fs::copy(other.path().join("authority.key"), path.join("authority.key")).unwrap();
    assert!(matches!(Authority::open(path), Err(AuthorityError::KeyMismatch)));
    fs::remove_file(path.join("authority.key")).unwrap();
    let missing = Authority::open(path).err().unwrap().to_string();
    assert!(missing.contains("authority.key"), "{missing}");
}

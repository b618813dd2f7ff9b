//! What is believed, and what is not.

use prost_types::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};

use super::*;

struct Authority(CertificateDer<'static>, Issuer<'static, KeyPair>);

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let certificate = params.self_signed(&key).unwrap();
    Authority(certificate.der().clone(), Issuer::new(params, key))
}

/// The identity of a node, valid in 2026.
fn node(authority: &Authority, algorithm: &'static rcgen::SignatureAlgorithm) -> SwappableIdentity {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("dancu:node:ha-noi".try_into().unwrap())];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2026, 12, 31);
    let certificate = params.signed_by(&key, &authority.1).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let identity = SwappableIdentity::new(vec![certificate.der().clone()], key).unwrap();
    std::sync::Arc::into_inner(identity).unwrap()
}

#[test]
fn a_verifier_believes_what_one_look_would() {
    let (ours, theirs) = (authority(), authority());
    let verifier = Verifier::new(ours.0.clone());
    let check = |signed: &Signed| verifier.verify::<SliceReport>(signed);
    let (first, second) = (node(&ours, &rcgen::PKCS_ECDSA_P256_SHA256), node(&ours, &rcgen::PKCS_ED25519));
    for identity in [&first, &second, &first] {
        for cursor in 0..3 {
            let said = SliceReport { cursor, ..report(THEN) };
            let (read, signer) = check(&sign(&said, identity).unwrap()).unwrap();
            assert_eq!((read, signer), (said, PeerIdentity::Node("ha-noi".into())));
        }
    }
    assert_eq!(verifier.signers.len(), 2);
    // The certificate is known by now, and still nothing else is believed.
    let mut altered = sign(&report(THEN), &first).unwrap();
    altered.content = SliceReport { citizens: 4, ..report(THEN) }.encode_to_vec();
    assert!(matches!(check(&altered), Err(VerifyError::Signature)));
    let mut swapped = sign(&report(THEN), &first).unwrap();
    swapped.certificate = sign(&report(THEN), &second).unwrap().certificate;
    assert!(matches!(check(&swapped), Err(VerifyError::Signature)));
    let expired = sign(&report(THEN + 365 * 86_400), &first).unwrap();
    assert!(matches!(check(&expired), Err(VerifyError::Untrusted(_))));
    let other = sign(&report(THEN), &node(&theirs, &rcgen::PKCS_ED25519)).unwrap();
    assert!(matches!(check(&other), Err(VerifyError::Untrusted(_))));
    assert!(check(&sign(&report(THEN), &first).unwrap()).is_ok());
}

fn report(seconds: i64) -> SliceReport {
    let time = Some(Timestamp { seconds, nanos: 0 });
    SliceReport { node: "ha-noi".into(), cursor: 7, citizens: 3, time, ..SliceReport::default() }
}

/// In the middle of 2026.
const THEN: i64 = 1_780_000_000;

#[test]
fn a_statement_is_read_back_with_its_signer() {
    let authority = authority();
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let signed = sign(&report(THEN), &node(&authority, algorithm)).unwrap();
        let text = format!("before\n{}after\n", signed.to_text());
        let (read, signer) = verify(&Signed::from_text(&text).unwrap(), &authority.0).unwrap();
        assert_eq!((read, signer), (report(THEN), PeerIdentity::Node("ha-noi".into())));
    }
}

#[test]
fn a_statement_of_before_or_after_its_certificate_is_untimely() {
    let node = node(&authority(), &rcgen::PKCS_ED25519);
    let untimely = |time| is_untimely::<SliceReport>(&sign(&report(time), &node).unwrap());
    assert!(!untimely(THEN));
    assert!(untimely(0));
    assert!(untimely(THEN + 365 * 86_400));
}

#[test]
fn what_was_altered_is_not_believed() {
    let authority = authority();
    let signed = sign(&report(THEN), &node(&authority, &rcgen::PKCS_ECDSA_P256_SHA256)).unwrap();
    let check = |signed: &Signed| verify::<SliceReport>(signed, &authority.0).unwrap_err();
    let mut other = signed.clone();
    other.content = SliceReport { citizens: 4, ..report(THEN) }.encode_to_vec();
    assert!(matches!(check(&other), VerifyError::Signature));
    let mut other = signed.clone();
    other.kind = "dancu.v1.Else".into();
    assert!(matches!(check(&other), VerifyError::Kind { .. }));
    let mut other = signed.clone();
    *other.signature.last_mut().unwrap() ^= 1;
    assert!(matches!(check(&other), VerifyError::Signature));
    // Another node's certificate does not make it another node's word.
    let mut other = signed;
    other.certificate = sign(&report(THEN), &node(&authority, &rcgen::PKCS_ED25519)).unwrap().certificate;
    assert!(matches!(check(&other), VerifyError::Signature));
}

#[test]
fn a_signer_of_another_authority_or_time_is_not_believed() {
    let (ours, theirs) = (authority(), authority());
    let check = |signed: &Signed| verify::<SliceReport>(signed, &ours.0).unwrap_err();
    let signed = sign(&report(THEN), &node(&theirs, &rcgen::PKCS_ED25519)).unwrap();
    assert!(matches!(check(&signed), VerifyError::Untrusted(_)));
    let of_2027 = report(THEN + 365 * 86_400);
    let signed = sign(&of_2027, &node(&ours, &rcgen::PKCS_ED25519)).unwrap();
    assert!(matches!(check(&signed), VerifyError::Untrusted(_)));
    let timeless = SliceReport { time: None, ..report(THEN) };
    let signed = sign(&timeless, &node(&ours, &rcgen::PKCS_ED25519)).unwrap();
    assert!(matches!(check(&signed), VerifyError::Content));
}

#[test]
fn what_is_not_a_statement_is_refused() {
    for text in [
        "",
        "-----BEGIN DANCU STATEMENT-----",
        "-----BEGIN DANCU STATEMENT-----\n!\n-----END DANCU STATEMENT-----",
    ] {
        assert!(matches!(Signed::from_text(text), Err(VerifyError::Content)));
    }
}

//! What is believed, and what is not.

use prost::Message;
use prost_types::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};

use super::*;
use crate::v1::{SignedBatch, SignedPart, Together};

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

fn reports(many: u64) -> Vec<SliceReport> {
    (0..many).map(|cursor| SliceReport { cursor, ..report(THEN) }).collect()
}

#[test]
fn what_is_signed_together_is_believed_by_itself() {
    let authority = authority();
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519] {
        let node = node(&authority, algorithm);
        for many in [0, 1, 2, 3, 5, 64, 257] {
            let verifier = Verifier::new(authority.0.clone());
            let said = reports(many);
            let signed = sign_together(&said, &node).unwrap().into_signed();
            assert_eq!(signed.len(), said.len());
            for (signed, said) in signed.iter().zip(&said) {
                let text = Signed::from_text(&signed.to_text()).unwrap();
                let (read, signer) = verify::<SliceReport>(&text, &authority.0).unwrap();
                assert_eq!((&read, signer), (said, PeerIdentity::Node("ha-noi".into())));
                assert_eq!(&verifier.verify::<SliceReport>(signed).unwrap().0, said);
            }
            assert_eq!(verifier.right.len(), usize::from(many > 1), "one signature is checked");
        }
    }
}

#[test]
fn of_what_was_signed_together_nothing_else_is_believed() {
    let authority = authority();
    let node = node(&authority, &rcgen::PKCS_ECDSA_P256_SHA256);
    let all = sign_together(&reports(5), &node).unwrap().into_signed();
    let verifier = Verifier::new(authority.0.clone());
    // The root is known as right from here on.
    all.iter().for_each(|one| _ = verifier.verify::<SliceReport>(one).unwrap());
    let alone = sign(&report(THEN), &node).unwrap();
    let other_root = sign_together(&reports(6), &node).unwrap().into_signed().swap_remove(2);
    let first = &all[2];
    let altered = |alter: &dyn Fn(&mut Signed, &mut Together)| {
        let mut one = first.clone();
        let mut together = one.together.take().unwrap();
        alter(&mut one, &mut together);
        Signed { together: Some(together), ..one }
    };
    let lies = [
        altered(&|one, _| one.content = all[3].content.clone()),
        altered(&|one, _| one.content = SliceReport { citizens: 9, ..report(THEN) }.encode_to_vec()),
        altered(&|one, _| *one.signature.last_mut().unwrap() ^= 1),
        altered(&|one, _| one.signature = alone.signature.clone()),
        altered(&|_, together| together.index = 3),
        altered(&|_, together| together.index = 5),
        altered(&|_, together| together.size = 6),
        altered(&|_, together| together.size = 1),
        altered(&|_, together| together.size = u64::MAX),
        altered(&|_, together| together.root[0] ^= 1),
        altered(&|_, together| together.root.truncate(31)),
        altered(&|_, together| together.path[0] ^= 1),
        altered(&|_, together| together.path.truncate(33)),
        altered(&|_, together| together.path.truncate(32)),
        altered(&|_, together| together.path.extend([0; 32])),
        altered(&|_, together| together.path = vec![0; 4096]),
        altered(&|_, together| *together = other_root.together.clone().unwrap()),
        altered(&|_, together| *together = Together::default()),
        Signed { together: None, ..first.clone() },
        Signed { together: first.together.clone(), ..alone },
    ];
    for (at, lie) in lies.iter().enumerate() {
        for error in
            [verify::<SliceReport>(lie, &authority.0).err(), verifier.verify::<SliceReport>(lie).err()]
        {
            assert!(matches!(error, Some(VerifyError::Signature)), "{at}: {error:?}");
        }
    }
    let of_another_kind = Signed { kind: "dancu.v1.LogHead".into(), ..first.clone() };
    assert!(verifier.verify::<crate::v1::LogHead>(&of_another_kind).is_err());
    // Another certificate of the same authority, with the same name.
    let twin = super::tests::node(&authority, &rcgen::PKCS_ECDSA_P256_SHA256);
    let certificate = sign(&report(THEN), &twin).unwrap().certificate;
    let error = verifier.verify::<SliceReport>(&Signed { certificate, ..first.clone() });
    assert!(matches!(error, Err(VerifyError::Signature)));
    // A statement of a time at which the certificate did not hold, under a root that is right.
    let mixed = [report(THEN), report(THEN + 365 * 86_400), report(THEN)];
    let signed = sign_together(&mixed, &node).unwrap().into_signed();
    let believed: Vec<_> = signed.iter().map(|one| verifier.verify::<SliceReport>(one).is_ok()).collect();
    assert_eq!(believed, [true, false, true]);
}

#[test]
fn one_signature_is_put_in_the_place_of_those_that_the_certificate_can_stand_for() {
    let authority = authority();
    let (before, now) =
        (node(&authority, &rcgen::PKCS_ED25519), node(&authority, &rcgen::PKCS_ECDSA_P256_SHA256));
    let untimely = sign(&report(THEN - 365 * 86_400), &before).unwrap();
    let other = Signed { kind: "dancu.v1.LogHead".into(), ..sign(&report(THEN), &before).unwrap() };
    let unreadable = Signed { content: vec![0xff], ..sign(&report(THEN), &before).unwrap() };
    let one = |cursor| sign(&SliceReport { cursor, ..report(THEN) }, &before).unwrap();
    let all = vec![one(1), untimely.clone(), one(2), other.clone(), unreadable.clone(), one(3)];
    let gathered = gather::<SliceReport>(all.clone(), &now).unwrap();
    assert_eq!([&gathered[1], &gathered[3], &gathered[4]], [&untimely, &other, &unreadable]);
    for (at, cursor) in [(0, 1), (2, 2), (5, 3)] {
        assert_eq!(gathered[at].content, all[at].content, "what was said stays");
        assert_eq!(gathered[at].together.as_ref().unwrap().size, 3);
        let (read, _) = verify::<SliceReport>(&gathered[at], &authority.0).unwrap();
        assert_eq!(read.cursor, cursor);
    }
    // Alone it is signed as anything else.
    let alone = gather::<SliceReport>(vec![one(1)], &now).unwrap();
    assert!(alone[0].together.is_none() && verify::<SliceReport>(&alone[0], &authority.0).is_ok());
}

#[test]
fn what_travels_together_is_told_once_and_comes_back_as_it_was() {
    let authority = authority();
    let node = node(&authority, &rcgen::PKCS_ECDSA_P256_SHA256);
    let [five, three] = [5, 3].map(|many| sign_together(&reports(many), &node).unwrap().into_signed());
    let alone = [sign(&report(THEN), &node).unwrap()];
    let of_others = &sign_together(&reports(4), &node).unwrap().into_signed()[1..];
    let out_of_order: Vec<_> = three.iter().rev().cloned().collect();
    let all = [&alone[..], &five, &three, of_others, &alone, &out_of_order].concat();
    let batch = SignedBatch::from(all.clone());
    let sizes: Vec<_> = batch.parts.iter().map(|part| part.contents.len()).collect();
    assert_eq!(sizes, [1, 5, 3, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(batch.len(), all.len());
    let verifier = Verifier::new(authority.0.clone());
    let mut cursor = 0;
    for part in &batch.parts {
        for (index, believed) in verifier.verify_part::<SliceReport>(part).into_iter().enumerate() {
            let by_itself = part.signed(index).unwrap();
            assert_eq!(by_itself, all[cursor]);
            assert_eq!(believed.unwrap(), verify::<SliceReport>(&by_itself, &authority.0).unwrap());
            cursor += 1;
        }
        assert!(part.signed(part.contents.len()).is_none());
    }
    assert_eq!(batch.into_signed(), all);
    // One that was altered on the way is not believed, and the others are.
    let mut altered = five;
    altered[3].content[0] ^= 1;
    let batch = SignedBatch::from(altered);
    let believed = batch.parts.iter().flat_map(|part| verifier.verify_part::<SliceReport>(part));
    assert_eq!(believed.map(|one| one.is_ok()).collect::<Vec<_>>(), [true, true, true, false, true]);
}

#[test]
fn of_a_part_nothing_is_believed_that_was_not_signed() {
    let authority = authority();
    let node = node(&authority, &rcgen::PKCS_ED25519);
    let verifier = Verifier::new(authority.0.clone());
    let whole = sign_together(&reports(3), &node).unwrap().parts.remove(0);
    let more = SliceReport { cursor: 9, ..report(THEN) }.encode_to_vec();
    let altered = |alter: &dyn Fn(&mut SignedPart)| {
        let mut part = whole.clone();
        alter(&mut part);
        part
    };
    let lies = [
        altered(&|part| part.contents.swap(0, 1)),
        altered(&|part| _ = part.contents.pop()),
        altered(&|part| part.contents.truncate(1)),
        altered(&|part| part.contents.push(more.clone())),
        altered(&|part| part.contents[2] = more.clone()),
        altered(&|part| part.signature[0] ^= 1),
        altered(&|part| part.kind = "dancu.v1.LogHead".into()),
        altered(&|part| {
            part.certificate = sign(&report(THEN), &super::tests::node(&authority, &rcgen::PKCS_ED25519))
                .unwrap()
                .certificate
        }),
    ];
    for (at, lie) in lies.iter().enumerate() {
        let believed = verifier.verify_part::<SliceReport>(lie);
        assert!(!believed.is_empty() && believed.iter().all(Result::is_err), "{at}");
        assert!(
            lie.clone().into_signed().iter().all(|one| verify::<SliceReport>(one, &authority.0).is_err())
        );
    }
    assert!(verifier.verify_part::<SliceReport>(&altered(&|part| part.contents.clear())).is_empty());
    // A statement of a time at which the certificate did not hold is not believed, and the others are.
    let mixed = [report(THEN), report(THEN + 365 * 86_400), report(THEN)];
    let part = sign_together(&mixed, &node).unwrap().parts.remove(0);
    let believed: Vec<_> = verifier.verify_part::<SliceReport>(&part).iter().map(Result::is_ok).collect();
    assert_eq!(believed, [true, false, true]);
}

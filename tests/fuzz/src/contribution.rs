//! Contributions, as JSON and as messages: one that passes the check is in its normal form, prints and
//! encodes to itself, and comes out of its sealing as it went in; one that does not is refused without its
//! values. And files of outboxes.

use dancu_proto::{
    Areas, Violation,
    contribution::{
        MOST_PERSONS, Opener, Place, Sealer, event_name, persons, read_file, validate, write_file,
    },
    v1::{Contribution, Date},
};
use prost::Message;
use rustls::crypto::{aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256, hpke::Hpke};

use super::input::Input;

/// What seeds have for a value that must not be quoted.
const VALUE: &str = "Giatri";
/// The day of all checks.
const TODAY: Date = Date { year: 2026, month: 6, day: 1 };

thread_local! {
    static KEYS: (Vec<u8>, Sealer, Opener) = {
        let (public, private) = DH_KEM_X25519_HKDF_SHA256_AES_256.generate_key_pair().unwrap();
        let opener = Opener::new(&public.0, private);
        (public.0, Sealer::default(), opener)
    };
}

/// A choice, and then a contribution as JSON or as a message; or the file of an outbox.
pub fn contribution(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let bytes = input.rest();
    if choice & 4 != 0 {
        return file(bytes);
    }
    let read =
        if choice & 1 == 0 { serde_json::from_slice(bytes).ok() } else { Contribution::decode(bytes).ok() };
    let Some(read) = read else { return };
    // A node without the administrative order asks for less.
    let areas = (choice & 2 == 0).then(Areas::shipped);
    let mut checked = read;
    match validate(&mut checked, areas, TODAY) {
        Ok(()) => is_normal(&checked, areas),
        Err(violations) => {
            assert!(!violations.is_empty(), "refused for nothing");
            violations.iter().for_each(quotes_nothing);
        }
    }
}

fn file(bytes: &[u8]) {
    let Ok(read) = read_file(bytes) else { return };
    let mut written = Vec::new();
    write_file(&mut written, &read).unwrap();
    assert_eq!(read_file(&written[..]).unwrap(), read);
    assert!(written.len() <= bytes.len(), "a file says more than it has");
}

/// Names of answers are told if they could be names.
fn quotes_nothing(violation: &Violation) {
    assert!(!violation.reason.contains(VALUE), "a reason quotes a value: {}", violation.reason);
    let of_answers = violation.field.contains("answers.");
    assert!(of_answers || !violation.field.contains(VALUE), "a field is a value: {}", violation.field);
}

fn is_normal(checked: &Contribution, areas: Option<&Areas>) {
    let same = |of: Contribution, what: &str| {
        let mut again = of;
        validate(&mut again, areas, TODAY).unwrap_or_else(|faults| panic!("{what}: {faults:?}"));
        assert_eq!(again, *checked, "{what} is another");
    };
    same(checked.clone(), "what was checked");
    same(Contribution::decode(&checked.encode_to_vec()[..]).unwrap(), "what was encoded");
    same(serde_json::from_slice(&serde_json::to_vec(checked).unwrap()).unwrap(), "what was printed");

    if let Some(event) = &checked.event {
        assert!(!event_name(event).is_empty());
        assert!(persons(event).len() <= MOST_PERSONS);
    }
    let place = Place {
        node: "ha-giang",
        registry_id: &[7; 16],
        outbox: &[1; 16],
        sequence: 1,
        time: prost_types::Timestamp::default(),
    };
    KEYS.with(|(public, sealer, opener)| {
        let sealed = sealer.seal(checked, &place, public).unwrap();
        assert_eq!(opener.open(&sealed).as_ref(), Ok(checked));
    });
}

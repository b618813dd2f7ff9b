//! Outboxes: what came of each, and of those that were lost what never will.

use dancu_proto::hub::v1::{Outbox, SequenceRange};

use super::*;
use crate::intake::handover::outbox;

const NODE: &str = "node";

fn identity(of: u8) -> Vec<u8> {
    vec![of; 16]
}

/// A contribution comes from a place in an outbox.
fn came(office: &Office, of: u8, sequence: u64) {
    rows(office, move |rows| {
        outbox::of(rows, NODE, &identity(of))?.came(rows, sequence);
        Ok(())
    });
}

/// A node says that it has an outbox, and how far that goes; how much of the one before never came.
fn begins(office: &Office, of: u8, queued: u64) -> Option<u64> {
    let never_came = Arc::new(std::sync::Mutex::new(None));
    let noted = Arc::clone(&never_came);
    rows(office, move |rows| {
        let before = outbox::begins(rows, NODE, &identity(of), queued)?;
        *noted.lock().unwrap() = before.map(|before| before.never_came());
        Ok(())
    });
    *never_came.lock().unwrap()
}

fn rows(
    office: &Office,
    write: impl Fn(&mut Rows<'_>) -> Result<(), crate::registry::StoreError> + Send + Sync + 'static,
) {
    let by = Arc::new(move |standing: &Standing<'_>| {
        let mut rows = Rows::new(standing);
        write(&mut rows)?;
        Ok(Decision { rows: rows.into_writes(), ..Decision::default() })
    });
    office.decided(by, false);
}

fn all(office: &Office) -> Vec<Outbox> {
    outbox::all(&office.registry.view()).unwrap()
}

fn ranges(of: &[SequenceRange]) -> Vec<(u64, u64)> {
    of.iter().map(|range| (range.from, range.until)).collect()
}

#[test]
fn what_never_came_of_an_outbox_that_was_lost_is_named_by_its_places() {
    let office = Office::open();
    assert_eq!(begins(&office, 1, 12), None);
    for sequence in [1, 2, 3, 5, 8, 9] {
        came(&office, 1, sequence);
    }
    let [known] = &all(&office)[..] else { panic!("one outbox") };
    assert!(!known.lost);
    assert_eq!((known.queued, known.taken), (12, 9));
    assert_eq!(ranges(&known.missing), [(4, 4), (6, 7)], "what comes last may still be under way");
    let standing = outbox::standing(&office.registry.view(), NODE, &identity(1), &[]).unwrap();
    assert_eq!((standing.last_sequence, ranges(&standing.missing)), (9, vec![(4, 4), (6, 7)]));

    // The disk of the node is lost: it begins with another outbox.
    assert_eq!(begins(&office, 2, 0), Some(6));
    let outboxes = all(&office);
    let lost = outboxes.iter().find(|outbox| outbox.outbox == identity(1)).unwrap();
    assert!(lost.lost);
    assert_eq!(ranges(&lost.missing), [(4, 4), (6, 7), (10, 12)]);
    assert!(!outboxes.iter().find(|outbox| outbox.outbox == identity(2)).unwrap().lost);

    // Some of it comes yet, from a stick; and what is told once is not told with each connection.
    for sequence in [7, 11, 11] {
        came(&office, 1, sequence);
    }
    assert_eq!(begins(&office, 2, 3), None);
    let lost = all(&office).into_iter().find(|outbox| outbox.lost).unwrap();
    assert_eq!(lost.outbox, identity(1));
    assert_eq!(ranges(&lost.missing), [(4, 4), (6, 6), (10, 10), (12, 12)]);

    // The disk is found again, and nothing of it was lost.
    assert_eq!(begins(&office, 1, 12), Some(3), "of the newer one three never came");
    let back = all(&office).into_iter().find(|outbox| outbox.outbox == identity(1)).unwrap();
    assert!(!back.lost);
    for sequence in [4, 6, 10, 12] {
        came(&office, 1, sequence);
    }
    let back = all(&office).into_iter().find(|outbox| outbox.outbox == identity(1)).unwrap();
    assert_eq!((back.queued, back.taken, back.missing.len()), (12, 12, 0));
}

#[test]
fn an_outbox_of_which_nothing_is_missing_is_lost_without_loss() {
    let office = Office::open();
    begins(&office, 1, 0);
    came(&office, 1, 1);
    assert_eq!(begins(&office, 2, 0), Some(0));
    let lost = all(&office).into_iter().find(|outbox| outbox.lost).unwrap();
    assert_eq!((lost.queued, lost.taken, lost.missing.len()), (1, 1, 0));
}

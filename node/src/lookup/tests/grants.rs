//! What a purpose may use: the laws of `authorise` and `project`.

use std::{sync::Arc, time::Duration};

use dancu_proto::{Field, FieldSet, Revision};
use proptest::prelude::*;

use super::fixture::{an, grant, load, open, policy, put, slice};
use crate::{
    lookup::{
        Refusal,
        authorise::{Operation, authorise},
        context::Asked,
        project::project,
    },
    slice::{Held, Known, Mark, Slice},
};

const BOTH: &[&str] = &["lookup", "verify"];

/// By an officer who is not listed; the agreements here take the caller's word.
fn asked(purpose: &str) -> Asked {
    Asked { purpose: purpose.into(), listed: false }
}

fn refused(slice: &Slice, purpose: &str, operation: Operation, offline: Option<Duration>) -> Refusal {
    authorise(&slice.state(), &asked(purpose), operation, offline).unwrap_err()
}

#[test]
fn a_purpose_needs_an_agreement_with_the_operation() {
    let directory = tempfile::tempdir().unwrap();
    let slice = slice(directory.path(), vec![grant(1, "a", &["verify"], &[Field::Sex])], vec![]);
    assert!(matches!(refused(&slice, "b", Operation::Lookup, None), Refusal::PurposeNotAgreed(_)));
    assert!(matches!(refused(&slice, "a", Operation::Lookup, None), Refusal::OperationNotAgreed("lookup")));
    assert!(authorise(&slice.state(), &asked("a"), Operation::Verify, None).is_ok());
}

#[test]
fn nothing_agreed_and_nothing_received_are_two_things() {
    let directory = tempfile::tempdir().unwrap();
    let slice = open(directory.path());
    assert!(matches!(refused(&slice, "a", Operation::Lookup, None), Refusal::Loading));
    // As to an agency with which nothing was ever agreed.
    slice.apply_policy(policy(0, vec![])).unwrap();
    assert!(matches!(refused(&slice, "a", Operation::Lookup, None), Refusal::NoAgreement));
    slice.apply_policy(policy(1, vec![])).unwrap();
    slice.apply_load(load(1, vec![])).unwrap();
    assert!(matches!(refused(&slice, "a", Operation::Lookup, None), Refusal::NoAgreement));
}

#[test]
fn past_its_offline_limit_a_grant_is_of_no_use() {
    let directory = tempfile::tempdir().unwrap();
    let day = Duration::from_secs(86_400);
    let mut longer = grant(2, "a", BOTH, &[Field::Email]);
    longer.offline_limit = Some(prost_types::Duration { seconds: 2 * 86_400, nanos: 0 });
    let grants = vec![grant(1, "a", BOTH, &[Field::Sex]), longer];
    let slice = slice(directory.path(), grants, vec![put(&an(), &[1, 2])]);
    let reader = slice.read().unwrap();
    let held = reader.get(an().personal_id.parse().unwrap()).unwrap().unwrap();
    let fields = |offline| {
        let permit = authorise(reader.state(), &asked("a"), Operation::Lookup, offline).unwrap();
        (permit.fields_for(&held).unwrap().iter().collect::<Vec<_>>(), permit.absence_is_certain())
    };
    assert_eq!(fields(None), (vec![Field::PersonalId, Field::Sex, Field::Email], true));
    assert_eq!(fields(Some(day)), (vec![Field::PersonalId, Field::Sex, Field::Email], true));
    let late = day + Duration::from_secs(1);
    assert_eq!(fields(Some(late)), (vec![Field::PersonalId, Field::Email], false));
    assert!(matches!(refused(&slice, "a", Operation::Lookup, Some(day * 3)), Refusal::OfflineLimitPassed));
}

#[test]
fn while_something_loads_no_absence_is_certain() {
    let directory = tempfile::tempdir().unwrap();
    let slice = slice(directory.path(), vec![grant(1, "a", BOTH, &[Field::Sex])], vec![]);
    assert!(authorise(&slice.state(), &asked("a"), Operation::Lookup, None).unwrap().absence_is_certain());
    let wider = grant(1, "a", BOTH, &[Field::Sex, Field::Email]);
    let mut widening = policy(2, vec![wider, grant(2, "b", BOTH, &[Field::Sex])]);
    widening.readable = vec![grant(1, "a", BOTH, &[Field::Sex])];
    widening.zones = vec![dancu_proto::hub::v1::Zone { up_to: 0, policies: vec![1, 2] }];
    slice.apply_policy(widening).unwrap();
    let permit = authorise(&slice.state(), &asked("a"), Operation::Lookup, None).unwrap();
    assert!(matches!(permit.nobody(), Refusal::Loading));
    assert!(matches!(refused(&slice, "b", Operation::Lookup, None), Refusal::Loading));
    assert!(matches!(refused(&slice, "c", Operation::Lookup, None), Refusal::PurposeNotAgreed(_)));
}

fn field_sets() -> impl Strategy<Value = FieldSet> {
    any::<u64>().prop_map(FieldSet::from_bits)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// An answer has exactly the fields that the readable grants of its purpose give for the citizen,
    /// told by a second, naive reading of the rule.
    #[test]
    fn an_answer_holds_what_the_grants_for_the_purpose_give(
        fields in prop::collection::vec(field_sets(), 3),
        purposes in prop::collection::vec(prop::bool::ANY, 3),
        marks in prop::collection::vec((1u32..5, 0u64..3), 0..4),
        wanted in field_sets(),
        former_number in prop::bool::ANY,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let grants = (0..3).map(|at| {
            let fields: Vec<_> = fields[at].iter().collect();
            grant(at as u32 + 1, if purposes[at] { "a" } else { "b" }, BOTH, &fields)
        });
        let slice = slice(directory.path(), grants.collect(), vec![]);
        let record = dancu_proto::Record::encode(&an());
        let marks: Vec<_> = marks.iter().map(|(handle, pending)| Mark { handle: *handle, pending: Revision(*pending) }).collect();
        let held = Held::new(Arc::new(Known { record: record.clone(), marks: marks.clone() }), former_number);

        let settled = slice.state().settled;
        let usable: Vec<usize> = (0..3)
            .filter(|at| purposes[*at])
            .filter(|at| marks.iter().any(|mark| mark.handle == *at as u32 + 1 && mark.pending <= settled))
            .collect();
        let mut given: FieldSet = usable.iter().flat_map(|at| fields[*at].iter()).collect();
        given.insert(Field::PersonalId);
        let expected = (!usable.is_empty() && (!former_number || given.contains(Field::FormerPersonalIds)))
            .then(|| given.iter().filter(|field| wanted.contains(*field) || *field == Field::PersonalId).collect::<FieldSet>());

        let answer = match authorise(&slice.state(), &asked("a"), Operation::Lookup, None) {
            Ok(permit) => permit.fields_for(&held).map(|given| project(&held, given, wanted)),
            Err(Refusal::PurposeNotAgreed(_)) => None,
            Err(other) => panic!("{other:?}"),
        };
        prop_assert_eq!(answer.as_ref().map(|answer| answer.authorised), expected);
        if let (Some(answer), Some(expected)) = (answer, expected) {
            let whole = record.project(expected).into_record();
            prop_assert_eq!(answer.citizen.as_bytes(), whole.as_bytes());
        }
    }
}

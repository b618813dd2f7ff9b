//! The state machine under whatever comes.

use proptest::prelude::*;

use super::*;
use crate::procedures::{Circumstances, End};

/// Steps with what they come after, so that there are forks and joins.
const SHAPES: [&[&[usize]]; 3] =
    [&[&[], &[0], &[1]], &[&[], &[0], &[0], &[1, 2]], &[&[], &[0], &[1], &[0], &[2, 3]]];

fn procedure(shape: &[&[usize]], go_on: u8) -> Procedure {
    let mut text = String::from(
        "id = \"shape\"\nversion = 1\ntitle = \"x\"\nlegal_basis = [\"x\"]\nopened_by = \"found\"\n",
    );
    for (place, after) in shape.iter().enumerate() {
        let names: Vec<_> = after.iter().map(|before| format!("\"step-{before}\"")).collect();
        text += &format!(
            "[[steps]]\nid = \"step-{place}\"\ntitle = \"x\"\nrole = \"residence\"\ndeadline = {place}\n"
        );
        if place == 0 {
            text += "event = \"found\"\nabout = [\"person\"]\nmay = [\"refuse\"]\n";
        } else {
            text += &format!("after = [{}]\nmay = [\"refuse\", \"return\"]\n", names.join(", "));
        }
        if go_on & 1 << place != 0 {
            text += "if_refused = \"go-on\"\n";
        }
    }
    parse(&text).unwrap()
}

#[derive(Clone, Debug)]
enum Turn {
    End(usize, u8),
    Hours(u16),
    TakeBack(usize),
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => (0usize..5, 0u8..3).prop_map(|(step, end)| Turn::End(step, end)),
        1 => (1u16..100).prop_map(Turn::Hours),
        1 => (0usize..30).prop_map(Turn::TakeBack),
    ]
}

/// The steps before one, however far.
fn all_before(procedure: &Procedure, of: &Step) -> Vec<usize> {
    let further = of.after.iter().flat_map(|before| all_before(procedure, &procedure.steps[*before]));
    further.chain(of.after.iter().copied()).collect()
}

fn has_ended(state: StepState) -> bool {
    matches!(state, StepState::Done | StepState::Refused | StepState::Skipped)
}

proptest! {
    #[test]
    fn whatever_comes_a_case_goes_on_or_is_closed(
        shape in 0usize..3,
        go_on in any::<u8>(),
        turns in prop::collection::vec(turn(), 0..40),
    ) {
        let procedure = procedure(SHAPES[shape], go_on);
        let days = WorkingDays::default();
        let routes = Routes::new(nodes());
        let mut now = MONDAY;
        let world = |now| Circumstances {
            now,
            revision: Revision(1),
            people: BTreeMap::new(),
            days: &days,
            routes: &routes,
            areas: Areas::shipped(),
        };
        let opening = Opening {
            contribution: Uuid::from_u128(1),
            document: [0; 16],
            case_number: String::new(),
            agency: "justice".into(),
            node: "justice-n".into(),
            persons: BTreeMap::new(),
            answers: BTreeMap::new(),
            address: None,
        };
        let mut case = Case::open(&procedure, opening, &world(now));
        let mut escalated = 0;
        for turn in turns {
            let before = case.clone();
            match turn {
                Turn::Hours(hours) => {
                    now += time::Duration::hours(hours.into());
                    let late = case.pass(now);
                    escalated += late.len();
                    prop_assert_eq!(case.version, before.version + u64::from(!late.is_empty()));
                    prop_assert!(case.pass(now).is_empty(), "each once");
                }
                // The first one ends everything, so it is rare.
                Turn::TakeBack(0) => {
                    case.lose_ground(now);
                    prop_assert!(case.closed_at.is_some() && case.version == before.version + 1);
                }
                Turn::TakeBack(step) => {
                    let step = step % procedure.steps.len();
                    if step == 0 {
                        continue;
                    }
                    let undone = before.closed_at.is_none() && before.steps[step].state == StepState::Done;
                    case.undo(&procedure, step, &world(now));
                    prop_assert_eq!(case != before, undone);
                    prop_assert!(!undone || case.steps[step].state == StepState::Open);
                }
                Turn::End(step, end) => {
                    let Some(of) = procedure.steps.get(step) else { continue };
                    if case.steps[step].state != StepState::Open || (end == 2 && !of.may_return) {
                        continue;
                    }
                    let end = match end {
                        0 => End::Done(BTreeMap::new(), None),
                        1 => End::Refused("x".into()),
                        _ => End::Returned("x".into()),
                    };
                    case.end(&procedure, step, end, &world(now));
                    prop_assert_eq!(case.version, before.version + 1);
                }
            }
            let states: Vec<_> = case.steps.iter().map(|step| step.state).collect();
            // Closed when all has ended, and never stuck before.
            prop_assert_eq!(case.closed_at.is_some(), states.iter().all(|state| has_ended(*state)));
            prop_assert!(case.closed_at.is_some() || states.contains(&StepState::Open), "{:?}", states);
            for (place, of) in procedure.steps.iter().enumerate() {
                let step = &case.steps[place];
                let ended = all_before(&procedure, of).iter().all(|before| has_ended(states[*before]));
                match step.state {
                    StepState::Waiting => prop_assert!(!ended, "{:?}", states),
                    StepState::Returned => prop_assert!(case.closed_at.is_none(), "{:?}", states),
                    StepState::Open => prop_assert!(step.opened_at.is_some() && step.ended_at.is_none()),
                    _ => prop_assert!(step.ended_at.is_some()),
                }
                prop_assert!(!step.stopped || step.state == StepState::Skipped);
            }
            prop_assert!(Case::decode(&case.encode()).unwrap() == case);
        }
        prop_assert!(escalated <= 1 + case.version as usize);
    }
}

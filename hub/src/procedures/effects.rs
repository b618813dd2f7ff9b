//! What becomes of a case for those who take part in it: whose task it is or no longer is, and how it stands.

use std::collections::BTreeSet;

use dancu_proto::{
    hub::v1::mail,
    v1::{CaseStatus, StepState},
};

use super::{
    case::Case,
    circumstances::Circumstances,
    definition::Procedure,
    routes::{Routes, Work},
    tell::{Teller, ended, mark, status},
};
use crate::{projection::Day, registry::store::Write};

/// What becomes of a case, and who is told.
#[derive(Debug)]
pub struct CaseEffects {
    /// The case as it is then.
    pub case: Case,
    /// Rows to write, in the same commit.
    pub rows: Vec<Write>,
    /// Mail, by node.
    pub mail: Vec<(String, mail::Content)>,
}

/// The effects of what became of a case, and who is told: whose task it is or no longer is, and how the case
/// stands everybody who takes part or follows.
pub(super) fn told(
    procedure: &Procedure,
    before: Option<&Case>,
    mut case: Case,
    world: &Circumstances<'_>,
    day: Day,
    late: &[usize],
) -> CaseEffects {
    for place in late {
        let of = &procedure.steps[*place];
        if of.escalation.superior {
            let at = world.place_of(case.steps[*place].address.as_ref());
            case.nodes.extend(world.routes.superiors(procedure.work(*place), at));
        }
        let agencies = of.escalation.agencies.iter();
        case.nodes.extend(agencies.flat_map(|agency| world.routes.of_agency(agency)).cloned());
    }
    let mut mail = Vec::new();
    for (place, of) in procedure.steps.iter().enumerate() {
        let then = before.map(|before| &before.steps[place]);
        let open = case.steps[place].state == StepState::Open;
        let was_open = then.is_some_and(|then| then.state == StepState::Open);
        if open {
            let nodes: Vec<_> = case.steps[place].tasks.keys().cloned().collect();
            for node in nodes {
                let task = Teller { procedure, case: &case, world, day }.task(place, &node);
                let mark = mark(&task);
                let known = then.filter(|_| was_open).and_then(|then| then.tasks.get(&node));
                if known != Some(&mark) {
                    mail.push((node.clone(), mail::Content::Task(task)));
                }
                case.steps[place].tasks.insert(node, mark);
            }
        }
        let Some(then) = then.filter(|_| was_open) else { continue };
        for node in then.tasks.keys() {
            if !open {
                let task = ended(&case, of, case.steps[place].state);
                mail.push((node.clone(), mail::Content::Task(task)));
            } else if !case.steps[place].tasks.contains_key(node) {
                mail.push((node.clone(), mail::Content::Task(ended(&case, of, StepState::Unspecified))));
            }
        }
    }
    if before.is_none_or(|before| before.version != case.version) {
        let status = status(procedure, &case);
        let takes_part = |node: &&String| takes_part(procedure, world.routes, node);
        let mut nodes: BTreeSet<_> = case.nodes.iter().filter(takes_part).cloned().collect();
        let agencies = procedure.followers.agencies.iter();
        nodes.extend(agencies.flat_map(|agency| world.routes.of_agency(agency)).cloned());
        let roles = procedure.followers.roles.iter();
        nodes.extend(roles.flat_map(|role| world.routes.in_role(role).cloned()));
        let steps = (0..procedure.steps.len()).map(|place| procedure.work(place));
        let followers = procedure.followers.roles.iter().map(|role| Work { role, purposes: &[] });
        let work: Vec<_> = steps.chain(followers).collect();
        mail.extend(nodes.into_iter().map(|node| {
            let purposes = world.routes.purposes(&node, &work);
            (node, mail::Content::Case(CaseStatus { purposes, ..status.clone() }))
        }));
    }
    CaseEffects { rows: case.writes(), case, mail }
}

/// Whether a node that was told of a case before may be told more: it still contributes in one of the roles of
/// the procedure, or its agency is told of what is late.
fn takes_part(procedure: &Procedure, routes: &Routes, node: &str) -> bool {
    let agency = routes.node(node).map(|node| &node.agency);
    procedure.steps.iter().enumerate().any(|(place, step)| {
        let told_of_late = agency.is_some_and(|agency| step.escalation.agencies.contains(agency));
        told_of_late || routes.does(node, procedure.work(place))
    })
}

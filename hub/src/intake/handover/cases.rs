//! What a contribution does to cases, in its own commit.

use dancu_proto::v1::event::Event as Kind;

use super::handed_in::HandedIn;
use crate::{
    intake::event::{Counts, Verdict},
    procedures::{Correcting, Moving, Office, Refusal},
    registry::{CommitError, Rows},
};

/// Moves the cases that a contribution concerns, if it counts; whom there is mail for. While somebody is to
/// decide, it is seen to that they could move.
pub(super) fn moved(
    rows: &mut Rows<'_>,
    row: &HandedIn,
    verdict: &Verdict,
    office: &Office,
) -> Result<Vec<String>, Refusal> {
    let said = row.contribution.as_ref().filter(|said| said.task.is_some() || said.opens.is_some());
    let Some(said) = said else { return Ok(Vec::new()) };
    let moving = Moving {
        id: row.uuid(),
        agency: &row.agency,
        node: &row.node,
        roles: &row.roles,
        case_number: said.context.as_ref().map(|context| &*context.case_number).unwrap_or_default(),
        event: said.event.as_ref(),
        persons: &[],
        updates: &[],
        task: said.task.as_ref(),
        opens: said.opens.as_ref(),
    };
    match verdict {
        Verdict::Counts(Counts { persons, updates, .. }) => {
            office.moves(rows, Moving { persons, updates, ..moving })
        }
        Verdict::Review(_) => office.check(rows, moving).map(|()| Vec::new()),
    }
}

/// Carries the cases on that a contribution had part in that another one takes back; whom there is mail for.
pub(super) fn without(
    rows: &mut Rows<'_>,
    row: &HandedIn,
    counts: &Counts,
    taken_back: &HandedIn,
    office: &Office,
) -> Result<Vec<String>, CommitError> {
    let said = row.contribution.as_ref().and_then(|said| said.event.as_ref()?.event.as_ref());
    let instead = match said {
        Some(Kind::Correction(correction)) => correction.instead.as_deref(),
        _ => None,
    };
    let correcting = Correcting { instead, persons: &counts.persons, updates: &counts.updates };
    office.take_back(rows, taken_back, correcting)
}

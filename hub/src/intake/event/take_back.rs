//! A correction: the claims of an accepted event are taken back, and each field gets what is the greatest of
//! what remains.

use std::{collections::HashSet, sync::Arc};

use dancu_proto::{Field, FieldSet, Record, Revision, v1::RejectionReason};
use uuid::Uuid;

use super::{
    Judgement,
    authority::Authority,
    people::{People, Subject},
    weigh::{self, Weight, weight_of},
};
use crate::{
    intake::handover::handed_in::{self, HandedIn},
    registry::{CitizenChange, CitizenKey, JournalContent, JournalEntry, Leaving, Standing, StoreError},
};

/// Events that cannot be taken back: numbers are never given again.
const FOR_EVER: [&str; 4] = ["number_reestablished", "number_cancelled", "records_merged", "correction"];

/// What was taken back, and what rested on it.
#[derive(Debug)]
pub(super) struct TakenBack {
    /// The revision.
    pub(super) revision: Revision,
    /// The event.
    pub(super) event: String,
    /// In which role it was handed in.
    pub(super) role: String,
    /// What was claimed in it.
    pub(super) fields: FieldSet,
    /// Accepted contributions that came later and concern the same fields of the same people.
    pub(super) dependents: Vec<Uuid>,
}

/// Takes back what a contribution claimed; a birth may follow in its place.
pub(super) fn take_back(
    people: &mut People<'_>,
    authority: &Authority,
    contribution: &str,
    birth_instead: bool,
) -> Result<TakenBack, Judgement> {
    let standing = people.standing;
    let at = "event.correction.contribution_id";
    let wrong = |message: &str| Judgement::rejected(RejectionReason::Invalid, message, at);
    let id: Uuid = contribution.parse().map_err(|_| wrong("is not a UUID"))?;
    let known = handed_in::by_id(standing, id)?;
    let counts = known.filter(HandedIn::is_accepted);
    let counts = counts.ok_or_else(|| wrong("no accepted contribution has this id"))?;
    if FOR_EVER.contains(&counts.event.as_str()) {
        return Err(wrong("this event cannot be taken back: numbers are never given again"));
    }
    if counts.taken_back != 0 {
        return Err(wrong("it was taken back before"));
    }
    let revision = Revision(counts.revision);
    let entry = standing.journal(revision)?;
    let Some(JournalContent::Citizens(changes)) = &entry.content else {
        return Err(StoreError::Corrupt("the journal").into());
    };
    let (mut dependents, mut claimed) = (Vec::new(), FieldSet::EMPTY);
    for change in &changes.changes {
        let key = CitizenKey(change.key);
        let Some(stored) = standing.citizen(key)? else { continue };
        people.take(key, stored)?;
        let claims = change.claims();
        let mut fields = claims.fields();
        claimed = claimed.union(fields);
        if change.entered {
            // Everything that came later rests on it.
            fields = FieldSet::all();
            if birth_instead {
                people.reborn = Some(key);
            } else {
                people.get_mut(key)?.leaves = Some(Leaving::Cancelled);
            }
        }
        let history = history_of(standing, key)?;
        later(&history, key, revision, fields, &mut dependents);
        if people.get(key)?.leaves.is_none() {
            restore(people.get_mut(key)?, authority, &history, revision, change)?;
        }
    }
    dependents.dedup();
    Ok(TakenBack { revision, event: counts.event, role: entry.role.clone(), fields: claimed, dependents })
}

type History = Vec<(Revision, Arc<JournalEntry>)>;

fn history_of(standing: &Standing<'_>, key: CitizenKey) -> Result<History, StoreError> {
    let revisions = standing.history(key)?.into_iter();
    revisions.map(|at| Ok((at, standing.journal(at)?))).collect()
}

/// Contributions after a revision that claim one of some fields.
fn later(history: &History, key: CitizenKey, after: Revision, fields: FieldSet, found: &mut Vec<Uuid>) {
    for (at, entry) in history.iter().filter(|(at, _)| *at > after) {
        let Some(change) = entry.change_of(key) else { continue };
        let touches = !change.claimed_fields().intersection(fields).is_empty();
        let taken_back = history.iter().any(|(_, other)| other.takes_back == at.0);
        if touches
            && !taken_back
            && let Some(id) = entry.origin().contribution
            && !found.contains(&id)
        {
            found.push(id);
        }
    }
}

/// Gives the fields that a change claimed what they have without it.
fn restore(
    subject: &mut Subject,
    authority: &Authority,
    history: &History,
    revision: Revision,
    change: &CitizenChange,
) -> Result<(), StoreError> {
    let mut without: HashSet<Revision> = history
        .iter()
        .filter(|(_, entry)| entry.takes_back != 0)
        .map(|(_, e)| Revision(e.takes_back))
        .collect();
    without.insert(revision);
    let claims = change.claims();
    for field in claims.set.fields().union(claims.cleared).iter().filter(|field| *field != Field::PersonalId)
    {
        let (value, source) = greatest(subject, authority, history, &without, field)?;
        subject.put(&value, FieldSet::from_iter([field]))?;
        subject.sources.insert(field, source);
    }
    // That something was taken back stands in the person's history, whether it changes a value or not.
    for field in claims.added.fields().iter() {
        let source = subject.before.as_ref().and_then(|before| before.source_of(field));
        subject.sources.entry(field).or_insert(source);
        let one = FieldSet::from_iter([field]);
        let items = items(subject, history, &without, one)?;
        subject.put(&items, one)?;
    }
    Ok(())
}

/// A list that items are added to, by everything but some revisions: what was there from the start, and what was
/// added since, in that order. An item that other events have too stays, as the first of them has it.
fn items(
    subject: &Subject,
    history: &History,
    without: &HashSet<Revision>,
    field: FieldSet,
) -> Result<Record, StoreError> {
    let changes =
        || history.iter().filter_map(|(at, entry)| Some((at, entry, entry.change_of(subject.key)?)));
    let touches = |fields: FieldSet| !fields.intersection(field).is_empty();
    let first = changes().find(|(.., change)| touches(change.delta().fields()));
    let mut list = match first {
        Some((.., change)) => Record::trusted(change.before.clone()).values(field),
        None => subject.record.values(field),
    };
    for (_, entry, change) in changes().filter(|(at, ..)| !without.contains(at)) {
        let (claims, delta) = (change.claims(), change.delta());
        // An operator or a file says what the list is; what gave back what was taken says nothing.
        if claims.is_empty() && entry.takes_back == 0 && touches(delta.fields()) {
            list = Record::trusted(delta.set).values(field);
        } else if touches(claims.set.fields().union(claims.cleared)) {
            list = claims.set.values(field);
        }
        list = weigh::with_items(&list, &claims.added.values(field))?;
    }
    Ok(list)
}

/// The value of a field by everything but some revisions, and where it is from.
fn greatest(
    subject: &Subject,
    authority: &Authority,
    history: &History,
    without: &HashSet<Revision>,
    field: Field,
) -> Result<(Record, Option<Revision>), StoreError> {
    let one = FieldSet::from_iter([field]);
    let only = |record: &Record| record.values(one);
    let mut base: Option<Record> = None;
    let mut best: Option<(Weight, Record, Revision)> = None;
    for (at, entry) in history {
        let Some(change) = entry.change_of(subject.key) else { continue };
        let delta = change.delta();
        if base.is_none() && delta.fields().contains(field) {
            base = Some(only(&Record::trusted(change.before.clone())));
        }
        let by_claim = !change.claims().is_empty();
        let (set, cleared) = if by_claim {
            (change.claims().set, change.claims().cleared)
        } else {
            (Record::trusted(delta.set), delta.cleared)
        };
        // What gave back what was taken is nobody's word.
        let gives_back = entry.takes_back != 0 && !by_claim;
        if gives_back || without.contains(at) || !set.fields().union(cleared).contains(field) {
            continue;
        }
        match weight_of(authority, entry, *at, field) {
            // An import replaces what the registry began with.
            None => base = Some(only(&set)),
            Some(weight) if by_claim || entry.role == super::authority::OPERATOR => {
                if best.as_ref().is_none_or(|(known, ..)| weight >= *known) {
                    best = Some((weight, only(&set), *at));
                }
            }
            Some(_) => {}
        }
    }
    Ok(match best {
        Some((_, value, at)) => (value, Some(at)),
        None => (base.unwrap_or_else(|| only(&subject.record)), None),
    })
}

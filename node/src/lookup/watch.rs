//! What changes in the slice for a purpose, told as it happens, after a cursor that the caller keeps.
//!
//! Each part is authorised and recorded anew: who may no longer follow is told nothing more, and what is
//! told is what the purpose gives now. The stream is pulled: a slow caller holds up only itself.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use dancu_proto::{
    Field, FieldSet, PersonalId, Reason,
    channel::Peer,
    node::{
        served::{CitizenChange, WatchCitizensResponse, watch_citizens_response::Event},
        v1::{BroadChange, ChangeReason, CitizenChangeKind, WatchCitizensRequest},
    },
    v1::{AccessContext, Freshness, SubjectOutcome},
};
use futures::{Stream, TryStreamExt, stream};
use tokio::{sync::watch, task::yield_now, time::Instant};
use tonic::Status;

use super::{
    authorise::{Operation, Permit, authorise},
    context,
    cursor::{After, Cursor},
    freshness::freshness,
    project::{listed, project},
    refusal::Refusal,
    service::Lookup,
};
use crate::{
    access_log::Entry,
    quota::Span,
    slice::{Changed, CitizenChanged, SliceReader, SliceState},
    state::Line,
};

/// Entries looked at in one part: short enough that changes to the slice hardly wait.
const CHUNK: usize = 64;

/// After so much silence the caller is told that there is nothing to tell.
const SILENCE: Duration = Duration::from_secs(15);

/// Between two looks while something is removed.
const LOOK: Duration = Duration::from_millis(100);

/// What a watch answers with.
pub(super) type Responses = Pin<Box<dyn Stream<Item = Result<WatchCitizensResponse, Status>> + Send>>;

/// Somebody who follows.
pub(super) struct Watch {
    lookup: Lookup,
    peer: Peer,
    context: Option<AccessContext>,
    wanted: FieldSet,
    patience: Duration,
    after: After,
    /// What each part is recorded as.
    entry: Entry,
    news: watch::Receiver<Arc<SliceState>>,
    /// When the caller is next told something, even if it is nothing; none before the first response.
    due: Option<Instant>,
}

/// What one look finds.
struct Part {
    events: Vec<WatchCitizensResponse>,
    /// Whom they tell of, and what.
    told: BTreeMap<PersonalId, FieldSet>,
    /// Everything up to here was looked at.
    cursor: Cursor,
    /// That there is nothing to tell, if there is not.
    silence: WatchCitizensResponse,
    more: bool,
    revision: u64,
}

impl Watch {
    /// Checks a request before anything is read.
    pub(super) fn new(
        lookup: Lookup,
        request: WatchCitizensRequest,
        peer: Peer,
        patience: Duration,
        entry: Entry,
    ) -> Result<Watch, Refusal> {
        let wanted = context::wanted(&request.fields)?;
        let after = After::parse(&request.cursor)?;
        let news = lookup.news();
        let context = request.context;
        Ok(Watch { lookup, peer, context, wanted, patience, after, entry, news, due: None })
    }

    /// The answers. The first comes when the first look is done, so that a refusal is one of the call.
    pub(super) async fn responses(mut self) -> Result<Responses, Status> {
        let first = self.next().await?;
        let parts = stream::try_unfold((Some(first), self), |(first, mut watch)| async move {
            let responses = match first {
                Some(first) => first,
                None => watch.next().await?,
            };
            Ok::<_, Status>(Some((responses, (None, watch))))
        });
        let each = parts.map_ok(|responses| stream::iter(responses.into_iter().map(Ok)));
        Ok(Box::pin(each.try_flatten()))
    }

    /// The next responses, once there are some.
    async fn next(&mut self) -> Result<Vec<WatchCitizensResponse>, Status> {
        loop {
            self.news.mark_unchanged();
            let mut entry = self.entry.clone();
            let mut wait = None;
            match self.look(&mut entry).await {
                Ok(part) => {
                    self.after = After::Open(part.cursor);
                    let due = self.due.is_none_or(|due| due <= Instant::now());
                    if !part.events.is_empty() || (due && !part.more) {
                        let first = self.due.is_none();
                        self.due = Some(Instant::now() + SILENCE);
                        return self.tell(entry, part, first).await;
                    }
                    if part.more {
                        // A long past may concern others alone: it must not hold up a processor.
                        yield_now().await;
                        self.is_open()?;
                        continue;
                    }
                }
                // What may no longer be told is being removed.
                Err(Refusal::Narrowing) if self.due.is_some_and(|due| Instant::now() < due) => {
                    wait = Some(Instant::now() + LOOK);
                }
                // Nobody is cut off for a burst of changes: it is told more slowly.
                Err(Refusal::Quota(exceeded)) if exceeded.span == Span::Second => {
                    wait = Some(Instant::now() + exceeded.retry);
                }
                Err(refusal) => return self.lookup.conclude(entry, Err(refusal.into())).await,
            }
            self.pause(wait).await?;
        }
    }

    /// Waits for something to tell, or for the silence to have lasted; for a moment, if there is one to
    /// wait for.
    async fn pause(&mut self, until: Option<Instant>) -> Result<(), Status> {
        let due = until.or(self.due).unwrap_or_else(Instant::now);
        tokio::select! {
            () = self.lookup.closing.cancelled() => self.is_open(),
            _ = self.news.changed(), if until.is_none() => Ok(()),
            () = tokio::time::sleep_until(due) => Ok(()),
        }
    }

    fn is_open(&self) -> Result<(), Status> {
        if self.lookup.closing.is_cancelled() {
            return Err(Reason::ShuttingDown.status("the node is going down; follow again with your cursor"));
        }
        Ok(())
    }

    /// Records what is told, and tells it. Silence is recorded once, when the watch begins.
    async fn tell(
        &self,
        mut entry: Entry,
        part: Part,
        first: bool,
    ) -> Result<Vec<WatchCitizensResponse>, Status> {
        if first || !part.told.is_empty() {
            part.told.iter().for_each(|(id, fields)| entry.tells(*id, *fields, SubjectOutcome::Answered));
            entry.revision = part.revision;
            self.lookup.conclude(entry, Ok(())).await?;
        }
        Ok(if part.events.is_empty() { vec![part.silence] } else { part.events })
    }

    async fn look(&self, entry: &mut Entry) -> Result<Part, Refusal> {
        // The caller may have been taken off the list since, or its certificate have expired.
        let caller = self.lookup.caller(&self.peer)?;
        entry.caller.clone_from(&caller.name);
        let asked = self.lookup.asked(self.context.as_ref(), &caller)?;
        let look = |reader: &SliceReader<'_>, line: &Line| {
            let state = reader.state();
            let permit = authorise(state, &asked, Operation::Watch, line.offline)?;
            let freshness = freshness(state.cursor, line.last_heard, line.offline);
            let part = part(reader, &permit, &asked.purpose, self.wanted, &self.after, freshness)?;
            if !part.told.is_empty() {
                self.lookup.spend(&permit, &caller, part.told.len() as u64)?;
            }
            Ok(part)
        };
        self.lookup.read(self.patience, look).await
    }
}

/// What a permit lets be told of what has changed after a cursor.
fn part(
    reader: &SliceReader<'_>,
    permit: &Permit,
    purpose: &str,
    wanted: FieldSet,
    after: &After,
    freshness: Freshness,
) -> Result<Part, Refusal> {
    // The first write under an agreement that allows watching makes them.
    let extent = reader.changes().ok_or(Refusal::Loading)?;
    let cipher = reader.cipher();
    let mut cursor = after.cursor(extent, cipher)?;
    // What came under other agreements is for nobody; that they are others is told.
    if let Some(turned) = extent.turned.get(purpose).filter(|turned| **turned > cursor.next()) {
        cursor = cursor.at(turned - 1);
    }
    let response = |cursor: Cursor, event| {
        let cursor = cursor.sealed(cipher)?;
        Ok::<_, Refusal>(WatchCitizensResponse { cursor, event, freshness: Some(freshness) })
    };
    let rows = reader.changes_from(cursor.next(), CHUNK)?;
    let mut part = Part {
        events: Vec::new(),
        told: BTreeMap::new(),
        cursor,
        silence: WatchCitizensResponse::default(),
        more: rows.len() == CHUNK,
        revision: freshness.revision,
    };
    for (number, changed) in rows {
        cursor = cursor.at(number);
        let event = match changed {
            Changed::Agreements(purposes) if purposes.iter().any(|one| one == purpose) => {
                Some(Event::Broad(BroadChange::Agreements.into()))
            }
            Changed::Agreements(_) => None,
            Changed::Areas => Some(Event::Broad(BroadChange::AdministrativeOrder.into())),
            Changed::Citizen(change) => citizen(reader, permit, wanted, &change)?.map(|(change, fields)| {
                let of_id = part.told.entry(fields.0).or_default();
                *of_id = of_id.union(fields.1);
                Event::Citizen(change)
            }),
        };
        if let Some(event) = event {
            part.events.push(response(cursor, Some(event))?);
        }
    }
    (part.cursor, part.silence) = (cursor, response(cursor, None)?);
    Ok(part)
}

/// A change as it is told, and of whom which fields it discloses.
type Told = (CitizenChange, (PersonalId, FieldSet));

/// What may be told of one citizen; nothing where it looks the same.
fn citizen(
    reader: &SliceReader<'_>,
    permit: &Permit,
    wanted: FieldSet,
    change: &CitizenChanged,
) -> Result<Option<Told>, Refusal> {
    let told = |kind: CitizenChangeKind, changed: FieldSet, reasons: Vec<ChangeReason>, citizen| {
        let mut disclosed = changed;
        disclosed.insert(Field::PersonalId);
        let told = CitizenChange {
            personal_id: change.id.to_string(),
            kind: kind.into(),
            changed: listed(changed),
            citizen,
            reasons: reasons.into_iter().map(i32::from).collect(),
        };
        Some((told, (change.id, disclosed)))
    };
    let (before, after) = (permit.fields_of(&change.before), permit.fields_of(&change.after));
    let (kind, may) = match (before, after) {
        (None, None) => return Ok(None),
        (Some(before), None) => {
            let reasons = reasons(change, before);
            return Ok(told(CitizenChangeKind::Left, FieldSet::EMPTY, reasons, None));
        }
        (None, Some(_)) => (CitizenChangeKind::Entered, FieldSet::all()),
        // With another agreement come other fields.
        (Some(before), Some(after)) => {
            let changed = change.fields.union(change.questioned);
            (CitizenChangeKind::Changed, changed.union(after.difference(before)))
        }
    };
    // Who is gone by now is told of in turn.
    let Some(held) = reader.get_in_force(change.id)? else { return Ok(None) };
    let Some(now) = permit.fields_for(&held) else { return Ok(None) };
    // What is not given any more, where another agreement of the purpose goes on.
    let lost = before.unwrap_or_default().difference(after.unwrap_or_default()).difference(now);
    let changed = may.intersection(now).union(lost).intersection(wanted);
    let changed = match kind {
        CitizenChangeKind::Entered => {
            changed.intersection(held.record.fields().union(held.record.in_question()))
        }
        _ if changed.is_empty() => return Ok(None),
        _ => changed,
    };
    let reasons = match kind {
        CitizenChangeKind::Changed => reasons(change, before.unwrap_or_default().intersection(now)),
        // What was before is not for those who did not cover it.
        _ => Vec::new(),
    };
    let answer = project(&held, now, changed);
    Ok(told(kind, changed, reasons, Some(answer.citizen)))
}

/// Where people live.
const RESIDENCE: [Field; 3] = [Field::PermanentResidence, Field::TemporaryResidence, Field::CurrentDwelling];

/// Why, as far as it shows in fields that may be known.
fn reasons(change: &CitizenChanged, fields: FieldSet) -> Vec<ChangeReason> {
    // Of one who comes or goes every field changes; why they go, the hub tells.
    let stays = !change.before.is_empty() && !change.after.is_empty();
    let changed = if stays { change.fields.union(change.departure) } else { change.departure };
    let told = changed.intersection(fields);
    let died = change.died || change.departure.contains(Field::DateOfDeath);
    let mut reasons = Vec::new();
    if died && told.contains(Field::DateOfDeath) {
        reasons.push(ChangeReason::Death);
    }
    if RESIDENCE.iter().any(|field| told.contains(*field)) {
        reasons.push(ChangeReason::Move);
    }
    if stays && !change.corrected.intersection(fields).is_empty() {
        reasons.push(ChangeReason::Correction);
    }
    if stays && !change.questioned.intersection(fields).is_empty() {
        reasons.push(ChangeReason::Question);
    }
    reasons
}

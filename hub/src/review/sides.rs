//! Side by side: what a contribution says of each person, and what the registry has.

use dancu_proto::{
    Areas, Field, FieldSet, PersonalId, Record, Revision,
    area::by_order_in_force,
    hub::v1::{ReviewSide, ReviewSource},
    v1::{self, Citizen, Contribution, event::Event as Kind, person_ref::By},
};
use time::OffsetDateTime;

use super::Review;
use crate::{
    intake::{
        event::{self, Authority, Judgement, Said},
        handover::handed_in::HandedIn,
    },
    registry::{
        CitizenChange, CitizenKey, Claims, CommitError, JournalContent, Leaving, Registry, Standing,
        StoreError, StoredCitizen, View,
    },
};

fn damaged() -> StoreError {
    StoreError::Corrupt("a citizen's record")
}

/// Shows contributions side by side with the registry.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The registry.
    pub registry: &'a Registry,
    /// Who may supply what.
    pub authority: &'a Authority,
    /// The administrative orders.
    pub areas: &'a Areas,
    /// The time.
    pub now: OffsetDateTime,
}

impl Sides<'_> {
    /// Everybody whom a review concerns.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn of(&self, review: &Review, row: &HandedIn) -> Result<Vec<ReviewSide>, CommitError> {
        let view = self.registry.view();
        let contribution = row.contribution.clone().unwrap_or_default();
        let mut all = match row.revision {
            0 => self.said(&view, &contribution)?,
            revision => of_journal(&view, Revision(revision), &contribution)?,
        };
        for (key, _) in review.in_question() {
            if !all.iter().any(|said| said.key == Some(key)) {
                all.push(Said { key: Some(key), ..Said::default() });
            }
        }
        let at = as_of(&view, review, row)?;
        let side = |said: Said| {
            let questioned = review.in_question().filter(|(key, _)| said.key == Some(*key));
            let questioned = questioned.fold(FieldSet::EMPTY, |all, (_, fields)| all.union(fields));
            side(&view, said, questioned, at, self.areas)
        };
        Ok(all.into_iter().map(side).collect::<Result<_, _>>()?)
    }

    /// What a contribution says that does not count, by the registry as it is.
    fn said(&self, view: &View<'_>, contribution: &Contribution) -> Result<Vec<Said>, CommitError> {
        let said = |standing: &Standing<'_>| event::said(standing, self.authority, contribution);
        match self.registry.look(self.now, said)? {
            Ok(said) => Ok(said),
            Err(Judgement::Failed(error)) => Err(error),
            // It waits for a birth, or somebody is no longer there: those of them who are known.
            Err(_) => Ok(named(view, contribution)?),
        }
    }
}

/// The revision whose values stand beside what was handed in: the latest; before the contribution, if it
/// counts; and if it was decided that it does not, that of then.
fn as_of(view: &View<'_>, review: &Review, row: &HandedIn) -> Result<Revision, StoreError> {
    match (row.revision, &review.decision) {
        (0, Some(decision)) if decision.after != 0 => Ok(Revision(decision.after)),
        (0, _) => view.revision(),
        (revision, _) => Ok(Revision(revision - 1)),
    }
}

/// Whom a contribution names by number.
fn named(view: &View<'_>, contribution: &Contribution) -> Result<Vec<Said>, StoreError> {
    let mut all = Vec::new();
    let persons = contribution.event.as_ref().map(dancu_proto::contribution::persons).unwrap_or_default();
    for person in persons {
        if let Some((key, _)) = resolve(view, person)? {
            all.push(Said { key: Some(key), ..Said::default() });
        }
    }
    Ok(all)
}

fn resolve(
    view: &View<'_>,
    person: &v1::PersonRef,
) -> Result<Option<(CitizenKey, StoredCitizen)>, StoreError> {
    match &person.by {
        Some(By::PersonalId(number)) => {
            Ok(number.parse().ok().map(|id| view.resolve(id)).transpose()?.flatten())
        }
        _ => Ok(None),
    }
}

/// What a contribution that counts said, by the journal.
fn of_journal(
    view: &View<'_>,
    revision: Revision,
    contribution: &Contribution,
) -> Result<Vec<Said>, StoreError> {
    let entry = view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
    let Some(JournalContent::Citizens(changes)) = entry.content else { return Ok(Vec::new()) };
    let kept = match contribution.event.as_ref().and_then(|event| event.event.as_ref()) {
        Some(Kind::RecordsMerged(merged)) => match &merged.kept {
            Some(kept) => resolve(view, kept)?.map(|(key, _)| key),
            None => None,
        },
        _ => None,
    };
    let mut all = Vec::new();
    for change in &changes.changes {
        let key = CitizenKey(change.key);
        let left = view.citizen(key)?.is_none_or(|citizen| citizen.has_left());
        let by_this = left && change.set.is_empty() && change.claims().is_empty();
        let leaves = by_this.then(|| kept.map_or(Leaving::Cancelled, Leaving::Into));
        // Who leaves loses every value, which is no word on any of them.
        let claims = if by_this { Claims::default() } else { claims_of(change) };
        all.push(Said { key: Some(key), claims, gets_number: false, leaves });
    }
    Ok(all)
}

/// What an entry of the journal says of somebody; of what only followed (a merger), what it did.
fn claims_of(change: &CitizenChange) -> Claims {
    let claims = change.claims();
    if !claims.is_empty() {
        return claims;
    }
    let delta = change.delta();
    let set = Record::trusted(delta.set);
    // Without what is in question, which is no value.
    Claims { set: set.values(set.fields()), cleared: delta.cleared, ..Claims::default() }
}

/// One person's values.
fn side(
    view: &View<'_>,
    said: Said,
    questioned: FieldSet,
    at: Revision,
    areas: &Areas,
) -> Result<ReviewSide, StoreError> {
    let shown = |record: Record| {
        let mut citizen = record.decode().map_err(|_| damaged())?;
        by_order_in_force(&mut citizen, areas);
        Ok::<Citizen, StoreError>(citizen)
    };
    let mut fields = said.claims.fields().union(questioned);
    if said.gets_number {
        fields.insert(Field::PersonalId);
    }
    let stored = match said.key {
        Some(key) => view.citizen(key)?.map(|citizen| (key, citizen)),
        None => None,
    };
    let mut sources = Vec::new();
    let before = match &stored {
        Some((key, citizen)) => {
            view.record_at(*key, citizen, at)?.filter(|record| !record.fields().is_empty())
        }
        None => None,
    };
    if let (Some((key, citizen)), Some(_)) = (&stored, &before) {
        for field in fields.iter() {
            sources.extend(source(view, (*key, citizen), field, at)?);
        }
    }
    let entered = stored.as_ref().map(|(_, citizen)| citizen.entered.or(view.founded().ok().flatten()));
    let enters = entered.is_none_or(|entered| entered.is_some_and(|entered| entered > at));
    let whose = before.as_ref().unwrap_or(&said.claims.set);
    // Of somebody who left meanwhile the key is still known.
    let key = said.key.filter(|_| !enters).and_then(|key| PersonalId::from_u64(key.0).ok());
    let number = whose.personal_id().or(key);
    let full_name = whose.decode().map_err(|_| damaged())?.full_name;
    let registered = before.as_ref().map(|record| record.values(fields)).unwrap_or_default();
    let goes_into = match said.leaves {
        Some(Leaving::Into(key)) => view.citizen(key)?.and_then(|kept| kept.record.personal_id()),
        _ => None,
    };
    Ok(ReviewSide {
        personal_id: number.map(|number| number.to_string()).unwrap_or_default(),
        full_name: full_name.map(|name| name.full()).unwrap_or_default(),
        registered: Some(shown(registered)?),
        sources,
        handed_in: Some(shown(said.claims.set)?),
        added: Some(shown(said.claims.added)?),
        cleared: numbers(said.claims.cleared),
        fields: numbers(fields),
        enters,
        gets_number: said.gets_number,
        cancelled: said.leaves == Some(Leaving::Cancelled),
        goes_into: goes_into.map(|number| number.to_string()).unwrap_or_default(),
    })
}

fn numbers(fields: FieldSet) -> Vec<i32> {
    fields.iter().map(|field| v1::Field::from(field).into()).collect()
}

/// On whose word a value was, as of a revision.
fn source(
    view: &View<'_>,
    (key, citizen): (CitizenKey, &StoredCitizen),
    field: Field,
    at: Revision,
) -> Result<Option<ReviewSource>, StoreError> {
    let founded = view.founded()?;
    let mut revision = citizen.source_of(field).or(founded);
    if revision.is_some_and(|revision| revision > at) {
        // It is another's by now: who changed it last until then.
        revision = citizen.entered.or(founded);
        for earlier in view.history(key, Revision::NONE)?.into_iter().filter(|earlier| *earlier <= at) {
            let entry = view.journal(earlier)?.ok_or(StoreError::Corrupt("the journal"))?;
            if entry.change_of(key).is_some_and(|change| change.delta().fields().contains(field)) {
                revision = Some(earlier);
                break;
            }
        }
    }
    let Some(revision) = revision else { return Ok(None) };
    let origin = view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?.origin();
    Ok(Some(ReviewSource {
        field: v1::Field::from(field).into(),
        source: format!("{} {}", origin.source, origin.role).trim().to_owned(),
        effective_date: origin.effective_date,
        revision: revision.0,
    }))
}

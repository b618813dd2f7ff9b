//! Operators and single citizens.

use dancu_proto::{
    Delta, Field, FieldSet, PersonalId, Reason, Record, Revision,
    area::by_order_in_force,
    hub::v1::{
        ChangeCitizenRequest, ChangeCitizenResponse, FieldSource, GetCitizenRecordRequest,
        GetCitizenRecordResponse, HistoryEntry,
    },
    v1::Citizen,
};
use time::OffsetDateTime;
use tonic::Status;

use super::Admin;
use crate::{
    intake::{ChangeError, correction, event::known_on},
    registry::{CitizenKey, StoreError, StoredCitizen, View},
    sync::timestamp,
};

impl Admin {
    pub(super) async fn change(
        &self,
        operator: &str,
        request: ChangeCitizenRequest,
    ) -> Result<ChangeCitizenResponse, Status> {
        let mut commit =
            correction(request, &*self.areas()?).map_err(|ChangeError::Violation(violation)| {
                Reason::InvalidRequest.field(&violation.field, violation.reason)
            })?;
        commit.origin.source = format!("operator {operator}");
        let committed = self.registry.commit(commit).await?;
        Ok(ChangeCitizenResponse { revision: committed.revision.0, unchanged: committed.unchanged })
    }

    pub(super) fn record(
        &self,
        request: &GetCitizenRecordRequest,
    ) -> Result<GetCitizenRecordResponse, Status> {
        let number: PersonalId = request
            .personal_id
            .parse()
            .map_err(|error| Reason::InvalidRequest.field("personal_id", format!("{error}")))?;
        let view = self.registry.view();
        let unknown = || Reason::CitizenNotFound.status("no citizen has this number");
        let (key, citizen) = view.resolve(number)?.ok_or_else(unknown)?;
        let at = self.revision_asked_for(&view, request)?;
        let record = match &request.valid_on {
            Some(day) => {
                day.check().map_err(|error| Reason::InvalidRequest.field("valid_on", error.to_string()))?;
                known_on(&view, (key, &citizen), at, day, &self.sources)?
            }
            None => view.record_at(key, &citizen, at)?,
        };
        let record = record.ok_or_else(|| {
            Reason::CitizenNotFound.status(format!("no citizen had this number at revision {at}"))
        })?;
        let history = if request.history { self.history(&view, key, at)? } else { Vec::new() };
        self.ledger.catch_up(&view)?;
        let mut shown = decode(&record)?;
        // As it was known at the revision, so by the order of then.
        by_order_in_force(&mut shown, &self.ledger.areas(at));
        Ok(GetCitizenRecordResponse {
            citizen: Some(shown),
            sources: sources(&view, key, &citizen, &record, at)?,
            history,
            revision: at.0,
        })
    }

    fn history(
        &self,
        view: &View<'_>,
        key: CitizenKey,
        at: Revision,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let revisions = view.history(key, Revision::NONE)?.into_iter().filter(|revision| *revision <= at);
        // Each by the administrative order of its own revision.
        let entry = |revision: Revision| {
            let areas = self.ledger.areas(revision);
            let shown = |side: &Delta, in_question: FieldSet| {
                let values = Record::trusted(side.set.clone()).with_in_question(in_question);
                let mut values = decode(&values)?;
                by_order_in_force(&mut values, &areas);
                Ok::<_, StoreError>(values)
            };
            let entry = view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
            let change = entry.change_of(key).ok_or(StoreError::Corrupt("the journal"))?;
            let origin = entry.origin();
            let (after, before) = (change.delta(), change.undo());
            let [was, is] = [&before, &after].map(|side| side.in_question().unwrap_or_default());
            let questioned = was.union(is).difference(was.intersection(is));
            let fields = after.fields().union(questioned);
            Ok(HistoryEntry {
                revision: revision.0,
                time: Some(timestamp(entry.time())),
                source: origin.source,
                contribution_id: origin.contribution.map(|id| id.to_string()).unwrap_or_default(),
                reason: origin.reason,
                document_number: origin.document_number,
                effective_date: origin.effective_date,
                fields: fields.iter().map(|field| dancu_proto::v1::Field::from(field).into()).collect(),
                before: Some(shown(&before, was)?),
                after: Some(shown(&after, is)?),
            })
        };
        revisions.map(entry).collect()
    }

    fn revision_asked_for(
        &self,
        view: &View<'_>,
        request: &GetCitizenRecordRequest,
    ) -> Result<Revision, Status> {
        let head = view.revision()?;
        if let Some(time) = &request.at_time {
            let time = OffsetDateTime::from_unix_timestamp(time.seconds)
                .map_err(|_| Reason::InvalidRequest.field("at_time", "is not a time"))?;
            return Ok(view.revision_at(time)?);
        }
        match request.at_revision {
            0 => Ok(head),
            at if at <= head.0 => Ok(Revision(at)),
            _ => Err(Reason::InvalidRequest.field("at_revision", format!("the latest revision is {head}"))),
        }
    }
}

/// Who supplied each value, as of a revision (law 5): for each field the last change up to it, or
/// the commit that entered the person.
fn sources(
    view: &View<'_>,
    key: CitizenKey,
    citizen: &StoredCitizen,
    record: &Record,
    at: Revision,
) -> Result<Vec<FieldSource>, StoreError> {
    let mut found: Vec<(Field, Revision)> = Vec::new();
    let mut missing = record.fields();
    for revision in view.history(key, Revision::NONE)?.into_iter().filter(|revision| *revision <= at) {
        let entry = view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
        let change = entry.change_of(key).ok_or(StoreError::Corrupt("the journal"))?;
        let supplied = Record::trusted(change.set.clone()).fields().intersection(missing);
        found.extend(supplied.iter().map(|field| (field, revision)));
        missing = missing.difference(supplied);
    }
    let first = match citizen.entered {
        Some(revision) => Some(revision),
        None => view.founded()?,
    };
    found.extend(missing.iter().filter_map(|field| Some((field, first?))));
    found.sort_by_key(|(field, _)| *field);
    let source = |(field, revision): (Field, Revision)| {
        let entry = view.journal(revision)?.ok_or(StoreError::Corrupt("the journal"))?;
        let origin = entry.origin();
        Ok(FieldSource {
            field: dancu_proto::v1::Field::from(field).into(),
            revision: revision.0,
            source: format!("{} {}", origin.source, origin.reason).trim().to_owned(),
            contribution_id: origin.contribution.map(|id| id.to_string()).unwrap_or_default(),
            effective_date: origin.effective_date,
        })
    };
    found.into_iter().map(source).collect()
}

fn decode(record: &Record) -> Result<Citizen, StoreError> {
    record.decode().map_err(|_| StoreError::Corrupt("a citizen's record"))
}

//! Many citizens by number, in the order asked. The stream is pulled: a slow caller holds up only
//! itself, and each chunk is authorised anew, so that a narrowing takes effect within a batch too.

use std::{sync::Arc, time::Duration, vec};

use dancu_proto::{
    FieldSet, PersonalId, Revision,
    node::{served::BatchGetCitizensResponse, v1::BatchGetCitizensRequest},
    personal_id::PersonalIdError,
    v1::SubjectOutcome,
};
use futures::{Stream, TryStreamExt, stream};
use tokio::time::Instant;
use tonic::Status;

use super::{
    authorise::{Operation, authorise},
    context::{self, Asked},
    freshness::freshness,
    get,
    refusal::{Fault, Refusal},
    service::Lookup,
};
use crate::{access_log::Entry, callers::Caller, quota::Span, slice::SliceReader, state::Line};

/// The most numbers in one batch.
const MAX_NUMBERS: usize = 10_000;

/// Numbers looked up at once: short enough that changes to the slice hardly wait.
const CHUNK: usize = 64;

/// A batch under way.
pub(super) struct Batch {
    lookup: Lookup,
    caller: Arc<Caller>,
    asked: Asked,
    wanted: FieldSet,
    numbers: vec::IntoIter<String>,
    patience: Duration,
    said: Option<Revision>,
    /// What each part is recorded as.
    entry: Entry,
}

impl Batch {
    /// Checks a batch before anything is read.
    pub(super) fn new(
        lookup: Lookup,
        request: BatchGetCitizensRequest,
        caller: Arc<Caller>,
        patience: Duration,
        entry: Entry,
    ) -> Result<Batch, Refusal> {
        let asked = lookup.asked(request.context.as_ref(), &caller)?;
        let wanted = context::wanted(&request.fields)?;
        let count = request.personal_ids.len();
        if !(1..=MAX_NUMBERS).contains(&count) {
            let fault = format!("has {count} numbers; give 1 to {MAX_NUMBERS}");
            return Err(Refusal::Invalid(vec![Fault::new("personal_ids", fault)]));
        }
        let numbers = request.personal_ids.into_iter();
        Ok(Batch { lookup, caller, asked, wanted, numbers, patience, said: None, entry })
    }

    /// The answers.
    pub(super) fn answers(self) -> impl Stream<Item = Result<BatchGetCitizensResponse, Status>> {
        let chunks = stream::try_unfold(self, |mut batch| async move {
            let chunk = batch.next().await?;
            Ok::<_, Status>(if chunk.is_empty() { None } else { Some((chunk, batch)) })
        });
        chunks.map_ok(|chunk| stream::iter(chunk.into_iter().map(Ok))).try_flatten()
    }

    /// The next part of the answers; none when there are no more.
    async fn next(&mut self) -> Result<Vec<BatchGetCitizensResponse>, Status> {
        let numbers: Vec<String> = self.numbers.by_ref().take(CHUNK).collect();
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let mut entry = self.entry.clone();
        let until = Instant::now() + self.patience;
        let answers = loop {
            match self.part(&numbers, &mut entry).await {
                // A batch is not broken off for going too fast: it is slowed down.
                Err(Refusal::Quota(exceeded))
                    if exceeded.span == Span::Second && Instant::now() + exceeded.retry < until =>
                {
                    tokio::time::sleep(exceeded.retry).await;
                }
                answers => break answers.map_err(Status::from),
            }
        };
        self.lookup.conclude(entry, answers).await
    }

    async fn part(
        &mut self,
        numbers: &[String],
        entry: &mut Entry,
    ) -> Result<Vec<BatchGetCitizensResponse>, Refusal> {
        let ids: Vec<_> = numbers.iter().map(|number| number.trim().parse::<PersonalId>()).collect();
        ids.iter().flatten().for_each(|id| entry.concerns(*id));
        let (asked, wanted, people) = (&self.asked, self.wanted, numbers.len() as u64);
        let answer = |reader: &SliceReader<'_>, line: &Line| {
            let state = reader.state();
            let permit = authorise(state, asked, Operation::Lookup, line.offline)?;
            self.lookup.spend(&permit, &self.caller, people)?;
            let one = |(number, id): (&String, &Result<PersonalId, _>)| {
                let mut response =
                    BatchGetCitizensResponse { personal_id: number.clone(), ..Default::default() };
                let id = match id {
                    Ok(id) => *id,
                    Err(error) => {
                        let error: &PersonalIdError = error;
                        response.invalid = error.to_string();
                        return Ok((response, None));
                    }
                };
                let told = match get::get(reader, &permit, id, wanted)? {
                    Some(answer) => {
                        let told = (id, answer.authorised, SubjectOutcome::Answered);
                        response.authorised = answer.authorised();
                        response.former_number = answer.former_number;
                        response.citizen = Some(answer.citizen);
                        told
                    }
                    None if permit.absence_is_certain() => (id, FieldSet::EMPTY, SubjectOutcome::NotFound),
                    // An absent citizen would be taken for an unknown one.
                    None => return Err(permit.nobody()),
                };
                Ok((response, Some(told)))
            };
            let answers = numbers.iter().zip(&ids).map(one).collect::<Result<Vec<_>, Refusal>>()?;
            Ok((answers, state.cursor, freshness(state.cursor, line.last_heard, line.offline)))
        };
        let (answers, revision, freshness) = self.lookup.read(self.patience, answer).await?;
        entry.revision = revision.0;
        let recorded = |(response, told): (BatchGetCitizensResponse, Option<_>)| {
            told.into_iter().for_each(|(id, fields, outcome)| entry.tells(id, fields, outcome));
            response
        };
        let mut answers: Vec<_> = answers.into_iter().map(recorded).collect();
        if self.said != Some(revision)
            && let Some(first) = answers.first_mut()
        {
            self.said = Some(revision);
            first.freshness = Some(freshness);
        }
        Ok(answers)
    }
}

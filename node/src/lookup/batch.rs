//! Many citizens by number, in the order asked. The stream is pulled: a slow caller holds up only
//! itself, and each chunk is authorised anew, so that a narrowing takes effect within a batch too.

use std::{time::Duration, vec};

use dancu_proto::{
    FieldSet, Revision,
    node::v1::{BatchGetCitizensRequest, BatchGetCitizensResponse},
};
use futures::{Stream, TryStreamExt, stream};
use tonic::Status;

use super::{
    authorise::{Operation, authorise},
    context,
    freshness::freshness,
    get,
    refusal::{Fault, Refusal},
    service::Lookup,
};
use crate::{callers::Caller, slice::SliceReader, state::Line};

/// The most numbers in one batch.
const MAX_NUMBERS: usize = 10_000;

/// Numbers looked up at once: short enough that changes to the slice hardly wait.
const CHUNK: usize = 64;

/// A batch under way.
pub(super) struct Batch {
    lookup: Lookup,
    purpose: String,
    wanted: FieldSet,
    numbers: vec::IntoIter<String>,
    patience: Duration,
    said: Option<Revision>,
}

impl Batch {
    /// Checks a batch before anything is read.
    pub(super) fn new(
        lookup: Lookup,
        request: BatchGetCitizensRequest,
        caller: &Caller,
        patience: Duration,
    ) -> Result<Batch, Refusal> {
        let purpose = context::check(request.context.as_ref(), caller)?.to_owned();
        let wanted = context::wanted(&request.fields)?;
        let count = request.personal_ids.len();
        if !(1..=MAX_NUMBERS).contains(&count) {
            let fault = format!("has {count} numbers; give 1 to {MAX_NUMBERS}");
            return Err(Refusal::Invalid(vec![Fault::new("personal_ids", fault)]));
        }
        Ok(Batch { lookup, purpose, wanted, numbers: request.personal_ids.into_iter(), patience, said: None })
    }

    /// The answers.
    pub(super) fn answers(self) -> impl Stream<Item = Result<BatchGetCitizensResponse, Status>> {
        let chunks = stream::try_unfold(self, |mut batch| async move {
            let chunk = batch.next().await?;
            Ok::<_, Status>(if chunk.is_empty() { None } else { Some((chunk, batch)) })
        });
        chunks.map_ok(|chunk| stream::iter(chunk.into_iter().map(Ok))).try_flatten()
    }

    async fn next(&mut self) -> Result<Vec<BatchGetCitizensResponse>, Refusal> {
        let numbers: Vec<String> = self.numbers.by_ref().take(CHUNK).collect();
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let (purpose, wanted) = (self.purpose.as_str(), self.wanted);
        let answer = |reader: &SliceReader<'_>, line: &Line| {
            let state = reader.state();
            let permit = authorise(state, purpose, Operation::Lookup, line.offline)?;
            let one = |number: &String| -> Result<BatchGetCitizensResponse, Refusal> {
                let mut response =
                    BatchGetCitizensResponse { personal_id: number.clone(), ..Default::default() };
                let id = match number.trim().parse() {
                    Ok(id) => id,
                    Err(error) => {
                        let error: dancu_proto::personal_id::PersonalIdError = error;
                        response.invalid = error.to_string();
                        return Ok(response);
                    }
                };
                match get::get(reader, &permit, id, wanted)? {
                    Some(answer) => {
                        response.authorised = answer.authorised();
                        response.former_number = answer.former_number;
                        response.citizen = Some(answer.citizen);
                    }
                    None if permit.absence_is_certain() => {}
                    // An absent citizen would be taken for an unknown one.
                    None => return Err(permit.nobody()),
                }
                Ok(response)
            };
            let answers = numbers.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            Ok((answers, state.cursor, freshness(state.cursor, line.last_heard, line.offline)))
        };
        let (mut answers, revision, freshness) = self.lookup.read(self.patience, answer).await?;
        if self.said != Some(revision)
            && let Some(first) = answers.first_mut()
        {
            self.said = Some(revision);
            first.freshness = Some(freshness);
        }
        Ok(answers)
    }
}

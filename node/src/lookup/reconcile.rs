//! An agency's own records, compared with the slice: the cleaning that every agency's list needs. Nothing
//! is told that a verification would not tell, unless right values are asked for and may be given.

use std::{sync::Arc, time::Duration};

use dancu_proto::{
    CitizenBytes, Field, FieldSet, PersonalId, Reason,
    name::same_text,
    node::{
        served::{ReconcileCitizensRequest, ReconcileCitizensResponse, Reconciliation},
        v1::{ReconcileOutcome, Verdict},
    },
    personal_id::PersonalIdError,
    v1::{Citizen, SubjectOutcome},
};
use futures::{Stream, StreamExt, stream};
use tokio::{task::yield_now, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};

use super::{
    authorise::{Operation, Permit, authorise},
    context::Asked,
    find,
    freshness::freshness,
    refusal::{Fault, Refusal},
    service::Lookup,
    verify,
};
use crate::{
    access_log::Entry,
    callers::Caller,
    quota::Span,
    slice::{Held, SliceReader},
    state::Line,
};

/// The most records of one request.
const MAX_RECORDS: usize = 1_000;
/// Records that are compared at once: short enough that changes to the slice hardly wait.
const CHUNK: usize = 128;
/// Requests of one stream that are worked at together.
const TOGETHER: usize = 2;
/// Candidates that are counted.
const MAX_CANDIDATES: usize = 50;

/// A comparison under way.
pub(super) struct Reconcile {
    lookup: Lookup,
    caller: Arc<Caller>,
    asked: Asked,
    disclose: bool,
    patience: Duration,
    /// What each part is recorded as.
    entry: Entry,
}

/// What a comparison may use.
struct Permits {
    compare: Permit,
    /// Where right values are asked for.
    disclose: Option<Permit>,
}

/// Somebody who was looked for by number, and what the purpose may see of them.
struct Sought {
    id: PersonalId,
    seen: Option<(Held, FieldSet)>,
}

/// A record and what is recorded of it.
type Compared = (Reconciliation, Option<(PersonalId, FieldSet, SubjectOutcome)>);

impl Reconcile {
    /// Checks the first request before anything is read.
    pub(super) fn new(
        lookup: Lookup,
        first: &ReconcileCitizensRequest,
        caller: Arc<Caller>,
        patience: Duration,
        entry: Entry,
    ) -> Result<Reconcile, Refusal> {
        let asked = lookup.asked(first.context.as_ref(), &caller)?;
        Ok(Reconcile { lookup, caller, asked, disclose: first.disclose, patience, entry })
    }

    /// The answers: one for each request, in order. Some are worked at together, so that a list is not
    /// bound to one processor; no more, so that it does not take them all.
    pub(super) fn answers(
        self,
        first: ReconcileCitizensRequest,
        requests: Streaming<ReconcileCitizensRequest>,
    ) -> impl Stream<Item = Result<ReconcileCitizensResponse, Status>> {
        let reconcile = Arc::new(self);
        let requests = stream::once(async { Ok(first) }).chain(requests);
        let answers = requests.map(move |request| {
            let reconcile = Arc::clone(&reconcile);
            // Ends with the stream.
            let answer = async move { reconcile.answer(request?.records).await };
            AbortOnDropHandle::new(tokio::spawn(answer))
        });
        let ended = |_| Reason::Internal.status("the comparison broke off; the node's log says why");
        answers.buffered(TOGETHER).map(move |answer| answer.map_err(ended)?)
    }

    async fn answer(&self, records: Vec<CitizenBytes>) -> Result<ReconcileCitizensResponse, Status> {
        if records.len() > MAX_RECORDS {
            let fault = format!("has {} records; give at most {MAX_RECORDS}", records.len());
            let refused = Err(Refusal::Invalid(vec![Fault::new("records", fault)]).into());
            return self.lookup.conclude(self.entry.clone(), refused).await;
        }
        let mut response = ReconcileCitizensResponse::default();
        for chunk in records.chunks(CHUNK) {
            let mut entry = self.entry.clone();
            let compared = self.patiently(chunk, &mut entry, &mut response).await;
            self.lookup.conclude(entry, compared.map_err(Status::from)).await?;
            yield_now().await;
        }
        Ok(response)
    }

    /// Compares a part. A list is not broken off for going too fast: it is slowed down.
    async fn patiently(
        &self,
        records: &[CitizenBytes],
        entry: &mut Entry,
        response: &mut ReconcileCitizensResponse,
    ) -> Result<(), Refusal> {
        let until = Instant::now() + self.patience;
        loop {
            match self.part(records, entry, response).await {
                Err(Refusal::Quota(exceeded))
                    if exceeded.span == Span::Second && Instant::now() + exceeded.retry < until =>
                {
                    tokio::time::sleep(exceeded.retry).await;
                }
                compared => return compared,
            }
        }
    }

    async fn part(
        &self,
        records: &[CitizenBytes],
        entry: &mut Entry,
        response: &mut ReconcileCitizensResponse,
    ) -> Result<(), Refusal> {
        let compare = |reader: &SliceReader<'_>, line: &Line| {
            let state = reader.state();
            let permits = Permits {
                compare: authorise(state, &self.asked, Operation::Reconcile, line.offline)?,
                disclose: self
                    .disclose
                    .then(|| authorise(state, &self.asked, Operation::Lookup, line.offline))
                    .transpose()?,
            };
            self.lookup.spend(&permits.compare, &self.caller, records.len() as u64)?;
            let compared = records.iter().map(|record| permits.compare(reader, record));
            let compared = compared.collect::<Result<Vec<_>, _>>()?;
            Ok((compared, freshness(state.cursor, line.last_heard, line.offline)))
        };
        let (compared, freshness) = self.lookup.read(self.patience, compare).await?;
        entry.revision = freshness.revision;
        for (reconciliation, told) in compared {
            if let Some((id, fields, outcome)) = told {
                entry.tells(id, fields, outcome);
            }
            response.records.push(reconciliation);
        }
        response.freshness = Some(freshness);
        Ok(())
    }
}

impl Permits {
    fn compare(&self, reader: &SliceReader<'_>, sent: &CitizenBytes) -> Result<Compared, Refusal> {
        let number = sent.value(Field::PersonalId).and_then(|number| std::str::from_utf8(number).ok());
        let id = number.and_then(|number| number.parse().ok());
        let sought = id.map(|id| self.seek(reader, id)).transpose()?;
        if let Some(Sought { id, seen: Some((held, authorised)) }) = &sought
            && let Some(same) = same(sent, *id, held, *authorised)
        {
            return Ok(same);
        }
        match sent.decode_whole() {
            Ok(claim) => self.compare_whole(reader, &claim, sought),
            Err(_) => Ok((invalid("is no citizen: a field is of another type".into()), None)),
        }
    }

    /// Looks for somebody, once: how often somebody is looked for must not tell whether they are here.
    fn seek(&self, reader: &SliceReader<'_>, id: PersonalId) -> Result<Sought, Refusal> {
        Ok(Sought { id, seen: reader.see(id, |held| self.compare.fields_for(held))? })
    }

    fn compare_whole(
        &self,
        reader: &SliceReader<'_>,
        claim: &Citizen,
        sought: Option<Sought>,
    ) -> Result<Compared, Refusal> {
        if !claim.personal_id.is_empty() {
            let id: Result<PersonalId, PersonalIdError> = claim.personal_id.trim().parse();
            let id = match id {
                Ok(id) => id,
                Err(error) => return Ok((invalid(error.to_string()), None)),
            };
            let seen = match sought {
                Some(sought) if sought.id == id => sought.seen,
                _ => self.seek(reader, id)?.seen,
            };
            return match seen {
                Some((held, fields)) => self.verdicts(claim, &held, fields, Some(id)),
                None => self.nobody(Some(id)),
            };
        }
        let candidates = match self.candidates(reader, claim)? {
            Ok(candidates) => candidates,
            Err(why) => return Ok((invalid(why), None)),
        };
        match narrowed(candidates, claim)?.as_slice() {
            [] => self.nobody(None),
            [(held, fields)] => self.verdicts(claim, held, *fields, None),
            several => {
                let candidates = several.len().min(MAX_CANDIDATES) as u32;
                let outcome = ReconcileOutcome::Several.into();
                Ok((Reconciliation { outcome, candidates, ..Reconciliation::default() }, None))
            }
        }
    }

    /// Those whom a record without a number may be; or why nobody can be looked for.
    fn candidates(
        &self,
        reader: &SliceReader<'_>,
        claim: &Citizen,
    ) -> Result<Result<Vec<(Held, FieldSet)>, String>, Refusal> {
        use dancu_proto::node::v1::{NameAndBirth, find_citizen_request::Criterion};
        let (criterion, needed): (_, &[Field]) = if !claim.old_id_number.is_empty() {
            (Criterion::OldIdNumber(claim.old_id_number.clone()), &[Field::OldIdNumber])
        } else if let (Some(name), Some(birth)) = (&claim.full_name, claim.date_of_birth) {
            let known = NameAndBirth { full_name: name.full(), date_of_birth: Some(birth) };
            (Criterion::NameAndBirth(known), &[Field::FullName, Field::DateOfBirth])
        } else {
            return Ok(Err("give personal_id, or old_id_number, or full_name and date_of_birth".into()));
        };
        if let Err(Refusal::Invalid(faults)) = find::check(Some(&criterion)) {
            let faults = faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.description));
            return Ok(Err(faults.collect::<Vec<_>>().join("; ")));
        }
        for field in needed {
            if let Err(refusal) = self.compare.need(*field) {
                return Ok(Err(refusal.to_string()));
            }
        }
        let mut limit = MAX_CANDIDATES * 4;
        loop {
            let found = match &criterion {
                Criterion::OldIdNumber(number) => reader.find_by_old_number(number.trim())?,
                Criterion::NameAndBirth(known) => {
                    let birth = known.date_of_birth.unwrap_or_default();
                    reader.find_by_name(&known.full_name, &birth, limit)?
                }
            };
            let all = found.len() < limit;
            let open = |held: Held| {
                let fields = self.compare.fields_for(&held)?;
                needed.iter().all(|field| fields.contains(*field)).then_some((held, fields))
            };
            let open: Vec<_> = found.into_iter().filter_map(open).collect();
            // Namesakes whom the purpose may not see must neither hide others nor be counted.
            if all || open.len() >= MAX_CANDIDATES {
                return Ok(Ok(open));
            }
            limit *= 4;
        }
    }

    fn nobody(&self, id: Option<PersonalId>) -> Result<Compared, Refusal> {
        if !self.compare.absence_is_certain() {
            return Err(self.compare.nobody());
        }
        let told = id.map(|id| (id, FieldSet::EMPTY, SubjectOutcome::NotFound));
        let outcome = ReconcileOutcome::NotFound.into();
        Ok((Reconciliation { outcome, ..Reconciliation::default() }, told))
    }

    fn verdicts(
        &self,
        claim: &Citizen,
        held: &Held,
        authorised: FieldSet,
        asked: Option<PersonalId>,
    ) -> Result<Compared, Refusal> {
        let claimed = verify::claimed(claim)?;
        let mut compared = claimed.intersection(authorised);
        // Who was found by a former number has another in force: that is told apart.
        if held.former_number {
            compared.remove(Field::PersonalId);
        }
        let mut needed = compared;
        needed.insert(Field::PersonalId);
        let registered = held.record.project(needed).record().decode()?;
        let mut verdicts = verify::verdicts(claim, claimed, &registered, &held.record, authorised);
        verdicts.retain(|verdict| {
            (verdict.verdict() != Verdict::Match || verdict.in_question)
                && !(held.former_number && verdict.field() == dancu_proto::v1::Field::PersonalId)
        });
        let alike = [Verdict::Match, Verdict::NotAuthorised, Verdict::NoValue];
        let differs = |verdict: Verdict| !alike.contains(&verdict);
        let differing: FieldSet = verdicts
            .iter()
            .filter(|verdict| differs(verdict.verdict()))
            .filter_map(|verdict| Field::try_from(verdict.field).ok())
            .collect();
        let outcome = if died(held, authorised) {
            ReconcileOutcome::Deceased
        } else if differing.is_empty() && !held.former_number {
            ReconcileOutcome::Confirmed
        } else {
            ReconcileOutcome::Differs
        };
        let id = match asked {
            Some(id) => id,
            None => registered.personal_id.parse()?,
        };
        let right = self.disclose.as_ref().and_then(|permit| permit.fields_for(held));
        let registered = match right {
            Some(fields) if !differing.is_empty() || held.former_number => {
                let mut fields = fields.intersection(differing);
                fields.insert(Field::PersonalId);
                Some(held.record.project(fields).into())
            }
            _ => None,
        };
        let reconciliation = Reconciliation {
            outcome: outcome.into(),
            verdicts,
            registered,
            former_number: held.former_number,
            death_in_question: authorised.contains(Field::DateOfDeath)
                && held.record.in_question().contains(Field::DateOfDeath),
            ..Reconciliation::default()
        };
        Ok((reconciliation, Some((id, compared, SubjectOutcome::Answered))))
    }
}

/// What there is to say of a record whose fields are the registered ones to the last byte and beyond
/// question, as most are; nothing of any other.
fn same(sent: &CitizenBytes, id: PersonalId, held: &Held, authorised: FieldSet) -> Option<Compared> {
    let mut compared = FieldSet::EMPTY;
    for claim in sent.claims() {
        let (field, value) = claim?;
        if !authorised.contains(field) || held.record.value(field) != Some(value) {
            return None;
        }
        compared.insert(field);
    }
    // Of what is not given nothing shows, not by the time that it takes either.
    if !held.record.in_question().intersection(authorised).is_empty() {
        return None;
    }
    let outcome =
        if died(held, authorised) { ReconcileOutcome::Deceased } else { ReconcileOutcome::Confirmed };
    let reconciliation = Reconciliation { outcome: outcome.into(), ..Reconciliation::default() };
    Some((reconciliation, Some((id, compared, SubjectOutcome::Answered))))
}

/// Whether a citizen has died, as far as that may be known.
fn died(held: &Held, authorised: FieldSet) -> bool {
    authorised.contains(Field::DateOfDeath) && held.record.value(Field::DateOfDeath).is_some()
}

/// Of several candidates the one that agrees to the letter in name and date, if one alone does.
fn narrowed(
    mut candidates: Vec<(Held, FieldSet)>,
    claim: &Citizen,
) -> Result<Vec<(Held, FieldSet)>, Refusal> {
    let (Some(name), Some(birth), 2..) = (&claim.full_name, &claim.date_of_birth, candidates.len()) else {
        return Ok(candidates);
    };
    let name = name.full();
    let mut exact = Vec::new();
    for (place, (held, fields)) in candidates.iter().enumerate() {
        let known = [Field::FullName, Field::DateOfBirth].into_iter().collect::<FieldSet>();
        let registered = held.record.project(known.intersection(*fields)).record().decode()?;
        let same_name = registered.full_name.is_some_and(|full| same_text(&full.full(), &name));
        if same_name && registered.date_of_birth.as_ref() == Some(birth) {
            exact.push(place);
        }
    }
    Ok(match exact.as_slice() {
        [one] => vec![candidates.swap_remove(*one)],
        _ => candidates,
    })
}

fn invalid(why: String) -> Reconciliation {
    let outcome = ReconcileOutcome::Invalid.into();
    Reconciliation { outcome, invalid: why, ..Reconciliation::default() }
}

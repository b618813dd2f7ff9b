//! One contribution's turn: it is judged on the registry as everything before leaves it, and what comes of it
//! is one write with the change itself: the row, the outbox, the mail, the review.

use std::sync::{Arc, Mutex, PoisonError};

use dancu_proto::{
    Areas, FieldSet, Record, Revision, contribution,
    v1::{Contribution, ContributionState, RejectionReason},
};
use uuid::Uuid;

use super::{
    Shared, cases,
    evidence::Evidence,
    handed_in::{self, HandedIn},
    outbox, waiting,
};
use crate::{
    calendar::milliseconds,
    intake::event::{self, Authority, Bench, Counts, Judgement, Review, Verdict},
    mail,
    procedures::{Office, Refusal},
    registry::{
        CitizenKey, CitizenUpdate, CommitError, Decision, Origin, Person, Rows, Standing, StoreError,
    },
    review,
};

/// A contribution that is ready for its turn.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its id.
    pub id: Uuid,
    /// The node that queued it.
    pub node: String,
    /// The agency of that node.
    pub agency: String,
    /// The outbox.
    pub outbox: Vec<u8>,
    /// Its place there.
    pub sequence: u64,
    /// What the node signed.
    pub evidence: Evidence,
    /// What it says, checked; or why it is rejected whatever the registry says.
    pub contribution: Result<Shared, Fault>,
    /// The roles of the agency under the purpose, in order.
    pub roles: Arc<[String]>,
    /// The administrative orders as of then.
    pub areas: Arc<Areas>,
}

/// Why a contribution is rejected before it is judged.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Why.
    pub reason: RejectionReason,
    /// The same for people.
    pub message: String,
    /// Fields at fault.
    pub fields: Vec<String>,
    /// What it says, where that can be read.
    pub said: Option<Shared>,
}

/// What whoever asked for a commit is told beside its revision.
#[derive(Debug, Default)]
pub struct Told(Mutex<News>);

/// What came of a commit.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// Nodes that have mail.
    pub mail_for: Vec<String>,
    /// It had come before.
    pub known: bool,
    /// Others wait for what became of it.
    pub awaited: bool,
    /// The row as written.
    pub row: Option<HandedIn>,
}

impl Told {
    /// What came of it; told once.
    #[must_use]
    pub fn news(&self) -> News {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn tell(&self, news: News) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = news;
    }
}

/// Takes a contribution over.
///
/// # Errors
/// If the disk refuses: nothing is taken over then.
pub fn settle(
    standing: &Standing<'_>,
    authority: &Authority,
    office: &Office,
    prepared: &Prepared,
    told: &Told,
) -> Result<Decision, CommitError> {
    let mut rows = Rows::new(standing);
    let mut row = HandedIn {
        id: prepared.id.as_bytes().to_vec(),
        node: prepared.node.clone(),
        agency: prepared.agency.clone(),
        outbox: prepared.outbox.clone(),
        sequence: prepared.sequence,
        hash: prepared.evidence.hash().to_vec(),
        taken_ms: milliseconds(standing.now()),
        roles: prepared.roles.to_vec(),
        ..HandedIn::default()
    };
    // What never came to a place beyond the last one is not looked for.
    let outbox = outbox::of(&rows, &row.node, &row.outbox)?;
    let there = match outbox.is_beyond(row.sequence) {
        true => None,
        false => handed_in::by_name_in(&rows, &row.name())?,
    };
    if let Some(there) = there {
        // Nothing is lost for an outbox that was put back and gave a place again.
        row.place_again = there.id != row.id;
        if !row.place_again || handed_in::by_name_in(&rows, &row.name())?.is_some() {
            // What waits for it may not have been looked at: a disk was full then.
            let awaited = !there.is_in_review() && waiting::any(&rows, there.uuid())?;
            told.tell(News { known: true, awaited, ..News::default() });
            return Ok(Decision::default());
        }
    }
    outbox.came(&mut rows, row.sequence);
    prepared.evidence.keep(&mut rows, &mut row)?;
    let said = match &prepared.contribution {
        Ok(contribution) => Some(contribution),
        Err(fault) => fault.said.as_ref(),
    };
    row.contribution = said.cloned();
    let event = said.and_then(|said| said.event.as_ref());
    row.event = event.map(contribution::event_name).unwrap_or_default().to_owned();
    if let Some(mut first) = handed_in::by_id_in(&rows, prepared.id)? {
        let same = first.contribution.is_some() && first.contribution == row.contribution;
        if same {
            // By another way: it counts once, and both are told the same.
            row = first.as_came_at(row);
            first.also.push(row.name());
            handed_in::put(&mut rows, &first);
        } else {
            row.state = ContributionState::Rejected.into();
            row.reason = RejectionReason::IdReused.into();
            row.message = "another contribution has this id; give each its own".into();
            row.fields = vec!["id".into()];
        }
        tell(&mut rows, &mut row)?;
        let mail_for = vec![row.node.clone()];
        told.tell(News { mail_for, known: same, awaited: false, row: Some(row) });
        return Ok(Decision { rows: rows.into_writes(), ..Decision::default() });
    }
    handed_in::own(&mut rows, &row);
    let judged = match &prepared.contribution {
        Ok(said) => judge(standing, authority, &row, said, &prepared.areas, false),
        Err(fault) => {
            let Fault { reason, message, fields, .. } = fault.clone();
            Err(Judgement::Rejected { reason, message, fields })
        }
    };
    conclude(rows, row, judged, office, None, told)
}

/// Judges a contribution that was taken over.
///
/// # Errors
/// It is rejected, waits for a birth, or the disk refuses.
pub fn judge(
    standing: &Standing<'_>,
    authority: &Authority,
    row: &HandedIn,
    said: &Contribution,
    areas: &Areas,
    decided: bool,
) -> Result<Verdict, Judgement> {
    if said.event.is_none() && said.task.is_some() {
        // Nothing is registered; whether the task is theirs, the case says.
        return Ok(Verdict::Counts(Counts::default()));
    }
    event::judge(standing, Bench { authority, roles: &row.roles, areas, decided }, said)
}

/// Writes what comes of a contribution. `closes` is a decision in review that this carries out.
///
/// # Errors
/// If the disk refuses.
pub fn conclude(
    mut rows: Rows<'_>,
    mut row: HandedIn,
    judged: Result<Verdict, Judgement>,
    office: &Office,
    closes: Option<review::Closing>,
    told: &Told,
) -> Result<Decision, CommitError> {
    let standing = rows.standing();
    let mut decision = Decision::default();
    let waited = row.reason() == RejectionReason::Waits && row.state() == ContributionState::InReview;
    (row.reason, row.message, row.fields) = (0, String::new(), Vec::new());
    let mut mail_for = Vec::new();
    let judged = match judged {
        Ok(verdict) => match cases::moved(&mut rows, &row, &verdict, office) {
            Ok(nodes) => {
                mail_for = nodes;
                Ok(verdict)
            }
            Err(Refusal::Commit(error)) => Err(Judgement::Failed(error)),
            // Somebody decided that the event counts, whatever has become of its case meanwhile.
            Err(refusal) if closes.is_some() => {
                row.message = format!("it counts, but its case does not move: {refusal}");
                row.fields = vec![refusal.field().to_owned()];
                Ok(verdict)
            }
            Err(refusal) => Err(Judgement::Rejected {
                reason: refusal.reason().unwrap_or(RejectionReason::Invalid),
                message: refusal.to_string(),
                fields: vec![refusal.field().to_owned()],
            }),
        },
        judged => judged,
    };
    if waited {
        // It may wait for another birth now.
        waiting::remove(&mut rows, &row.name())?;
    }
    match judged {
        Ok(Verdict::Counts(counts)) => {
            mail_for.extend(accept(&mut rows, &mut row, &counts, office)?);
            decision.updates = counts.updates;
            decision.takes_back = counts.takes_back;
            decision.counts = true;
        }
        Ok(Verdict::Review(in_review)) => {
            row.role.clone_from(&in_review.role);
            decision.updates = put_in_question(standing, &in_review)?;
            review_row(&mut rows, &mut row, in_review)?;
        }
        Err(Judgement::Waits { birth, field }) => {
            waiting::put(&mut rows, birth, &row.name())?;
            row.fields = vec![field];
            let message = "waits for the birth that it names somebody by";
            let waits = Review {
                role: String::new(),
                reason: RejectionReason::Waits,
                message: message.into(),
                in_question: Vec::new(),
            };
            review_row(&mut rows, &mut row, waits)?;
        }
        Err(Judgement::Rejected { reason, message, fields }) => {
            row.state = ContributionState::Rejected.into();
            (row.reason, row.message, row.fields) = (reason.into(), message, fields);
        }
        Err(Judgement::Failed(error)) => return Err(error),
    }
    if waited && closes.is_none() && row.state() != ContributionState::InReview {
        review::close_by_itself(&mut rows, row.review)?;
    }
    let decided = closes.is_some();
    if let Some(closing) = closes {
        review::close(&mut rows, &closing, &mut decision.updates)?;
    }
    let awaited = !row.is_in_review() && waiting::any(&rows, row.uuid())?;
    mail_for.extend(publish(&mut rows, &mut row)?);
    decision.origin = Some(origin(&row, decided));
    decision.rows = rows.into_writes();
    told.tell(News { mail_for, known: false, awaited, row: Some(row) });
    Ok(decision)
}

/// Writes a row, and those of the same contribution that came by other ways, and tells their nodes.
fn publish(rows: &mut Rows<'_>, row: &mut HandedIn) -> Result<Vec<String>, StoreError> {
    let mut nodes = vec![row.node.clone()];
    tell(rows, row)?;
    for name in &row.also {
        let Some(other) = handed_in::by_name_in(rows, name)? else { continue };
        let mut copy = row.as_came_at(other);
        tell(rows, &mut copy)?;
        nodes.push(copy.node);
    }
    Ok(nodes)
}

/// Writes a row, and puts what became of it into its node's mail.
fn tell(rows: &mut Rows<'_>, row: &mut HandedIn) -> Result<(), StoreError> {
    row.mail = mail::put_outcome(rows, &row.node, row.name(), row.mail)?;
    handed_in::put(rows, row);
    Ok(())
}

/// Notes that a contribution counts, and what it takes back; whom there is mail for.
fn accept(
    rows: &mut Rows<'_>,
    row: &mut HandedIn,
    counts: &Counts,
    office: &Office,
) -> Result<Vec<String>, CommitError> {
    let at = rows.standing().at();
    row.state = ContributionState::Accepted.into();
    row.revision = at.0;
    row.role.clone_from(&counts.role);
    row.not_in_force = counts.not_in_force.bits();
    row.personal_id = counts.number.map_or(0, |number| number.as_u64());
    let Some(revision) = counts.takes_back else { return Ok(Vec::new()) };
    let mail_for = take_back(rows, row, revision, counts, office)?;
    for dependent in &counts.dependents {
        if let Some(mut other) = handed_in::by_id_in(rows, *dependent)? {
            other.review = review::open_dependent(rows, &other)?;
            handed_in::put(rows, &other);
        }
    }
    Ok(mail_for)
}

/// Notes with a contribution that it was taken back, and carries its cases on without it; whom there is mail
/// for.
fn take_back(
    rows: &mut Rows<'_>,
    row: &HandedIn,
    revision: Revision,
    counts: &Counts,
    office: &Office,
) -> Result<Vec<String>, CommitError> {
    let entry = rows.standing().journal(revision)?;
    let Some(id) = entry.origin().contribution else { return Ok(Vec::new()) };
    let Some(mut corrected) = handed_in::by_id_in(rows, id)? else { return Ok(Vec::new()) };
    corrected.taken_back = row.revision;
    handed_in::put(rows, &corrected);
    cases::without(rows, row, counts, &corrected, office)
}

fn review_row(rows: &mut Rows<'_>, row: &mut HandedIn, in_review: Review) -> Result<(), StoreError> {
    row.state = ContributionState::InReview.into();
    row.reason = in_review.reason.into();
    row.message.clone_from(&in_review.message);
    row.review = review::open(rows, row, &in_review)?;
    Ok(())
}

/// Marks the fields that somebody is to decide on.
fn put_in_question(standing: &Standing<'_>, of: &Review) -> Result<Vec<CitizenUpdate>, StoreError> {
    let mut updates = Vec::new();
    for (key, fields) in &of.in_question {
        let Some(citizen) = standing.citizen(*key)? else { continue };
        let marked = citizen.record.in_question().union(*fields);
        mark(&mut updates, standing, *key, marked)?;
    }
    Ok(updates)
}

/// Has a record say which of its fields are in question, beside what else changes in it.
///
/// # Errors
/// If the disk refuses.
pub fn mark(
    updates: &mut Vec<CitizenUpdate>,
    standing: &Standing<'_>,
    key: CitizenKey,
    fields: FieldSet,
) -> Result<(), StoreError> {
    let Some(citizen) = standing.citizen(key)? else { return Ok(()) };
    let Some(number) = citizen.record.personal_id() else { return Ok(()) };
    if citizen.record.in_question() == fields {
        return Ok(());
    }
    let known = updates.iter_mut().find(|update| update.person == Person::Known(number));
    let tell = |set: &mut Record| {
        let mut delta =
            dancu_proto::Delta { set: std::mem::take(set).into_bytes(), cleared: FieldSet::EMPTY };
        delta.tell_in_question(fields);
        *set = Record::trusted(delta.set);
    };
    match known {
        Some(update) if update.leaves.is_some() => {}
        Some(update) => tell(&mut update.set),
        None => {
            let mut set = Record::default();
            tell(&mut set);
            updates.push(CitizenUpdate::plain(Person::Known(number), set, FieldSet::EMPTY));
        }
    }
    Ok(())
}

/// On whose word the registry changes. Only what a person accepted is decided: to wait is no decision.
fn origin(row: &HandedIn, decided: bool) -> Origin {
    let said = row.contribution.as_ref();
    let document = said.and_then(|said| said.document.as_ref());
    let counts = row.is_accepted();
    Origin {
        source: row.agency.clone(),
        contribution: Some(row.uuid()).filter(|_| counts),
        reason: row.event.clone(),
        document_number: document.map(|document| document.number.clone()).unwrap_or_default(),
        effective_date: said.and_then(|said| said.effective_date),
        // Marks of a review claim nothing.
        role: if counts { row.role.clone() } else { String::new() },
        event: row.event.clone(),
        decided: counts && (decided || row.event == "correction"),
    }
}

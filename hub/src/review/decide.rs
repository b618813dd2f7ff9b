//! A decision: the contribution is judged once more, and now counts or does not.

use std::sync::Arc;

use dancu_proto::{
    Areas,
    v1::{Contribution, Correction, Document, Event, RejectionReason, event::Event as Kind},
};

use super::{Closing, Decided, NUMBERED, OPEN, REVIEWS, Review, decode};
use crate::{
    calendar::milliseconds,
    intake::{
        event::{self, Authority, Bench, Judgement, OPERATOR, Verdict},
        handover::{News, Told, conclude, handed_in, judge},
    },
    procedures::{Correcting, Office},
    registry::{CommitError, Decision, Origin, Rows, Standing, StoreError},
};

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct Deciding {
    /// The review.
    pub number: u64,
    /// The contribution counts, or goes on counting.
    pub accept: bool,
    /// Why.
    pub reason: String,
    /// Number of the document that orders it.
    pub document: String,
    /// Who decides.
    pub operator: String,
    /// The administrative orders.
    pub areas: Arc<Areas>,
    /// The day, Asia/Ho_Chi_Minh.
    pub today: dancu_proto::v1::Date,
}

fn refused(message: impl Into<String>) -> CommitError {
    CommitError::Refused(message.into())
}

impl Deciding {
    /// Carries the decision out, when it is its turn. The commit is alone.
    ///
    /// # Errors
    /// There is no such review, it is decided, the contribution cannot count, or the disk refuses.
    pub fn settle(
        &self,
        standing: &Standing<'_>,
        authority: &Authority,
        office: &Office,
        told: &Told,
    ) -> Result<Decision, CommitError> {
        let mut rows = Rows::new(standing);
        let name = [&[NUMBERED][..], &self.number.to_be_bytes()].concat();
        let review: Option<Review> = rows.message(REVIEWS, &name)?;
        let mut review = review.ok_or_else(|| refused("there is no such review"))?;
        if review.decision.is_some() {
            return Err(refused("this review is decided"));
        }
        review.decision = Some(Decided {
            accepted: self.accept,
            reason: self.reason.clone(),
            operator: self.operator.clone(),
            time_ms: milliseconds(standing.now()),
            document: self.document.clone(),
            after: standing.at().0 - 1,
        });
        let row = handed_in::by_name_in(&rows, &review.contribution)?;
        let row = row.ok_or(StoreError::Corrupt("a contribution"))?;
        let mut others = Vec::new();
        for open in standing.rows(REVIEWS, &[OPEN]) {
            let (name, _) = open?;
            let name = [&[NUMBERED][..], &name[1..]].concat();
            let other = standing.row(REVIEWS, &name)?.ok_or(StoreError::Corrupt("a review"))?;
            let other = decode(&other)?;
            if other.number != self.number {
                others.push(other);
            }
        }
        let dependent = review.dependent;
        let closing = Closing { review, others };
        if dependent {
            return self.stands_or_falls(rows, authority, office, &row, &closing, told);
        }
        let judged = if self.accept {
            let said = row.contribution.clone().ok_or(StoreError::Corrupt("a contribution"))?;
            match judge(standing, authority, &row, &said, &self.areas, true) {
                Err(Judgement::Rejected { message, .. }) => {
                    return Err(refused(format!("it cannot count: {message}; reject it")));
                }
                Err(Judgement::Waits { .. }) => {
                    return Err(refused("it waits for a birth; decide on that, or reject it"));
                }
                judged => judged,
            }
        } else {
            let message = format!("rejected in review: {}", self.reason);
            Err(Judgement::Rejected { reason: RejectionReason::Decided, message, fields: Vec::new() })
        };
        rows = Rows::new(standing);
        conclude(rows, row, judged, office, Some(closing), told)
    }

    /// An accepted contribution goes on counting, or is taken back in its turn.
    fn stands_or_falls(
        &self,
        mut rows: Rows<'_>,
        authority: &Authority,
        office: &Office,
        row: &handed_in::HandedIn,
        closing: &Closing,
        told: &Told,
    ) -> Result<Decision, CommitError> {
        let standing = rows.standing();
        let (mut decision, mut mail_for) = (Decision::default(), Vec::new());
        if !self.accept {
            let correction = Correction { contribution_id: row.uuid().to_string(), instead: None };
            let said = Contribution {
                effective_date: Some(self.today),
                document: Some(Document { number: self.document.clone(), ..Document::default() }),
                event: Some(Event { event: Some(Kind::Correction(Box::new(correction))) }),
                ..Contribution::default()
            };
            let roles = [OPERATOR.to_owned()];
            let bench = Bench { authority, roles: &roles, areas: &self.areas, decided: true };
            match event::judge(standing, bench, &said) {
                Ok(Verdict::Counts(counts)) => {
                    let without = Correcting { updates: &counts.updates, ..Correcting::default() };
                    mail_for = office.take_back(&mut rows, row, without)?;
                    decision.updates = counts.updates;
                    decision.takes_back = counts.takes_back;
                    decision.counts = true;
                    let fallen = handed_in::HandedIn { taken_back: standing.at().0, ..row.clone() };
                    handed_in::put(&mut rows, &fallen);
                    for dependent in counts.dependents {
                        if let Some(mut other) = handed_in::by_id_in(&rows, dependent)? {
                            other.review = super::open_dependent(&mut rows, &other)?;
                            handed_in::put(&mut rows, &other);
                        }
                    }
                }
                Ok(Verdict::Review(_)) => return Err(refused("it cannot be taken back")),
                Err(Judgement::Failed(error)) => return Err(error),
                Err(Judgement::Rejected { message, .. }) => return Err(refused(message)),
                Err(Judgement::Waits { .. }) => return Err(refused("it waits for a birth")),
            }
        }
        super::close(&mut rows, closing, &mut decision.updates)?;
        decision.origin = Some(Origin {
            source: format!("operator {}", self.operator),
            reason: self.reason.clone(),
            document_number: self.document.clone(),
            effective_date: Some(self.today),
            event: "correction".into(),
            ..Origin::default()
        });
        decision.rows = rows.into_writes();
        told.tell(News { mail_for, row: Some(row.clone()), ..News::default() });
        Ok(decision)
    }
}

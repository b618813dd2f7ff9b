//! What an event that is handed in does to the registry: the rule of docs/contributions.md.
//!
//! [`judge`] is asked when it is the event's turn, and looks at the registry as everything before leaves it:
//! who is concerned ([`people`]), what is claimed of them ([`effects`]), whether that can be ([`plausible`]),
//! and what of it comes into force ([`weigh`], [`take_back`]). [`said()`] tells people what it would say.

mod authority;
mod effects;
mod number;
mod people;
mod plausible;
mod said;
mod take_back;
mod weigh;

use dancu_proto::{
    Areas, Field, FieldSet, PersonalId, Record, Revision, contribution,
    v1::{Contribution, Date, Event, RejectionReason, event::Event as Kind},
};
use uuid::Uuid;

pub use self::{
    authority::{Authority, AuthorityError, OPERATOR},
    said::{Said, said},
};
use self::{
    effects::{Deed, Effects},
    people::People,
    plausible::Doubt,
    take_back::TakenBack,
    weigh::{Weighed, Word},
};
use crate::registry::{
    self, CitizenKey, CitizenUpdate, CommitError, JournalEntry, Standing, StoreError, StoredCitizen, View,
};

/// Why an event does not simply count.
#[derive(Debug)]
pub enum Judgement {
    /// It is rejected.
    Rejected {
        /// Why.
        reason: RejectionReason,
        /// The same for people; no personal data.
        message: String,
        /// Fields at fault, dotted below the contribution.
        fields: Vec<String>,
    },
    /// It names somebody by a birth of which it is not certain yet what becomes of it.
    Waits {
        /// The birth.
        birth: Uuid,
        /// Where it is named.
        field: String,
    },
    /// It cannot be judged now.
    Failed(CommitError),
}

impl Judgement {
    fn rejected(reason: RejectionReason, message: impl Into<String>, field: &str) -> Judgement {
        Judgement::Rejected { reason, message: message.into(), fields: vec![field.to_owned()] }
    }

    fn waits(birth: Uuid, field: &str) -> Judgement {
        Judgement::Waits { birth, field: field.to_owned() }
    }

    fn fault(what: &str) -> Judgement {
        Judgement::Failed(CommitError::Store(StoreError::Database(what.to_owned())))
    }

    fn name_fields(&mut self, names: Vec<&'static str>) {
        if let Judgement::Rejected { fields, .. } = self {
            *fields = names.into_iter().map(str::to_owned).collect();
        }
    }
}

/// What an event comes to.
#[derive(Debug)]
pub enum Verdict {
    /// It counts.
    Counts(Counts),
    /// Somebody decides.
    Review(Review),
}

/// An event that counts.
#[derive(Debug, Default)]
pub struct Counts {
    /// In which role it was handed in.
    pub role: String,
    /// What changes.
    pub updates: Vec<CitizenUpdate>,
    /// The revision whose claims it takes back.
    pub takes_back: Option<Revision>,
    /// Fields of which the event's value is not in force.
    pub not_in_force: FieldSet,
    /// The number that somebody got.
    pub number: Option<PersonalId>,
    /// Accepted contributions that rested on what is taken back.
    pub dependents: Vec<Uuid>,
    /// Whom it concerns, by role where the event gives one.
    pub persons: Vec<(&'static str, PersonalId)>,
}

/// An event that somebody decides on.
#[derive(Debug)]
pub struct Review {
    /// In which role it was handed in.
    pub role: String,
    /// Why.
    pub reason: RejectionReason,
    /// The same for people.
    pub message: String,
    /// What is in question meanwhile.
    pub in_question: Vec<(CitizenKey, FieldSet)>,
}

/// By what an event is judged.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    /// Who may supply what.
    pub authority: &'a Authority,
    /// The roles of the agency under the purpose, in order.
    pub roles: &'a [String],
    /// The administrative orders.
    pub areas: &'a Areas,
    /// Somebody decided that it counts: doubts are not asked again.
    pub decided: bool,
}

/// A citizen's record as it held on a day, by what was known at a revision, and by whose word counts.
///
/// # Errors
/// If the disk refuses.
pub fn known_on(
    view: &View<'_>,
    (key, citizen): (CitizenKey, &StoredCitizen),
    at: Revision,
    day: &Date,
    authority: &Authority,
) -> Result<Option<Record>, StoreError> {
    let weigh = |entry: &JournalEntry, at, field| weigh::weight_of(authority, entry, at, field);
    registry::known_on(view, key, citizen, at, day, &weigh)
}

/// Judges an event.
///
/// # Errors
/// It is rejected, waits for a birth, or the disk refuses.
pub fn judge(
    standing: &Standing<'_>,
    bench: Bench<'_>,
    contribution: &Contribution,
) -> Result<Verdict, Judgement> {
    let nothing = || Judgement::rejected(RejectionReason::Invalid, "nothing happened", "event");
    let event = contribution.event.as_ref().ok_or_else(nothing)?;
    let day = contribution.effective_date.unwrap_or_default();
    let mut people = People::new(standing);
    let mut taken_back = None;
    let mut what = event;
    if let Some(Kind::Correction(correction)) = &event.event {
        let birth = matches!(correction.instead.as_deref(), Some(Event { event: Some(Kind::Birth(_)) }));
        let id = &correction.contribution_id;
        let back = take_back::take_back(&mut people, bench.authority, id, birth)?;
        taken_back = Some(back);
        match &correction.instead {
            Some(instead) => what = instead,
            None => what = &Event { event: None },
        }
    }
    let effects = match what.event {
        Some(_) => effects::of(&mut people, what, &day)?,
        None => Effects::default(),
    };
    let number = match effects.deed {
        Deed::Numbers(key) => Some(people.get(key)?.number),
        _ => None,
    };
    let deed = effects.deed;
    let effects = effects.by_person();
    let role = role_for(bench, event, what, taken_back.as_ref(), &effects)?;
    let doubts = match what.event {
        Some(_) => plausible::doubts(&mut people, what, &effects, &day, &role, bench.areas)?,
        None => Vec::new(),
    };
    let persons = by_role(&mut people, what, number)?;
    // Fields that are in question if somebody is to decide.
    let would_change: Vec<_> = effects.iter().map(|effect| (effect.key, effect.claims.fields())).collect();
    let decided = bench.decided || taken_back.is_some();
    let word = Word { authority: bench.authority, role: &role, day: day.as_number(), decided };
    let Weighed { not_in_force, conflicts } = weigh::bring(&mut people, word, effects, deed)?;
    if !bench.decided
        && let Some(review) = review(&people, doubts, conflicts, would_change, &role)
    {
        return Ok(Verdict::Review(review));
    }
    let (takes_back, dependents) = match taken_back {
        Some(back) => (Some(back.revision), back.dependents),
        None => (None, Vec::new()),
    };
    let updates =
        people.into_subjects().filter(|subject| subject.is_touched()).map(|subject| subject.update());
    // Those who leave come first: their numbers are free for others then.
    let (mut leaving, others): (Vec<_>, Vec<_>) = updates.partition(|update| update.leaves.is_some());
    leaving.extend(others);
    let updates = leaving;
    Ok(Verdict::Counts(Counts { role, updates, takes_back, not_in_force, number, dependents, persons }))
}

fn review(
    people: &People<'_>,
    doubts: Vec<Doubt>,
    conflicts: Vec<(CitizenKey, FieldSet)>,
    would_change: Vec<(CitizenKey, FieldSet)>,
    role: &str,
) -> Option<Review> {
    let (reason, message, more) = match doubts.into_iter().next() {
        Some(doubt) => (doubt.reason, doubt.message, doubt.fields),
        None if conflicts.is_empty() => return None,
        None => {
            let message =
                "the registry has another value from the same day, of a source with the same authority";
            return Some(Review {
                role: role.to_owned(),
                reason: RejectionReason::Conflict,
                message: message.into(),
                in_question: conflicts,
            });
        }
    };
    let mut in_question = more;
    for (key, fields) in would_change {
        // Of those who are registered; nobody sees the others.
        if people.get(key).is_ok_and(|subject| subject.before.is_some()) {
            match in_question.iter_mut().find(|(of, _)| *of == key) {
                Some((_, known)) => *known = known.union(fields),
                None => in_question.push((key, fields)),
            }
        }
    }
    Some(Review { role: role.to_owned(), reason, message: message.into(), in_question })
}

/// The role of the agency that may hand in the event, and claim all of its fields best.
fn role_for(
    bench: Bench<'_>,
    event: &Event,
    what: &Event,
    corrected: Option<&TakenBack>,
    effects: &[effects::Effect],
) -> Result<String, Judgement> {
    let name = |event: &Event| contribution::event_name(event);
    let names = [name(event), name(what), corrected.map_or("", |back| &back.event)];
    let may = |role: &&String| {
        names.iter().filter(|name| !name.is_empty()).all(|name| bench.authority.may(role, name))
            && corrected.is_none_or(|back| outranks(bench.authority, role, back))
    };
    let fields: FieldSet = effects
        .iter()
        .filter(|effect| !effect.follows)
        .fold(FieldSet::EMPTY, |fields, effect| fields.union(effect.claims.fields()));
    let rank = |role: &&String| -> (usize, usize) {
        let ranks = fields.iter().map(|field: Field| bench.authority.rank(role, field));
        let ranks: Vec<_> = ranks.collect();
        (ranks.iter().filter(|rank| rank.is_none()).count(), ranks.iter().flatten().sum())
    };
    let role = bench.roles.iter().filter(may).min_by_key(rank);
    role.cloned().ok_or_else(|| {
        let message =
            format!("no role of this agency may hand in `{}`; its agreement names the roles", names[0]);
        Judgement::rejected(RejectionReason::NotAuthoritative, message, "event")
    })
}

/// Whether a role may take back what another claimed: it has at least the same authority for each field.
fn outranks(authority: &Authority, role: &str, back: &TakenBack) -> bool {
    back.fields.iter().all(|field| match authority.rank(&back.role, field) {
        // The table has it otherwise by now.
        None => true,
        Some(theirs) => authority.rank(role, field).is_some_and(|mine| mine <= theirs),
    })
}

/// Whom an event concerns, by the roles that procedures ask for.
fn by_role(
    people: &mut People<'_>,
    event: &Event,
    number: Option<PersonalId>,
) -> Result<Vec<(&'static str, PersonalId)>, Judgement> {
    let mut named = Vec::new();
    let mut put = |people: &mut People<'_>, role, of: Option<&dancu_proto::v1::PersonRef>| {
        if of.is_some()
            && let people::Named::Known(key) = people.find("event", of)?
        {
            named.push((role, people.get(key)?.number));
        }
        Ok::<_, Judgement>(())
    };
    match &event.event {
        Some(Kind::Birth(birth)) => {
            put(people, "father", birth.father.as_ref())?;
            put(people, "mother", birth.mother.as_ref())?;
            named.extend(number.map(|number| ("child", number)));
        }
        Some(Kind::Death(death)) => {
            put(people, "deceased", death.person.as_ref())?;
            let deceased = people.known("event.death.person", death.person.as_ref())?;
            if let Some(spouse) = effects::spouse_of(people, deceased)? {
                named.push(("spouse", people.get(spouse)?.number));
            }
        }
        Some(Kind::Marriage(couple) | Kind::Divorce(couple)) => {
            put(people, "one", couple.one.as_ref())?;
            put(people, "other", couple.other.as_ref())?;
        }
        Some(Kind::Adoption(adoption)) => {
            put(people, "child", adoption.child.as_ref())?;
            put(people, "father", adoption.father.as_ref())?;
            put(people, "mother", adoption.mother.as_ref())?;
        }
        // Of several the first.
        _ => put(people, "person", contribution::persons(event).first().copied())?,
    }
    Ok(named)
}

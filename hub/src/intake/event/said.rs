//! What an event says of each person, whether or not it comes to count: for those who decide.

use dancu_proto::{
    PersonalId, Record,
    v1::{Contribution, Event, RejectionReason, event::Event as Kind},
};

use super::{
    Authority, Judgement,
    effects::{self, Deed},
    people::People,
    take_back,
};
use crate::registry::{CitizenKey, Claims, Leaving, Standing, StoreError};

/// What an event says of one person.
#[derive(Debug, Default)]
pub struct Said {
    /// Who; none for somebody who is not in the registry yet.
    pub key: Option<CitizenKey>,
    /// What.
    pub claims: Claims,
    /// They get a new number once it counts.
    pub gets_number: bool,
    /// They leave.
    pub leaves: Option<Leaving>,
}

/// What a contribution says of everybody, by the registry as it is.
///
/// # Errors
/// It names somebody who is not there, waits for a birth, or the disk refuses.
pub fn said(
    standing: &Standing<'_>,
    authority: &Authority,
    contribution: &Contribution,
) -> Result<Vec<Said>, Judgement> {
    let nothing = || Judgement::rejected(RejectionReason::Invalid, "nothing happened", "event");
    let mut event = contribution.event.as_ref().ok_or_else(nothing)?;
    let day = contribution.effective_date.unwrap_or_default();
    let mut people = People::new(standing);
    if let Some(Kind::Correction(correction)) = &event.event {
        let birth = matches!(correction.instead.as_deref(), Some(Event { event: Some(Kind::Birth(_)) }));
        take_back::take_back(&mut people, authority, &correction.contribution_id, birth)?;
        let Some(instead) = &correction.instead else { return Ok(Vec::new()) };
        event = instead;
    }
    let mut effects = effects::of(&mut people, event, &day)?;
    let numbered = match effects.deed {
        Deed::Numbers(key) => Some(key),
        _ => None,
    };
    // The number is not the one that they will get: it is found anew when the event counts.
    let made_up = match numbered {
        Some(key) => {
            let subject = people.get(key)?;
            let known = subject.before.as_ref().and_then(|before| before.record.personal_id());
            (known != Some(subject.number)).then_some(subject.number)
        }
        None => None,
    };
    effects.list.iter_mut().for_each(|effect| effect.follows = false);
    let mut all = Vec::new();
    for mut effect in effects.by_person() {
        let subject = people.get(effect.key)?;
        if let Some(number) = made_up {
            effect.claims.set = without(&effect.claims.set, number)?;
            effect.claims.added = without(&effect.claims.added, number)?;
        }
        all.push(Said {
            key: subject.before.is_some().then_some(effect.key),
            claims: effect.claims,
            gets_number: made_up.is_some() && numbered == Some(effect.key),
            leaves: subject.leaves,
        });
    }
    for subject in people.iter().filter(|subject| subject.leaves.is_some()) {
        if !all.iter().any(|said: &Said| said.key == Some(subject.key)) {
            all.push(Said { key: Some(subject.key), leaves: subject.leaves, ..Said::default() });
        }
    }
    Ok(all)
}

/// A record in which a number does not stand, as its own or as a relative's.
fn without(record: &Record, number: PersonalId) -> Result<Record, StoreError> {
    let mut citizen = record.decode().map_err(|_| StoreError::Corrupt("what an event claims"))?;
    let number = number.to_string();
    let children = citizen.children.iter_mut().flat_map(|list| &mut list.items);
    let named = children.map(|child| &mut child.personal_id).chain([&mut citizen.personal_id]);
    named.filter(|named| **named == number).for_each(String::clear);
    Ok(Record::encode(&citizen))
}

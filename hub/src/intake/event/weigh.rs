//! Which claim on a field is in force: better authority, then the later day, then what somebody decided.

use std::{cmp::Reverse, sync::Arc};

use dancu_proto::{
    Field, FieldSet, Record, Revision,
    v1::{Citizen, RejectionReason, Relative, RelativeList},
};

use super::{
    Judgement,
    authority::Authority,
    effects::{Deed, Effect},
    people::{People, Subject},
};
use crate::registry::{
    CitizenChange, CitizenKey, Claims, JournalEntry, Leaving, Standing, StoreError, former_numbers,
};

/// How much a claim weighs. What the founding load or an import says weighs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight {
    authority: Reverse<usize>,
    day: u32,
    decided: u64,
}

/// A role that the table does not know any more, or not for the field.
const LEAST: usize = usize::MAX;

/// On whose word, and from which day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    pub(super) authority: &'a Authority,
    pub(super) role: &'a str,
    /// yyyymmdd.
    pub(super) day: u32,
    /// Somebody decided that it counts.
    pub(super) decided: bool,
}

impl Word<'_> {
    fn weight(&self, field: Field, at: Revision) -> Weight {
        let rank = self.authority.rank(self.role, field).unwrap_or(LEAST);
        Weight { authority: Reverse(rank), day: self.day, decided: if self.decided { at.0 } else { 0 } }
    }
}

/// How much what an entry of the journal claims weighs; nothing for an import.
pub(super) fn weight_of(
    authority: &Authority,
    entry: &JournalEntry,
    at: Revision,
    field: Field,
) -> Option<Weight> {
    let known = Word { authority, role: &entry.role, day: entry.effective_date, decided: entry.decided };
    (!entry.role.is_empty()).then(|| known.weight(field, at))
}

/// What came of weighing.
#[derive(Debug, Default)]
pub(super) struct Weighed {
    /// Fields that stay as they are.
    pub(super) not_in_force: FieldSet,
    /// Fields of which two claims weigh the same and say otherwise.
    pub(super) conflicts: Vec<(CitizenKey, FieldSet)>,
}

/// Brings claims into force as far as they weigh more.
pub(super) fn bring(
    people: &mut People<'_>,
    word: Word<'_>,
    effects: Vec<Effect>,
    deed: Deed,
) -> Result<Weighed, Judgement> {
    let (standing, mut weighed) = (people.standing, Weighed::default());
    for mut effect in effects {
        permit(word, &mut effect)?;
        let subject = people.get_mut(effect.key)?;
        let claims = &effect.claims;
        let mut in_force = FieldSet::EMPTY;
        let mut conflict = FieldSet::EMPTY;
        let numbered = deed == Deed::Numbers(effect.key);
        let mut sources = Sources { standing, authority: word.authority, known: Vec::new() };
        let differing = subject.record.differing(&claims.set);
        for field in claims.set.fields().union(claims.cleared).iter() {
            let mine = word.weight(field, standing.at());
            let same = !differing.contains(field);
            let theirs = sources.weight_of(subject, field)?;
            match theirs {
                // A number that was just given is in force.
                _ if subject.before.is_none() || numbered && field == Field::PersonalId => {
                    in_force.insert(field)
                }
                Some(theirs) if theirs > mine => {
                    weighed.not_in_force.insert(field);
                    if !word.decided && is_contradicted(standing, subject.key, word, field, mine, claims)? {
                        conflict.insert(field);
                    }
                }
                Some(theirs) if theirs == mine && !same => conflict.insert(field),
                _ => in_force.insert(field),
            }
        }
        if !conflict.is_empty() {
            weighed.conflicts.push((effect.key, conflict));
        }
        subject.put(&claims.set, in_force)?;
        for field in in_force.iter() {
            subject.sources.insert(field, Some(standing.at()));
        }
        add_items(subject, &claims.added)?;
        join(subject, effect);
    }
    if deed == Deed::Leaves {
        into_others(people)?;
    }
    Ok(weighed)
}

/// Every field must be one that the role may claim; what only follows from the event is left out otherwise.
fn permit(word: Word<'_>, effect: &mut Effect) -> Result<(), Judgement> {
    let fields = effect.claims.fields();
    let denied: FieldSet =
        fields.iter().filter(|field| word.authority.rank(word.role, *field).is_none()).collect();
    if denied.is_empty() {
        return Ok(());
    }
    if !effect.follows {
        let names: Vec<_> = denied.iter().map(Field::name).collect();
        let message = format!("{} may not supply {}", word.authority.title(word.role), names.join(", "));
        let mut judgement = Judgement::rejected(RejectionReason::NotAuthoritative, message, "event");
        judgement.name_fields(names);
        return Err(judgement);
    }
    let claims = &mut effect.claims;
    claims.set = claims.set.values(fields.difference(denied));
    claims.cleared = claims.cleared.difference(denied);
    claims.added = claims.added.values(fields.difference(denied));
    Ok(())
}

/// What the values in force of one person are from.
struct Sources<'a> {
    standing: &'a Standing<'a>,
    authority: &'a Authority,
    /// By revision: the journal's entry, and what it claims of the person.
    known: Vec<(Revision, Arc<JournalEntry>, FieldSet)>,
}

impl Sources<'_> {
    /// How much the claim in force weighs.
    fn weight_of(&mut self, subject: &Subject, field: Field) -> Result<Option<Weight>, StoreError> {
        let Some(before) = &subject.before else { return Ok(None) };
        let source = match subject.sources.get(&field) {
            Some(source) => *source,
            None => before.source_of(field),
        };
        let Some(source) = source.filter(|source| *source != self.standing.at()) else { return Ok(None) };
        let at = match self.known.iter().position(|(revision, ..)| *revision == source) {
            Some(at) => at,
            None => {
                let entry = self.standing.journal(source)?;
                let claimed = entry.change_of(subject.key).map(CitizenChange::claimed_fields);
                self.known.push((source, entry, claimed.unwrap_or_default()));
                self.known.len() - 1
            }
        };
        let (_, entry, claimed) = &self.known[at];
        // Of what a birth leaves unsaid nobody has said anything yet.
        if !claimed.is_empty() && !claimed.contains(field) {
            return Ok(None);
        }
        Ok(weight_of(self.authority, entry, source, field))
    }
}

/// Whether a claim that is not in force is contradicted by another that is not: one that weighs the same, says
/// otherwise, and was not taken back. Both would come into force together if the greater one were taken back.
fn is_contradicted(
    standing: &Standing<'_>,
    key: CitizenKey,
    word: Word<'_>,
    field: Field,
    mine: Weight,
    claims: &Claims,
) -> Result<bool, StoreError> {
    let (mut alike, mut gone) = (Vec::new(), Vec::new());
    for at in standing.history(key)? {
        let entry = standing.journal(at)?;
        if entry.takes_back != 0 {
            gone.push(entry.takes_back);
        }
        let Some(change) = entry.change_of(key) else { continue };
        let theirs = change.claims();
        if theirs.set.fields().union(theirs.cleared).contains(field)
            && theirs.set.value(field) != claims.set.value(field)
            && weight_of(word.authority, &entry, at, field) == Some(mine)
        {
            alike.push(at.0);
        }
    }
    Ok(alike.iter().any(|at| !gone.contains(at)))
}

/// Adds to the claims that are made of somebody.
fn join(subject: &mut Subject, effect: Effect) {
    let (claims, new) = (&mut subject.claims, effect.claims);
    if claims.is_empty() {
        *claims = new;
        return;
    }
    let both = |a: &Record, b: Record| {
        let delta = dancu_proto::Delta { set: b.into_bytes(), cleared: FieldSet::EMPTY };
        // Both are canonical: they were encoded here.
        a.apply(&delta).unwrap_or_else(|_| a.clone())
    };
    claims.set = both(&claims.set, new.set);
    claims.added = both(&claims.added, new.added);
    claims.cleared = claims.cleared.union(new.cleared);
}

/// Adds items to lists.
pub(super) fn add_items(subject: &mut Subject, added: &Record) -> Result<(), StoreError> {
    if added.fields().is_empty() {
        return Ok(());
    }
    let lists = with_items(&subject.record.values(added.fields()), added)?;
    subject.put(&lists, added.fields())
}

/// A record with more items in its lists.
pub(super) fn with_items(record: &Record, added: &Record) -> Result<Record, StoreError> {
    if added.fields().is_empty() {
        return Ok(record.clone());
    }
    let items = |record: &Record| record.decode().map_err(|_| StoreError::Corrupt("the items of an event"));
    let (mut citizen, more) = (items(record)?, items(added)?);
    add_relatives(&mut citizen.children, more.children);
    add_relatives(&mut citizen.represented_persons, more.represented_persons);
    if let Some(more) = more.identity_cards {
        let cards = citizen.identity_cards.get_or_insert_default();
        for card in more.items {
            if !cards.items.contains(&card) {
                cards.items.push(card);
            }
        }
        cards.items.sort_by_key(|card| card.issued_on.map_or(0, |day| day.as_number()));
    }
    Ok(Record::encode(&citizen))
}

fn add_relatives(list: &mut Option<RelativeList>, more: Option<RelativeList>) {
    for relative in more.into_iter().flat_map(|more| more.items) {
        let items = &mut list.get_or_insert_default().items;
        if !items.iter().any(|item| same_relative(item, &relative)) {
            items.push(relative);
        }
    }
}

/// Whether two entries of a list are of one person.
fn same_relative(a: &Relative, b: &Relative) -> bool {
    if a.personal_id.is_empty() || b.personal_id.is_empty() { a == b } else { a.personal_id == b.personal_id }
}

/// The numbers of those who go into another record are former numbers there.
fn into_others(people: &mut People<'_>) -> Result<(), StoreError> {
    let moves: Vec<_> = people
        .iter()
        .filter_map(|subject| match subject.leaves {
            Some(Leaving::Into(kept)) => Some((kept, subject.number, former_numbers(&subject.record))),
            _ => None,
        })
        .collect();
    for (kept, number, former) in moves {
        let subject = people.get_mut(kept)?;
        let mut numbers = former_numbers(&subject.record);
        for one in former.into_iter().chain([number]) {
            if !numbers.contains(&one) {
                numbers.push(one);
            }
        }
        let values = numbers.iter().map(ToString::to_string).collect();
        let list = dancu_proto::v1::StringList { values };
        let set = Record::encode(&Citizen { former_personal_ids: Some(list), ..Citizen::default() });
        subject.put(&set, set.fields())?;
    }
    Ok(())
}

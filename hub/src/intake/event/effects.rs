//! What each event claims: the table of docs/contributions.md.

use dancu_proto::{
    Field, FieldSet, Record,
    v1::{
        Citizen, Date, Event, HouseholdMember, IdentityCardList, PersonRef, RejectionReason, Relative,
        RelativeList, event::Event as Kind,
    },
};

use super::{
    Judgement,
    number::{self, Place},
    people::{Named, People, Subject},
};
use crate::registry::{CitizenKey, Claims, Leaving};

/// What an event claims of one person.
#[derive(Debug)]
pub(super) struct Effect {
    /// Who.
    pub(super) key: CitizenKey,
    /// What.
    pub(super) claims: Claims,
    /// It follows from the event, and is left out where the role may not claim it.
    pub(super) follows: bool,
}

/// What an event does beside claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Deed {
    /// Nothing.
    #[default]
    None,
    /// Somebody gets a number.
    Numbers(CitizenKey),
    /// The people leave.
    Leaves,
}

/// All that an event claims.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) list: Vec<Effect>,
    pub(super) deed: Deed,
}

const MARRIED: &str = "2";
const FORMERLY_MARRIED: &str = "3";

impl Effects {
    fn claim(&mut self, key: CitizenKey, set: &Citizen, cleared: &[Field]) {
        let set = Record::encode(set);
        // One that is both given and cleared does not pass the node.
        let cleared = cleared.iter().copied().collect::<FieldSet>().difference(set.fields());
        let claims = Claims { set, cleared, ..Claims::default() };
        self.list.push(Effect { key, claims, follows: false });
    }

    fn follow(&mut self, key: CitizenKey, set: &Citizen, cleared: &[Field]) {
        self.claim(key, set, cleared);
        self.list.iter_mut().next_back().into_iter().for_each(|effect| effect.follows = true);
    }

    fn add(&mut self, key: CitizenKey, added: &Citizen) {
        let claims = Claims { added: Record::encode(added), ..Claims::default() };
        self.list.push(Effect { key, claims, follows: false });
    }

    /// Effects of one person as one.
    pub(super) fn by_person(self) -> Vec<Effect> {
        let mut joined: Vec<Effect> = Vec::new();
        for effect in self.list {
            let same = joined.iter_mut().find(|one| one.key == effect.key && one.follows == effect.follows);
            match same {
                Some(one) => {
                    let both = |a: &Record, b: &Record| {
                        let delta =
                            dancu_proto::Delta { set: b.as_bytes().to_vec(), cleared: FieldSet::EMPTY };
                        // Both were encoded a moment ago.
                        a.apply(&delta).unwrap_or_else(|_| a.clone())
                    };
                    one.claims.set = both(&one.claims.set, &effect.claims.set);
                    one.claims.added = both(&one.claims.added, &effect.claims.added);
                    one.claims.cleared = one.claims.cleared.union(effect.claims.cleared);
                }
                None => joined.push(effect),
            }
        }
        joined
    }
}

/// What an event claims from a day on. Whom it names is taken in.
pub(super) fn of(people: &mut People<'_>, event: &Event, day: &Date) -> Result<Effects, Judgement> {
    let mut effects = Effects::default();
    let none = || Judgement::rejected(RejectionReason::Invalid, "nothing happened", "event");
    match event.event.as_ref().ok_or_else(none)? {
        Kind::Birth(birth) => {
            let child = birth.child.clone().unwrap_or_default();
            let parents = [("father", birth.father.as_ref()), ("mother", birth.mother.as_ref())];
            let mut named = Vec::new();
            for (role, of) in parents {
                if of.is_some() {
                    named.push((role, people.find(&format!("event.birth.{role}"), of)?));
                }
            }
            let place = Place::of(&child)?;
            let (key, number) = match people.reborn {
                // Registered anew: the number stays if it says the same.
                Some(key) if place.gives(people.get(key)?.number) => (key, people.get(key)?.number),
                Some(key) => {
                    let number = number::assign(people.standing, place)?;
                    people.get_mut(key)?.number = number;
                    (key, number)
                }
                None => {
                    let number = number::assign(people.standing, place)?;
                    (people.enter(Subject::new(number)), number)
                }
            };
            let mut set = Citizen { personal_id: number.to_string(), ..*child };
            for (role, parent) in &named {
                let relative = Some(people.relative(parent)?);
                if *role == "father" { set.father = relative } else { set.mother = relative }
            }
            effects.claim(key, &set, &[]);
            let child = as_relative(&set);
            for (_, parent) in &named {
                if let Named::Known(parent) = parent {
                    effects.add(*parent, &children(child.clone()));
                }
            }
            effects.deed = Deed::Numbers(key);
        }
        Kind::Death(death) => {
            let key = people.known("event.death.person", death.person.as_ref())?;
            effects.claim(key, &Citizen { date_of_death: death.date_of_death, ..Citizen::default() }, &[]);
            if let Some(spouse) = spouse_of(people, key)? {
                let widowed = Citizen { marital_status: FORMERLY_MARRIED.into(), ..Citizen::default() };
                effects.follow(spouse, &widowed, &[Field::Spouse]);
            }
        }
        Kind::Marriage(couple) | Kind::Divorce(couple) => {
            let marriage = matches!(event.event, Some(Kind::Marriage(_)));
            let at = if marriage { "event.marriage" } else { "event.divorce" };
            let one = people.find(&format!("{at}.one"), couple.one.as_ref())?;
            let other = people.find(&format!("{at}.other"), couple.other.as_ref())?;
            for (person, with) in [(&one, &other), (&other, &one)] {
                let Named::Known(key) = person else { continue };
                if marriage {
                    let spouse = Some(people.relative(with)?);
                    let set = Citizen { spouse, marital_status: MARRIED.into(), ..Citizen::default() };
                    effects.claim(*key, &set, &[]);
                } else {
                    let set = Citizen { marital_status: FORMERLY_MARRIED.into(), ..Citizen::default() };
                    effects.claim(*key, &set, &[Field::Spouse]);
                }
            }
        }
        Kind::Adoption(adoption) => {
            let child = people.known("event.adoption.child", adoption.child.as_ref())?;
            let mut set = Citizen::default();
            for (of, mother) in [(&adoption.father, false), (&adoption.mother, true)] {
                if of.is_some() {
                    let at = if mother { "event.adoption.mother" } else { "event.adoption.father" };
                    parent(people, &mut effects, child, of, mother, at, &mut set)?;
                }
            }
            effects.claim(child, &set, &[]);
        }
        Kind::ParentRecognised(recognised) => {
            let child = people.known("event.parent_recognised.child", recognised.child.as_ref())?;
            let mut set = Citizen::default();
            let at = "event.parent_recognised.parent";
            parent(people, &mut effects, child, &recognised.parent, recognised.mother, at, &mut set)?;
            effects.claim(child, &set, &[]);
        }
        Kind::CivilStatusCorrected(corrected) => {
            let key = people.known("event.civil_status_corrected.person", corrected.person.as_ref())?;
            let cleared: Vec<Field> =
                corrected.clear.iter().filter_map(|number| Field::try_from(*number).ok()).collect();
            effects.claim(key, &corrected.set.clone().unwrap_or_default(), &cleared);
        }
        Kind::PermanentResidenceRegistered(residence) | Kind::Moved(residence) => {
            let registered = matches!(event.event, Some(Kind::PermanentResidenceRegistered(_)));
            let at = if registered { "event.permanent_residence_registered" } else { "event.moved" };
            let head = match &residence.household_head {
                None => None,
                head => Some(people.find(&format!("{at}.household_head"), head.as_ref())?),
            };
            let head = head.map(|head| people.relative(&head)).transpose()?;
            for (key, relation) in members(people, at, &residence.members)? {
                let set = Citizen {
                    permanent_residence: residence.address.clone(),
                    residence_file_number: residence.residence_file_number.clone(),
                    household_head: head.clone(),
                    relation_to_household_head: relation,
                    ..Citizen::default()
                };
                effects.claim(key, &set, &[]);
            }
        }
        Kind::PermanentResidenceRemoved(removed) => {
            for key in persons(people, "event.permanent_residence_removed", &removed.persons)? {
                let cleared = [
                    Field::PermanentResidence,
                    Field::ResidenceFileNumber,
                    Field::HouseholdHead,
                    Field::RelationToHouseholdHead,
                ];
                effects.claim(key, &Citizen::default(), &cleared);
            }
        }
        Kind::TemporaryResidenceRegistered(stay) => {
            for key in persons(people, "event.temporary_residence_registered", &stay.persons)? {
                let set = Citizen { temporary_residence: stay.stay.clone(), ..Citizen::default() };
                effects.claim(key, &set, &[]);
            }
        }
        Kind::TemporaryResidenceRemoved(removed) => {
            for key in persons(people, "event.temporary_residence_removed", &removed.persons)? {
                effects.claim(key, &Citizen::default(), &[Field::TemporaryResidence]);
            }
        }
        Kind::AbsenceDeclared(declared) => {
            let key = people.known("event.absence_declared.person", declared.person.as_ref())?;
            let set = Citizen { temporary_absence: declared.absence.clone(), ..Citizen::default() };
            effects.claim(key, &set, &[]);
        }
        Kind::HouseholdHeadChanged(changed) => {
            let at = "event.household_head_changed";
            let head = people.known(&format!("{at}.head"), changed.head.as_ref())?;
            let relative = people.get(head)?.relative()?;
            let mut listed = Vec::new();
            for (key, relation) in members(people, at, &changed.members)? {
                listed.push(Relative { relation: relation.clone(), ..people.get(key)?.relative()? });
                let set = Citizen {
                    residence_file_number: changed.residence_file_number.clone(),
                    household_head: Some(relative.clone()),
                    relation_to_household_head: relation,
                    ..Citizen::default()
                };
                effects.claim(key, &set, &[]);
            }
            let set = Citizen {
                residence_file_number: changed.residence_file_number.clone(),
                household_members: Some(RelativeList { items: listed }),
                ..Citizen::default()
            };
            let mut cleared = vec![Field::HouseholdHead, Field::RelationToHouseholdHead];
            if changed.members.is_empty() {
                cleared.push(Field::HouseholdMembers);
            }
            effects.claim(head, &set, &cleared);
        }
        Kind::IdentityCardIssued(issued) => {
            let key = people.known("event.identity_card_issued.person", issued.person.as_ref())?;
            let items = issued.card.clone().into_iter().collect();
            effects.add(
                key,
                &Citizen { identity_cards: Some(IdentityCardList { items }), ..Citizen::default() },
            );
        }
        Kind::OldNumberLinked(linked) => {
            let key = people.known("event.old_number_linked.person", linked.person.as_ref())?;
            let set = Citizen { old_id_number: linked.old_id_number.clone(), ..Citizen::default() };
            effects.claim(key, &set, &[]);
        }
        Kind::BloodType(known) => {
            let key = people.known("event.blood_type.person", known.person.as_ref())?;
            let set = Citizen { blood_type: known.blood_type.clone(), ..Citizen::default() };
            effects.claim(key, &set, &[]);
        }
        Kind::ContactChanged(contact) => {
            let key = people.known("event.contact_changed.person", contact.person.as_ref())?;
            let (mobile_number, email) = (contact.mobile_number.clone(), contact.email.clone());
            effects.claim(key, &Citizen { mobile_number, email, ..Citizen::default() }, &[]);
        }
        Kind::Missing(missing) => {
            for key in persons(people, "event.missing", &missing.persons)? {
                let set = Citizen { date_missing: Some(*day), ..Citizen::default() };
                effects.claim(key, &set, &[]);
            }
        }
        Kind::Found(found) => {
            for key in persons(people, "event.found", &found.persons)? {
                effects.claim(key, &Citizen::default(), &[Field::DateMissing]);
            }
        }
        Kind::NumberReestablished(again) => {
            let key = people.known("event.number_reestablished.person", again.person.as_ref())?;
            let person = people.get(key)?;
            let place = Place::of_person(&person.citizen()?, person.number)?;
            let number = number::assign(people.standing, place)?;
            effects.claim(key, &Citizen { personal_id: number.to_string(), ..Citizen::default() }, &[]);
            people.get_mut(key)?.number = number;
            effects.deed = Deed::Numbers(key);
        }
        Kind::NumberCancelled(cancelled) => {
            for key in persons(people, "event.number_cancelled", &cancelled.persons)? {
                people.get_mut(key)?.leaves = Some(Leaving::Cancelled);
            }
            effects.deed = Deed::Leaves;
        }
        Kind::RecordsMerged(merged) => {
            let kept = people.known("event.records_merged.kept", merged.kept.as_ref())?;
            let gone = people.known("event.records_merged.merged", merged.merged.as_ref())?;
            if kept == gone {
                let message = "both numbers are of one record already";
                let at = "event.records_merged.merged";
                return Err(Judgement::rejected(RejectionReason::Implausible, message, at));
            }
            people.get_mut(gone)?.leaves = Some(Leaving::Into(kept));
            effects.deed = Deed::Leaves;
        }
        // Taken back before this is asked.
        Kind::Correction(_) => {}
    }
    Ok(effects)
}

fn parent(
    people: &mut People<'_>,
    effects: &mut Effects,
    child: CitizenKey,
    of: &Option<PersonRef>,
    mother: bool,
    at: &str,
    set: &mut Citizen,
) -> Result<(), Judgement> {
    let parent = people.find(at, of.as_ref())?;
    let relative = Some(people.relative(&parent)?);
    if mother {
        set.mother = relative
    } else {
        set.father = relative
    }
    if let Named::Known(parent) = parent {
        let child = people.get(child)?.relative()?;
        effects.add(parent, &children(child));
    }
    Ok(())
}

fn persons(people: &mut People<'_>, at: &str, of: &[PersonRef]) -> Result<Vec<CitizenKey>, Judgement> {
    let numbered = of.iter().enumerate();
    numbered.map(|(place, person)| people.known(&format!("{at}.persons[{place}]"), Some(person))).collect()
}

fn members(
    people: &mut People<'_>,
    at: &str,
    of: &[HouseholdMember],
) -> Result<Vec<(CitizenKey, String)>, Judgement> {
    let mut found = Vec::new();
    for (place, member) in of.iter().enumerate() {
        let key = people.known(&format!("{at}.members[{place}].person"), member.person.as_ref())?;
        found.push((key, member.relation.clone()));
    }
    Ok(found)
}

/// A registered spouse who names the person as theirs.
pub(super) fn spouse_of(people: &mut People<'_>, key: CitizenKey) -> Result<Option<CitizenKey>, Judgement> {
    let Some(spouse) = people.get(key)?.only(&[Field::Spouse])?.spouse else { return Ok(None) };
    let Ok(number) = spouse.personal_id.parse() else { return Ok(None) };
    let Some((other, stored)) = people.standing.resolve(number)? else { return Ok(None) };
    let names = stored
        .record
        .values(FieldSet::from_iter([Field::Spouse]))
        .decode()
        .ok()
        .and_then(|citizen| citizen.spouse);
    let back = names.and_then(|relative| relative.personal_id.parse().ok());
    let back = back.map(|number| people.standing.resolve(number)).transpose()?.flatten();
    if back.is_some_and(|(back, _)| back == key) && other != key {
        people.take(other, stored)?;
        return Ok(Some(other));
    }
    Ok(None)
}

fn as_relative(child: &Citizen) -> Relative {
    Relative {
        name: child.full_name.clone(),
        personal_id: child.personal_id.clone(),
        old_id_number: String::new(),
        nationality: child.nationality.clone().map(|list| list.values).unwrap_or_default(),
        relation: String::new(),
    }
}

fn children(child: Relative) -> Citizen {
    Citizen { children: Some(RelativeList { items: vec![child] }), ..Citizen::default() }
}

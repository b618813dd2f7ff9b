//! What cannot be is rejected, and what hardly can is looked at by somebody.

use dancu_proto::{
    Areas, CommuneCode, Field, FieldSet,
    name::fold,
    v1::{Address, Birth, Citizen, Couple, Date, Event, RejectionReason, event::Event as Kind},
};
use time::{Date as Day, Month};

use super::{
    Judgement,
    effects::Effect,
    number::{FEMALE, MALE},
    people::{Named, People, Subject},
};
use crate::{calendar, registry::CitizenKey};

/// Why somebody is to look at an event.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) reason: RejectionReason,
    pub(super) message: &'static str,
    /// Fields that are in question beside those that the event would change.
    pub(super) fields: Vec<(CitizenKey, FieldSet)>,
}

fn unlikely(message: &'static str) -> Doubt {
    Doubt { reason: RejectionReason::Unlikely, message, fields: Vec::new() }
}

fn impossible(message: &str, field: &str) -> Judgement {
    Judgement::rejected(RejectionReason::Implausible, message, field)
}

/// Ages in years.
const MOTHERS: std::ops::RangeInclusive<u32> = 12..=60;
const FATHERS_FROM: u32 = 14;
const OLDEST: u32 = 120;
/// Days between two births of one mother, and between twins.
const BETWEEN_BIRTHS: i64 = 200;
const TWINS: i64 = 2;
/// A father may have died so many days before.
const FATHER_DEAD: i64 = 300;

/// Looks at an event before it is weighed.
pub(super) fn doubts(
    people: &mut People<'_>,
    event: &Event,
    effects: &[Effect],
    day: &Date,
    role: &str,
    areas: &Areas,
) -> Result<Vec<Doubt>, Judgement> {
    let mut doubts = Vec::new();
    twice(people, event)?;
    for subject in people.iter().filter(|subject| subject.before.is_some()) {
        let named = effects.iter().any(|effect| effect.key == subject.key && !effect.follows);
        let born = subject.date(Field::DateOfBirth).unwrap_or_default();
        if named && certainly_before(day, &born) && !matters_not(event) {
            return Err(impossible("holds from a day before the person's birth", "effective_date"));
        }
        let died = subject.date(Field::DateOfDeath);
        let after_death = died.is_some_and(|died| certainly_before(&died, day));
        let is_child_list_only = effects
            .iter()
            .filter(|effect| effect.key == subject.key)
            .all(|effect| effect.claims.fields() == FieldSet::from_iter([Field::Children]));
        if named && after_death && !matters_not(event) && !is_child_list_only {
            let fields = vec![(subject.key, FieldSet::from_iter([Field::DateOfDeath]))];
            let message = "somebody whom it concerns is registered as dead before that day";
            doubts.push(Doubt { reason: RejectionReason::Unlikely, message, fields });
        }
    }
    match event.event.as_ref() {
        Some(Kind::Birth(birth)) => born(people, birth, &mut doubts)?,
        Some(Kind::Death(death)) => {
            let key = people.known("event.death.person", death.person.as_ref())?;
            let subject = people.get(key)?;
            let born = subject.date(Field::DateOfBirth).unwrap_or_default();
            if death.date_of_death.is_some_and(|died| certainly_before(&died, &born)) {
                return Err(impossible("lies before the person's birth", "event.death.date_of_death"));
            }
            let known = subject.date(Field::DateOfDeath);
            let same_role = source_role(people, subject)? == role;
            if known.is_some() && known != death.date_of_death && same_role {
                let message = "the person is registered as dead on another day";
                let fields = vec![(key, FieldSet::from_iter([Field::DateOfDeath]))];
                doubts.push(Doubt { reason: RejectionReason::Conflict, message, fields });
            }
        }
        Some(Kind::Marriage(couple)) => marriage(people, couple, &mut doubts)?,
        Some(Kind::Divorce(couple)) => {
            let married = are_married(people, couple)?;
            doubts
                .extend((!married).then(|| unlikely("the two are not registered as married to each other")));
        }
        Some(Kind::Adoption(adoption)) => {
            let child = people.known("event.adoption.child", adoption.child.as_ref())?;
            for parent in [&adoption.father, &adoption.mother].into_iter().filter(|parent| parent.is_some()) {
                older(people, child, "event.adoption", parent.as_ref())?;
            }
        }
        Some(Kind::ParentRecognised(recognised)) => {
            let child = people.known("event.parent_recognised.child", recognised.child.as_ref())?;
            older(people, child, "event.parent_recognised.parent", recognised.parent.as_ref())?;
        }
        Some(Kind::PermanentResidenceRegistered(residence) | Kind::Moved(residence)) => {
            exists(residence.address.as_ref(), day, areas)?;
        }
        Some(Kind::TemporaryResidenceRegistered(stay)) => {
            exists(stay.stay.as_ref().and_then(|stay| stay.address.as_ref()), day, areas)?;
        }
        Some(Kind::RecordsMerged(merged)) => {
            let kept = people.known("event.records_merged.kept", merged.kept.as_ref())?;
            let gone = people.known("event.records_merged.merged", merged.merged.as_ref())?;
            let looked_at = [Field::Sex, Field::DateOfBirth];
            let (kept, gone) = (people.get(kept)?.only(&looked_at)?, people.get(gone)?.only(&looked_at)?);
            if kept.sex != gone.sex || kept.date_of_birth != gone.date_of_birth {
                doubts.push(unlikely("sex or date of birth of the two records differ"));
            }
        }
        _ => {}
    }
    Ok(doubts)
}

/// Events that may hold from whatever day: what a register says is put right.
fn matters_not(event: &Event) -> bool {
    matches!(
        event.event,
        Some(
            Kind::Birth(_)
                | Kind::Death(_)
                | Kind::CivilStatusCorrected(_)
                | Kind::OldNumberLinked(_)
                | Kind::NumberReestablished(_)
                | Kind::NumberCancelled(_)
                | Kind::RecordsMerged(_)
                | Kind::ParentRecognised(_)
                | Kind::PermanentResidenceRemoved(_)
                | Kind::TemporaryResidenceRemoved(_)
                | Kind::Missing(_)
                | Kind::Found(_)
                | Kind::HouseholdHeadChanged(_)
        )
    )
}

/// Nobody is named twice.
fn twice(people: &mut People<'_>, event: &Event) -> Result<(), Judgement> {
    let mut seen = Vec::new();
    for person in dancu_proto::contribution::persons(event) {
        if let Named::Known(key) = people.find("event", Some(person))? {
            if seen.contains(&key) {
                return Err(impossible("names one person twice", "event"));
            }
            seen.push(key);
        }
    }
    Ok(())
}

/// The role that the date of death is from.
fn source_role(people: &People<'_>, subject: &Subject) -> Result<String, Judgement> {
    let source = subject.before.as_ref().and_then(|before| before.source_of(Field::DateOfDeath));
    Ok(match source {
        Some(at) => people.standing.journal(at)?.role.clone(),
        None => String::new(),
    })
}

fn born(people: &mut People<'_>, birth: &Birth, doubts: &mut Vec<Doubt>) -> Result<(), Judgement> {
    let child = birth.child.clone().unwrap_or_default();
    let born = child.date_of_birth.unwrap_or_default();
    let this_year = calendar::year(people.standing.now());
    if this_year.saturating_sub(born.year) > OLDEST {
        doubts.push(unlikely("the birth is more than 120 years ago"));
    }
    for (of, mother) in [(&birth.father, false), (&birth.mother, true)] {
        let at = if mother { "event.birth.mother" } else { "event.birth.father" };
        if of.is_none() {
            continue;
        }
        let Named::Known(key) = people.find(at, of.as_ref())? else { continue };
        let looked_at = [Field::DateOfBirth, Field::DateOfDeath, Field::Sex, Field::Children];
        let parent = people.get(key)?.only(&looked_at)?;
        let parent_born = parent.date_of_birth.unwrap_or_default();
        if !certainly_before(&parent_born, &born) && parent_born.year != 0 {
            return Err(impossible("the child is older than the parent", at));
        }
        let age = age(&parent_born, &born);
        if mother && !MOTHERS.contains(&age) {
            doubts.push(unlikely("the mother is under 12 or over 60 years old"));
        }
        if !mother && age < FATHERS_FROM {
            doubts.push(unlikely("the father is under 14 years old"));
        }
        match parent.sex.as_str() {
            MALE if mother => doubts.push(unlikely("the mother is registered as a man")),
            FEMALE if !mother => doubts.push(unlikely("the father is registered as a woman")),
            _ => {}
        }
        if let Some(died) = &parent.date_of_death
            && let Some(days) = days_between(died, &born)
            && days > if mother { 0 } else { FATHER_DEAD }
        {
            doubts.push(unlikely("a parent had died before"));
        }
        if mother {
            siblings(people, &child, &born, &parent, doubts)?;
        }
    }
    Ok(())
}

/// A child who may be registered already, or was born too soon after another.
fn siblings(
    people: &People<'_>,
    child: &Citizen,
    born: &Date,
    mother: &Citizen,
    doubts: &mut Vec<Doubt>,
) -> Result<(), Judgement> {
    for sibling in mother.children.iter().flat_map(|list| &list.items) {
        let Ok(number) = sibling.personal_id.parse() else { continue };
        let Some((key, stored)) = people.standing.resolve(number)? else { continue };
        if people.reborn == Some(key) {
            continue;
        }
        let looked_at = [Field::FullName, Field::DateOfBirth].into_iter().collect();
        let Ok(sibling) = stored.record.values(looked_at).decode() else { continue };
        let name = |citizen: &Citizen| citizen.full_name.as_ref().map(|name| fold(&name.full()));
        let other = sibling.date_of_birth.unwrap_or_default();
        let apart = days_between(&other, born).map(i64::abs);
        let alike = name(&sibling) == name(child);
        if alike && (apart.is_some_and(|days| days <= TWINS) || other == *born) {
            doubts.push(unlikely("a child of the same mother, day and name is registered"));
        } else if apart.is_some_and(|days| days > TWINS && days < BETWEEN_BIRTHS) {
            doubts.push(unlikely("another child of the mother was born within 200 days"));
        }
    }
    Ok(())
}

fn couple(people: &mut People<'_>, couple: &Couple, at: &str) -> Result<[Named; 2], Judgement> {
    let one = people.find(&format!("{at}.one"), couple.one.as_ref())?;
    Ok([one, people.find(&format!("{at}.other"), couple.other.as_ref())?])
}

fn marriage(people: &mut People<'_>, of: &Couple, doubts: &mut Vec<Doubt>) -> Result<(), Judgement> {
    let [one, other] = couple(people, of, "event.marriage")?;
    for (person, with) in [(&one, &other), (&other, &one)] {
        let Named::Known(key) = person else { continue };
        let citizen = people.get(*key)?.only(&[Field::Spouse, Field::MaritalStatus])?;
        let Some(spouse) = citizen.spouse.filter(|_| citizen.marital_status == "2") else { continue };
        if !names(people, &spouse.personal_id, with)? {
            let fields = [Field::Spouse, Field::MaritalStatus].into_iter().collect();
            let message = "one of the two is registered as married to somebody else";
            doubts.push(Doubt { reason: RejectionReason::Conflict, message, fields: vec![(*key, fields)] });
        }
    }
    Ok(())
}

fn are_married(people: &mut People<'_>, of: &Couple) -> Result<bool, Judgement> {
    let [one, other] = couple(people, of, "event.divorce")?;
    for (person, with) in [(&one, &other), (&other, &one)] {
        let Named::Known(key) = person else { continue };
        let spouse = people.get(*key)?.only(&[Field::Spouse])?.spouse;
        let number = spouse.map(|spouse| spouse.personal_id).unwrap_or_default();
        if matches!(with, Named::Known(_)) && !names(people, &number, with)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a number is of somebody.
fn names(people: &People<'_>, number: &str, whom: &Named) -> Result<bool, Judgement> {
    let Named::Known(key) = whom else { return Ok(false) };
    let Ok(number) = number.parse() else { return Ok(false) };
    Ok(people.standing.resolve(number)?.is_some_and(|(found, _)| found == *key))
}

fn older(
    people: &mut People<'_>,
    child: CitizenKey,
    at: &str,
    parent: Option<&dancu_proto::v1::PersonRef>,
) -> Result<(), Judgement> {
    let Named::Known(key) = people.find(at, parent)? else { return Ok(()) };
    let parent_born = people.get(key)?.date(Field::DateOfBirth).unwrap_or_default();
    let child_born = people.get(child)?.date(Field::DateOfBirth).unwrap_or_default();
    if parent_born.year != 0 && !certainly_before(&parent_born, &child_born) {
        return Err(impossible("the child is older than the parent", at));
    }
    Ok(())
}

/// An address lies in an area that there is on a day.
fn exists(address: Option<&Address>, day: &Date, areas: &Areas) -> Result<(), Judgement> {
    let Some(address) = address.filter(|address| !address.commune.is_empty()) else { return Ok(()) };
    let order = areas.latest_first().find(|order| order.from.as_number() <= day.as_number());
    // Nothing is known of the time before the first order.
    let Some(order) = order.filter(|order| order.from.year != 0 || order.number > 0) else { return Ok(()) };
    let there = address.commune.parse::<CommuneCode>().is_ok_and(|code| order.commune(code).is_some());
    if there {
        return Ok(());
    }
    Err(impossible("that commune does not exist on the day from which this holds", "event.address.commune"))
}

/// Whether one day lies before another, as far as both are known.
fn certainly_before(a: &Date, b: &Date) -> bool {
    if a.year != b.year || a.month == 0 || b.month == 0 {
        return a.year < b.year;
    }
    if a.month != b.month || a.day == 0 || b.day == 0 {
        return a.month < b.month;
    }
    a.day < b.day
}

/// Whole years; by the year alone where no more is known.
fn age(born: &Date, day: &Date) -> u32 {
    let years = day.year.saturating_sub(born.year);
    let not_yet = born.month != 0 && day.month != 0 && (day.month, day.day) < (born.month, born.day);
    years.saturating_sub(u32::from(not_yet))
}

fn days_between(a: &Date, b: &Date) -> Option<i64> {
    Some((whole(b)? - whole(a)?).whole_days())
}

fn whole(date: &Date) -> Option<Day> {
    let month = Month::try_from(u8::try_from(date.month).ok()?).ok()?;
    Day::from_calendar_date(date.year as i32, month, u8::try_from(date.day).ok()?).ok()
}

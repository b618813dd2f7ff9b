//! The kinds of events: whom they can happen to, and what they make of a household.

use super::{
    Event, Kind,
    lives::{Chosen, Lives, Told},
};
use crate::population::{
    ages::{self, Day},
    draw::Chance,
    names,
    person::{Card, Household, Kin, Marital, Person},
    traits,
};

/// Births on time are registered within so many days, deaths within so many: share of them.
const BIRTHS_ON_TIME: (i32, f64) = (60, 0.849);
const DEATHS_ON_TIME: (i32, f64) = (15, 0.693);
/// How late the rest may be.
const VERY_LATE: i32 = 700;
/// Days between two births of a mother.
const BETWEEN_BIRTHS: i32 = 300;

/// An event of a kind; none if nobody was found that it can happen to.
pub(super) fn event(kind: Kind, lives: &mut Lives<'_>, today: Day, chance: &mut Chance) -> Option<Event> {
    match kind {
        Kind::Birth => birth(lives, today, chance),
        Kind::Death => death(lives, today, chance),
        Kind::Marriage => marriage(lives, today, chance),
        Kind::Move => moving(lives, today, chance),
        Kind::Reregistration => reregistration(lives, today, chance),
        Kind::IdentityCard => card(lives, today, chance),
        Kind::Correction => correction(lives, today, chance),
    }
}

/// How long ago something happened that is told today.
fn lag(on_time: (i32, f64), chance: &mut Chance) -> i32 {
    if chance.happens(on_time.1) {
        chance.between(0, on_time.0)
    } else {
        on_time.0 + 1 + (chance.unit() * chance.unit() * f64::from(VERY_LATE)) as i32
    }
}

fn last_birth(household: &Household, mother: &Person) -> Day {
    let own = |person: &&Person| mother.children.iter().any(|kin| kin.id == person.id);
    household.people.iter().filter(own).map(|person| person.birth).max().unwrap_or(mother.birth)
}

fn birth(lives: &mut Lives<'_>, today: Day, chance: &mut Chance) -> Option<Event> {
    let ready = |household: &Household, person: &Person| {
        if !person.female || last_birth(household, person) + BETWEEN_BIRTHS > today {
            return 0.0;
        }
        let with_partner = household.living(person.spouse).is_some();
        let fewer = [1.0, 1.0, 0.5, 0.15].get(person.children.len()).copied().unwrap_or(0.05);
        ages::fertility(person.age(today)) * fewer * if with_partner { 1.0 } else { 0.02 }
    };
    let Chosen { household, at } = lives.choose(chance, 6.0, ready)?;
    let mother = &household.people[at];
    let earliest = (last_birth(&household, mother) + BETWEEN_BIRTHS).max(ages::after(mother.birth, 16));
    let happened = (today - lag(BIRTHS_ON_TIME, chance)).max(earliest);
    let father = household.living(mother.spouse);
    let female = !chance.happens(0.525);
    let id = lives.number(household.home.commune, female, happened)?;
    let root = father.map_or(mother, |father| &household.people[father]);
    let (family, ethnicity) = (root.name.family, root.ethnicity);
    let child = Person {
        id,
        name: names::name(family, ethnicity, female, ages::year(happened), chance),
        female,
        birth: happened,
        registered: today,
        mother: Some(mother.kin()),
        father: father.map(|father| household.people[father].kin()),
        birth_place: household.home.commune,
        registration: household.home.commune,
        origin: root.origin,
        salt: chance.bits() as u32,
        ethnicity,
        religion: root.religion,
        since: happened,
        ..Person::default()
    };
    let before = vec![household.clone()];
    let mut household = household;
    for parent in [Some(at), father].into_iter().flatten() {
        household.people[parent].children.push(child.kin());
        household.people[parent].note(happened);
    }
    household.people.push(child);
    household.represent(today);
    let told = Told { kind: Kind::Birth, happened, known: today, persons: vec![id] };
    Some(lives.commit(told, &before, vec![household]))
}

fn death(lives: &mut Lives<'_>, today: Day, chance: &mut Chance) -> Option<Event> {
    let risk = |_: &Household, person: &Person| ages::mortality(person.age(today), person.female);
    let Chosen { household, at } = lives.choose(chance, 1.0, risk)?;
    let before = vec![household.clone()];
    let mut household = household;
    let person = &mut household.people[at];
    let happened = (today - lag(DEATHS_ON_TIME, chance)).max(person.since).min(today);
    let id = person.id;
    person.death = Some(happened);
    person.note(happened);
    (person.temporary, person.absence, person.mobile, person.email) = (None, None, 0, false);
    for widowed in household.people.iter_mut().filter(|other| other.spouse.is_some_and(|kin| kin.id == id)) {
        if widowed.alive() {
            (widowed.spouse, widowed.marital) = (None, Marital::Formerly);
            widowed.note(happened);
        }
    }
    if household.head == at {
        household.choose_head();
    }
    household.represent(today);
    let told = Told { kind: Kind::Death, happened, known: today, persons: vec![id] };
    Some(lives.commit(told, &before, vec![household]))
}

/// Whether somebody may leave without leaving anybody behind who needs them.
fn free(person: &Person) -> bool {
    person.marital != Marital::Married && person.children.is_empty() && person.represented.is_empty()
}

fn marriage(lives: &mut Lives<'_>, today: Day, chance: &mut Chance) -> Option<Event> {
    let eager = |age: i32| match age {
        ..24 => 0.5,
        24..34 => 1.0,
        34..45 => 0.25,
        _ => 0.03,
    };
    let groom = lives.choose(chance, 9.0, |_, person| {
        let age = person.age(today);
        if person.female || !free(person) || age < 20 { 0.0 } else { eager(age) }
    })?;
    let man = groom.person().clone();
    let related =
        |a: Option<Kin>, b: Option<Kin>| matches!((a, b), (Some(a), Some(b)) if a.id != 0 && a.id == b.id);
    let suits = |household: &Household, woman: &Person| {
        let (age, apart) = (woman.age(today), (woman.birth - man.birth - 1000).abs());
        let possible = woman.female && free(woman) && age >= 18 && apart < 4000;
        let kin = related(woman.father, man.father) || related(woman.mother, man.mother);
        if !possible || kin || household.key == groom.household.key { 0.0 } else { 1.0 }
    };
    let places = lives.population().places();
    let home = groom.household.home.commune;
    let bride = (0..60).find_map(|_| {
        let commune = match chance.below(20) {
            0..10 => home,
            10..17 => places.neighbour(home, chance),
            _ => places.goal(chance),
        };
        lives.try_hamlet(&places.hamlets_of(commune), chance, 1.0, &suits)
    });
    let bride = match bride {
        Some(bride) => bride,
        None => lives.choose(chance, 1.0, suits)?,
    };
    let woman = bride.person().clone();
    let latest_fact =
        man.since.max(woman.since).max(ages::after(man.birth, 20)).max(ages::after(woman.birth, 18));
    let happened = (today - chance.between(0, 10)).max(latest_fact).min(today);
    let before = vec![groom.household.clone(), bride.household.clone()];

    let (mut his, mut hers) = (groom.household, bride.household);
    let mut wife = leave(&mut hers, bride.at, today);
    wed(&mut wife, man.kin(), happened);
    wed(&mut his.people[groom.at], woman.kin(), happened);
    let mut after = vec![hers];
    if chance.happens(0.45) && his.people.len() > 1 {
        let husband = leave(&mut his, groom.at, today);
        let mut new = lives.found(&his);
        (new.home, new.since) = (places.dwelling(home, chance), today);
        new.people = vec![husband, wife];
        after.extend([new, his]);
    } else {
        his.people.push(wife);
        his.represent(today);
        after.push(his);
    }
    let told = Told { kind: Kind::Marriage, happened, known: today, persons: vec![man.id, woman.id] };
    Some(lives.commit(told, &before, after))
}

fn wed(person: &mut Person, spouse: Kin, day: Day) {
    (person.spouse, person.marital) = (Some(spouse), Marital::Married);
    (person.temporary, person.absence) = (None, None);
    person.note(day);
}

/// Takes somebody out of a household, which chooses a head anew if it must.
fn leave(household: &mut Household, at: usize, today: Day) -> Person {
    if household.head == at {
        household.choose_head_without(at);
    }
    let head = household.people.get(household.head).map(|head| head.id);
    let person = household.people.remove(at);
    household.head = household.people.iter().position(|other| Some(other.id) == head).unwrap_or(0);
    household.represent(today);
    person
}

fn moving(lives: &mut Lives<'_>, today: Day, chance: &mut Chance) -> Option<Event> {
    let restless = |_: &Household, person: &Person| match person.age(today) {
        ..18 => 0.0,
        18..35 => 1.0,
        35..60 => 0.35,
        _ => 0.1,
    };
    let Chosen { household, at } = lives.choose(chance, 40.0, restless)?;
    let before = vec![household.clone()];
    let places = lives.population().places();
    let from = household.home.commune;
    let to = if chance.happens(0.55) { places.neighbour(from, chance) } else { places.goal(chance) };
    if to == from {
        return None;
    }
    let home = places.dwelling(to, chance);
    let mut household = household;
    let alone = at != household.head && free(&household.people[at]);
    let mut new = lives.found(&household);
    if alone {
        new.people = vec![leave(&mut household, at, today)];
    } else {
        // The dead stay where they were.
        let head = household.people[household.head].id;
        (new.people, household.people) = household.people.into_iter().partition(Person::alive);
        new.head = new.people.iter().position(|person| person.id == head).unwrap_or(0);
    }
    let latest_fact = new.people.iter().map(|person| person.since).max().unwrap_or(today);
    let happened = (today - chance.between(0, 30)).max(latest_fact).min(today);
    let persons = new.people.iter().map(|person| person.id).collect();
    (new.home, new.since) = (home, happened);
    for person in &mut new.people {
        (person.temporary, person.absence) = (None, None);
        person.note(happened);
    }
    let told = Told { kind: Kind::Move, happened, known: today, persons };
    Some(lives.commit(told, &before, vec![new, household]))
}

/// An event that changes one person and nobody's household.
fn alone(
    lives: &mut Lives<'_>,
    kind: Kind,
    today: Day,
    chosen: Chosen,
    change: impl FnOnce(&mut Household, usize),
) -> Option<Event> {
    let Chosen { household, at } = chosen;
    let before = vec![household.clone()];
    let mut household = household;
    let id = household.people[at].id;
    change(&mut household, at);
    household.people[at].note(today);
    let told = Told { kind, happened: today, known: today, persons: vec![id] };
    let event = lives.commit(told, &before, vec![household]);
    (!event.changes.is_empty()).then_some(event)
}

fn reregistration(lives: &mut Lives<'_>, today: Day, chance: &mut Chance) -> Option<Event> {
    let lost = |household: &Household, person: &Person| {
        let elsewhere = person.registration != household.home.commune;
        if person.age(today) >= 18 && elsewhere { 1.0 } else { 0.0 }
    };
    let chosen = lives.choose(chance, 24.0, lost)?;
    alone(lives, Kind::Reregistration, today, chosen, |household, at| {
        let commune = household.home.commune;
        let person = &mut household.people[at];
        (person.registration, person.registered) = (commune, today);
    })
}

fn card(lives: &mut Lives<'_>, today: Day, chance: &mut Chance) -> Option<Event> {
    let due = |_: &Household, person: &Person| {
        let last = person.cards.last();
        let runs_out = last.is_none_or(|card| card.expires.is_some_and(|expires| expires < today + 180));
        match person.age(today) {
            ..6 => 0.0,
            6..14 => {
                if last.is_none() {
                    0.1
                } else {
                    0.0
                }
            }
            _ if runs_out => 1.0,
            _ => 0.01,
        }
    };
    let chosen = lives.choose(chance, 8.0, due)?;
    alone(lives, Kind::IdentityCard, today, chosen, |household, at| {
        let person = &mut household.people[at];
        person.cards.push(Card { issued: today, expires: traits::expiry(person.birth, today) });
    })
}

fn correction(lives: &mut Lives<'_>, today: Day, chance: &mut Chance) -> Option<Event> {
    let chosen = lives.choose(chance, 64.0, |_, _| 1.0)?;
    let (person, number) =
        (chosen.person(), chance.pick(&traits::MOBILE) * 10_000_000 + chance.below(10_000_000));
    let (adult, point, blood) = (person.age(today) >= 15, chance.below(100), 1 + chance.below(4) as u8);
    let new_name =
        names::name(person.name.family, person.ethnicity, person.female, ages::year(person.birth), chance);
    alone(lives, Kind::Correction, today, chosen, |household, at| {
        let person = &mut household.people[at];
        if person.year_only {
            person.year_only = false;
        } else if !adult {
            let id = person.id;
            let named = household.people.iter_mut().flat_map(links).filter(|kin| kin.id == id);
            named.for_each(|kin| kin.name = new_name);
            household.people[at].name = new_name;
        } else if person.blood == 0 && point < 40 {
            person.blood = blood;
        } else if person.mobile != 0 && !person.email && point < 60 {
            person.email = true;
        } else {
            person.mobile = number;
        }
    })
}

/// Everybody whom a record names. A child is named in the household it lives in alone.
fn links(person: &mut Person) -> impl Iterator<Item = &mut Kin> {
    let one = [&mut person.father, &mut person.mother, &mut person.spouse, &mut person.representative];
    one.into_iter().flatten().chain(&mut person.children).chain(&mut person.represented)
}

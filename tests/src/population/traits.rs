//! What else a record tells of a person: faith, cards, stays, telephone.

use super::{
    Population,
    ages::{self, Day},
    draw::Chance,
    person::{Card, Person, Stay},
    places::{Dwelling, communes},
    provinces,
};

/// The first card with a chip.
const FIRST_CARDS: (i32, u8, u8) = (2021, 1, 1);
/// The Law on Identification 2023 gives cards to children too.
const CARDS_FOR_ALL: (i32, u8, u8) = (2024, 7, 1);
/// Two digits after the 0 that mobile numbers begin with.
pub(super) const MOBILE: [u32; 28] = [
    32, 33, 34, 35, 36, 37, 38, 39, 70, 76, 77, 78, 79, 81, 82, 83, 84, 85, 86, 88, 90, 91, 93, 94, 96, 97,
    98, 56,
];

/// A religion as common as it is among a people in a province.
pub(super) fn religion(ethnicity: u8, province: u8, chance: &mut Chance) -> u8 {
    let mut point = chance.below(1000) as u16;
    for (code, per_mille) in provinces::religions(ethnicity, province) {
        if point < *per_mille {
            return *code;
        }
        point -= per_mille;
    }
    0
}

/// Draws the rest of a person.
pub(super) fn give(
    person: &mut Person,
    population: &Population,
    home: Dwelling,
    today: Day,
    chance: &mut Chance,
) {
    person.salt = chance.bits() as u32;
    person.year_only = ages::year(person.birth) < 1965 && chance.happens(0.06);
    if chance.happens(0.35) {
        // O is commonest, AB rare.
        person.blood = [4, 4, 4, 4, 2, 2, 2, 1, 1, 1, 3][chance.below(11) as usize];
    }
    cards(person, person.death.unwrap_or(today), chance);
    if !person.alive() {
        return;
    }
    let age = person.age(today);
    if age >= 15 && chance.happens(if age < 70 { 0.82 } else { 0.4 }) {
        person.mobile = chance.pick(&MOBILE) * 10_000_000 + chance.below(10_000_000);
        person.email = age < 60 && chance.happens(0.22);
    }
    let leaves =
        if population.guests(communes()[usize::from(home.commune)].native) < 150 { 0.11 } else { 0.03 };
    if (18..46).contains(&age) && chance.happens(leaves) {
        stay_elsewhere(person, population, home, today, chance);
    } else if age >= 18 && chance.happens(0.006) {
        let from = person.since.max(today - 200) + 1;
        if from < today {
            let until = Some(today + chance.between(5, 300));
            person.absence = Some(Stay { home, from, until });
            person.note(from);
        }
    }
}

fn stay_elsewhere(
    person: &mut Person,
    population: &Population,
    home: Dwelling,
    today: Day,
    chance: &mut Chance,
) {
    let goal = population.places().goal(chance);
    let from = today - chance.between(1, 1100);
    let abroad = communes()[usize::from(goal)].province == communes()[usize::from(home.commune)].province;
    if abroad || ages::years(person.birth, from) < 17 {
        return;
    }
    let until = chance.happens(0.4).then(|| today + chance.between(10, 700));
    person.temporary = Some(Stay { home: population.places().dwelling(goal, chance), from, until });
    person.note(from);
}

/// Cards run out at 25, 40 and 60; one taken in the two years before runs to the next of these ages.
#[must_use]
pub(super) fn expiry(birth: Day, issued: Day) -> Option<Day> {
    let age = ages::years(birth, issued);
    let limit = match age {
        ..14 => 14,
        14..23 => 25,
        23..38 => 40,
        38..58 => 60,
        _ => return None,
    };
    Some(ages::after(birth, limit))
}

fn cards(person: &mut Person, last: Day, chance: &mut Chance) {
    let adult = ages::after(person.birth, 14);
    let (first, wanted) = if adult < last {
        (adult.max(ages::day(FIRST_CARDS.0, FIRST_CARDS.1, FIRST_CARDS.2)), 0.95)
    } else {
        (person.birth.max(ages::day(CARDS_FOR_ALL.0, CARDS_FOR_ALL.1, CARDS_FOR_ALL.2)), 0.1)
    };
    if first >= last || !chance.happens(wanted) {
        return;
    }
    let mut issued = chance.between(first, last - 1);
    for _ in 0..2 {
        let expires = expiry(person.birth, issued);
        person.cards.push(Card { issued, expires });
        person.note(issued);
        match expires {
            Some(expires) if expires < last && chance.happens(0.9) => {
                issued = (expires - chance.between(0, 90)).max(issued + 1);
            }
            _ => break,
        }
    }
}

//! A household: people who name each other.

use dancu_proto::v1::{
    Citizen, Date, IdentityCard, IdentityCardList, Relative, RelativeList, StringList, TemporaryAbsence,
    TemporaryResidence,
};
use rand::{Rng, rngs::SmallRng};

use super::{
    draw::{permille, weighted},
    ids::Ids,
    names,
    places::{Commune, Places},
};

/// The administrative order that addresses follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Communes in force since 1 July 2025.
    InForce,
    /// The same, with the codes as registered before.
    BeforeMerger,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Head,
    Spouse,
    Child,
    Grandparent,
}

struct Person {
    role: Role,
    citizen: Citizen,
    female: bool,
    dead: bool,
}

/// Ages of heads of household, from and to, by how many there are.
const HEADS: &[((u32, u32), u32)] =
    &[((20, 29), 12), ((30, 39), 33), ((40, 49), 25), ((50, 59), 15), ((60, 69), 10), ((70, 88), 5)];
/// Children of a couple.
const CHILDREN: &[(usize, u32)] = &[(0, 6), (1, 18), (2, 48), (3, 20), (4, 8)];

/// Everything that a household's members share.
struct Home<'a> {
    places: &'a Places,
    commune: &'a Commune,
    day: Date,
    layout: Layout,
    ethnicity: &'static str,
    religion: &'static str,
}

pub(super) fn make(
    rng: &mut SmallRng,
    places: &Places,
    ids: &mut Ids,
    day: &Date,
    layout: Layout,
    number: u64,
    at_most: usize,
) -> Vec<Citizen> {
    let commune = places.draw(rng);
    let ethnicity = ethnicity(rng, commune.province());
    let religion = religion(rng, ethnicity);
    let home = Home { places, commune, day: *day, layout, ethnicity, religion };
    let mut people = couple(rng, ids, &home);
    children(rng, ids, &home, &mut people);
    grandparent(rng, ids, &home, &mut people);
    people.truncate(at_most);
    name_each_other(&mut people);
    live_together(rng, &home, &mut people, number);
    people.into_iter().map(|person| person.citizen).collect()
}

fn couple(rng: &mut SmallRng, ids: &mut Ids, home: &Home<'_>) -> Vec<Person> {
    let (from, to) = weighted(rng, HEADS);
    let age = rng.random_range(from..=to);
    let woman_leads = permille(rng, 260);
    let mut people = vec![person(rng, ids, home, Role::Head, woman_leads, age, None)];
    let married = permille(rng, if age < 25 { 350 } else { 830 });
    if married {
        let other = (age + 2).saturating_sub(rng.random_range(0..=5)).max(19);
        people.push(person(rng, ids, home, Role::Spouse, !woman_leads, other, None));
        // An older couple's other half has often died; the dead head no household.
        if let Some(spouse) = people.last_mut().filter(|_| age > 50) {
            let chance = (age - 50) * 9;
            if permille(rng, chance) {
                die(rng, &home.day, spouse, 15);
            }
        }
    }
    people
}

fn children(rng: &mut SmallRng, ids: &mut Ids, home: &Home<'_>, people: &mut Vec<Person>) {
    if people.len() < 2 {
        return;
    }
    let mother = people.iter().find(|person| person.female).map_or(0, |person| birth_year(&person.citizen));
    let father = people.iter().find(|person| !person.female);
    let family = father.map(|father| father.citizen.full_name.clone().unwrap_or_default().family);
    let ended = people.iter().filter_map(|person| person.citizen.date_of_death.map(|d| d.year)).min();
    let mut year = mother + rng.random_range(19..30);
    for _ in 0..weighted(rng, CHILDREN) {
        let last = home.day.year.saturating_sub(1).min(ended.unwrap_or(u32::MAX).saturating_sub(1));
        if year > last || year > mother + 45 {
            break;
        }
        let age = home.day.year - year;
        // Grown children have mostly left.
        if age < 22 || permille(rng, if age < 30 { 450 } else { 120 }) {
            let female = permille(rng, 485);
            let mut child = person(rng, ids, home, Role::Child, female, age, family.as_deref());
            if permille(rng, 4) {
                die(rng, &home.day, &mut child, age.min(3));
            }
            people.push(child);
        }
        year += rng.random_range(1..6);
    }
}

fn grandparent(rng: &mut SmallRng, ids: &mut Ids, home: &Home<'_>, people: &mut Vec<Person>) {
    let head = &people[0];
    let age = home.day.year - birth_year(&head.citizen);
    if !(28..=60).contains(&age) || !permille(rng, 210) {
        return;
    }
    let female = permille(rng, 620);
    let family = head.citizen.full_name.clone().unwrap_or_default().family;
    let family = (!female).then_some(family);
    let older = age + rng.random_range(21..34);
    let mut person = person(rng, ids, home, Role::Grandparent, female, older, family.as_deref());
    if permille(rng, 250) {
        die(rng, &home.day, &mut person, 10);
    }
    people.push(person);
}

fn person(
    rng: &mut SmallRng,
    ids: &mut Ids,
    home: &Home<'_>,
    role: Role,
    female: bool,
    age: u32,
    family: Option<&str>,
) -> Person {
    let year = home.day.year - age;
    let mut birth = Date { year, month: rng.random_range(1..=12), day: rng.random_range(1..=28) };
    // Of some of the old only the year is known.
    if year < 1960 && permille(rng, 120) {
        birth = Date { year, month: 0, day: 0 };
    }
    let place = home.places.birth_place(rng, home.commune);
    let family = family.map_or_else(|| names::family(rng, home.ethnicity).to_owned(), str::to_owned);
    let name = names::name(rng, &family, female, year);
    let origin = home.commune.area(home.layout);
    let adult = age >= 18;
    let citizen = Citizen {
        personal_id: ids.personal(place, &birth, female),
        full_name: Some(name),
        date_of_birth: Some(birth),
        sex: if female { "2" } else { "1" }.into(),
        place_of_birth: Some(origin.clone()),
        place_of_birth_registration: Some(origin.clone()),
        place_of_origin: Some(origin),
        ethnicity: home.ethnicity.into(),
        religion: home.religion.into(),
        nationality: Some(StringList { values: vec!["VN".into()] }),
        blood_type: if permille(rng, 300) {
            weighted(rng, &[("04", 42), ("01", 21), ("02", 31), ("03", 6)])
        } else {
            ""
        }
        .into(),
        old_id_number: if year < 2000 && permille(rng, 820) { ids.old() } else { String::new() },
        identity_cards: (age > 14 && permille(rng, 900)).then(|| card(rng, home, year)),
        mobile_number: if adult && permille(rng, 650) {
            format!("09{:08}", rng.random_range(0..100_000_000))
        } else {
            String::new()
        },
        marital_status: if age > 14 { "1" } else { "" }.into(),
        ..Citizen::default()
    };
    Person { role, citizen, female, dead: false }
}

fn card(rng: &mut SmallRng, home: &Home<'_>, birth_year: u32) -> IdentityCardList {
    let year = rng.random_range(2016.max(birth_year + 14)..=home.day.year.max(birth_year + 15) - 1);
    let age = year - birth_year;
    // A card lasts to the next of 25, 40 and 60 years of age.
    let until = [25, 40, 60].into_iter().find(|limit| age < *limit);
    IdentityCardList {
        items: vec![IdentityCard {
            issued_on: Some(Date { year, month: rng.random_range(1..=12), day: rng.random_range(1..=28) }),
            issued_by: "Cục Cảnh sát quản lý hành chính về trật tự xã hội".into(),
            expires_on: until.map(|age| Date { year: birth_year + age, month: 12, day: 31 }),
        }],
    }
}

fn die(rng: &mut SmallRng, day: &Date, person: &mut Person, within: u32) {
    let born = birth_year(&person.citizen);
    let earliest = (day.year - within.max(1)).max(born + 1);
    // Whoever was born last year lives on.
    if earliest >= day.year {
        return;
    }
    let year = rng.random_range(earliest..day.year);
    person.dead = true;
    person.citizen.date_of_death =
        Some(Date { year, month: rng.random_range(1..=12), day: rng.random_range(1..=28) });
    let cards = person.citizen.identity_cards.take();
    person.citizen.identity_cards = cards.filter(|cards| {
        cards.items.iter().all(|card| card.issued_on.is_some_and(|issued| issued.year < year))
    });
    person.citizen.mobile_number.clear();
}

/// Father, mother, spouse and children.
fn name_each_other(people: &mut [Person]) {
    let relative = |person: &Person, relation: &str| Relative {
        name: person.citizen.full_name.clone(),
        personal_id: person.citizen.personal_id.clone(),
        old_id_number: person.citizen.old_id_number.clone(),
        nationality: vec!["VN".into()],
        relation: relation.into(),
    };
    let find = |role: Role| people.iter().position(|person| person.role == role);
    let (head, spouse, grandparent) = (find(Role::Head), find(Role::Spouse), find(Role::Grandparent));
    let children: Vec<usize> = (0..people.len()).filter(|i| people[*i].role == Role::Child).collect();
    if let (Some(head), Some(spouse)) = (head, spouse) {
        let widowed = people[spouse].dead;
        for (one, other) in [(head, spouse), (spouse, head)] {
            let other = relative(&people[other], "");
            let one = &mut people[one].citizen;
            one.spouse = Some(other);
            one.marital_status = if widowed { "3" } else { "2" }.into();
        }
        let list: Vec<Relative> = children.iter().map(|child| relative(&people[*child], "")).collect();
        for parent in [head, spouse] {
            if !list.is_empty() {
                people[parent].citizen.children = Some(RelativeList { items: list.clone() });
            }
        }
        for parent in [head, spouse] {
            let (female, named) = (people[parent].female, relative(&people[parent], ""));
            for child in &children {
                let child = &mut people[*child].citizen;
                if female { child.mother = Some(named.clone()) } else { child.father = Some(named.clone()) }
            }
        }
    }
    if let (Some(head), Some(old)) = (head, grandparent) {
        let named = relative(&people[old], "");
        let child = relative(&people[head], "");
        let female = people[old].female;
        let head = &mut people[head].citizen;
        if female {
            head.mother = Some(named)
        } else {
            head.father = Some(named)
        }
        people[old].citizen.children = Some(RelativeList { items: vec![child] });
        people[old].citizen.marital_status = "3".into();
    }
}

/// Addresses, head and members.
fn live_together(rng: &mut SmallRng, home: &Home<'_>, people: &mut [Person], number: u64) {
    let address = home.commune.address(rng, home.layout);
    let word = |role| match role {
        Role::Head => "chủ hộ",
        Role::Spouse => "vợ/chồng",
        Role::Child => "con",
        Role::Grandparent => "cha/mẹ",
    };
    let as_member = |person: &Person| Relative {
        name: person.citizen.full_name.clone(),
        personal_id: person.citizen.personal_id.clone(),
        relation: word(person.role).into(),
        ..Relative::default()
    };
    let living: Vec<Relative> = people.iter().filter(|person| !person.dead).map(as_member).collect();
    let head = people.first().map(as_member);
    for person in people.iter_mut() {
        let age = home.day.year - birth_year(&person.citizen);
        let citizen = &mut person.citizen;
        citizen.permanent_residence = Some(address.clone());
        if person.dead {
            continue;
        }
        citizen.residence_file_number = format!("{}{number:09}", home.commune.province());
        citizen.relation_to_household_head = word(person.role).into();
        citizen.household_head = head.clone();
        if person.role == Role::Head {
            citizen.household_members = Some(RelativeList { items: living.clone() });
        }
        let away = (19..=45).contains(&age) && permille(rng, 90);
        citizen.current_dwelling = Some(if away {
            let mut city = home.places.draw_city(rng);
            while std::ptr::eq(city, home.commune) {
                city = home.places.draw_city(rng);
            }
            let there = city.address(rng, home.layout);
            citizen.temporary_residence = Some(TemporaryResidence {
                address: Some(there.clone()),
                from: Some(Date { year: home.day.year - 1, month: rng.random_range(1..=12), day: 1 }),
                until: None,
            });
            there
        } else {
            address.clone()
        });
        if !away && age > 18 && permille(rng, 4) {
            citizen.temporary_absence = Some(TemporaryAbsence {
                from: Some(Date { year: home.day.year - 1, month: 11, day: 1 }),
                until: Some(Date { year: home.day.year, month: 6, day: 30 }),
                reason: "Đi làm ăn xa".into(),
            });
        }
        if !citizen.mobile_number.is_empty() && permille(rng, 200) {
            citizen.email = format!("cd{}@example.vn", &citizen.mobile_number[2..]);
        }
    }
}

fn birth_year(citizen: &Citizen) -> u32 {
    citizen.date_of_birth.map_or(1900, |date| date.year)
}

/// Ethnic groups by province, in a hundred; elsewhere the Kinh.
fn ethnicity(rng: &mut SmallRng, province: &str) -> &'static str {
    let table: &[(&str, u32)] = match province {
        "04" | "20" => &[("02", 45), ("07", 35), ("01", 8), ("08", 7), ("09", 5)],
        "08" => &[("01", 32), ("02", 30), ("08", 18), ("09", 16), ("07", 4)],
        "11" | "12" => &[("08", 36), ("03", 36), ("01", 17), ("09", 11)],
        "14" => &[("03", 53), ("01", 17), ("08", 16), ("06", 14)],
        "15" => &[("01", 46), ("02", 18), ("08", 18), ("09", 12), ("03", 6)],
        "19" => &[("01", 72), ("02", 18), ("07", 6), ("09", 4)],
        "25" => &[("01", 75), ("06", 25)],
        "38" | "40" => &[("01", 84), ("03", 9), ("06", 7)],
        "52" => &[("01", 70), ("10", 20), ("13", 10)],
        "66" => &[("01", 72), ("12", 20), ("07", 8)],
        "68" => &[("01", 84), ("16", 10), ("07", 6)],
        "86" | "92" => &[("01", 85), ("05", 14), ("04", 1)],
        "91" | "96" => &[("01", 89), ("05", 10), ("04", 1)],
        "79" => &[("01", 94), ("04", 6)],
        _ => &[("01", 98), ("04", 1), ("02", 1)],
    };
    weighted(rng, table)
}

fn religion(rng: &mut SmallRng, ethnicity: &str) -> &'static str {
    match ethnicity {
        "05" => weighted(rng, &[("01", 90), ("00", 10)]),
        "12" | "10" | "13" | "08" => weighted(rng, &[("00", 65), ("08", 25), ("02", 10)]),
        _ => weighted(rng, &[("00", 85), ("01", 6), ("02", 6), ("05", 1), ("03", 2)]),
    }
}

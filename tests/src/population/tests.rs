//! Every rule of the population, over twenty thousand of them.

use std::collections::{HashMap, HashSet};

use dancu_proto::PersonalId;

use super::*;

fn people() -> Vec<Citizen> {
    Population::new(7, 20_000).collect()
}

#[test]
fn the_same_seed_gives_the_same_people() {
    let rows = |seed| Population::new(seed, 2_000).collect::<Vec<_>>();
    assert_eq!(rows(1), rows(1));
    assert_ne!(rows(1), rows(2));
    assert_eq!(rows(1).len(), 2_000);
}

#[test]
fn numbers_are_valid_and_given_once() {
    let (mut ids, mut old) = (HashSet::new(), HashSet::new());
    for person in Population::new(3, 200_000) {
        let id: PersonalId = person.personal_id.parse().unwrap();
        assert_eq!(id.birth_year(), person.date_of_birth.unwrap().year);
        assert_eq!(id.sex(), person.sex);
        assert!(ids.insert(id));
        assert!(person.old_id_number.is_empty() || old.insert(person.old_id_number));
    }
    assert!(old.len() > 50_000 && old.len() < 190_000, "{}", old.len());
}

#[test]
fn relatives_exist_and_fit() {
    let people = people();
    let by_id: HashMap<&str, &Citizen> = people.iter().map(|p| (p.personal_id.as_str(), p)).collect();
    let year = |p: &Citizen| p.date_of_birth.unwrap().year;
    let (mut mothers, mut married) = (0, 0);
    for person in &people {
        let named = [&person.father, &person.mother, &person.spouse, &person.household_head];
        for relative in named.into_iter().flatten() {
            let found = by_id.get(relative.personal_id.as_str()).expect("a relative who exists");
            assert_eq!(found.full_name, relative.name);
        }
        if let Some(mother) = &person.mother {
            let age = year(person) - year(by_id[mother.personal_id.as_str()]);
            assert!((16..=48).contains(&age), "{age}");
            mothers += 1;
        }
        if let Some(spouse) = &person.spouse {
            let other = by_id[spouse.personal_id.as_str()];
            assert_eq!(other.spouse.as_ref().unwrap().personal_id, person.personal_id);
            assert_ne!(other.sex, person.sex);
            married += 1;
        }
        if let Some(death) = person.date_of_death {
            assert!(death.year > year(person) && death.as_number() < DAY);
            let cards = person.identity_cards.iter().flat_map(|cards| &cards.items);
            assert!(cards.into_iter().all(|card| card.issued_on.unwrap().year < death.year));
            assert!(person.temporary_residence.is_none() && person.household_head.is_none());
        } else {
            let head = by_id[person.household_head.as_ref().unwrap().personal_id.as_str()];
            assert!(head.date_of_death.is_none(), "the dead head no household");
        }
    }
    assert!(mothers > 4_000 && married > 8_000);
}

#[test]
fn it_looks_like_vietnam() {
    let people = people();
    let share = |of: &dyn Fn(&Citizen) -> bool| {
        people.iter().filter(|p| of(p)).count() as f64 * 100.0 / people.len() as f64
    };
    let within = |what: &str, share: f64, low: f64, high: f64| {
        assert!((low..=high).contains(&share), "{what}: {share}");
    };
    let age = |p: &Citizen| 2026 - p.date_of_birth.unwrap().year;
    within("Nguyễn", share(&|p| p.full_name.as_ref().unwrap().family == "Nguyễn"), 28.0, 38.0);
    within("Kinh", share(&|p| p.ethnicity == "01"), 80.0, 92.0);
    within("women", share(&|p| p.sex == "2"), 47.0, 53.0);
    within("children", share(&|p| age(p) < 15), 17.0, 28.0);
    within("old", share(&|p| age(p) >= 65), 6.0, 15.0);
    within("dead", share(&|p| p.date_of_death.is_some()), 1.0, 8.0);
    within("year alone", share(&|p| p.date_of_birth.unwrap().month == 0), 0.5, 6.0);
    within("away", share(&|p| p.temporary_residence.is_some()), 1.5, 8.0);
    let mut sizes: HashMap<String, u32> = HashMap::new();
    for person in Population::new(5, 400_000) {
        *sizes.entry(person.permanent_residence.unwrap().commune).or_default() += 1;
    }
    assert!(sizes.len() > 3_250, "{}", sizes.len());
    assert!(sizes.values().max().unwrap() / sizes.values().min().unwrap() >= 50);
}

#[test]
fn rows_come_back() {
    use writer::{RowFormat, RowWriter};
    let mut out = Vec::new();
    let mut rows = RowWriter::new(&mut out, RowFormat::Jsonl).unwrap();
    let people: Vec<_> = Population::new(9, 500).collect();
    let size: u64 = people.iter().map(|person| rows.write(person).unwrap()).sum();
    rows.finish().unwrap();
    let lines = out.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let read: Vec<Citizen> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(read, people);
    assert!((700..2_200).contains(&(size / 500)), "{}", size / 500);
}

#[test]
fn lives_go_on_at_vietnams_rates() {
    let (from, until) = (Date::from_number(20_260_101), Date::from_number(20_261_231));
    let events = events::between(7, 100_000, &from, &until);
    let count = |kind: &str| events.iter().filter(|event| event.kind == kind).count();
    // For 101 million: 1.4 million births, 0.65 million deaths, 0.62 million marriages, 3 to 5 million moves.
    for (kind, low, high) in
        [("birth", 900, 2_000), ("death", 400, 1_100), ("marriage", 250, 900), ("move", 3_000, 5_000)]
    {
        assert!((low..high).contains(&count(kind)), "{kind}: {}", count(kind));
    }
    let dead: Vec<_> = events.iter().filter(|e| e.kind == "death").map(|e| &e.people[0]).collect();
    assert_eq!(dead.iter().collect::<HashSet<_>>().len(), dead.len(), "nobody dies twice");
    let late = events.iter().filter(|event| event.happened[..7] < event.known[..7]).count();
    assert!(late > 0);
    assert!(events.windows(2).all(|pair| pair[0].known <= pair[1].known));
}

//! The laws of events: only the living die, marry and move, and the registry stays consistent.

use std::collections::{HashMap, HashSet};

use dancu_proto::{Field, Record, field::FieldSet};

use super::*;

fn registry(population: &Population) -> HashMap<String, Citizen> {
    population.iter().map(|citizen| (citizen.personal_id.clone(), citizen)).collect()
}

/// The record after a change, by plain merging.
fn merged(old: &Citizen, change: &Change) -> Citizen {
    let clear: FieldSet = change.clear.iter().map(|name| name.parse::<Field>().unwrap()).collect();
    let kept = Record::encode(old).project(FieldSet::all().difference(clear)).into_record().decode().unwrap();
    let mut value = serde_json::to_value(kept).unwrap();
    let set = serde_json::to_value(&change.set).unwrap();
    for (field, new) in set.as_object().unwrap() {
        value[field] = new.clone();
    }
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_registry_that_applies_all_events_stays_consistent() {
    let population = Population::new(11, 20_000);
    let mut registry = registry(&population);
    let from = ages::day(2026, 1, 1);
    let events: Vec<Event> = Events::new(&population, from, Some(from + 89), Some(60.0)).collect();
    let mut seen: HashMap<Kind, usize> = HashMap::new();
    let mut last = Date::default();
    for event in &events {
        *seen.entry(event.kind).or_default() += 1;
        assert!(event.happened.as_number() <= event.known.as_number());
        assert!(last.as_number() <= event.known.as_number(), "told in order");
        last = event.known;
        assert!(!event.changes.is_empty() && event.persons.contains(&event.changes[0].personal_id));
        match event.kind {
            Kind::Birth => {
                let child = &event.changes[0];
                assert!(child.new && child.set.date_of_birth == Some(event.happened));
                let mother = &registry[&child.set.mother.as_ref().unwrap().personal_id];
                let age = event.happened.year - mother.date_of_birth.unwrap().year;
                assert!((16..=49).contains(&age) && mother.date_of_death.is_none(), "{age}");
            }
            Kind::Death => {
                let dead = &registry[&event.persons[0]];
                assert!(dead.date_of_death.is_none(), "nobody dies twice");
                assert_eq!(event.changes[0].set.date_of_death, Some(event.happened));
                assert!(dead.date_of_birth.unwrap().year <= event.happened.year);
            }
            Kind::Marriage => {
                for (one, other) in [(0, 1), (1, 0)] {
                    let person = &registry[&event.persons[one]];
                    assert!(
                        person.spouse.is_none()
                            && person.marital_status != "2"
                            && person.date_of_death.is_none()
                    );
                    let change = event.changes.iter().find(|c| c.personal_id == event.persons[one]).unwrap();
                    assert_eq!(change.set.spouse.as_ref().unwrap().personal_id, event.persons[other]);
                    assert_eq!(change.set.marital_status, "2");
                }
            }
            Kind::Move => {
                for mover in &event.persons {
                    let change = event.changes.iter().find(|c| c.personal_id == *mover).unwrap();
                    let old = registry[mover].permanent_residence.as_ref().unwrap();
                    assert_ne!(change.set.permanent_residence.as_ref().unwrap().commune, old.commune);
                    assert!(registry[mover].date_of_death.is_none());
                }
            }
            Kind::Reregistration => assert!(event.changes[0].set.place_of_birth_registration.is_some()),
            Kind::IdentityCard => assert!(event.changes[0].set.identity_cards.is_some()),
            Kind::Correction => {}
        }
        for change in &event.changes {
            let old = registry.get(&change.personal_id);
            assert_eq!(old.is_none(), change.new, "new ones are new, others exist");
            let new = match old {
                Some(old) => merged(old, change),
                None => change.set.clone(),
            };
            assert!(old != Some(&new), "a change changes something");
            registry.insert(change.personal_id.clone(), new);
        }
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    let known: HashSet<&String> = registry.keys().collect();
    super::super::tests::consistent(registry.values(), &known);
}

#[test]
fn rates_are_those_of_vietnam_and_late_is_normal() {
    let population = Population::new(3, 50_000);
    let from = ages::day(2026, 1, 1);
    let events: Vec<Event> = Events::new(&population, from, Some(from + 364), None).collect();
    let times = |kind| events.iter().filter(|event| event.kind == kind).count() as f64;
    for (kind, yearly) in YEARLY {
        let wanted = yearly * 50_000.0 / PEOPLE;
        assert!(
            (times(kind) - wanted).abs() < 5.0 * wanted.sqrt() + 0.05 * wanted,
            "{kind:?} {}",
            times(kind)
        );
    }
    let on_time = |kind, days: i32| {
        let lag = |event: &&Event| {
            let day = |date: Date| ages::day(date.year as i32, date.month as u8, date.day as u8);
            day(event.known) - day(event.happened) <= days
        };
        events.iter().filter(|event| event.kind == kind).filter(lag).count() as f64 / times(kind)
    };
    let (births, deaths) = (on_time(Kind::Birth, 60), on_time(Kind::Death, 15));
    assert!((0.8..0.9).contains(&births) && (0.62..0.82).contains(&deaths), "{births} {deaths}");
}

#[test]
fn the_same_seed_tells_the_same_events() {
    let population = Population::new(9, 3_000);
    let from = ages::day(2026, 1, 1);
    let tell = || Events::new(&population, from, Some(from + 20), Some(20.0)).collect::<Vec<_>>();
    assert!(tell() == tell() && !tell().is_empty());
}

#[test]
fn a_tiny_population_ends_and_does_not_hang() {
    let population = Population::new(9, 1);
    let from = ages::day(2026, 1, 1);
    let events = Events::new(&population, from, Some(from + 5), Some(2.0));
    assert!(events.filter(|event| event.kind == Kind::Death).count() <= 1);
}

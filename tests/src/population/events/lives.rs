//! The population as it has become: drawn again from the seed, with what has changed laid over it.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use dancu_proto::{Record, v1::Citizen};
use prost::Message;

use super::{Change, Event, Kind};
use crate::population::{
    Population,
    ages::{self, Day},
    draw::Chance,
    ids,
    person::{Household, Person},
    places::{HAMLET, communes},
    record::personal_id,
};

/// Hamlets looked at before an event is given up: there may be nobody it can happen to.
const ATTEMPTS: u32 = 3000;

/// The lives of a population.
#[derive(Debug)]
pub(super) struct Lives<'a> {
    population: &'a Population,
    changed: HashMap<(u32, u16), Household>,
    /// The number of the next new household of a hamlet that has one.
    next: HashMap<u32, u16>,
    /// Numbers given to the newly born, by place, sex and year.
    born: HashMap<(u8, bool, i32), u32>,
}

/// Somebody, and those they live with.
pub(super) struct Chosen {
    pub(super) household: Household,
    pub(super) at: usize,
}

impl Chosen {
    pub(super) fn person(&self) -> &Person {
        &self.household.people[self.at]
    }
}

impl<'a> Lives<'a> {
    pub(super) fn new(population: &'a Population) -> Lives<'a> {
        Lives { population, changed: HashMap::new(), next: HashMap::new(), born: HashMap::new() }
    }

    pub(super) fn population(&self) -> &'a Population {
        self.population
    }

    pub(super) fn changed(&self) -> usize {
        self.changed.len()
    }

    /// The households of a hamlet as they are now.
    fn households(&self, hamlet: u32) -> Vec<Household> {
        let mut households = self.population.households(hamlet);
        let drawn = households.len() as u16;
        for household in &mut households {
            if let Some(now) = self.changed.get(&household.key) {
                household.clone_from(now);
            }
        }
        let next = self.next.get(&hamlet).copied().unwrap_or(drawn);
        households.extend((drawn..next).filter_map(|number| self.changed.get(&(hamlet, number)).cloned()));
        households
    }

    /// Somebody alive, as likely as their weight. `usual` is about twice the weight of a full
    /// hamlet: by it the hamlets are weighed against each other.
    pub(super) fn choose(
        &self,
        chance: &mut Chance,
        usual: f64,
        weigh: impl Fn(&Household, &Person) -> f64,
    ) -> Option<Chosen> {
        let all = 0..self.population.places().hamlets();
        (0..ATTEMPTS).find_map(|_| self.try_hamlet(&all, chance, usual, &weigh))
    }

    /// Somebody from one of these hamlets, if there is one in the first that is looked at.
    pub(super) fn try_hamlet(
        &self,
        hamlets: &Range<u32>,
        chance: &mut Chance,
        usual: f64,
        weigh: &impl Fn(&Household, &Person) -> f64,
    ) -> Option<Chosen> {
        let hamlet = hamlets.start + chance.below(hamlets.end - hamlets.start);
        if hamlets.is_empty() || chance.below(HAMLET) >= self.population.places().hamlet(hamlet).size {
            return None;
        }
        let mut households = self.households(hamlet);
        let weights: Vec<(usize, usize, f64)> = households
            .iter()
            .enumerate()
            .flat_map(|(h, household)| {
                let living = household.people.iter().enumerate().filter(|(_, person)| person.alive());
                living.map(move |(p, person)| (h, p, household, person))
            })
            .map(|(h, p, household, person)| (h, p, weigh(household, person)))
            .collect();
        let total: f64 = weights.iter().map(|(_, _, weight)| weight).sum();
        let share = f64::from(HAMLET) / f64::from(self.population.places().hamlet(hamlet).size.max(1));
        if total <= 0.0 || !chance.happens(total * share / usual) {
            return None;
        }
        let mut point = chance.unit() * total;
        for (h, p, weight) in weights {
            point -= weight;
            if weight > 0.0 && point <= 0.0 {
                return Some(Chosen { household: households.swap_remove(h), at: p });
            }
        }
        None
    }

    /// A new household that starts from an old one: it has no people yet.
    pub(super) fn found(&mut self, from: &Household) -> Household {
        let drawn = self.population.households(from.key.0).len() as u16;
        let next = self.next.entry(from.key.0).or_insert(drawn);
        let key = (from.key.0, *next);
        *next += 1;
        Household { key, home: from.home, since: 0, head: 0, people: Vec::new() }
    }

    /// A number for somebody born in a commune.
    pub(super) fn number(&mut self, commune: u16, female: bool, birth: Day) -> Option<u64> {
        let (place, year) = (communes()[usize::from(commune)].native, ages::year(birth));
        let counted = year <= ages::year(self.population.day() - 1);
        let count = self.born.entry((place, female, year)).or_default();
        let id = ids::late(self.population.seed(), place, female, year, *count, counted)?;
        *count += 1;
        Some(id)
    }

    /// Keeps what households have become, and tells what that changes in the registry.
    pub(super) fn commit(&mut self, told: Told, before: &[Household], after: Vec<Household>) -> Event {
        let old: HashMap<u64, Citizen> = self.records(before).collect();
        let mut changes: Vec<(u64, Change)> =
            self.records(&after).filter_map(|(id, new)| Some((id, change(old.get(&id), &new)?))).collect();
        let first: HashSet<u64> = told.persons.iter().copied().collect();
        changes.sort_by_key(|(id, change)| (!change.new, !first.contains(id)));
        for household in after {
            self.changed.insert(household.key, household);
        }
        Event {
            kind: told.kind,
            happened: ages::date(told.happened),
            known: ages::date(told.known),
            persons: told.persons.iter().map(|id| personal_id(*id)).collect(),
            changes: changes.into_iter().map(|(_, change)| change).collect(),
        }
    }

    fn records(&self, households: &[Household]) -> impl Iterator<Item = (u64, Citizen)> {
        let records = self.population.records();
        households.iter().flat_map(move |household| {
            (0..household.people.len())
                .map(move |at| (household.people[at].id, records.citizen(household, at)))
        })
    }
}

/// What is said of an event.
pub(super) struct Told {
    pub(super) kind: Kind,
    pub(super) happened: Day,
    pub(super) known: Day,
    pub(super) persons: Vec<u64>,
}

fn change(old: Option<&Citizen>, new: &Citizen) -> Option<Change> {
    let personal_id = new.personal_id.clone();
    let Some(old) = old else {
        return Some(Change { personal_id, new: true, set: new.clone(), clear: Vec::new() });
    };
    let delta = Record::encode(old).delta_to(&Record::encode(new));
    if delta.is_empty() {
        return None;
    }
    let set = Citizen::decode(delta.set.as_slice()).ok()?;
    let clear = delta.cleared.iter().map(|field| field.name()).collect();
    Some(Change { personal_id, new: false, set, clear })
}

//! Whom changes are made to: people who belong to one commune and to no other.

use std::collections::HashMap;

use dancu_proto::v1::Citizen;

use crate::population::Population;

/// The seed of every population of the benchmarks.
pub const SEED: u64 = 1911;

/// The fields that a commune's office is given, in both systems.
pub const OFFICE_FIELDS: [&str; 10] = [
    "full_name",
    "date_of_birth",
    "sex",
    "old_id_number",
    "permanent_residence",
    "temporary_residence",
    "relation_to_household_head",
    "household_head",
    "date_of_death",
    "mobile_number",
];

/// A commune and the people who belong to it alone, by number.
#[derive(Clone, Debug)]
pub struct Commune {
    /// Its code.
    pub code: String,
    /// Their numbers.
    pub people: Vec<String>,
}

/// The communes of a population, those with most people first.
#[must_use]
pub fn communes(population: &Population) -> Vec<Commune> {
    let mut by_code: HashMap<String, Vec<String>> = HashMap::new();
    for citizen in population.iter() {
        let Some(home) = home_alone(&citizen) else { continue };
        by_code.entry(home.to_owned()).or_default().push(citizen.personal_id);
    }
    let mut communes: Vec<Commune> =
        by_code.into_iter().map(|(code, people)| Commune { code, people }).collect();
    communes.sort_by(|a, b| (b.people.len(), &b.code).cmp(&(a.people.len(), &a.code)));
    communes
}

/// The commune of somebody who has an address in no other.
fn home_alone(citizen: &Citizen) -> Option<&str> {
    let home = &citizen.permanent_residence.as_ref()?.commune;
    let elsewhere = citizen.current_dwelling.as_ref().is_some_and(|dwelling| dwelling.commune != *home);
    (citizen.temporary_residence.is_none() && !elsewhere && !home.is_empty()).then_some(home)
}

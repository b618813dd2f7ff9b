//! What happens in the lives of a population, at Vietnam's real yearly rates (2024: 1.4 million births,
//! 0.43 million late registrations of birth, 0.65 million deaths, 0.62 million marriages, some four
//! million moves, for 101 million people).

use dancu_proto::v1::{Citizen, Date, Name, Relative, StringList};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Layout, Population, draw::permille, ids::Ids, names, places::Places};

/// Something that happens.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What: birth, death, marriage, move, correction.
    pub kind: &'static str,
    /// The day it happened.
    pub happened: String,
    /// The day it became known: late registration is normal.
    pub known: String,
    /// The people it concerns, by personal number; none for a birth, whose number the registry gives.
    pub people: Vec<String>,
    /// New values: for each person, or the record of the newborn.
    pub set: Vec<Value>,
}

/// Chances of a year, in a million living people of the kind.
const MOVES: f64 = 40_000.0;
const CORRECTIONS: f64 = 6_000.0;
/// Of unmarried people of 20 to 35.
const MARRIES: f64 = 160_000.0;
/// Of married women of 20 to 40.
const BIRTHS: f64 = 105_000.0;

/// The events of a population between two days, both included, in the order they became known.
///
/// The population is walked once; what is kept is what changes. Nobody dies twice, and who dies does
/// nothing else; who marries was not married.
#[must_use]
pub fn between(seed: u64, citizens: u64, from: &Date, until: &Date) -> Vec<Event> {
    let mut draw = Draw {
        rng: SmallRng::seed_from_u64(seed ^ 0x6576_656e_7473),
        places: Places::new(seed),
        ids: Ids::new(seed ^ 1),
        first: day_number(from),
        days: day_number(until).saturating_sub(day_number(from)) + 1,
        events: Vec::new(),
        single: [None, None],
    };
    for citizen in Population::new(seed, citizens) {
        draw.live(&citizen);
    }
    draw.events.sort_by(|a, b| (&a.known, &a.happened).cmp(&(&b.known, &b.happened)));
    draw.events
}

struct Draw {
    rng: SmallRng,
    places: Places,
    ids: Ids,
    first: u32,
    days: u32,
    events: Vec<Event>,
    /// A man and a woman who wait for someone to marry.
    single: [Option<Citizen>; 2],
}

impl Draw {
    fn live(&mut self, citizen: &Citizen) {
        let Some(birth) = citizen.date_of_birth else { return };
        if citizen.date_of_death.is_some() {
            return;
        }
        let age = 2026u32.saturating_sub(birth.year);
        if self.happens(death_rate(age)) {
            let day = self.day();
            let value = json!({ "date_of_death": date_of(day).to_string() });
            self.add("death", day, 300, vec![citizen.personal_id.clone()], vec![value]);
            return;
        }
        if self.happens(MOVES) {
            let address = self.places.draw(&mut self.rng).address(&mut self.rng, Layout::InForce);
            let value = json!({ "permanent_residence": address, "current_dwelling": address });
            let day = self.day();
            self.add("move", day, 100, vec![citizen.personal_id.clone()], vec![value]);
        }
        if self.happens(CORRECTIONS) {
            let name = names::name(&mut self.rng, "Nguyễn", citizen.sex == "2", birth.year);
            let value = json!({ "other_name": name.full() });
            let day = self.day();
            self.add("correction", day, 0, vec![citizen.personal_id.clone()], vec![value]);
        }
        if (20..=35).contains(&age) && citizen.marital_status == "1" && self.happens(MARRIES) {
            self.marry(citizen);
        }
        let mother = citizen.sex == "2" && citizen.marital_status == "2" && (20..=40).contains(&age);
        if mother && self.happens(BIRTHS) {
            self.give_birth(citizen);
        }
    }

    fn marry(&mut self, citizen: &Citizen) {
        let (own, other) = if citizen.sex == "2" { (1, 0) } else { (0, 1) };
        let Some(partner) = self.single[other].take() else {
            // Whoever waited before goes on unmarried.
            self.single[own] = Some(citizen.clone());
            return;
        };
        let spouse = |of: &Citizen| {
            let relative = Relative {
                name: of.full_name.clone(),
                personal_id: of.personal_id.clone(),
                ..Relative::default()
            };
            json!({ "marital_status": "2", "spouse": relative })
        };
        let people = vec![citizen.personal_id.clone(), partner.personal_id.clone()];
        let values = vec![spouse(&partner), spouse(citizen)];
        let day = self.day();
        self.add("marriage", day, 20, people, values);
    }

    fn give_birth(&mut self, mother: &Citizen) {
        let day = self.day();
        let birth = date_of(day);
        let female = permille(&mut self.rng, 485);
        let father = mother.spouse.clone();
        let family = father.as_ref().and_then(|father| father.name.clone()).unwrap_or_default().family;
        let name: Name = names::name(&mut self.rng, &family, female, birth.year);
        let home = mother.permanent_residence.clone();
        // A number the registry has not given yet: from another permutation than the population's.
        let place = mother.personal_id.get(..3).and_then(|code| code.parse().ok()).unwrap_or(1);
        let child = Citizen {
            personal_id: self.ids.personal(place, &birth, female),
            full_name: Some(name),
            date_of_birth: Some(birth),
            sex: if female { "2" } else { "1" }.into(),
            place_of_birth_registration: mother.place_of_birth_registration.clone(),
            ethnicity: mother.ethnicity.clone(),
            religion: mother.religion.clone(),
            nationality: Some(StringList { values: vec!["VN".into()] }),
            father,
            mother: Some(Relative {
                name: mother.full_name.clone(),
                personal_id: mother.personal_id.clone(),
                ..Relative::default()
            }),
            permanent_residence: home.clone(),
            current_dwelling: home,
            ..Citizen::default()
        };
        let value = serde_json::to_value(child).unwrap_or_default();
        self.add("birth", day, 151, vec![mother.personal_id.clone()], vec![value]);
    }

    fn happens(&mut self, a_year_in_a_million: f64) -> bool {
        let chance = a_year_in_a_million / 1e6 * f64::from(self.days) / 365.25;
        self.rng.random::<f64>() < chance
    }

    fn day(&mut self) -> u32 {
        self.first + self.rng.random_range(0..self.days)
    }

    fn add(&mut self, kind: &'static str, day: u32, late: u32, people: Vec<String>, set: Vec<Value>) {
        let delay = if permille(&mut self.rng, late) {
            self.rng.random_range(16..400)
        } else {
            self.rng.random_range(0..15)
        };
        let (happened, known) = (date_of(day).to_string(), date_of(day + delay).to_string());
        self.events.push(Event { kind, happened, known, people, set });
    }
}

/// Deaths a year in a million of an age.
fn death_rate(age: u32) -> f64 {
    match age {
        0 => 10_000.0,
        1..=14 => 500.0,
        15..=39 => 1_200.0,
        40..=59 => 4_500.0,
        60..=74 => 18_000.0,
        75..=84 => 60_000.0,
        _ => 150_000.0,
    }
}

/// Days since an arbitrary day, for adding.
fn day_number(date: &Date) -> u32 {
    let month = time::Month::try_from(date.month.max(1) as u8).unwrap_or(time::Month::January);
    let day = time::Date::from_calendar_date(date.year as i32, month, date.day.max(1) as u8);
    day.map_or(0, |day| day.to_julian_day().unsigned_abs())
}

fn date_of(number: u32) -> Date {
    let day = time::Date::from_julian_day(number as i32).unwrap_or(time::Date::MIN);
    Date { year: day.year().unsigned_abs(), month: u8::from(day.month()).into(), day: day.day().into() }
}

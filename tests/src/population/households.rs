//! Draws the households of a hamlet, so that all links lead to people who exist.

use super::{
    Population,
    ages::{self, Day, Stage},
    draw::Chance,
    ids::{FIRST_YEAR, Numbers, Registered, old_number},
    names,
    person::{Household, Kin, Marital, Person},
    places::{Dwelling, Hamlet},
    traits,
};

/// What people of one family share.
#[derive(Clone, Copy, Debug)]
struct Roots {
    registered: Registered,
    ethnicity: u8,
    religion: u8,
}

/// Draws a hamlet's people, household by household.
pub(super) struct Draft<'a> {
    population: &'a Population,
    hamlet: Hamlet,
    today: Day,
    numbers: Numbers,
    chance: Chance,
    /// People drawn so far.
    drawn: u32,
}

impl<'a> Draft<'a> {
    pub(super) fn new(population: &'a Population, hamlet: u32) -> Draft<'a> {
        let hamlet = population.places().hamlet(hamlet);
        Draft {
            population,
            hamlet,
            today: population.day(),
            numbers: Numbers::new(population.seed(), hamlet),
            chance: Chance::new(population.seed(), hamlet.index.into()),
            drawn: 0,
        }
    }

    /// All households, with as many people as the hamlet has.
    pub(super) fn households(mut self) -> Vec<Household> {
        let mut households = Vec::with_capacity(20);
        let mut people = 0;
        while people < self.hamlet.size {
            let room = (self.hamlet.size - people) as usize;
            let members = self.members(room);
            if members.is_empty() {
                continue;
            }
            people += members.len() as u32;
            let number = households.len() as u16;
            let home = Dwelling {
                commune: self.hamlet.commune,
                hamlet: self.hamlet.in_commune,
                house: number * 7 + self.chance.below(7) as u16 + 1,
            };
            let head = self.head(&members);
            let mut household =
                Household { key: (self.hamlet.index, number), home, since: 0, head, people: members };
            household.represent(self.today);
            for person in &mut household.people {
                traits::give(person, self.population, home, self.today, &mut self.chance);
            }
            households.push(household);
        }
        households
    }

    fn members(&mut self, room: usize) -> Vec<Person> {
        let roots = self.roots();
        let kind = self.chance.below(100);
        match kind {
            _ if room == 1 => self.single(roots),
            0..11 => self.single(roots),
            11..21 => self.lone_parent(roots, room),
            21..42 => self.three_generations(roots, room),
            _ => self.couple(Stage::Couple, roots, room),
        }
    }

    fn roots(&mut self) -> Roots {
        let guest = self.chance.below(1000) < self.population.guests(self.hamlet.native);
        let registered = if guest { Registered::Elsewhere } else { Registered::Here };
        let province = if guest { self.hamlet.guest } else { self.hamlet.native };
        let ethnicity = if !guest && self.chance.happens(0.8) {
            // Villages are mostly of one people.
            let mut chance = Chance::new(self.population.seed(), 2 << 40 | u64::from(self.hamlet.commune));
            self.population.people_of(province, &mut chance)
        } else {
            self.population.people_of(province, &mut self.chance)
        };
        Roots { registered, ethnicity, religion: traits::religion(ethnicity, province, &mut self.chance) }
    }

    /// Somebody with a number of their own; none if no day of birth has one left.
    fn person(
        &mut self,
        roots: Roots,
        female: bool,
        family: Option<&'static str>,
        mut birth: impl FnMut(&mut Chance) -> Day,
    ) -> Option<Person> {
        let earliest = ages::day(FIRST_YEAR, 1, 1);
        for attempt in 0..64 {
            let born = birth(&mut self.chance).clamp(earliest, self.today - 1);
            let registered = match (roots.registered, attempt / 16 % 2) {
                (registered, 0) => registered,
                (Registered::Here, _) => Registered::Elsewhere,
                (Registered::Elsewhere, _) => Registered::Here,
            };
            let year = ages::year(born);
            if let Some(id) = self.numbers.next(registered, female, year) {
                let registration = self.registration(registered);
                let born_there = self.chance.happens(0.85);
                let birth_place = if born_there {
                    registration
                } else {
                    self.population.places().neighbour(registration, &mut self.chance)
                };
                let old_id = if ages::years(born, ages::day(2016, 1, 1)) >= 14 && self.chance.happens(0.88) {
                    old_number(self.population.seed(), &self.hamlet, self.drawn)
                } else {
                    0
                };
                self.drawn += 1;
                let family = family.unwrap_or_else(|| names::family(roots.ethnicity, &mut self.chance));
                return Some(Person {
                    id,
                    old_id,
                    name: names::name(family, roots.ethnicity, female, year, &mut self.chance),
                    female,
                    birth: born,
                    registered: born,
                    registration,
                    birth_place,
                    origin: registration,
                    ethnicity: roots.ethnicity,
                    religion: roots.religion,
                    since: born,
                    ..Person::default()
                });
            }
        }
        None
    }

    fn registration(&mut self, registered: Registered) -> u16 {
        match registered {
            Registered::Here if self.chance.happens(0.75) => self.hamlet.commune,
            Registered::Here => self.population.places().commune_of(self.hamlet.native, &mut self.chance),
            Registered::Elsewhere => self.population.places().commune_of(self.hamlet.guest, &mut self.chance),
        }
    }

    fn single(&mut self, roots: Roots) -> Vec<Person> {
        let today = self.today;
        let female = self.chance.happens(0.52);
        let person = self.person(roots, female, None, |chance| ages::birth(Stage::Single, today, chance));
        person.map_or_else(Vec::new, |mut person| {
            let formerly = match person.age(today) {
                ..30 => 0.01,
                30..60 => 0.4,
                _ => 0.85,
            };
            person.marital = if self.chance.happens(formerly) { Marital::Formerly } else { Marital::Single };
            self.name_parents(&mut person);
            vec![person]
        })
    }

    fn lone_parent(&mut self, roots: Roots, room: usize) -> Vec<Person> {
        let today = self.today;
        let widowed = self.chance.happens(0.6);
        if !widowed || room < 3 {
            let female = self.chance.happens(0.8);
            let draw = |chance: &mut Chance| ages::birth(Stage::LoneParent, today, chance);
            let Some(mut parent) = self.person(roots, female, None, draw) else { return Vec::new() };
            parent.marital = Marital::Formerly;
            self.name_parents(&mut parent);
            let mut people = vec![parent];
            self.children(&mut people, None, room);
            return people;
        }
        let mut people = self.couple(Stage::LoneParent, roots, room);
        if people.len() >= 2 {
            // Women outlive men.
            let dead = usize::from(self.chance.happens(0.2));
            let youngest = people[2..].iter().map(|child| child.birth).max().unwrap_or(people[dead].birth);
            let earliest = youngest.max(ages::after(people[dead].birth, 21)).max(today - 15 * 365);
            if earliest < today - 1 {
                let death = self.chance.between(earliest, today - 1);
                bury(&mut people, dead, death);
            }
        }
        people
    }

    /// Man and wife, in this order, then their children.
    fn couple(&mut self, stage: Stage, roots: Roots, room: usize) -> Vec<Person> {
        let today = self.today;
        let hers = self.married_in(roots);
        let Some(mut wife) = self.person(hers, true, None, |chance| ages::birth(stage, today, chance)) else {
            return Vec::new();
        };
        let (latest, wife_born) = (ages::day(ages::year(today) - 20, 1, 1), wife.birth);
        let birth = |chance: &mut Chance| {
            (wife_born - 1000 - (chance.normal() * 1250.0) as i32).clamp(wife_born - 9000, latest)
        };
        let Some(mut man) = self.person(roots, false, None, birth) else { return vec![wife] };
        (man.marital, wife.marital) = (Marital::Married, Marital::Married);
        (man.spouse, wife.spouse) = (Some(wife.kin()), Some(man.kin()));
        self.name_parents(&mut man);
        self.name_parents(&mut wife);
        let mut people = vec![man, wife];
        self.children(&mut people, Some(1), room);
        people
    }

    /// Some marry into another people, or from elsewhere.
    fn married_in(&mut self, roots: Roots) -> Roots {
        if !self.chance.happens(0.08) {
            return roots;
        }
        let ethnicity = self.population.people_of(self.hamlet.guest, &mut self.chance);
        Roots { registered: Registered::Elsewhere, ethnicity, ..roots }
    }

    /// Adds the children who live at home. The mother is `people[mother]`; without her the only
    /// parent is `people[0]`.
    fn children(&mut self, people: &mut Vec<Person>, mother: Option<usize>, room: usize) {
        let today = self.today;
        let parent = &people[mother.unwrap_or(0)];
        let (alone, woman) = (mother.is_none(), parent.female);
        let count = ages::children(ages::year(parent.birth), &mut self.chance).max(u32::from(alone));
        // Nobody is a father before 18 or a mother before 17.
        let from =
            people.iter().map(|parent| ages::after(parent.birth, 17 + i32::from(!parent.female))).max();
        let (from, until) = (from.unwrap_or(today), ages::after(parent.birth, 45));
        let mut born = from.max(parent.birth + (365.25 * (25.0 + 4.0 * self.chance.normal())) as i32);
        for _ in 0..count {
            if born >= today.min(until) || people.len() == room {
                break;
            }
            if ages::at_home(ages::years(born, today), &mut self.chance) {
                self.child(people, mother, born, alone && !woman);
            }
            born += 430 + (self.chance.unit() * self.chance.unit() * 3600.0) as i32;
        }
    }

    fn child(&mut self, people: &mut Vec<Person>, mother: Option<usize>, born: Day, motherless: bool) {
        let today = self.today;
        let female = !self.chance.happens(if born > ages::day(2005, 1, 1) { 0.525 } else { 0.51 });
        let parent = &people[0];
        let registered = if self.chance.happens(0.9) || parent.registration == self.hamlet.commune {
            Registered::Here
        } else {
            Registered::Elsewhere
        };
        let roots = Roots { registered, ethnicity: parent.ethnicity, religion: parent.religion };
        let family = if parent.female && self.chance.happens(0.75) { None } else { Some(parent.name.family) };
        let family = family.unwrap_or_else(|| names::family(parent.ethnicity, &mut self.chance));
        let spread = |chance: &mut Chance| born - chance.below(120) as i32;
        let Some(mut child) = self.person(roots, female, Some(family), spread) else { return };
        child.origin = parent.origin;
        match mother {
            Some(mother) => {
                child.father = Some(parent.kin());
                child.mother = Some(people[mother].kin());
            }
            None if motherless => {
                child.father = Some(parent.kin());
                child.mother = Some(self.stranger(parent.ethnicity, None, true, ages::year(parent.birth)));
            }
            None => {
                child.mother = Some(parent.kin());
                if family != parent.name.family || self.chance.happens(0.5) {
                    child.father =
                        Some(self.stranger(parent.ethnicity, Some(family), false, ages::year(parent.birth)));
                }
            }
        }
        if child.age(today) >= 30 && self.chance.happens(0.15) {
            child.marital = Marital::Formerly;
        }
        if self.chance.happens(0.003) {
            child.death = Some(self.chance.between(child.birth, today - 1));
        }
        for parent in people.iter_mut().take(mother.map_or(1, |_| 2)) {
            parent.children.push(child.kin());
            parent.note(child.birth);
        }
        people.push(child);
    }

    /// A couple and its children, who live with the parents of the man or of the wife.
    fn three_generations(&mut self, roots: Roots, room: usize) -> Vec<Person> {
        let own = if room > 4 { room - 2 } else { room };
        let mut people = self.couple(Stage::Middle, roots, own);
        if people.len() < 2 || people.len() + 2 > room {
            return people;
        }
        let child = usize::from(self.chance.happens(0.15));
        let (born, family) = (people[child].birth, people[child].name.family);
        let roots = Roots { ethnicity: people[child].ethnicity, ..roots };
        let mothers_age =
            |chance: &mut Chance| born - (365.25 * (26.0 + 4.5 * chance.normal()).clamp(17.5, 43.0)) as i32;
        let Some(mut mother) = self.person(roots, true, None, mothers_age) else { return people };
        let (mother_born, latest) = (mother.birth, ages::after(born, -18) - 3);
        let fathers_age = |chance: &mut Chance| {
            (mother_born - 900 - (chance.normal() * 1200.0) as i32).clamp(mother_born - 9000, latest)
        };
        let Some(mut father) = self.person(roots, false, Some(family), fathers_age) else { return people };
        (father.marital, mother.marital) = (Marital::Married, Marital::Married);
        (father.spouse, mother.spouse) = (Some(mother.kin()), Some(father.kin()));
        for parent in [&mut father, &mut mother] {
            parent.children.push(people[child].kin());
            parent.note(born);
            self.name_parents(parent);
        }
        (people[child].father, people[child].mother) = (Some(father.kin()), Some(mother.kin()));
        let elders = people.len();
        people.extend([father, mother]);
        for (elder, mean) in [(elders, 74.0), (elders + 1, 81.0)] {
            let lifetime = (mean + 10.0 * self.chance.normal()).max(45.0);
            let death = people[elder].birth + (lifetime * 365.25) as i32;
            if death < self.today && death > born && people[elder].marital == Marital::Married {
                bury(&mut people, elder, death);
            }
        }
        people
    }

    /// Parents who are not of the household are known by name alone.
    fn name_parents(&mut self, person: &mut Person) {
        let year = ages::year(person.birth) - 27;
        person.father = Some(self.stranger(person.ethnicity, Some(person.name.family), false, year));
        person.mother = Some(self.stranger(person.ethnicity, None, true, year));
    }

    fn stranger(&mut self, ethnicity: u8, family: Option<&'static str>, female: bool, year: i32) -> Kin {
        let family = family.unwrap_or_else(|| names::family(ethnicity, &mut self.chance));
        Kin { id: 0, old_id: 0, name: names::name(family, ethnicity, female, year, &mut self.chance) }
    }

    /// Mostly the man of the oldest generation that still works.
    fn head(&mut self, people: &[Person]) -> usize {
        let rank = |person: &Person| {
            let age = person.age(self.today);
            (!person.alive() || age < 18, age >= 68, person.female, person.birth)
        };
        let first = people.iter().enumerate().min_by_key(|(_, person)| rank(person)).map_or(0, |(at, _)| at);
        let spouse = people[first].spouse.and_then(|kin| people.iter().position(|other| other.id == kin.id));
        match spouse {
            Some(spouse) if people[spouse].alive() && self.chance.happens(0.22) => spouse,
            _ => first,
        }
    }
}

/// A death, and what it makes of the other.
fn bury(people: &mut [Person], dead: usize, day: Day) {
    people[dead].death = Some(day);
    people[dead].note(day);
    let id = people[dead].id;
    for person in people.iter_mut().filter(|person| person.spouse.is_some_and(|kin| kin.id == id)) {
        person.note(day);
        if person.alive() {
            person.spouse = None;
            person.marital = Marital::Formerly;
        }
    }
}

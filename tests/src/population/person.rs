//! A person and a household, as the generator keeps them: small, linked by number.

use super::{ages::Day, names::FullName, places::Dwelling};

/// Another person, as a record names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kin {
    /// Personal number; 0 for somebody the registry does not know.
    pub id: u64,
    /// Old number; 0 where there is none.
    pub old_id: u32,
    /// The name.
    pub name: FullName,
}

/// An identity card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// First day.
    pub issued: Day,
    /// Last day; none from the age of 60.
    pub expires: Option<Day>,
}

/// A stay elsewhere, or a declared absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Where; of no meaning for an absence.
    pub home: Dwelling,
    /// First day.
    pub from: Day,
    /// Last day, where one is set.
    pub until: Option<Day>,
}

/// Codes of table `marital_status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marital {
    /// Never married.
    #[default]
    Single,
    /// Married now, or at the time of death.
    Married,
    /// Divorced or widowed.
    Formerly,
}

/// Somebody.
#[derive(Clone, Debug, Default)]
pub struct Person {
    /// Personal number.
    pub id: u64,
    /// Old number; 0 where there is none.
    pub old_id: u32,
    /// The name.
    pub name: FullName,
    /// Sex.
    pub female: bool,
    /// Day of birth.
    pub birth: Day,
    /// The registry knows the year of birth alone.
    pub year_only: bool,
    /// Day of death.
    pub death: Option<Day>,
    /// Father.
    pub father: Option<Kin>,
    /// Mother.
    pub mother: Option<Kin>,
    /// Wife or husband.
    pub spouse: Option<Kin>,
    /// Children.
    pub children: Vec<Kin>,
    /// Who represents this person.
    pub representative: Option<Kin>,
    /// Whom this person represents.
    pub represented: Vec<Kin>,
    /// Married or not.
    pub marital: Marital,
    /// When the birth was registered as it now is.
    pub registered: Day,
    /// Communes of birth, of its registration, of origin.
    pub birth_place: u16,
    /// See `birth_place`.
    pub registration: u16,
    /// See `birth_place`.
    pub origin: u16,
    /// Decides what nobody else needs to know, like the last digits of a phone number.
    pub salt: u32,
    /// Code of the people.
    pub ethnicity: u8,
    /// Code of the religion.
    pub religion: u8,
    /// Code of the blood type; 0 where not known.
    pub blood: u8,
    /// Identity cards.
    pub cards: Vec<Card>,
    /// Temporary residence.
    pub temporary: Option<Stay>,
    /// Declared absence.
    pub absence: Option<Stay>,
    /// The nine digits after the 0; 0 where there is no number.
    pub mobile: u32,
    /// Whether an e-mail address is known.
    pub email: bool,
    /// Nothing that the record tells happened after this day.
    pub since: Day,
}

impl Person {
    /// As others' records name them.
    #[must_use]
    pub fn kin(&self) -> Kin {
        Kin { id: self.id, old_id: self.old_id, name: self.name }
    }

    /// Not dead.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.death.is_none()
    }

    /// Age in whole years.
    #[must_use]
    pub fn age(&self, today: Day) -> i32 {
        super::ages::years(self.birth, today)
    }

    /// Notes that something happened to them.
    pub fn note(&mut self, day: Day) {
        self.since = self.since.max(day);
    }
}

/// People who live together, and their dead.
#[derive(Clone, Debug)]
pub struct Household {
    /// The hamlet it was drawn in, and its number there.
    pub key: (u32, u16),
    /// Where.
    pub home: Dwelling,
    /// The day they moved in; 0 for those who were there from the beginning.
    pub since: Day,
    /// Index of the head (chủ hộ) in `people`.
    pub head: usize,
    /// Its people.
    pub people: Vec<Person>,
}

impl Household {
    /// What somebody is to the head, in the words of the residence form.
    #[must_use]
    pub fn relation(&self, person: &Person) -> &'static str {
        let Some(head) = self.people.get(self.head) else { return "" };
        let is = |kin: Option<Kin>, other: &Person| kin.is_some_and(|kin| kin.id == other.id);
        let among = |list: &[Kin], id: u64| list.iter().any(|kin| kin.id == id);
        let word = |male: &'static str, female: &'static str| if person.female { female } else { male };
        let child_of = |kin: Option<Kin>| kin.is_some_and(|kin| kin.id != 0 && among(&head.children, kin.id));
        let same = |a: Option<Kin>, b: Option<Kin>| matches!((a, b), (Some(a), Some(b)) if a.id != 0 && a.id == b.id);
        if person.id == head.id {
            "chủ hộ"
        } else if is(head.spouse, person) {
            word("chồng", "vợ")
        } else if is(person.father, head) || is(person.mother, head) {
            "con"
        } else if is(head.father, person) || is(head.mother, person) {
            word("bố", "mẹ")
        } else if child_of(person.spouse) {
            word("con rể", "con dâu")
        } else if child_of(person.father) || child_of(person.mother) {
            "cháu"
        } else if head.spouse.is_some_and(|spouse| among(&person.children, spouse.id)) {
            if head.female { word("bố chồng", "mẹ chồng") } else { word("bố vợ", "mẹ vợ") }
        } else if same(head.father, person.father) || same(head.mother, person.mother) {
            if person.birth < head.birth { word("anh", "chị") } else { "em" }
        } else {
            "người thân"
        }
    }

    /// Makes the living member head who comes first: the spouse of the last head, then by age. None
    /// if all are dead.
    pub fn choose_head(&mut self) -> Option<usize> {
        self.choose_head_but(None)
    }

    /// As [`Household::choose_head`], when somebody is about to leave.
    pub fn choose_head_without(&mut self, leaving: usize) -> Option<usize> {
        self.choose_head_but(Some(leaving))
    }

    fn choose_head_but(&mut self, leaving: Option<usize>) -> Option<usize> {
        let spouse = self.people.get(self.head).and_then(|head| head.spouse).map(|kin| kin.id);
        let living =
            self.people.iter().enumerate().filter(|(at, person)| Some(*at) != leaving && person.alive());
        let next = living.min_by_key(|(_, person)| (Some(person.id) != spouse, person.birth))?.0;
        self.head = next;
        Some(next)
    }

    /// Says who represents the minors: the one parent there is, or the head if there is none.
    pub fn represent(&mut self, today: Day) {
        for person in &mut self.people {
            person.representative = None;
            person.represented.clear();
        }
        for at in 0..self.people.len() {
            let minor = &self.people[at];
            if !minor.alive() || minor.age(today) >= 18 {
                continue;
            }
            let adult = match (self.living(minor.father), self.living(minor.mother)) {
                (Some(_), Some(_)) => continue,
                (Some(parent), None) | (None, Some(parent)) => parent,
                (None, None) => self.head,
            };
            if adult != at && self.people[adult].alive() {
                let (minor, adult_kin) = (minor.kin(), self.people[adult].kin());
                self.people[at].representative = Some(adult_kin);
                self.people[adult].represented.push(minor);
            }
        }
    }

    /// Where in the household somebody lives, if they do.
    #[must_use]
    pub fn living(&self, kin: Option<Kin>) -> Option<usize> {
        let id = kin?.id;
        self.people.iter().position(|person| person.id == id && person.alive())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(id: u64, birth: Day, female: bool) -> Person {
        Person { id, birth, female, ..Person::default() }
    }

    #[test]
    fn relations_follow_from_the_links() {
        let (mut man, mut wife, mut child, mut mother) =
            (person(1, 100, false), person(2, 200, true), person(3, 9000, true), person(4, -9000, true));
        man.spouse = Some(wife.kin());
        wife.spouse = Some(man.kin());
        (man.children, wife.children) = (vec![child.kin()], vec![child.kin()]);
        (child.father, child.mother) = (Some(man.kin()), Some(wife.kin()));
        man.mother = Some(mother.kin());
        mother.children = vec![man.kin()];
        let mut house = Household {
            key: (0, 0),
            home: Dwelling::default(),
            since: 0,
            head: 0,
            people: vec![man, wife, child, mother],
        };
        let words = |house: &Household| house.people.iter().map(|p| house.relation(p)).collect::<Vec<_>>();
        assert_eq!(words(&house), ["chủ hộ", "vợ", "con", "mẹ"]);
        house.head = 3;
        assert_eq!(words(&house), ["con", "con dâu", "cháu", "chủ hộ"]);
        house.head = 1;
        assert_eq!(words(&house), ["chồng", "chủ hộ", "con", "mẹ chồng"]);
        house.people[1].death = Some(10_000);
        assert_eq!(house.choose_head(), Some(0));
    }
}

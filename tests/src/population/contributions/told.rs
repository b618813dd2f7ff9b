//! What happens in the lives of a population, as its offices hand it in.

use dancu_proto::v1::{
    Birth, BloodType, Citizen, CivilStatusCorrected, Contact, Couple, Death, HouseholdMember,
    IdentityCardIssued, PermanentResidence, PersonRef, Persons, event::Event as Kind,
};

use super::{Contributions, alive, filled};
use crate::population::{ages, events};

impl Contributions<'_> {
    pub(super) fn told(&mut self, event: &events::Event) {
        match event.kind {
            events::Kind::Birth => self.birth(event),
            events::Kind::Death => self.death(event),
            events::Kind::Marriage => self.marriage(event),
            events::Kind::Move => self.moved(event),
            events::Kind::Reregistration => self.reregistered(event),
            events::Kind::IdentityCard => self.card(event),
            events::Kind::Correction => self.corrected(event),
        }
    }

    fn birth(&mut self, event: &events::Event) {
        let Some(change) = event.changes.first() else { return };
        let whole = filled(change.set.clone());
        let parent = |of: &Option<dancu_proto::v1::Relative>| {
            of.as_ref()
                .filter(|parent| !parent.personal_id.is_empty())
                .map(|parent| self.named(&parent.personal_id))
        };
        let (father, mother) = (parent(&whole.father), parent(&whole.mother));
        let child = civil(&whole);
        let birth =
            Birth { child: Some(child.clone().into()), father: father.clone(), mother: mother.clone() };
        let Some(id) = self.hand_in_as("birth", Kind::Birth(birth), event.happened, 0) else { return };
        self.births.insert(change.personal_id.clone(), id.clone());
        // Sometimes two come at once.
        if self.chance.happens(0.08) {
            let mut name = child.full_name.clone().unwrap_or_default();
            name.given = if name.given == "Phúc" { "Lộc" } else { "Phúc" }.into();
            name.middle = "Song".into();
            let twin = Citizen { full_name: Some(name), ..child };
            let birth = Birth { child: Some(twin.into()), father, mother };
            self.hand_in_as("twin", Kind::Birth(birth), event.happened, 0);
        }
        // The residence office registers the child, often before its number is known.
        if self.chance.happens(0.7) {
            let born = PersonRef { by: Some(super::By::BornBy(id)) };
            let head = whole.household_head.as_ref().map(|head| self.named(&head.personal_id));
            let residence = PermanentResidence {
                members: vec![HouseholdMember {
                    person: Some(born),
                    relation: whole.relation_to_household_head.clone(),
                }],
                address: whole.permanent_residence.clone(),
                residence_file_number: whole.residence_file_number.clone(),
                household_head: head,
            };
            let kind = Kind::PermanentResidenceRegistered(residence);
            self.hand_in("residence of a child", kind, ages::date(self.today));
        }
    }

    fn death(&mut self, event: &events::Event) {
        let number = &event.persons[0];
        let person = Some(self.named(number));
        let death = Death { person: person.clone(), date_of_death: Some(event.happened) };
        self.hand_in("death", Kind::Death(death), event.happened);
        if self.chance.happens(0.6) {
            let persons = Persons { persons: person.into_iter().collect() };
            let kind = Kind::PermanentResidenceRemoved(persons);
            self.hand_in("residence of the dead", kind, ages::date(self.today));
        }
    }

    fn marriage(&mut self, event: &events::Event) {
        let [one, other] = &event.persons[..] else { return };
        let couple = Couple { one: Some(self.named(one)), other: Some(self.named(other)) };
        self.hand_in("marriage", Kind::Marriage(couple), event.happened);
    }

    fn moved(&mut self, event: &events::Event) {
        let movers: Vec<_> =
            event.changes.iter().filter(|change| event.persons.contains(&change.personal_id)).collect();
        let Some(first) = movers.first() else { return };
        let set = filled(first.set.clone());
        let members = movers.iter().map(|change| HouseholdMember {
            person: Some(self.named(&change.personal_id)),
            relation: change.set.relation_to_household_head.clone(),
        });
        let members = members.collect();
        let head = set.household_head.as_ref().map(|head| self.named(&head.personal_id));
        let residence = PermanentResidence {
            members,
            address: set.permanent_residence,
            residence_file_number: set.residence_file_number,
            household_head: head,
        };
        self.hand_in("move", Kind::Moved(residence), event.happened);
    }

    fn reregistered(&mut self, event: &events::Event) {
        let change = &event.changes[0];
        let set = filled(change.set.clone());
        let set =
            Citizen { place_of_birth_registration: set.place_of_birth_registration, ..Citizen::default() };
        let person = Some(self.named(&change.personal_id));
        let corrected = CivilStatusCorrected { person, set: Some(set.into()), clear: Vec::new() };
        self.hand_in("birth registered again", Kind::CivilStatusCorrected(corrected), event.happened);
    }

    fn card(&mut self, event: &events::Event) {
        let change = &event.changes[0];
        let cards = change.set.identity_cards.as_ref();
        let Some(card) = cards.and_then(|cards| cards.items.last()) else { return };
        let person = Some(self.named(&change.personal_id));
        let issued = IdentityCardIssued { person, card: Some(card.clone()) };
        self.hand_in("card", Kind::IdentityCardIssued(issued), event.happened);
    }

    fn corrected(&mut self, event: &events::Event) {
        for change in &event.changes {
            let person = Some(self.named(&change.personal_id));
            let set = &change.set;
            if !self.records.get(&change.personal_id).is_some_and(alive) {
                continue;
            }
            if !set.blood_type.is_empty() {
                let blood = BloodType { person: person.clone(), blood_type: set.blood_type.clone() };
                self.hand_in("blood type", Kind::BloodType(blood), event.happened);
            }
            if !set.mobile_number.is_empty() || !set.email.is_empty() {
                let contact = Contact {
                    person: person.clone(),
                    mobile_number: set.mobile_number.clone(),
                    email: set.email.clone(),
                };
                self.hand_in("contact", Kind::ContactChanged(contact), event.happened);
            }
            if set.full_name.is_some() || set.date_of_birth.is_some() {
                let set = Citizen {
                    full_name: set.full_name.clone(),
                    date_of_birth: set.date_of_birth,
                    ..Citizen::default()
                };
                let corrected = CivilStatusCorrected { person, set: Some(set.into()), clear: Vec::new() };
                self.hand_in("civil status", Kind::CivilStatusCorrected(corrected), event.happened);
            }
        }
    }
}

/// What the registration of a birth says of a child.
pub(super) fn civil(whole: &Citizen) -> Citizen {
    Citizen {
        full_name: whole.full_name.clone(),
        other_name: whole.other_name.clone(),
        date_of_birth: whole.date_of_birth,
        sex: whole.sex.clone(),
        place_of_birth: whole.place_of_birth.clone(),
        place_of_birth_registration: whole.place_of_birth_registration.clone(),
        place_of_origin: whole.place_of_origin.clone(),
        ethnicity: whole.ethnicity.clone(),
        religion: whole.religion.clone(),
        nationality: whole.nationality.clone(),
        ..Citizen::default()
    }
}

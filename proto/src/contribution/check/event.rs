//! What each event needs.

use std::collections::HashSet;

use super::{MOST_PERSONS, uuid};
use crate::{
    Field, FieldSet, Record,
    v1::{
        Address, Birth, Citizen, CivilStatusCorrected, Contact, Correction, Couple, Event,
        HouseholdHeadChanged, HouseholdMember, PermanentResidence, PersonRef, StringList,
        event::Event as Kind, person_ref::By,
    },
    validate::Check,
};

/// What may be said of a child at birth.
const OF_A_CHILD: [Field; 10] = [
    Field::FullName,
    Field::OtherName,
    Field::DateOfBirth,
    Field::Sex,
    Field::PlaceOfBirth,
    Field::PlaceOfBirthRegistration,
    Field::PlaceOfOrigin,
    Field::Ethnicity,
    Field::Religion,
    Field::Nationality,
];

/// What no record lacks, and therefore cannot be taken away.
const NEVER_CLEARED: [Field; 3] = [Field::FullName, Field::DateOfBirth, Field::Sex];

/// Checks the event of a contribution with an id.
pub(super) fn event(check: &mut Check<'_>, id: &str, event: &mut Event) {
    let mut look = Look { check, id, named: HashSet::new(), persons: 0 };
    look.event("event", event, false);
    if look.persons > MOST_PERSONS {
        look.check.say("event", format!("names more than {MOST_PERSONS} people; hand it in in parts"));
    }
}

/// Who can be named at a place.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    /// Somebody in the registry, or born by a contribution.
    Registered,
    /// The same, or somebody who is not in the registry.
    Anybody,
    /// Anybody, who may be named at another place too.
    AnybodyAgain,
}

struct Look<'a, 'b> {
    check: &'a mut Check<'b>,
    /// Id of the contribution.
    id: &'a str,
    /// Who was named.
    named: HashSet<Known>,
    /// How many were.
    persons: usize,
}

/// A person as one is told from another.
#[derive(PartialEq, Eq, Hash)]
enum Known {
    Number(String),
    Birth(String),
}

impl Look<'_, '_> {
    fn say(&mut self, field: &str, reason: impl Into<String>) {
        self.check.say(field, reason);
    }

    fn event(&mut self, field: &str, event: &mut Event, instead: bool) {
        let name = super::super::event_name(event);
        let Some(kind) = &mut event.event else { return self.say(field, "says nothing") };
        let field = &format!("{field}.{name}");
        let at = |part: &str| format!("{field}.{part}");
        match kind {
            Kind::Birth(birth) => self.birth(field, birth),
            Kind::Death(death) => {
                self.person(&at("person"), death.person.as_mut(), Who::Registered);
                self.needs(&at("date_of_death"), death.date_of_death.is_some());
                self.check.date(&at("date_of_death"), death.date_of_death.as_ref());
            }
            Kind::Marriage(couple) | Kind::Divorce(couple) => self.couple(field, couple),
            Kind::Adoption(of) => {
                self.person(&at("child"), of.child.as_mut(), Who::Registered);
                if of.father.is_none() && of.mother.is_none() {
                    self.say(field, "names no parent; an adopted child has at least one");
                }
                self.person_if(&at("father"), of.father.as_mut(), Who::Anybody);
                self.person_if(&at("mother"), of.mother.as_mut(), Who::Anybody);
            }
            Kind::ParentRecognised(of) => {
                self.person(&at("child"), of.child.as_mut(), Who::Registered);
                self.person(&at("parent"), of.parent.as_mut(), Who::Anybody);
            }
            Kind::CivilStatusCorrected(of) => self.corrected(field, of),
            Kind::PermanentResidenceRegistered(home) | Kind::Moved(home) => self.home(field, home),
            Kind::PermanentResidenceRemoved(all)
            | Kind::TemporaryResidenceRemoved(all)
            | Kind::Missing(all)
            | Kind::Found(all)
            | Kind::NumberCancelled(all) => self.persons(&at("persons"), &mut all.persons),
            Kind::TemporaryResidenceRegistered(of) => {
                self.persons(&at("persons"), &mut of.persons);
                match &mut of.stay {
                    None => self.say(&at("stay"), "is missing"),
                    Some(stay) => {
                        self.dwelling(&at("stay.address"), stay.address.as_mut());
                        self.check.period(&at("stay"), stay.from.as_ref(), stay.until.as_ref());
                    }
                }
            }
            Kind::AbsenceDeclared(of) => {
                self.person(&at("person"), of.person.as_mut(), Who::Registered);
                match &mut of.absence {
                    None => self.say(&at("absence"), "is missing"),
                    Some(absence) => {
                        self.needs(&at("absence.from"), absence.from.is_some());
                        self.check.period(&at("absence"), absence.from.as_ref(), absence.until.as_ref());
                        self.check.text(&at("absence.reason"), &mut absence.reason);
                    }
                }
            }
            Kind::HouseholdHeadChanged(change) => self.head(field, change),
            Kind::IdentityCardIssued(of) => {
                self.person(&at("person"), of.person.as_mut(), Who::Registered);
                match &mut of.card {
                    None => self.say(&at("card"), "is missing"),
                    Some(card) => {
                        self.needs(&at("card.issued_on"), card.issued_on.is_some());
                        self.check.period(&at("card"), card.issued_on.as_ref(), card.expires_on.as_ref());
                        self.check.text(&at("card.issued_by"), &mut card.issued_by);
                    }
                }
            }
            Kind::OldNumberLinked(of) => {
                self.person(&at("person"), of.person.as_mut(), Who::Registered);
                self.needs(&at("old_id_number"), !of.old_id_number.is_empty());
                self.check.old_id(&at("old_id_number"), &of.old_id_number);
            }
            Kind::BloodType(of) => {
                self.person(&at("person"), of.person.as_mut(), Who::Registered);
                self.needs(&at("blood_type"), !of.blood_type.is_empty());
                let mut citizen = Citizen { blood_type: of.blood_type.clone(), ..Citizen::default() };
                self.check.citizen_below(field, &mut citizen);
            }
            Kind::ContactChanged(of) => self.contact(field, of),
            Kind::NumberReestablished(of) => {
                self.person(&at("person"), of.person.as_mut(), Who::Registered);
            }
            Kind::RecordsMerged(of) => {
                self.person(&at("kept"), of.kept.as_mut(), Who::Registered);
                self.person(&at("merged"), of.merged.as_mut(), Who::Registered);
            }
            Kind::Correction(_) if instead => {
                self.say(field, "a correction is not corrected by another within it");
            }
            Kind::Correction(of) => self.correction(field, of),
        }
    }

    /// Says that a value is missing, if it is.
    fn needs(&mut self, field: &str, there: bool) {
        if !there {
            self.say(field, "is missing");
        }
    }

    fn birth(&mut self, field: &str, birth: &mut Birth) {
        let child = format!("{field}.child");
        match &mut birth.child {
            None => self.say(&child, "is missing"),
            Some(citizen) => {
                let at = |part: &str| format!("{child}.{part}");
                self.only(&child, citizen, "at birth", &OF_A_CHILD);
                self.check.citizen_below(&child, citizen);
                self.needs(&at("full_name"), citizen.full_name.is_some());
                self.needs(&at("date_of_birth"), citizen.date_of_birth.is_some());
                self.needs(&at("sex"), !citizen.sex.is_empty());
                // The number begins with the province.
                let place = citizen.place_of_birth_registration.as_ref();
                let province =
                    place.is_some_and(|place| !place.province.is_empty() || !place.commune.is_empty());
                if !province {
                    self.say(&at("place_of_birth_registration"), "names no province of Vietnam");
                }
            }
        }
        self.person_if(&format!("{field}.father"), birth.father.as_mut(), Who::Anybody);
        self.person_if(&format!("{field}.mother"), birth.mother.as_mut(), Who::Anybody);
    }

    fn couple(&mut self, field: &str, couple: &mut Couple) {
        let unregistered =
            |person: &Option<PersonRef>| matches!(person, Some(PersonRef { by: Some(By::Unregistered(_)) }));
        if unregistered(&couple.one) && unregistered(&couple.other) {
            self.say(field, "neither of the two is in the registry");
        }
        self.person(&format!("{field}.one"), couple.one.as_mut(), Who::Anybody);
        self.person(&format!("{field}.other"), couple.other.as_mut(), Who::Anybody);
    }

    fn corrected(&mut self, field: &str, of: &mut CivilStatusCorrected) {
        self.person(&format!("{field}.person"), of.person.as_mut(), Who::Registered);
        let allowed: Vec<Field> = OF_A_CHILD.into_iter().chain([Field::MaritalStatus]).collect();
        let mut set = FieldSet::EMPTY;
        if let Some(citizen) = &mut of.set {
            let below = format!("{field}.set");
            set = self.only(&below, citizen, "in a correction of civil status", &allowed);
            self.check.citizen_below(&below, citizen);
        }
        let below = format!("{field}.clear");
        let mut cleared = FieldSet::EMPTY;
        if of.clear.len() > Field::ALL.len() {
            return self.say(&below, "names more fields than there are");
        }
        for number in &of.clear {
            match Field::try_from(*number) {
                Ok(one) if NEVER_CLEARED.contains(&one) => {
                    self.say(&below, format!("no record lacks {one}; set another value"));
                }
                Ok(one) if !allowed.contains(&one) => {
                    self.say(&below, format!("{one} is not cleared in a correction of civil status"));
                }
                Ok(one) if set.contains(one) => {
                    self.say(&below, format!("{one} is both set and cleared"));
                }
                Ok(one) => cleared.insert(one),
                Err(_) => self.say(&below, "names a field that the catalogue has not"),
            }
        }
        if set.is_empty() && of.clear.is_empty() {
            self.say(field, "corrects nothing");
        }
        // Each once.
        if !cleared.is_empty() {
            of.clear.sort_unstable();
            of.clear.dedup();
        }
    }

    /// The fields that a citizen has, of which only some may be there.
    fn only(&mut self, field: &str, citizen: &mut Citizen, when: &str, allowed: &[Field]) -> FieldSet {
        // The registry's own.
        citizen.in_question.clear();
        let fields = Record::encode(citizen).fields();
        for one in fields.iter().filter(|one| !allowed.contains(one)) {
            self.say(&format!("{field}.{one}"), format!("is not said {when}; leave it out"));
        }
        fields
    }

    fn home(&mut self, field: &str, home: &mut PermanentResidence) {
        self.members(&format!("{field}.members"), &mut home.members, false);
        self.dwelling(&format!("{field}.address"), home.address.as_mut());
        self.check.text(&format!("{field}.residence_file_number"), &mut home.residence_file_number);
        self.person_if(&format!("{field}.household_head"), home.household_head.as_mut(), Who::AnybodyAgain);
    }

    fn head(&mut self, field: &str, change: &mut HouseholdHeadChanged) {
        let number = format!("{field}.residence_file_number");
        self.check.text(&number, &mut change.residence_file_number);
        self.needs(&number, !change.residence_file_number.is_empty());
        self.person(&format!("{field}.head"), change.head.as_mut(), Who::Registered);
        // Who lives alone has no other members.
        if !change.members.is_empty() {
            self.members(&format!("{field}.members"), &mut change.members, true);
        }
    }

    fn members(&mut self, field: &str, members: &mut [HouseholdMember], related: bool) {
        self.needs(field, !members.is_empty());
        if self.are_too_many(members.len()) {
            return;
        }
        for (place, member) in members.iter_mut().enumerate() {
            let at = format!("{field}[{place}]");
            self.person(&format!("{at}.person"), member.person.as_mut(), Who::Registered);
            self.check.text(&format!("{at}.relation"), &mut member.relation);
            if related {
                self.needs(&format!("{at}.relation"), !member.relation.is_empty());
            }
        }
    }

    /// Where somebody lives in Vietnam.
    fn dwelling(&mut self, field: &str, address: Option<&mut Address>) {
        let Some(address) = address else { return self.say(field, "is missing") };
        self.check.address(field, address);
        if address.commune.is_empty() {
            self.say(field, "names no commune of Vietnam");
        }
    }

    fn contact(&mut self, field: &str, of: &mut Contact) {
        self.person(&format!("{field}.person"), of.person.as_mut(), Who::Registered);
        let (mobile_number, email) = (of.mobile_number.clone(), of.email.clone());
        if mobile_number.is_empty() && email.is_empty() {
            self.say(field, "has neither a mobile number nor an e-mail address");
        }
        let mut citizen = Citizen { mobile_number, email, ..Citizen::default() };
        self.check.citizen_below(field, &mut citizen);
    }

    fn correction(&mut self, field: &str, of: &mut Correction) {
        let named = format!("{field}.contribution_id");
        uuid(self.check, &named, &mut of.contribution_id);
        if of.contribution_id == self.id && !self.id.is_empty() {
            self.say(&named, "is this contribution itself");
        }
        if let Some(instead) = &mut of.instead {
            self.event(&format!("{field}.instead"), instead, true);
        }
    }

    /// Whether a list has more people than an event may name: that is said at the end, and nothing of each.
    fn are_too_many(&mut self, persons: usize) -> bool {
        let many = persons > MOST_PERSONS;
        if many {
            self.persons += persons;
        }
        many
    }

    fn persons(&mut self, field: &str, persons: &mut [PersonRef]) {
        self.needs(field, !persons.is_empty());
        if self.are_too_many(persons.len()) {
            return;
        }
        for (place, person) in persons.iter_mut().enumerate() {
            self.person(&format!("{field}[{place}]"), Some(person), Who::Registered);
        }
    }

    fn person_if(&mut self, field: &str, person: Option<&mut PersonRef>, who: Who) {
        if person.is_some() {
            self.person(field, person, who);
        }
    }

    fn person(&mut self, field: &str, person: Option<&mut PersonRef>, who: Who) {
        self.persons += 1;
        let named = match person.and_then(|person| person.by.as_mut()) {
            None => return self.say(field, "is missing"),
            Some(By::PersonalId(number)) => {
                self.check.personal_id(&format!("{field}.personal_id"), number);
                Known::Number(number.clone())
            }
            Some(By::BornBy(birth)) => {
                let born_by = format!("{field}.born_by");
                uuid(self.check, &born_by, birth);
                if *birth == self.id {
                    self.say(&born_by, "is this contribution itself");
                }
                Known::Birth(birth.clone())
            }
            Some(By::Unregistered(_)) if who == Who::Registered => {
                return self.say(field, "must be in the registry: name a personal number, or a birth");
            }
            Some(By::Unregistered(relative)) => {
                let below = format!("{field}.unregistered");
                self.check.relative(&below, relative);
                self.needs(&format!("{below}.name"), relative.name.is_some());
                if !relative.personal_id.is_empty() {
                    self.say(&below, "who has a personal number is named by that alone");
                }
                let nationality = StringList { values: relative.nationality.clone() };
                self.check.countries(&format!("{below}.nationality"), Some(&nationality));
                return;
            }
        };
        if !self.named.insert(named) && who != Who::AnybodyAgain {
            self.say(field, "is named twice");
        }
    }
}

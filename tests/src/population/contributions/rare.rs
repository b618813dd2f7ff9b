//! What happens less often, drawn among everybody.

use dancu_proto::v1::{
    Absence, Adoption, Birth, BloodType, Citizen, CivilStatusCorrected, Couple, Date, Field,
    HouseholdHeadChanged, HouseholdMember, NumberReestablished, OldNumberLinked, ParentRecognised, PersonRef,
    Persons, RecordsMerged, Relative, TemporaryAbsence, TemporaryResidence, TemporaryStay,
    event::Event as Kind,
};

use super::{By, Contributions, age, alive, told::civil};
use crate::population::ages;

/// Sorts of rare events, each as likely as the others.
const SORTS: u32 = 19;

fn adult(citizen: &Citizen, today: ages::Day) -> bool {
    alive(citizen) && (18..80).contains(&age(citizen, today))
}

fn minor(citizen: &Citizen, today: ages::Day) -> bool {
    alive(citizen) && (1..17).contains(&age(citizen, today))
}

fn female(citizen: &Citizen) -> bool {
    citizen.sex == "2"
}

impl Contributions<'_> {
    /// One of them, if somebody is found whom it can happen to.
    pub(super) fn rare(&mut self) -> Option<()> {
        let today = ages::date(self.today);
        // Late is normal: some of it holds from a day long before.
        let late = if self.chance.happens(0.3) {
            ages::date(self.today - self.chance.between(1, 900))
        } else {
            today
        };
        match self.chance.below(SORTS) {
            0 => {
                let one = self.somebody(|c, _| {
                    alive(c) && c.spouse.as_ref().is_some_and(|s| !s.personal_id.is_empty())
                })?;
                let spouse = self.records[&one].spouse.clone()?.personal_id;
                let couple = Couple { one: Some(self.named(&one)), other: Some(self.named(&spouse)) };
                self.hand_in("divorce", Kind::Divorce(couple), today)?;
            }
            1 => {
                let child = Some(self.minor()?);
                let mother = self.somebody(|c, t| adult(c, t) && female(c) && age(c, t) > 40)?;
                let adoption = Adoption { child, father: None, mother: Some(self.named(&mother)) };
                self.hand_in("adoption", Kind::Adoption(adoption), late)?;
            }
            2 => {
                let child = Some(self.minor()?);
                let father = self.somebody(|c, t| adult(c, t) && !female(c) && age(c, t) > 38)?;
                let recognised = ParentRecognised { child, parent: Some(self.named(&father)), mother: false };
                self.hand_in("father recognised", Kind::ParentRecognised(recognised), late)?;
            }
            3 => {
                let persons = self.adults(1)?;
                self.hand_in("residence removed", Kind::PermanentResidenceRemoved(persons), today)?;
            }
            4 | 5 => {
                let persons = self.adults(2)?.persons;
                let elsewhere = self.somebody(adult)?;
                let address = self.records[&elsewhere].permanent_residence.clone();
                let stay = TemporaryResidence { address, from: Some(late), until: None };
                let stay = TemporaryStay { persons, stay: Some(stay) };
                self.hand_in("temporary residence", Kind::TemporaryResidenceRegistered(stay), late)?;
            }
            6 => {
                let persons = self.adults(1)?;
                self.hand_in("temporary residence removed", Kind::TemporaryResidenceRemoved(persons), today)?;
            }
            7 => {
                let person = self.adults(1)?.persons.pop();
                let reason = "đi làm ăn xa".into();
                let absence = Some(TemporaryAbsence { from: Some(late), until: None, reason });
                self.hand_in("absence", Kind::AbsenceDeclared(Absence { person, absence }), late)?;
            }
            8 | 9 => self.household()?,
            10 => {
                let person = self.adults(1)?.persons.pop();
                let old_id_number = format!("{:09}", 100_000_000 + self.chance.below(800_000_000));
                let linked = OldNumberLinked { person, old_id_number };
                self.hand_in("old number", Kind::OldNumberLinked(linked), late)?;
            }
            11 => {
                let person = self.adults(1)?.persons.pop();
                let blood_type = format!("{:02}", 1 + self.chance.below(4));
                self.hand_in("blood type", Kind::BloodType(BloodType { person, blood_type }), late)?;
            }
            12 => {
                let persons = self.adults(1)?;
                self.hand_in("missing", Kind::Missing(persons.clone()), late)?;
                if self.chance.happens(0.5) {
                    self.hand_in("found", Kind::Found(persons), today)?;
                }
            }
            13 => {
                let person = self.adults(1)?.persons.pop();
                let reestablished = NumberReestablished { person };
                self.hand_in("number re-established", Kind::NumberReestablished(reestablished), today)?;
            }
            14 => self.foundling()?,
            15 => self.late_registration()?,
            16 => self.twice_registered()?,
            17 => {
                let person = self.adults(1)?.persons.pop();
                let clear = vec![Field::OtherName.into()];
                let ethnicity = format!("{:02}", 1 + self.chance.below(5));
                let set = Some(Citizen { ethnicity, ..Citizen::default() }.into());
                let corrected = CivilStatusCorrected { person, set, clear };
                self.hand_in("civil status", Kind::CivilStatusCorrected(corrected), late)?;
            }
            _ => self.unknown_father()?,
        }
        Some(())
    }

    fn minor(&mut self) -> Option<PersonRef> {
        let number = self.somebody(minor)?;
        Some(self.named(&number))
    }

    fn adults(&mut self, count: usize) -> Option<Persons> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            let number = self.somebody(adult)?;
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        Some(Persons { persons: numbers.iter().map(|number| self.named(number)).collect() })
    }

    /// A household has another head: one of its adults.
    fn household(&mut self) -> Option<()> {
        let head = self.somebody(|c, t| adult(c, t) && c.household_members.is_some())?;
        let record = self.records[&head].clone();
        let members = record.household_members?.items.into_iter().filter(|member| {
            self.records.get(&member.personal_id).is_some_and(alive) && member.personal_id != head
        });
        let members = members.map(|member| HouseholdMember {
            person: Some(self.named(&member.personal_id)),
            relation: "người thân".into(),
        });
        let changed = HouseholdHeadChanged {
            residence_file_number: record.residence_file_number,
            head: Some(self.named(&head)),
            members: members.collect(),
        };
        self.hand_in("household head", Kind::HouseholdHeadChanged(changed), ages::date(self.today))?;
        Some(())
    }

    /// A child of somebody's like, born so many days ago.
    fn child(&mut self, days: i32) -> Option<(Citizen, Date)> {
        let like = self.somebody(|c, _| alive(c))?;
        let like = &self.records[&like];
        let born = ages::date(self.today - days);
        let mut name = like.full_name.clone()?;
        name.middle = "Bảo".into();
        name.given = format!("An{}", ["h", "", "g"][days as usize % 3]);
        Some((Citizen { full_name: Some(name), date_of_birth: Some(born), ..civil(like) }, born))
    }

    fn foundling(&mut self) -> Option<()> {
        let days = self.chance.between(1, 30);
        let (child, born) = self.child(days)?;
        let birth = Birth { child: Some(child.into()), father: None, mother: None };
        self.hand_in_as("foundling", Kind::Birth(birth), born, 0)?;
        Some(())
    }

    fn unknown_father(&mut self) -> Option<()> {
        let days = self.chance.between(1, 50);
        let (child, born) = self.child(days)?;
        let mother = self.somebody(|c, t| adult(c, t) && female(c) && age(c, t) < 40)?;
        let father = self.chance.happens(0.5).then(|| {
            let name = dancu_proto::v1::Name::from_full("John Smith");
            let nationality = vec!["GB".to_owned()];
            let foreigner = Relative { name: Some(name), nationality, ..Relative::default() };
            PersonRef { by: Some(By::Unregistered(foreigner)) }
        });
        let birth = Birth { child: Some(child.into()), father, mother: Some(self.named(&mother)) };
        self.hand_in_as("one parent known", Kind::Birth(birth), born, 0)?;
        Some(())
    }

    fn late_registration(&mut self) -> Option<()> {
        let days = self.chance.between(18 * 366, 70 * 366);
        let (child, born) = self.child(days)?;
        let birth = Birth { child: Some(child.into()), father: None, mother: None };
        let id = self.hand_in_as("adult registered late", Kind::Birth(birth), born, 0)?;
        let person = Some(PersonRef { by: Some(By::BornBy(id)) });
        let blood = BloodType { person, blood_type: "01".into() };
        self.hand_in("blood type", Kind::BloodType(blood), ages::date(self.today))?;
        Some(())
    }

    /// Somebody's birth is registered though it was before, which is found out later.
    fn twice_registered(&mut self) -> Option<()> {
        let number =
            self.somebody(|c, t| adult(c, t) && c.date_of_birth.is_some_and(|date| date.day != 0))?;
        let child = civil(&self.records[&number]);
        let born = child.date_of_birth?;
        let birth = Birth { child: Some(child.into()), father: None, mother: None };
        let id = self.hand_in_as("registered twice", Kind::Birth(birth), born, 0)?;
        let merged = Some(PersonRef { by: Some(By::BornBy(id)) });
        let persons = Persons { persons: merged.clone().into_iter().collect() };
        if self.chance.happens(0.3) {
            self.hand_in("number cancelled", Kind::NumberCancelled(persons), ages::date(self.today))?;
        } else {
            let records = RecordsMerged { kept: Some(self.named(&number)), merged };
            self.hand_in("records merged", Kind::RecordsMerged(records), ages::date(self.today))?;
        }
        Some(())
    }
}

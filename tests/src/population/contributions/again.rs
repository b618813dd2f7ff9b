//! What is handed in again, otherwise, by mistake, or though it cannot be.

use dancu_proto::v1::{
    Address, BloodType, Citizen, Correction, Couple, Death, Event, PersonRef, event::Event as Kind,
};

use super::{By, Contributions, Handed, alive};
use crate::population::{ages, places::communes};

impl Contributions<'_> {
    /// One of them.
    pub(super) fn again(&mut self) -> Option<()> {
        if self.lately.is_empty() {
            return None;
        }
        let at = self.chance.below(self.lately.len() as u32) as usize;
        let before = self.lately[at].clone();
        match self.chance.below(8) {
            0 | 1 => self.next.push_back(Handed { sort: "the same again", ..before }),
            2..=4 => self.correct(&before)?,
            5 => self.contradict(&before)?,
            6 => self.cannot_be()?,
            _ => self.nobody()?,
        }
        Some(())
    }

    /// An earlier contribution is corrected by who handed it in.
    fn correct(&mut self, before: &Handed) -> Option<()> {
        let kind = before.contribution.event.as_ref()?.event.as_ref()?;
        if !self.authority.may(&before.role, "correction") || matches!(kind, Kind::Correction(_)) {
            return None;
        }
        let effective = before.contribution.effective_date?;
        let instead = if self.chance.happens(0.35) { None } else { Some(otherwise(kind.clone())?) };
        let correction = Correction {
            contribution_id: before.contribution.id.clone(),
            instead: instead.map(|kind| Box::new(Event { event: Some(kind) })),
        };
        let kind = Kind::Correction(Box::new(correction));
        let today = ages::date(self.today);
        let contribution = self.envelope.seal(kind, effective, today, &mut self.chance);
        self.push(Handed { role: before.role.clone(), contribution, sort: "correction" });
        Some(())
    }

    /// The same office says otherwise for the same day, or another office does.
    fn contradict(&mut self, before: &Handed) -> Option<()> {
        let kind = before.contribution.event.as_ref()?.event.as_ref()?;
        if matches!(kind, Kind::Birth(_) | Kind::Correction(_) | Kind::RecordsMerged(_)) {
            return None;
        }
        let kind = otherwise(kind.clone())?;
        let effective = before.contribution.effective_date?;
        if self.chance.happens(0.5) {
            self.hand_in_as("contradiction by another", kind, effective, 1)?;
            return Some(());
        }
        let today = ages::date(self.today);
        let contribution = self.envelope.seal(kind, effective, today, &mut self.chance);
        self.push(Handed { role: before.role.clone(), contribution, sort: "contradiction" });
        Some(())
    }

    fn cannot_be(&mut self) -> Option<()> {
        let number = self.somebody(|c, _| alive(c))?;
        let person = Some(self.named(&number));
        if self.chance.happens(0.5) {
            let couple = Couple { one: person.clone(), other: person };
            self.hand_in("married to themselves", Kind::Marriage(couple), ages::date(self.today))?;
        } else {
            let date = dancu_proto::v1::Date { year: 1890, month: 3, day: 3 };
            let death = Death { person, date_of_death: Some(date) };
            self.hand_in("dead before born", Kind::Death(death), date)?;
        }
        Some(())
    }

    fn nobody(&mut self) -> Option<()> {
        // A number of nobody: there is hardly anybody that old.
        let number = format!("001001{:06}", self.chance.below(1_000_000));
        let person = Some(PersonRef { by: Some(By::PersonalId(number)) });
        let blood = BloodType { person, blood_type: "01".into() };
        self.hand_in("of nobody", Kind::BloodType(blood), ages::date(self.today))?;
        Some(())
    }
}

/// The same event with another value; none if there is nothing to say otherwise.
fn otherwise(kind: Kind) -> Option<Kind> {
    let kind = match kind {
        Kind::Birth(mut birth) => {
            let child: &mut Citizen = birth.child.as_mut()?;
            let mut name = child.full_name.clone()?;
            // Some get another number by this, the others keep theirs.
            if name.given.len() % 2 == 0 {
                child.sex = if child.sex == "2" { "1" } else { "2" }.into();
            }
            name.given = format!("{}h", name.given.trim_end_matches('h'));
            child.full_name = Some(name);
            Kind::Birth(birth)
        }
        Kind::Moved(mut moved) => {
            moved.address = moved.address.map(elsewhere);
            Kind::Moved(moved)
        }
        Kind::PermanentResidenceRegistered(mut residence) => {
            residence.address = residence.address.map(elsewhere);
            Kind::PermanentResidenceRegistered(residence)
        }
        Kind::BloodType(mut blood) => {
            blood.blood_type = if blood.blood_type == "01" { "02" } else { "01" }.into();
            Kind::BloodType(blood)
        }
        Kind::OldNumberLinked(mut linked) => {
            linked.old_id_number = linked.old_id_number.chars().rev().collect();
            Kind::OldNumberLinked(linked)
        }
        Kind::ContactChanged(mut contact) if !contact.mobile_number.is_empty() => {
            contact.mobile_number = "0900000001".into();
            Kind::ContactChanged(contact)
        }
        Kind::AbsenceDeclared(mut declared) => {
            declared.absence.as_mut()?.reason = "đi học tập".into();
            Kind::AbsenceDeclared(declared)
        }
        _ => return None,
    };
    Some(kind)
}

fn elsewhere(address: Address) -> Address {
    let commune = &communes()[address.detail.len() % communes().len()];
    Address { province: commune.province.into(), commune: commune.code.into(), ..address }
}

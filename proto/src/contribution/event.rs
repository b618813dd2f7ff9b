//! The kinds of events, and whom one names.

use crate::v1::{Event, HouseholdMember, PersonRef, event::Event as Kind};

macro_rules! events {
    ($($variant:ident = $name:literal;)*) => {
        /// The names of all events, as in `dancu.v1.Event`.
        pub const EVENTS: &[&str] = &[$($name),*];

        /// The name of an event, as in `dancu.v1.Event`; empty for one that says nothing.
        #[must_use]
        pub fn event_name(event: &Event) -> &'static str {
            match &event.event {
                $(Some(Kind::$variant(_)) => $name,)*
                None => "",
            }
        }
    };
}

events! {
    Birth = "birth";
    Death = "death";
    Marriage = "marriage";
    Divorce = "divorce";
    Adoption = "adoption";
    ParentRecognised = "parent_recognised";
    CivilStatusCorrected = "civil_status_corrected";
    PermanentResidenceRegistered = "permanent_residence_registered";
    PermanentResidenceRemoved = "permanent_residence_removed";
    Moved = "moved";
    TemporaryResidenceRegistered = "temporary_residence_registered";
    TemporaryResidenceRemoved = "temporary_residence_removed";
    AbsenceDeclared = "absence_declared";
    HouseholdHeadChanged = "household_head_changed";
    IdentityCardIssued = "identity_card_issued";
    OldNumberLinked = "old_number_linked";
    BloodType = "blood_type";
    ContactChanged = "contact_changed";
    Missing = "missing";
    Found = "found";
    NumberReestablished = "number_reestablished";
    NumberCancelled = "number_cancelled";
    RecordsMerged = "records_merged";
    Correction = "correction";
}

/// Everybody whom an event names, in the order of its message; of a correction, whom the event names that
/// happened instead. A child that is born has no number yet and is not named.
#[must_use]
pub fn persons(event: &Event) -> Vec<&PersonRef> {
    let Some(kind) = &event.event else { return Vec::new() };
    let named: Vec<Option<&PersonRef>> = match kind {
        Kind::Birth(birth) => vec![birth.father.as_ref(), birth.mother.as_ref()],
        Kind::Death(death) => vec![death.person.as_ref()],
        Kind::Marriage(couple) | Kind::Divorce(couple) => vec![couple.one.as_ref(), couple.other.as_ref()],
        Kind::Adoption(of) => vec![of.child.as_ref(), of.father.as_ref(), of.mother.as_ref()],
        Kind::ParentRecognised(of) => vec![of.child.as_ref(), of.parent.as_ref()],
        Kind::CivilStatusCorrected(of) => vec![of.person.as_ref()],
        Kind::PermanentResidenceRegistered(home) | Kind::Moved(home) => {
            let mut named = in_household(&home.members);
            named.push(home.household_head.as_ref());
            named
        }
        Kind::PermanentResidenceRemoved(all)
        | Kind::TemporaryResidenceRemoved(all)
        | Kind::Missing(all)
        | Kind::Found(all)
        | Kind::NumberCancelled(all) => all.persons.iter().map(Some).collect(),
        Kind::TemporaryResidenceRegistered(stay) => stay.persons.iter().map(Some).collect(),
        Kind::AbsenceDeclared(of) => vec![of.person.as_ref()],
        Kind::HouseholdHeadChanged(change) => {
            let mut named = vec![change.head.as_ref()];
            named.extend(in_household(&change.members));
            named
        }
        Kind::IdentityCardIssued(of) => vec![of.person.as_ref()],
        Kind::OldNumberLinked(of) => vec![of.person.as_ref()],
        Kind::BloodType(of) => vec![of.person.as_ref()],
        Kind::ContactChanged(of) => vec![of.person.as_ref()],
        Kind::NumberReestablished(of) => vec![of.person.as_ref()],
        Kind::RecordsMerged(of) => vec![of.kept.as_ref(), of.merged.as_ref()],
        Kind::Correction(of) => {
            return of.instead.as_deref().map(persons).unwrap_or_default();
        }
    };
    named.into_iter().flatten().collect()
}

fn in_household(members: &[HouseholdMember]) -> Vec<Option<&PersonRef>> {
    members.iter().map(|member| member.person.as_ref()).collect()
}

//! What every contribution has: an id, a paper, an officer; and the office that may hand it in.

use dancu_proto::v1::{AccessContext, Citizen, Contribution, Date, Document, Event, event::Event as Kind};
use uuid::Uuid;

use crate::{
    oracle::{contributions::Authority, values},
    population::draw::Chance,
};

/// Milliseconds since 1970 of the first id: 1 January 2026.
const FIRST: u64 = 1_767_225_600_000;

/// Numbers contributions.
pub(super) struct Envelope {
    count: u64,
    chance: Chance,
}

impl Envelope {
    pub(super) fn new(seed: u64) -> Envelope {
        Envelope { count: 0, chance: Chance::new(seed, 6 << 40) }
    }

    /// A contribution with an id of its own.
    pub(super) fn seal(
        &mut self,
        kind: Kind,
        effective: Date,
        known: Date,
        chance: &mut Chance,
    ) -> Contribution {
        self.count += 1;
        let bits = [self.chance.bits().to_le_bytes(), self.chance.bits().to_le_bytes()].concat();
        let mut random = [0; 10];
        random.copy_from_slice(&bits[..10]);
        let id = uuid::Builder::from_unix_timestamp_millis(FIRST + self.count * 7, &random).into_uuid();
        let number = self.count;
        Contribution {
            id: Uuid::to_string(&id),
            context: Some(AccessContext {
                purpose: "contribute".into(),
                case_number: format!("HS-{number}"),
                officer: format!("CB-{}", chance.below(40)),
            }),
            effective_date: Some(effective),
            document: Some(Document {
                number: format!("{number}/2026"),
                date: Some(known),
                issued_by: "Ủy ban nhân dân".into(),
            }),
            event: Some(Event { event: Some(kind) }),
            ..Contribution::default()
        }
    }
}

/// The name of an event, as the table of authority has it.
#[must_use]
pub fn name_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Birth(_) => "birth",
        Kind::Death(_) => "death",
        Kind::Marriage(_) => "marriage",
        Kind::Divorce(_) => "divorce",
        Kind::Adoption(_) => "adoption",
        Kind::ParentRecognised(_) => "parent_recognised",
        Kind::CivilStatusCorrected(_) => "civil_status_corrected",
        Kind::PermanentResidenceRegistered(_) => "permanent_residence_registered",
        Kind::PermanentResidenceRemoved(_) => "permanent_residence_removed",
        Kind::Moved(_) => "moved",
        Kind::TemporaryResidenceRegistered(_) => "temporary_residence_registered",
        Kind::TemporaryResidenceRemoved(_) => "temporary_residence_removed",
        Kind::AbsenceDeclared(_) => "absence_declared",
        Kind::HouseholdHeadChanged(_) => "household_head_changed",
        Kind::IdentityCardIssued(_) => "identity_card_issued",
        Kind::OldNumberLinked(_) => "old_number_linked",
        Kind::BloodType(_) => "blood_type",
        Kind::ContactChanged(_) => "contact_changed",
        Kind::Missing(_) => "missing",
        Kind::Found(_) => "found",
        Kind::NumberReestablished(_) => "number_reestablished",
        Kind::NumberCancelled(_) => "number_cancelled",
        Kind::RecordsMerged(_) => "records_merged",
        Kind::Correction(_) => "correction",
    }
}

/// The fields that an event says something of.
fn fields_of(kind: &Kind) -> Vec<String> {
    const RESIDENCE: [&str; 4] =
        ["permanent_residence", "residence_file_number", "household_head", "relation_to_household_head"];
    let fields: &[&str] = match kind {
        // What of a child an office may not say it leaves out.
        Kind::Birth(_) | Kind::Adoption(_) => &["father", "mother", "children"],
        Kind::ParentRecognised(recognised) if recognised.mother => &["mother", "children"],
        Kind::ParentRecognised(_) => &["father", "children"],
        Kind::Death(_) => &["date_of_death"],
        Kind::Marriage(_) | Kind::Divorce(_) => &["spouse", "marital_status"],
        Kind::CivilStatusCorrected(corrected) => {
            let set = values(corrected.set.as_deref().unwrap_or(&Citizen::default()));
            let clear = corrected
                .clear()
                .map(|field| field.as_str_name().trim_start_matches("FIELD_").to_lowercase());
            return set.keys().cloned().chain(clear).collect();
        }
        Kind::PermanentResidenceRegistered(_) | Kind::Moved(_) | Kind::PermanentResidenceRemoved(_) => {
            &RESIDENCE
        }
        Kind::TemporaryResidenceRegistered(_) | Kind::TemporaryResidenceRemoved(_) => {
            &["temporary_residence"]
        }
        Kind::AbsenceDeclared(_) => &["temporary_absence"],
        Kind::HouseholdHeadChanged(_) => {
            &["household_head", "relation_to_household_head", "household_members", "residence_file_number"]
        }
        Kind::IdentityCardIssued(_) => &["identity_cards"],
        Kind::OldNumberLinked(_) => &["old_id_number"],
        Kind::BloodType(_) => &["blood_type"],
        Kind::ContactChanged(contact) => {
            let given = [(&contact.mobile_number, "mobile_number"), (&contact.email, "email")];
            let given = given.into_iter().filter(|(value, _)| !value.is_empty());
            return given.map(|(_, field)| field.to_owned()).collect();
        }
        Kind::Missing(_) | Kind::Found(_) => &["date_missing"],
        Kind::NumberReestablished(_)
        | Kind::NumberCancelled(_)
        | Kind::RecordsMerged(_)
        | Kind::Correction(_) => &[],
    };
    fields.iter().map(|field| (*field).to_owned()).collect()
}

/// An event as an office hands it in, and the office: of those that may, by authority in the first of its
/// fields. Of a child an office says what it may.
pub(super) fn shaped(authority: &Authority, kind: Kind, place: usize) -> Option<(String, Kind)> {
    let fields = fields_of(&kind);
    let names: Vec<&str> = fields.iter().map(String::as_str).collect();
    let mut roles = authority.roles_for(name_of(&kind), &names);
    let first = names.first().copied().unwrap_or_default();
    roles.sort_by_key(|role| authority.place(role, first));
    let role = roles.get(place.min(roles.len().saturating_sub(1)))?.clone();
    let kind = match kind {
        Kind::Birth(mut birth) => {
            let mut child = values(birth.child.as_ref()?);
            child.retain(|field, _| authority.place(&role, field).is_some());
            birth.child = serde_json::from_value(child.into()).ok();
            Kind::Birth(birth)
        }
        other => other,
    };
    Some((role, kind))
}

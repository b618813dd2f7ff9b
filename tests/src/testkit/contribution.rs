//! What an office hands in, where it does not matter what.

use dancu_proto::v1::{
    AccessContext, BloodType, Contribution, Date, Document, Event, PersonRef, event::Event as Kind,
    person_ref::By,
};
use uuid::Uuid;

/// A blood type of somebody, from a hospital, handed in for a purpose.
#[must_use]
pub fn blood_type(number: &str, purpose: &str, turn: usize) -> Contribution {
    let by = Some(By::PersonalId(number.into()));
    let blood = BloodType { person: Some(PersonRef { by }), blood_type: format!("{:02}", 1 + turn % 4) };
    Contribution {
        id: Uuid::now_v7().to_string(),
        context: Some(AccessContext {
            purpose: purpose.into(),
            case_number: format!("HS-{turn}"),
            officer: "CB-1".into(),
        }),
        effective_date: Some(Date { year: 2026, month: 1, day: 1 + turn as u32 % 28 }),
        document: Some(Document {
            number: format!("{turn}"),
            date: Some(Date { year: 2026, month: 1, day: 28 }),
            issued_by: "Bệnh viện".into(),
        }),
        event: Some(Event { event: Some(Kind::BloodType(blood)) }),
        ..Contribution::default()
    }
}

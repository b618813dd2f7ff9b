//! The kinds of events, and whom one names.

use crate::v1::{Event, HouseholdMember, PersonRef, event::Event as Kind};

macro_rules! events {
    ($($variant:ident = $name:literal, $title:literal;)*) => {
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

        /// An event by its name, as an office calls it, Vietnamese; none for what is no event.
        #[must_use]
        pub fn event_title(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some($title),)*
                _ => None,
            }
        }
    };
}

events! {
    Birth = "birth", "khai sinh";
    Death = "death", "khai tử";
    Marriage = "marriage", "kết hôn";
    Divorce = "divorce", "ly hôn";
    Adoption = "adoption", "nuôi con nuôi";
    ParentRecognised = "parent_recognised", "nhận cha, mẹ, con";
    CivilStatusCorrected = "civil_status_corrected", "thay đổi, cải chính hộ tịch";
    PermanentResidenceRegistered = "permanent_residence_registered", "đăng ký thường trú";
    PermanentResidenceRemoved = "permanent_residence_removed", "xóa đăng ký thường trú";
    Moved = "moved", "thay đổi nơi thường trú";
    TemporaryResidenceRegistered = "temporary_residence_registered", "đăng ký tạm trú";
    TemporaryResidenceRemoved = "temporary_residence_removed", "xóa đăng ký tạm trú";
    AbsenceDeclared = "absence_declared", "khai báo tạm vắng";
    HouseholdHeadChanged = "household_head_changed", "thay đổi chủ hộ";
    IdentityCardIssued = "identity_card_issued", "cấp thẻ căn cước";
    OldNumberLinked = "old_number_linked", "xác nhận số chứng minh nhân dân";
    BloodType = "blood_type", "nhóm máu";
    ContactChanged = "contact_changed", "thay đổi số điện thoại, thư điện tử";
    Missing = "missing", "tuyên bố mất tích";
    Found = "found", "hủy tuyên bố mất tích";
    NumberReestablished = "number_reestablished", "xác lập lại số định danh cá nhân";
    NumberCancelled = "number_cancelled", "hủy số định danh cá nhân";
    RecordsMerged = "records_merged", "nhập hai hồ sơ của một người";
    Correction = "correction", "sửa dữ liệu đã cung cấp";
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

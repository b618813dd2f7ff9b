//! The catalogue of what the registry holds: Article 9 of the Law on Identification 2023
//! (26/2023/QH15), one entry for each value that an agreement can give or withhold.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Twelve digits, see [`crate::PersonalId`].
    PersonalId,
    /// Several personal numbers.
    PersonalIds,
    /// A personal name.
    Name,
    /// A date, perhaps in part.
    Date,
    /// A code of the table [`Spec::code_table`] names.
    Code,
    /// An address or place.
    Address,
    /// Free text, Unicode NFC.
    Text,
    /// ISO 3166-1 alpha-2 codes.
    Countries,
    /// Nine digits.
    OldIdNumber,
    /// Identity cards.
    IdentityCards,
    /// Another person.
    Relative,
    /// Other persons.
    Relatives,
    /// Temporary residence.
    TemporaryResidence,
    /// Declared absence.
    TemporaryAbsence,
    /// A phone number in Vietnam or with a country code.
    Phone,
    /// An e-mail address.
    Email,
}

/// The kind of source that is authoritative for a field. Which agency that is, and on what
/// conditions, is the hub's to configure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The registry itself.
    Hub,
    /// Hộ tịch: civil status (Ministry of Justice).
    CivilStatus,
    /// Cư trú: residence (police).
    Residence,
    /// Căn cước: citizen identification (police).
    CitizenId,
    /// Y tế: health, at the citizen's request.
    Health,
    /// The citizen, through residence or the portal.
    Citizen,
}

/// What the catalogue says of a field.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Number: the protobuf field number in `dancu.v1.Citizen`.
    pub number: u8,
    /// Name in agreements, JSON and CSV.
    pub name: &'static str,
    /// Label for people.
    pub label_vi: &'static str,
    /// How a value is written.
    pub format: Format,
    /// Table of codes, where the format is a code.
    pub code_table: Option<&'static str>,
    /// The kind of source that is authoritative.
    pub authority: Authority,
    /// Item of Article 9 that the field belongs to.
    pub law_item: u8,
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $label:literal,
        $format:ident $(($table:literal))?, $authority:ident, $item:literal;)*) => {
        /// A field of the catalogue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field {
            $(#[doc = $label] $variant = $number,)*
        }

        impl Field {
            /// Every field, by number.
            pub const ALL: &[Field] = &[$(Field::$variant),*];

            /// What the catalogue says of it.
            #[must_use]
            pub fn spec(self) -> &'static Spec {
                match self {
                    $(Field::$variant => &Spec {
                        number: $number,
                        name: $name,
                        label_vi: $label,
                        format: Format::$format,
                        code_table: catalogue!(@table $($table)?),
                        authority: Authority::$authority,
                        law_item: $item,
                    },)*
                }
            }

            /// The field with a number.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Field> {
                match number {
                    $($number => Some(Field::$variant),)*
                    _ => None,
                }
            }
        }
    };
    (@table) => { None };
    (@table $table:literal) => { Some($table) };
}

catalogue! {
    PersonalId = 1, "personal_id", "Số định danh cá nhân", PersonalId, Hub, 3;
    FormerPersonalIds = 2, "former_personal_ids", "Số định danh đã hủy", PersonalIds, Hub, 3;
    FullName = 3, "full_name", "Họ, chữ đệm và tên khai sinh", Name, CivilStatus, 1;
    OtherName = 4, "other_name", "Tên gọi khác", Text, Citizen, 2;
    DateOfBirth = 5, "date_of_birth", "Ngày, tháng, năm sinh", Date, CivilStatus, 4;
    Sex = 6, "sex", "Giới tính", Code("sex"), CivilStatus, 5;
    PlaceOfBirth = 7, "place_of_birth", "Nơi sinh", Address, CivilStatus, 6;
    PlaceOfBirthRegistration = 8, "place_of_birth_registration", "Nơi đăng ký khai sinh", Address, CivilStatus, 7;
    PlaceOfOrigin = 9, "place_of_origin", "Quê quán", Address, Residence, 8;
    Ethnicity = 10, "ethnicity", "Dân tộc", Code("ethnicity"), CivilStatus, 9;
    Religion = 11, "religion", "Tôn giáo", Code("religion"), Citizen, 10;
    Nationality = 12, "nationality", "Quốc tịch", Countries, CivilStatus, 11;
    BloodType = 13, "blood_type", "Nhóm máu", Code("blood_type"), Health, 12;
    OldIdNumber = 14, "old_id_number", "Số chứng minh nhân dân 9 số", OldIdNumber, CitizenId, 13;
    IdentityCards = 15, "identity_cards", "Thẻ căn cước", IdentityCards, CitizenId, 14;
    Father = 16, "father", "Cha", Relative, CivilStatus, 15;
    Mother = 17, "mother", "Mẹ", Relative, CivilStatus, 15;
    Spouse = 18, "spouse", "Vợ hoặc chồng", Relative, CivilStatus, 15;
    Children = 19, "children", "Con", Relatives, CivilStatus, 15;
    LegalRepresentative = 20, "legal_representative", "Người đại diện hợp pháp", Relative, CivilStatus, 15;
    RepresentedPersons = 21, "represented_persons", "Người được đại diện", Relatives, CivilStatus, 15;
    PermanentResidence = 22, "permanent_residence", "Nơi thường trú", Address, Residence, 16;
    TemporaryResidence = 23, "temporary_residence", "Nơi tạm trú", TemporaryResidence, Residence, 17;
    CurrentDwelling = 24, "current_dwelling", "Nơi ở hiện tại", Address, Residence, 18;
    TemporaryAbsence = 25, "temporary_absence", "Tạm vắng", TemporaryAbsence, Residence, 19;
    ResidenceFileNumber = 26, "residence_file_number", "Số hồ sơ cư trú", Text, Residence, 20;
    MaritalStatus = 27, "marital_status", "Tình trạng hôn nhân", Code("marital_status"), CivilStatus, 21;
    RelationToHouseholdHead = 28, "relation_to_household_head", "Quan hệ với chủ hộ", Text, Residence, 22;
    HouseholdHead = 29, "household_head", "Chủ hộ", Relative, Residence, 23;
    HouseholdMembers = 30, "household_members", "Thành viên hộ gia đình", Relatives, Residence, 23;
    DateOfDeath = 31, "date_of_death", "Ngày, tháng, năm chết", Date, CivilStatus, 24;
    DateMissing = 32, "date_missing", "Ngày, tháng, năm mất tích", Date, CivilStatus, 24;
    MobileNumber = 33, "mobile_number", "Số điện thoại di động", Phone, Citizen, 25;
    Email = 34, "email", "Địa chỉ thư điện tử", Email, Citizen, 25;
}

impl Field {
    /// Number in `dancu.v1.Citizen`.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Name in agreements, JSON and CSV.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No field has that name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no field is called `{0}`")]
pub struct UnknownField(pub String);

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(name: &str) -> Result<Field, UnknownField> {
        let found = Field::ALL.iter().find(|field| field.name() == name);
        found.copied().ok_or_else(|| UnknownField(name.to_owned()))
    }
}

impl From<Field> for crate::v1::Field {
    fn from(field: Field) -> crate::v1::Field {
        crate::v1::Field::try_from(field as i32).unwrap_or_default()
    }
}

impl TryFrom<i32> for Field {
    type Error = UnknownField;

    fn try_from(number: i32) -> Result<Field, UnknownField> {
        let field = u32::try_from(number).ok().and_then(Field::from_number);
        field.ok_or_else(|| UnknownField(number.to_string()))
    }
}

/// The bits of every field.
const ALL: u64 = {
    let (mut bits, mut at) = (0, 0);
    while at < Field::ALL.len() {
        bits |= 1 << Field::ALL[at] as u8;
        at += 1;
    }
    bits
};

/// A set of fields: bit *n* stands for field number *n*.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u64);

impl FieldSet {
    /// No field.
    pub const EMPTY: FieldSet = FieldSet(0);

    /// Every field of the catalogue.
    #[must_use]
    pub fn all() -> FieldSet {
        FieldSet(ALL)
    }

    /// The set with these bits; bits without a field are dropped.
    #[must_use]
    pub fn from_bits(bits: u64) -> FieldSet {
        FieldSet(bits & ALL)
    }

    /// As bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether it has the field.
    #[must_use]
    pub fn contains(self, field: Field) -> bool {
        self.contains_number(field.number())
    }

    /// Whether it has the field with a number.
    #[must_use]
    pub fn contains_number(self, number: u32) -> bool {
        number < 64 && self.0 & (1 << number) != 0
    }

    /// Takes a field out.
    pub fn remove(&mut self, field: Field) {
        self.0 &= !(1 << field.number());
    }

    /// Adds a field.
    pub fn insert(&mut self, field: Field) {
        self.0 |= 1 << field.number();
    }

    /// Fields in both.
    #[must_use]
    pub fn intersection(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 & other.0)
    }

    /// Fields in either.
    #[must_use]
    pub fn union(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 | other.0)
    }

    /// Fields in this and not in the other.
    #[must_use]
    pub fn difference(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 & !other.0)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many it has.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its fields, by number.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Field> {
        Fields(self.0)
    }
}

/// What is left of a set.
struct Fields(u64);

impl Iterator for Fields {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        let number = self.0.trailing_zeros();
        // Of no bits the lowest is the 64th: the set is empty.
        self.0 &= self.0.wrapping_sub(1);
        Field::from_number(number)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.0.count_ones() as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Fields {}

impl FromIterator<Field> for FieldSet {
    fn from_iter<I: IntoIterator<Item = Field>>(fields: I) -> FieldSet {
        let mut set = FieldSet::EMPTY;
        fields.into_iter().for_each(|field| set.insert(field));
        set
    }
}

impl fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Field::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_the_message() {
        for field in Field::ALL {
            let proto = crate::v1::Field::from(*field);
            let name = format!("FIELD_{}", field.name().to_uppercase());
            assert_eq!(proto.as_str_name(), name);
            assert_eq!(Field::from_number(field.number()), Some(*field));
            assert_eq!(field.name().parse::<Field>().unwrap(), *field);
            assert_eq!(field.spec().format == Format::Code, field.spec().code_table.is_some());
        }
    }

    #[test]
    fn sets_behave_as_sets() {
        let a: FieldSet = [Field::Sex, Field::Email].into_iter().collect();
        let b: FieldSet = [Field::Sex, Field::Religion].into_iter().collect();
        assert_eq!(a.intersection(b).iter().collect::<Vec<_>>(), [Field::Sex]);
        assert_eq!(a.union(b).len(), 3);
        assert!(a.difference(b).contains(Field::Email));
        assert_eq!(FieldSet::from_bits(u64::MAX), FieldSet::all());
    }
}

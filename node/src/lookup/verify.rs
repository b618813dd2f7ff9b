//! Compares what a caller holds with the record, attribute by attribute, and discloses nothing else.
//!
//! Texts compare by what a reader sees (Unicode form and spacing do not count). Names compare as [`name`]
//! has it: the same, or the same but for diacritics. Of an address or a relative the parts that are
//! claimed are compared. Dates compare as they are: a year alone is not a day.

pub(super) mod name;

use dancu_proto::{
    CitizenBytes, Field, FieldSet, Record,
    name::same_text,
    node::v1::{AttributeVerdict, NameDifference, Verdict},
    v1::{
        Address, Citizen, Date, IdentityCard, Name, RegisteredArea, Relative, RelativeList, StringList,
        TemporaryAbsence, TemporaryResidence,
    },
};

use self::name::Likeness;
use super::refusal::{Fault, Refusal};

/// What is claimed, as a caller sent it.
pub(super) fn claim(sent: &CitizenBytes) -> Result<Citizen, Refusal> {
    let fault = |_| Refusal::Invalid(vec![Fault::new("claim", "is no citizen: a field is of another type")]);
    sent.decode_whole().map_err(fault)
}

/// The fields claimed.
pub(super) fn claimed(claim: &Citizen) -> Result<FieldSet, Refusal> {
    let fields = Record::encode(claim).fields();
    if fields.is_empty() {
        return Err(Refusal::Invalid(vec![Fault::new("claim", "claims nothing; set at least one field")]));
    }
    Ok(fields)
}

/// One verdict for each field claimed. `registered` is the record, or as much of it as is compared, of
/// `record`.
pub(super) fn verdicts(
    claim: &Citizen,
    claimed: FieldSet,
    registered: &Citizen,
    record: &Record,
    authorised: FieldSet,
) -> Vec<AttributeVerdict> {
    let (has_value, in_question) = (record.fields(), record.in_question());
    let verdict = |field: Field| {
        // Whether there is a value is itself something only an agreement gives.
        let (verdict, differences) = if !authorised.contains(field) {
            (Verdict::NotAuthorised, Vec::new())
        } else if !has_value.contains(field) {
            (Verdict::NoValue, Vec::new())
        } else {
            judge(field, claim, registered)
        };
        let differences = differences.into_iter().map(i32::from).collect();
        let in_question = authorised.contains(field) && in_question.contains(field);
        let field = dancu_proto::v1::Field::from(field).into();
        AttributeVerdict { field, verdict: verdict.into(), differences, in_question }
    };
    claimed.iter().map(verdict).collect()
}

/// How a value compares; of a name also in what it is written otherwise.
fn judge(field: Field, claim: &Citizen, held: &Citizen) -> (Verdict, Vec<NameDifference>) {
    let name = match (field, &claim.full_name, &held.full_name) {
        (Field::FullName, Some(claim), Some(held)) => Some(name::compare(&claim.full(), &held.full())),
        (Field::OtherName, ..) => Some(name::compare(&claim.other_name, &held.other_name)),
        _ => None,
    };
    let (likeness, differences) = match name {
        Some(name) => (name.likeness, name.differences),
        None if agrees(field, claim, held, Likeness::Same) => (Likeness::Same, Vec::new()),
        None if agrees(field, claim, held, Likeness::IgnoringMarks) => (Likeness::IgnoringMarks, Vec::new()),
        None => (Likeness::Different, Vec::new()),
    };
    let verdict = match likeness {
        Likeness::Same => Verdict::Match,
        Likeness::IgnoringMarks => Verdict::MatchIgnoringMarks,
        Likeness::Different => Verdict::Mismatch,
    };
    (verdict, differences)
}

/// Whether a value agrees, the names in it being at least so much alike.
fn agrees(field: Field, claim: &Citizen, held: &Citizen, alike: Likeness) -> bool {
    let text = |of: fn(&Citizen) -> &String| same_text(of(claim), of(held));
    let name = |a: &Name, b: &Name| name::compare(&a.full(), &b.full()).likeness >= alike;
    let relative = |a: &Relative, b: &Relative| relative(a, b, name);
    let relatives = |a: &RelativeList, b: &RelativeList| each(&a.items, &b.items, relative);
    match field {
        Field::PersonalId => text(|c| &c.personal_id),
        Field::FormerPersonalIds => {
            strings(claim.former_personal_ids.as_ref()) == strings(held.former_personal_ids.as_ref())
        }
        Field::FullName => of_both(&claim.full_name, &held.full_name, name),
        Field::OtherName => text(|c| &c.other_name),
        Field::DateOfBirth => of_both(&claim.date_of_birth, &held.date_of_birth, date),
        Field::Sex => text(|c| &c.sex),
        Field::PlaceOfBirth => of_both(&claim.place_of_birth, &held.place_of_birth, address),
        Field::PlaceOfBirthRegistration => {
            of_both(&claim.place_of_birth_registration, &held.place_of_birth_registration, address)
        }
        Field::PlaceOfOrigin => of_both(&claim.place_of_origin, &held.place_of_origin, address),
        Field::Ethnicity => text(|c| &c.ethnicity),
        Field::Religion => text(|c| &c.religion),
        Field::Nationality => strings(claim.nationality.as_ref()) == strings(held.nationality.as_ref()),
        Field::BloodType => text(|c| &c.blood_type),
        Field::OldIdNumber => text(|c| &c.old_id_number),
        Field::IdentityCards => of_both(&claim.identity_cards, &held.identity_cards, |a, b| {
            each(&a.items, &b.items, identity_card)
        }),
        Field::Father => of_both(&claim.father, &held.father, relative),
        Field::Mother => of_both(&claim.mother, &held.mother, relative),
        Field::Spouse => of_both(&claim.spouse, &held.spouse, relative),
        Field::Children => of_both(&claim.children, &held.children, relatives),
        Field::LegalRepresentative => {
            of_both(&claim.legal_representative, &held.legal_representative, relative)
        }
        Field::RepresentedPersons => {
            of_both(&claim.represented_persons, &held.represented_persons, relatives)
        }
        Field::PermanentResidence => of_both(&claim.permanent_residence, &held.permanent_residence, address),
        Field::TemporaryResidence => {
            of_both(&claim.temporary_residence, &held.temporary_residence, temporary_residence)
        }
        Field::CurrentDwelling => of_both(&claim.current_dwelling, &held.current_dwelling, address),
        Field::TemporaryAbsence => {
            of_both(&claim.temporary_absence, &held.temporary_absence, temporary_absence)
        }
        Field::ResidenceFileNumber => text(|c| &c.residence_file_number),
        Field::MaritalStatus => text(|c| &c.marital_status),
        Field::RelationToHouseholdHead => text(|c| &c.relation_to_household_head),
        Field::HouseholdHead => of_both(&claim.household_head, &held.household_head, relative),
        Field::HouseholdMembers => of_both(&claim.household_members, &held.household_members, relatives),
        Field::DateOfDeath => of_both(&claim.date_of_death, &held.date_of_death, date),
        Field::DateMissing => of_both(&claim.date_missing, &held.date_missing, date),
        Field::MobileNumber => text(|c| &c.mobile_number),
        Field::Email => text(|c| &c.email),
    }
}

fn of_both<T>(claim: &Option<T>, held: &Option<T>, agree: impl Fn(&T, &T) -> bool) -> bool {
    matches!((claim, held), (Some(claim), Some(held)) if agree(claim, held))
}

fn strings(list: Option<&StringList>) -> Vec<&str> {
    sorted(list.map(|list| &list.values))
}

fn sorted(values: Option<&Vec<String>>) -> Vec<&str> {
    let mut values: Vec<_> = values.into_iter().flatten().map(|value| value.trim()).collect();
    values.sort_unstable();
    values
}

/// As many, and each agrees with one of the other that no other agreed with.
fn each<T>(claim: &[T], held: &[T], agree: impl Fn(&T, &T) -> bool) -> bool {
    let mut left: Vec<_> = held.iter().collect();
    claim.len() == held.len()
        && claim.iter().all(|claimed| {
            let found = left.iter().position(|held| agree(claimed, held));
            found.is_some_and(|position| {
                left.swap_remove(position);
                true
            })
        })
}

fn date(claim: &Date, held: &Date) -> bool {
    claim == held
}

/// A part that is not claimed agrees with anything.
fn part(claim: &str, held: &str) -> bool {
    claim.is_empty() || same_text(claim, held)
}

fn optional<T>(claim: &Option<T>, held: &Option<T>, agree: impl Fn(&T, &T) -> bool) -> bool {
    claim.is_none() || of_both(claim, held, agree)
}

fn address(claim: &Address, held: &Address) -> bool {
    // Vietnam is what an address has that names no country.
    let country =
        |address: &Address| if address.country == "VN" { String::new() } else { address.country.clone() };
    let in_force = part(&claim.province, &held.province) && part(&claim.commune, &held.commune);
    // Papers from before a merger have the codes of then.
    let registered = || {
        held.as_registered
            .as_ref()
            .is_some_and(|then| part(&claim.province, &then.province) && part(&claim.commune, &then.commune))
    };
    country(claim) == country(held)
        && (in_force || registered())
        && part(&claim.detail, &held.detail)
        && optional(&claim.as_registered, &held.as_registered, registered_area)
}

fn registered_area(claim: &RegisteredArea, held: &RegisteredArea) -> bool {
    part(&claim.province, &held.province)
        && part(&claim.district, &held.district)
        && part(&claim.commune, &held.commune)
}

fn relative(claim: &Relative, held: &Relative, name: impl Fn(&Name, &Name) -> bool) -> bool {
    optional(&claim.name, &held.name, name)
        && part(&claim.personal_id, &held.personal_id)
        && part(&claim.old_id_number, &held.old_id_number)
        && (claim.nationality.is_empty()
            || sorted(Some(&claim.nationality)) == sorted(Some(&held.nationality)))
        && part(&claim.relation, &held.relation)
}

fn identity_card(claim: &IdentityCard, held: &IdentityCard) -> bool {
    optional(&claim.issued_on, &held.issued_on, date)
        && part(&claim.issued_by, &held.issued_by)
        && optional(&claim.expires_on, &held.expires_on, date)
}

fn temporary_residence(claim: &TemporaryResidence, held: &TemporaryResidence) -> bool {
    optional(&claim.address, &held.address, address)
        && optional(&claim.from, &held.from, date)
        && optional(&claim.until, &held.until, date)
}

fn temporary_absence(claim: &TemporaryAbsence, held: &TemporaryAbsence) -> bool {
    optional(&claim.from, &held.from, date)
        && optional(&claim.until, &held.until, date)
        && part(&claim.reason, &held.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn citizen(json: &str) -> Citizen {
        serde_json::from_str(json).unwrap()
    }

    fn judge(claim: &str, held: &str, authorised: FieldSet) -> Vec<Verdict> {
        let (claim, held) = (citizen(claim), citizen(held));
        let claimed = claimed(&claim).unwrap();
        let verdicts = verdicts(&claim, claimed, &held, &Record::encode(&held), authorised);
        verdicts.into_iter().map(|verdict| verdict.verdict()).collect()
    }

    const HELD: &str = r#"{"full_name":"Nguyễn Thị Hoà","date_of_birth":"1985-03-02","nationality":["VN","FR"],
        "permanent_residence":{"province":"01","commune":"00004","detail":"12 Hàng  Bài"},
        "children":[{"personal_id":"001210000001"},{"personal_id":"001210000002"}],
        "father":{"name":"Nguyễn Văn An","personal_id":"001050000001"}}"#;

    #[test]
    fn the_four_verdicts() {
        let authorised = [Field::FullName, Field::DateOfBirth, Field::Email].into_iter().collect();
        let claim =
            r#"{"full_name":" NGUYỄN THỊ  HOÀ","date_of_birth":"1985-03-03","sex":"1","email":"a@b.vn"}"#;
        let expected = [Verdict::Match, Verdict::Mismatch, Verdict::NotAuthorised, Verdict::NoValue];
        assert_eq!(judge(claim, HELD, authorised), expected);
    }

    #[test]
    fn what_is_in_question_is_told_of_fields_that_are_given() {
        let held = citizen(HELD);
        let in_question = [Field::FullName, Field::Sex, Field::Email].into_iter().collect();
        let record = Record::encode(&held).with_in_question(in_question);
        let claim =
            citizen(r#"{"full_name":"Nguyễn Thị Hoà","sex":"1","email":"a@b.vn","date_of_birth":"1985"}"#);
        let authorised = [Field::FullName, Field::Email, Field::DateOfBirth].into_iter().collect();
        let verdicts = verdicts(&claim, claimed(&claim).unwrap(), &held, &record, authorised);
        let told =
            |field: Field| verdicts.iter().find(|one| Field::try_from(one.field) == Ok(field)).unwrap();
        assert!(told(Field::FullName).in_question, "it matches");
        assert!(told(Field::Email).in_question, "it has no value");
        assert!(!told(Field::Sex).in_question, "it is not given");
        assert!(!told(Field::DateOfBirth).in_question);
    }

    #[test]
    fn without_authority_nothing_shows_whether_there_is_a_value() {
        for held in [HELD, r#"{"sex":"1"}"#] {
            let claim = r#"{"full_name":"Nguyễn Thị Hoà"}"#;
            assert_eq!(judge(claim, held, FieldSet::EMPTY), [Verdict::NotAuthorised]);
        }
    }

    #[test]
    fn values_agree_as_people_mean_them() {
        for (claim, expected) in [
            (r#"{"full_name":{"family":"Nguyễn Thị","middle":"","given":"Hoà"}}"#, Verdict::Match),
            (r#"{"full_name":"Nguyen Thi Hoa"}"#, Verdict::MatchIgnoringMarks),
            (r#"{"full_name":"Nguyễn Thị Hoà Bình"}"#, Verdict::Mismatch),
            (r#"{"date_of_birth":"1985"}"#, Verdict::Mismatch),
            (r#"{"nationality":["FR","VN"]}"#, Verdict::Match),
            (r#"{"nationality":["VN"]}"#, Verdict::Mismatch),
            (r#"{"permanent_residence":{"commune":"00004"}}"#, Verdict::Match),
            (r#"{"permanent_residence":{"commune":"00004","detail":"12 Hàng Bài"}}"#, Verdict::Match),
            (r#"{"permanent_residence":{"commune":"00008"}}"#, Verdict::Mismatch),
            (r#"{"permanent_residence":{"country":"FR","commune":"00004"}}"#, Verdict::Mismatch),
            (r#"{"father":{"name":"nguyễn văn an"}}"#, Verdict::Match),
            (r#"{"father":{"name":"NGUYEN VAN AN"}}"#, Verdict::MatchIgnoringMarks),
            (r#"{"father":{"name":"NGUYEN VAN AN","personal_id":"001050000002"}}"#, Verdict::Mismatch),
            (r#"{"father":{"name":"Nguyễn Văn An","personal_id":"001050000002"}}"#, Verdict::Mismatch),
            (
                r#"{"children":[{"personal_id":"001210000002"},{"personal_id":"001210000001"}]}"#,
                Verdict::Match,
            ),
            (r#"{"children":[{"personal_id":"001210000002"}]}"#, Verdict::Mismatch),
        ] {
            assert_eq!(judge(claim, HELD, FieldSet::all()), [expected], "{claim}");
        }
    }

    #[test]
    fn a_claim_claims_something() {
        assert!(claimed(&Citizen::default()).is_err());
        assert!(claimed(&citizen(r#"{"father":{}}"#)).is_err());
    }

    #[test]
    fn every_field_can_be_compared_with_itself() {
        let all = citizen(include_str!("../../tests/data/full_citizen.json"));
        let record = Record::encode(&all);
        let fields = record.fields();
        assert_eq!(fields, FieldSet::all());
        let verdicts = verdicts(&all, fields, &all, &record, FieldSet::all());
        for verdict in verdicts {
            assert_eq!(verdict.verdict(), Verdict::Match, "{:?}", verdict.field());
        }
    }
}

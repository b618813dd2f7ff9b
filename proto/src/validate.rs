//! What a citizen's values must obey. Texts are brought to Unicode NFC on the way.

use std::{borrow::Cow, str::FromStr};

use crate::{
    Areas, CommuneCode, Field, PersonalId, ProvinceCode, codes,
    name::nfc,
    v1::{Address, Citizen, Date, Name, Relative, StringList},
};

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, dotted.
    pub field: String,
    /// What is wrong and what to do; never the value.
    pub reason: String,
}

/// More of what is wrong is not said: whoever made one mistake a million times has it named often enough.
const MOST_VIOLATIONS: usize = 100;
/// Somebody has at most so many nationalities.
const MOST_COUNTRIES: usize = 10;
/// Texts are at most this long, characters.
const LONGEST_TEXT: usize = 300;

/// Checks a citizen and brings the values to their normal form. `whole` asks for the fields that
/// no record lacks: number, name, date of birth. Addresses are written by the administrative order in
/// force, or by an earlier one whose code means nothing now.
///
/// # Errors
/// Everything that is wrong.
pub fn validate(citizen: &mut Citizen, whole: bool, areas: &Areas) -> Result<(), Vec<Violation>> {
    let mut check = Check::new(Some(areas));
    check.citizen(citizen, whole);
    check.end()
}

/// What is found wrong, value by value. Without the administrative order, an area is only asked to have
/// the form of one.
pub(crate) struct Check<'a> {
    areas: Option<&'a Areas>,
    violations: Vec<Violation>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(areas: Option<&'a Areas>) -> Check<'a> {
        Check { areas, violations: Vec::new() }
    }

    /// All that was found.
    pub(crate) fn end(self) -> Result<(), Vec<Violation>> {
        if self.violations.is_empty() { Ok(()) } else { Err(self.violations) }
    }

    /// Checks the values of a citizen who stands below a field.
    pub(crate) fn citizen_below(&mut self, field: &str, citizen: &mut Citizen) {
        let before = self.violations.len();
        self.citizen(citizen, false);
        for violation in &mut self.violations[before..] {
            violation.field = format!("{field}.{}", violation.field);
        }
    }

    pub(crate) fn say(&mut self, field: &str, reason: impl Into<String>) {
        if self.violations.len() >= MOST_VIOLATIONS {
            return;
        }
        self.violations.push(Violation { field: field.to_owned(), reason: reason.into() });
    }

    fn citizen(&mut self, c: &mut Citizen, whole: bool) {
        if whole || !c.personal_id.is_empty() {
            self.personal_id("personal_id", &c.personal_id);
        }
        if let Some(list) = &mut c.former_personal_ids {
            list.values.sort_unstable();
            list.values.dedup();
        }
        for former in c.former_personal_ids.iter().flat_map(|list| &list.values) {
            self.personal_id("former_personal_ids", former);
            if *former == c.personal_id {
                self.say("former_personal_ids", "has the number in force; leave it out");
            }
        }
        if whole && c.full_name.is_none() {
            self.say("full_name", "is missing");
        }
        if whole && c.date_of_birth.is_none() {
            self.say("date_of_birth", "is missing; a year alone will do");
        }
        if let Some(name) = &mut c.full_name {
            self.name("full_name", name);
        }
        for (field, text) in [
            (Field::OtherName, &mut c.other_name),
            (Field::ResidenceFileNumber, &mut c.residence_file_number),
            (Field::RelationToHouseholdHead, &mut c.relation_to_household_head),
        ] {
            self.text(field.name(), text);
        }
        for (field, code) in [
            (Field::Sex, &c.sex),
            (Field::Ethnicity, &c.ethnicity),
            (Field::Religion, &c.religion),
            (Field::BloodType, &c.blood_type),
            (Field::MaritalStatus, &c.marital_status),
        ] {
            self.code(field, code);
        }
        for (field, date) in [
            ("date_of_birth", &c.date_of_birth),
            ("date_of_death", &c.date_of_death),
            ("date_missing", &c.date_missing),
        ] {
            self.date(field, date.as_ref());
        }
        if let (Some(birth), Some(death)) = (&c.date_of_birth, &c.date_of_death)
            && before(death, birth)
        {
            self.say("date_of_death", "lies before the date of birth");
        }
        self.countries("nationality", c.nationality.as_ref());
        self.old_id("old_id_number", &c.old_id_number);
        for (field, address) in [
            ("place_of_birth", &mut c.place_of_birth),
            ("place_of_birth_registration", &mut c.place_of_birth_registration),
            ("place_of_origin", &mut c.place_of_origin),
            ("permanent_residence", &mut c.permanent_residence),
            ("current_dwelling", &mut c.current_dwelling),
        ] {
            if let Some(address) = address {
                self.address(field, address);
            }
        }
        if let Some(temporary) = &mut c.temporary_residence {
            match &mut temporary.address {
                Some(address) => self.address("temporary_residence.address", address),
                None => self.say("temporary_residence.address", "is missing"),
            }
            self.period("temporary_residence", temporary.from.as_ref(), temporary.until.as_ref());
        }
        if let Some(absence) = &mut c.temporary_absence {
            self.period("temporary_absence", absence.from.as_ref(), absence.until.as_ref());
            self.text("temporary_absence.reason", &mut absence.reason);
        }
        for card in c.identity_cards.iter_mut().flat_map(|list| &mut list.items) {
            self.period("identity_cards", card.issued_on.as_ref(), card.expires_on.as_ref());
            self.text("identity_cards.issued_by", &mut card.issued_by);
        }
        for (field, person) in [
            ("father", &mut c.father),
            ("mother", &mut c.mother),
            ("spouse", &mut c.spouse),
            ("legal_representative", &mut c.legal_representative),
            ("household_head", &mut c.household_head),
        ] {
            if let Some(person) = person {
                self.relative(field, person);
            }
        }
        for (field, list) in [
            ("children", &mut c.children),
            ("represented_persons", &mut c.represented_persons),
            ("household_members", &mut c.household_members),
        ] {
            for person in list.iter_mut().flat_map(|list| &mut list.items) {
                self.relative(field, person);
            }
        }
        self.contact(c);
        if !c.in_question.is_empty() {
            self.say("in_question", "is for the registry to say; leave it out");
        }
    }

    fn contact(&mut self, c: &Citizen) {
        let digits = c.mobile_number.strip_prefix('+').unwrap_or(&c.mobile_number);
        let phone = (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !c.mobile_number.is_empty() && !phone {
            self.say("mobile_number", "is 8 to 15 digits, with + before a country code");
        }
        let mail = c.email.len() <= 254
            && !c.email.contains(char::is_whitespace)
            && c.email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'));
        if !c.email.is_empty() && !mail {
            self.say("email", "is not an e-mail address");
        }
    }

    pub(crate) fn personal_id(&mut self, field: &str, text: &str) {
        if text.is_empty() {
            self.say(field, "is missing");
        } else if let Err(error) = PersonalId::from_str(text) {
            self.say(field, error.to_string());
        }
    }

    pub(crate) fn old_id(&mut self, field: &str, text: &str) {
        if !text.is_empty() && (text.len() != 9 || !text.bytes().all(|b| b.is_ascii_digit())) {
            self.say(field, "an old number has 9 digits");
        }
    }

    pub(crate) fn text(&mut self, field: &str, text: &mut String) {
        if let Cow::Owned(composed) = nfc(text) {
            *text = composed;
        }
        if text.len() > LONGEST_TEXT && text.chars().count() > LONGEST_TEXT {
            self.say(field, format!("is longer than {LONGEST_TEXT} characters"));
        }
        if text.bytes().any(|b| b.is_ascii_control()) {
            self.say(field, "has control characters");
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            *text = text.trim().to_owned();
        }
    }

    pub(crate) fn name(&mut self, field: &str, name: &mut Name) {
        for part in [&mut name.family, &mut name.middle, &mut name.given] {
            self.text(field, part);
        }
        if name.given.is_empty() {
            self.say(field, "has no given name");
        }
        let letters = [&name.family, &name.middle, &name.given];
        if letters.iter().any(|part| part.bytes().any(|b| b.is_ascii_digit() || b"<>{}@#%;".contains(&b))) {
            self.say(field, "has characters that no name has");
        }
    }

    pub(crate) fn code(&mut self, field: Field, code: &str) {
        if let Some(table) = field.spec().code_table
            && !code.is_empty()
            && !codes::has(table, code)
        {
            self.say(field.name(), format!("is no code of table {table}"));
        }
    }

    pub(crate) fn date(&mut self, field: &str, date: Option<&Date>) {
        if let Some(Err(error)) = date.map(Date::check) {
            self.say(field, error.to_string());
        }
    }

    pub(crate) fn period(&mut self, field: &str, from: Option<&Date>, until: Option<&Date>) {
        self.date(field, from);
        self.date(field, until);
        if let (Some(from), Some(until)) = (from, until)
            && before(until, from)
        {
            self.say(field, "ends before it begins");
        }
    }

    pub(crate) fn countries(&mut self, field: &str, list: Option<&StringList>) {
        let values = list.map_or(&[][..], |list| &list.values);
        let again = |(place, code): (usize, &String)| values[..place].contains(code);
        if values.len() > MOST_COUNTRIES {
            return self.say(field, format!("has more than {MOST_COUNTRIES} countries"));
        }
        if values.iter().enumerate().any(again) {
            self.say(field, "names a country twice");
        }
        let known = |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
        if !values.iter().all(known) {
            self.say(field, "countries are two capital letters, like VN (ISO 3166-1)");
        }
    }

    pub(crate) fn address(&mut self, field: &str, address: &mut Address) {
        self.text(field, &mut address.detail);
        let abroad = !address.country.is_empty() && address.country != "VN";
        if abroad {
            let code = address.country.len() == 2 && address.country.bytes().all(|b| b.is_ascii_uppercase());
            if !code {
                self.say(field, "a country is two capital letters, like LA (ISO 3166-1)");
            }
            if !address.commune.is_empty() || !address.province.is_empty() {
                self.say(field, "a place abroad has no commune or province of Vietnam");
            }
            return;
        }
        address.country.clear();
        let Some(areas) = self.areas else { return self.area_forms(field, address) };
        if !address.commune.is_empty() {
            let earlier = || {
                let code: CommuneCode = address.commune.parse().ok()?;
                areas.latest_first().find_map(|order| Some((order.number, order.commune(code)?)))
            };
            match areas.in_force().parse_commune(&address.commune) {
                Ok(commune) => {
                    let province = commune.province.to_string();
                    if !address.province.is_empty() && address.province != province {
                        self.say(field, format!("the commune lies in province {province}"));
                    }
                    (address.province, address.division) = (province, areas.number());
                }
                Err(error) => match earlier() {
                    Some((number, commune)) => {
                        // Papers from before a merger name the province of then, or the one of now.
                        (address.province, address.division) = (commune.province.to_string(), number);
                    }
                    None => self.say(&format!("{field}.commune"), error.to_string()),
                },
            }
        } else if !address.province.is_empty() {
            let earlier = || {
                let code: ProvinceCode = address.province.parse().ok()?;
                areas.latest_first().find_map(|order| order.province(code).map(|_| order.number))
            };
            match areas.in_force().parse_province(&address.province) {
                Ok(_) => address.division = areas.number(),
                Err(error) => match earlier() {
                    Some(number) => address.division = number,
                    None => self.say(&format!("{field}.province"), error.to_string()),
                },
            }
        }
    }

    /// An address of which it is not known by which order it is written.
    fn area_forms(&mut self, field: &str, address: &mut Address) {
        address.division = 0;
        if !address.commune.is_empty()
            && let Err(error) = CommuneCode::from_str(&address.commune)
        {
            self.say(&format!("{field}.commune"), error.to_string());
        }
        if !address.province.is_empty()
            && let Err(error) = ProvinceCode::from_str(&address.province)
        {
            self.say(&format!("{field}.province"), error.to_string());
        }
    }

    pub(crate) fn relative(&mut self, field: &str, person: &mut Relative) {
        if let Some(name) = &mut person.name {
            self.name(field, name);
        }
        if !person.personal_id.is_empty() {
            self.personal_id(field, &person.personal_id);
        }
        self.old_id(field, &person.old_id_number);
        self.text(field, &mut person.relation);
    }
}

/// Whether one date certainly lies before another, as far as both are known.
pub(crate) fn before(a: &Date, b: &Date) -> bool {
    if a.year != b.year || a.month == 0 || b.month == 0 {
        return a.year < b.year;
    }
    if a.month != b.month || a.day == 0 || b.day == 0 {
        return a.month < b.month;
    }
    a.day < b.day
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    fn good() -> Citizen {
        serde_json::from_str(
            r#"{"personal_id":"001185001234","full_name":"Nguyễn Thị An","date_of_birth":"1985-02-03",
                "sex":"2","permanent_residence":{"commune":"00004","detail":"12 Hàng Bài"},
                "mobile_number":"0912345678","email":"an@example.vn","nationality":["VN"]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_good_citizen_passes_and_gets_the_province() {
        let mut citizen = good();
        validate(&mut citizen, true, Areas::shipped()).unwrap();
        assert_eq!(citizen.permanent_residence.unwrap().province, "01");
    }

    #[test]
    fn every_fault_is_named() {
        type Spoil = fn(&mut Citizen);
        let faults: [(&str, Spoil); 15] = [
            ("personal_id", |c| c.personal_id = "00118500123".into()),
            ("personal_id", |c| c.personal_id.clear()),
            ("full_name", |c| c.full_name = None),
            ("full_name", |c| c.full_name = Some(Name::from_full("Nguyễn 4n"))),
            ("date_of_birth", |c| c.date_of_birth = Some(Date::from_number(19_850_230))),
            ("sex", |c| c.sex = "7".into()),
            ("permanent_residence.commune", |c| {
                c.permanent_residence.as_mut().unwrap().commune = "99999".into()
            }),
            ("permanent_residence", |c| c.permanent_residence.as_mut().unwrap().province = "79".into()),
            ("date_of_death", |c| c.date_of_death = Some(Date::from_number(19_840_000))),
            ("email", |c| c.email = "nobody".into()),
            ("mobile_number", |c| c.mobile_number = "12".into()),
            ("nationality", |c| c.nationality = Some(StringList { values: vec!["Vietnam".into()] })),
            ("nationality", |c| c.nationality = Some(StringList { values: vec!["VN".into(), "VN".into()] })),
            ("nationality", |c| {
                let code = |letter| format!("A{}", char::from(letter));
                c.nationality = Some(StringList { values: (b'A'..=b'K').map(code).collect() });
            }),
            ("in_question", |c| c.in_question = vec![6]),
        ];
        for (field, spoil) in faults {
            let mut citizen = good();
            spoil(&mut citizen);
            let violations = validate(&mut citizen, true, Areas::shipped()).unwrap_err();
            assert_eq!(violations[0].field, field, "{violations:?}");
        }
    }

    #[test]
    fn names_come_to_normal_form() {
        let mut citizen = good();
        let decomposed: String = "Nguyễn".nfd().collect();
        citizen.full_name.as_mut().unwrap().family = decomposed;
        validate(&mut citizen, true, Areas::shipped()).unwrap();
        assert_eq!(citizen.full_name.unwrap().family, "Nguyễn");
    }
}

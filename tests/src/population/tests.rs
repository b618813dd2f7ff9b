//! What must be true of a population as a whole.

use std::collections::{HashMap, HashSet};

use dancu_proto::{
    Areas, CommuneCode, PersonalId,
    area::files,
    codes,
    v1::{AreaChange, Citizen, Date, Relative, RelativeList},
};
use unicode_normalization::is_nfc;

use super::*;

fn id(relative: &Option<Relative>) -> Option<&String> {
    relative.as_ref().map(|relative| &relative.personal_id).filter(|id| !id.is_empty())
}

fn items(list: &Option<RelativeList>) -> &[Relative] {
    list.as_ref().map_or(&[], |list| &list.items)
}

/// Every rule that holds for each record and between records, before and after events.
pub(super) fn consistent<'a>(citizens: impl Iterator<Item = &'a Citizen>, known: &HashSet<&String>) {
    let all: HashMap<&String, &Citizen> = citizens.map(|citizen| (&citizen.personal_id, citizen)).collect();
    assert_eq!(all.len(), known.len(), "numbers are unique");
    for (number, citizen) in &all {
        values(citizen);
        let named = [
            &citizen.father,
            &citizen.mother,
            &citizen.spouse,
            &citizen.household_head,
            &citizen.legal_representative,
        ];
        let lists = [&citizen.children, &citizen.household_members, &citizen.represented_persons];
        for relative in named.into_iter().flatten().chain(lists.into_iter().flat_map(items)) {
            if !relative.personal_id.is_empty() {
                let other = all[&relative.personal_id];
                assert_eq!(relative.name, other.full_name);
                assert_eq!(relative.old_id_number, other.old_id_number);
                let head = Some(relative) == citizen.household_head.as_ref();
                assert!(head || relative.personal_id != **number, "only a head names itself");
            }
        }
        family(citizen, &all);
        household(citizen, &all);
    }
}

/// What can be said of a record by itself.
fn values(c: &Citizen) {
    let number: PersonalId = c.personal_id.parse().unwrap();
    let born = c.date_of_birth.unwrap();
    assert_eq!((number.birth_year(), number.sex()), (born.year, c.sex.as_str()));
    let name = c.full_name.as_ref().unwrap();
    assert!(is_nfc(&name.full()) && !name.given.is_empty() && !name.family.is_empty());
    for (table, code) in [
        ("sex", &c.sex),
        ("ethnicity", &c.ethnicity),
        ("religion", &c.religion),
        ("marital_status", &c.marital_status),
    ] {
        assert!(codes::has(table, code), "{table} {code}");
    }
    assert!(c.blood_type.is_empty() || codes::has("blood_type", &c.blood_type));
    if !c.old_id_number.is_empty() {
        assert!(c.old_id_number.len() == 9 && born.year <= 2002);
    }
    let temporary = c.temporary_residence.as_ref();
    let home = c.permanent_residence.as_ref().unwrap();
    let addresses =
        [&c.place_of_birth, &c.place_of_birth_registration, &c.place_of_origin, &c.current_dwelling];
    for address in
        addresses.into_iter().flatten().chain([home]).chain(temporary.and_then(|t| t.address.as_ref()))
    {
        assert!(Areas::shipped().in_force().parse_commune(&address.commune).is_ok());
    }
    let registered = c.place_of_birth_registration.as_ref().unwrap();
    let before: HashMap<&str, u8> = places::communes().iter().map(|c| (c.code, c.native)).collect();
    if c.place_of_birth == c.place_of_birth_registration {
        assert_eq!(u16::from(before[registered.commune.as_str()]), number.place());
    }
    if let Some(stay) = temporary {
        let province = |code: &str| Areas::shipped().in_force().parse_commune(code).unwrap().province;
        let address = stay.address.as_ref().unwrap();
        assert_ne!(province(&address.commune), province(&home.commune));
        assert_eq!(c.current_dwelling.as_ref(), Some(address));
    }
    for card in c.identity_cards.iter().flat_map(|list| &list.items) {
        let issued = card.issued_on.unwrap();
        assert!(issued.as_number() >= born.as_number());
        assert!(card.expires_on.is_none_or(|expires| expires.as_number() > issued.as_number()));
    }
    if let Some(death) = c.date_of_death {
        assert!(death.as_number() >= born.as_number());
        assert!(c.household_head.is_none() && c.household_members.is_none());
        assert!(temporary.is_none() && c.temporary_absence.is_none() && c.current_dwelling.is_none());
        assert!(c.relation_to_household_head.is_empty());
    }
}

/// Parents, children and spouses know of each other and could be so.
fn family(c: &Citizen, all: &HashMap<&String, &Citizen>) {
    let year = |c: &Citizen| c.date_of_birth.unwrap().year;
    for (parent, sex, ages) in [(&c.father, "1", 16..=75), (&c.mother, "2", 16..=48)] {
        let Some(parent) = id(parent) else { continue };
        let parent = all[parent];
        assert_eq!(parent.sex, sex);
        // By years alone somebody of 16 may seem 17, and somebody of 48 may seem 49.
        let age = year(c) - year(parent);
        assert!(ages.contains(&age) || ages.contains(&(age - 1)), "{age}");
        assert!(items(&parent.children).iter().any(|child| child.personal_id == c.personal_id));
    }
    for child in items(&c.children) {
        let child = all[&child.personal_id];
        assert!([id(&child.father), id(&child.mother)].contains(&Some(&c.personal_id)));
    }
    let spouse = id(&c.spouse);
    assert_eq!(spouse.is_some(), c.marital_status == "2");
    if let Some(spouse) = spouse.map(|spouse| all[spouse]) {
        assert_ne!(spouse.sex, c.sex);
        let both_alive = spouse.date_of_death.is_none() && c.date_of_death.is_none();
        assert!(!both_alive || id(&spouse.spouse) == Some(&c.personal_id));
        assert!(both_alive || c.date_of_death.is_some(), "the living are not married to the dead");
    }
    if let Some(representative) = id(&c.legal_representative) {
        let representative = all[representative];
        assert!(items(&representative.represented_persons).iter().any(|p| p.personal_id == c.personal_id));
    }
}

/// A household has one living head and its members name each other.
fn household(c: &Citizen, all: &HashMap<&String, &Citizen>) {
    if c.date_of_death.is_some() {
        return;
    }
    let head = all[id(&c.household_head).unwrap_or(&c.personal_id)];
    assert!(head.date_of_death.is_none());
    assert_eq!(c.relation_to_household_head == "chủ hộ", head.personal_id == c.personal_id);
    for member in items(&c.household_members) {
        let other = all[&member.personal_id];
        assert!(other.date_of_death.is_none());
        assert_eq!(other.residence_file_number, c.residence_file_number);
        assert_eq!(other.permanent_residence, c.permanent_residence);
        assert_eq!(other.relation_to_household_head, member.relation);
        assert!(items(&other.household_members).iter().any(|back| back.personal_id == c.personal_id));
    }
}

#[test]
fn every_rule_holds_in_the_text_that_is_written() {
    for codes in [Codes::InForce, Codes::Both] {
        let population = Population::new(1, 20_000).with_codes(codes);
        let mut text = Vec::new();
        writer::write(&population, writer::Format::JsonLines, 2, &mut text, |_| {}).unwrap();
        let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let citizens: Vec<Citizen> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        assert_eq!(citizens.len(), 20_000);
        let known: HashSet<&String> = citizens.iter().map(|c| &c.personal_id).collect();
        assert_eq!(known.len(), citizens.len());
        consistent(citizens.iter(), &known);
        let old_codes =
            |c: &Citizen| c.permanent_residence.as_ref().is_some_and(|a| a.as_registered.is_some());
        assert!(citizens.iter().all(|c| old_codes(c) == (codes == Codes::Both)));
        for head in citizens.iter().filter(|c| c.relation_to_household_head == "chủ hộ") {
            assert!(head.date_of_birth.unwrap().year <= 2008, "heads are adults");
        }
        let size = text.len() / citizens.len();
        assert!((850..1700).contains(&size), "{size}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let bytes = |seed| {
        let mut text = Vec::new();
        writer::write(&Population::new(seed, 3_000), writer::Format::JsonLines, 1, &mut text, |_| {})
            .unwrap();
        text
    };
    assert!(bytes(1) == bytes(1));
    assert!(bytes(1) != bytes(2));
}

#[test]
fn the_sizes_asked_for_are_the_sizes_given() {
    for citizens in [1, 2, 77, 3_320, 3_322, 10_000] {
        assert_eq!(Population::new(6, citizens).iter().count(), citizens as usize);
    }
}

#[test]
fn it_looks_like_vietnam() {
    let citizens: Vec<Citizen> = Population::new(1, 200_000).iter().collect();
    let all = citizens.len() as f64;
    let unique = |number: fn(&Citizen) -> &String| {
        let given = citizens.iter().map(number).filter(|number| !number.is_empty());
        let found: HashSet<&String> = given.clone().collect();
        assert_eq!(found.len(), given.count());
        found.len() as f64 / all
    };
    assert!((unique(|c| &c.personal_id) - 1.0).abs() < f64::EPSILON);
    let share = |what: &dyn Fn(&Citizen) -> bool| citizens.iter().filter(|c| what(c)).count() as f64 / all;
    let near = |name: &str, found: f64, low: f64, high: f64| {
        assert!((low..high).contains(&found), "{name}: {found:.4} is not in {low}..{high}");
    };
    let family = |name: &'static str| share(&|c| c.full_name.as_ref().unwrap().family == name);
    near("Nguyễn", family("Nguyễn"), 0.31, 0.38);
    near("Trần", family("Trần"), 0.08, 0.13);
    near("Lê", family("Lê"), 0.07, 0.11);
    near("Phạm", family("Phạm"), 0.05, 0.085);
    near("old numbers", unique(|c| &c.old_id_number), 0.5, 0.7);
    near("Kinh", share(&|c| c.ethnicity == "01"), 0.82, 0.88);
    near("women", share(&|c| c.sex == "2"), 0.485, 0.515);
    near("dead", share(&|c| c.date_of_death.is_some()), 0.015, 0.06);
    near("year alone", share(&|c| c.date_of_birth.unwrap().month == 0), 0.004, 0.03);
    near("temporary residence", share(&|c| c.temporary_residence.is_some()), 0.015, 0.08);
    near("absent", share(&|c| c.temporary_absence.is_some()), 0.001, 0.01);
    near("e-mail", share(&|c| !c.email.is_empty()), 0.05, 0.25);
    near("cards", share(&|c| c.identity_cards.is_some()), 0.65, 0.85);
    near("married", share(&|c| c.marital_status == "2"), 0.42, 0.60);
    let living: Vec<&Citizen> = citizens.iter().filter(|c| c.date_of_death.is_none()).collect();
    let aged = |from: u32, to: u32| {
        let age = |date: Date| 2025 - date.year;
        let some = living.iter().filter(|c| (from..to).contains(&age(c.date_of_birth.unwrap()))).count();
        some as f64 / living.len() as f64
    };
    near("children", aged(0, 15), 0.20, 0.26);
    near("of working age", aged(15, 65), 0.62, 0.72);
    near("old", aged(65, 120), 0.07, 0.13);
    near("very old", aged(80, 120), 0.008, 0.03);
    let heads = living.iter().filter(|c| c.relation_to_household_head == "chủ hộ").count();
    near("people in a household", living.len() as f64 / heads as f64, 3.1, 3.9);
}

#[test]
fn peoples_live_where_they_do() {
    let citizens: Vec<Citizen> = Population::new(1, 200_000).iter().collect();
    let share = |province: &str, ethnicity: &str| {
        let there = |c: &&Citizen| {
            let home = c.permanent_residence.as_ref().unwrap();
            Areas::shipped().in_force().parse_commune(&home.commune).unwrap().province.to_string() == province
        };
        let people: Vec<&Citizen> = citizens.iter().filter(there).collect();
        people.iter().filter(|c| c.ethnicity == ethnicity).count() as f64 / people.len() as f64
    };
    // Tày in Cao Bằng, Thái in Sơn La, Khơ-me in Vĩnh Long with Trà Vinh, Ê-đê in Đắk Lắk.
    for (province, ethnicity) in [("04", "02"), ("14", "03"), ("86", "05"), ("66", "12")] {
        assert!(share(province, ethnicity) > 0.04, "{province} {ethnicity}");
        assert!(share("33", ethnicity) < 0.02);
    }
}

#[test]
fn a_population_of_before_the_merger_lives_where_it_lives_after() {
    let file =
        |name: &str| std::fs::read(format!("{}/../proto/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let units = files::units(&file("administrative_units_before_2025-07-01.csv")).unwrap();
    let successions = files::merger(&file("merger_2025-07-01.csv")).unwrap();
    let merger = AreaChange { successions, ..files::shipped() };
    let areas = Areas::founded_on(&units).unwrap().after(&merger).unwrap();
    let of = |codes| Population::new(3, 20_000).with_codes(codes).iter().collect::<Vec<_>>();
    let (mut elsewhere, mut nowhere) = (0, 0);
    for (before, mut after) in of(Codes::Before).into_iter().zip(of(Codes::InForce)) {
        assert_eq!(before.personal_id, after.personal_id);
        let (then, now) = (before.permanent_residence.unwrap(), after.permanent_residence.take().unwrap());
        assert_eq!(then.detail, now.detail);
        match then.commune.parse::<CommuneCode>() {
            Ok(code) if areas.commune_now(code.under(0)).unwrap().to_string() != now.commune => {
                elsewhere += 1
            }
            Ok(_) => {}
            // Island districts had no communes.
            Err(_) => nowhere += 1,
        }
    }
    // A commune may be made of parts of others alone.
    assert!(elsewhere < 200 && nowhere < 100, "{elsewhere} {nowhere}");
}

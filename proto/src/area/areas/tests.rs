use super::*;
use crate::{
    area::by_order_in_force,
    v1::{Address, Citizen, Commune, Province},
};

const BEFORE: &str = include_str!("../../../data/administrative_units_before_2025-07-01.csv");
const MERGER: &str = include_str!("../../../data/merger_2025-07-01.csv");
const CHANGES: &str = include_str!("../../../data/changes_2026-04-30.csv");

fn before() -> Areas {
    Areas::founded_on(&files::units(BEFORE.as_bytes()).unwrap()).unwrap()
}

fn merger() -> AreaChange {
    AreaChange { successions: files::merger(MERGER.as_bytes()).unwrap(), ..files::shipped() }
}

#[test]
fn the_shipped_table_is_whole() {
    let division = Areas::shipped().in_force();
    assert_eq!((division.provinces().len(), division.communes()), (34, 3321));
    assert_eq!(division.parse_commune("00004").unwrap().name, "Phường Ba Đình");
    assert!(division.parse_commune("99999").is_err());
    assert!(division.parse_province("1").is_err());
    assert_eq!(division.parse_province("01").unwrap().to_string(), "01");
}

#[test]
fn the_merger_of_2025_loses_no_commune() {
    let old = before();
    assert_eq!((old.in_force().provinces().len(), old.in_force().communes()), (63, 10_035));
    let new = old.after(&merger()).unwrap();
    assert_eq!((new.in_force().provinces().len(), new.in_force().communes()), (34, 3321));
    let mut traced = 0;
    for province in new.in_force().provinces() {
        for commune in new.in_force().communes_of(province) {
            let keys = new.communes_in(*commune);
            assert!(keys.contains(&commune.under(1)));
            traced += keys.len();
            for key in keys {
                // A commune lies in the province that its own province lies in.
                let then = new.division(key.division()).unwrap().commune(key.code()).unwrap();
                assert_eq!(new.province_now(then.province.under(key.division())), Some(province));
                assert_eq!(new.commune_now(*key), Some(*commune));
            }
        }
    }
    // Those of districts that had no communes began on the day.
    assert_eq!(traced, 10_035 + 3321);
    // Hà Giang lies in Tuyên Quang; Xuân La in Xuân Đỉnh, though its code now means Tây Hồ.
    assert_eq!(new.province_now(ProvinceCode(2).under(0)), Some(ProvinceCode(8)));
    assert_eq!(new.provinces_in(ProvinceCode(8)), [2, 8, 108].map(ProvinceKey));
    assert_eq!(new.commune_now(CommuneCode(103).under(0)), Some(CommuneCode(611)));
    assert_eq!(new.commune_now(CommuneCode(103).under(1)), Some(CommuneCode(103)));
}

#[test]
fn new_names_change_nothing_else() {
    let old = before().after(&merger()).unwrap();
    let new = old.after(&files::names(CHANGES.as_bytes()).unwrap()).unwrap();
    assert_eq!((old.number(), new.number(), new.changes().len()), (1, 1, 3));
    assert_eq!(old.in_force().province(ProvinceCode(75)), Some("Tỉnh Đồng Nai"));
    assert_eq!(new.in_force().province(ProvinceCode(75)), Some("Thành phố Đồng Nai"));
    assert_eq!(new.in_force().parse_commune("26368").unwrap().name, "Phường Long Thành");
    let unknown = AreaChange {
        communes: vec![Commune { code: 3, name: "X".into(), ..Commune::default() }],
        ..AreaChange::default()
    };
    assert!(old.after(&unknown).is_err());
}

#[test]
fn orders_are_the_same_at_the_other_end() {
    let areas = before().after(&merger()).unwrap();
    let told = Areas::unpack(areas.changes()).unwrap();
    assert_eq!(told, areas);
    assert_eq!(told.communes_in, areas.communes_in);
    // What every node is told of the day.
    assert!(areas.changes()[1].len() < 100_000, "{}", areas.changes()[1].len());
    assert_eq!(Areas::unpack(&[]).unwrap_err(), ChangeError::Empty);
    assert_eq!(Areas::unpack(&[Bytes::from_static(b"x")]).unwrap_err(), ChangeError::Encoding);
}

/// Two provinces of two communes each.
fn small() -> AreaChange {
    let province = |code| Province { code, name: format!("P{code}") };
    let commune = |code, province| Commune { code, name: format!("C{code}"), province, ..Commune::default() };
    AreaChange {
        provinces: vec![province(1), province(2)],
        communes: vec![commune(11, 1), commune(12, 1), commune(21, 2), commune(22, 2)],
        ..AreaChange::default()
    }
}

fn into(moves: &[(u32, u32)]) -> AreaChange {
    let succession = |(commune, into): &(u32, u32)| crate::v1::Succession {
        commune: *commune,
        into: *into,
        parts: vec![],
    };
    AreaChange { successions: moves.iter().map(succession).collect(), ..small() }
}

#[test]
fn a_change_that_cannot_be_is_refused() {
    let areas = Areas::founded_on(&small()).unwrap();
    let refused = |moves: &[(u32, u32)]| areas.after(&into(moves)).unwrap_err();
    let same = [(11, 11), (12, 12), (21, 21), (22, 22)];
    assert!(areas.after(&into(&same)).is_ok());
    assert_eq!(refused(&same[1..]), ChangeError::NoSuccessor(CommuneCode(11)));
    assert_eq!(refused(&[&same[..], &[(11, 12)]].concat()), ChangeError::TwoSuccessors(CommuneCode(11)));
    let nowhere = ChangeError::NoSuchCommune { commune: CommuneCode(11), into: CommuneCode(13) };
    assert_eq!(refused(&[(11, 13)]), nowhere);
    assert!(matches!(refused(&[(11, 11), (12, 21), (21, 21), (22, 22)]), ChangeError::Divided { .. }));
    assert_eq!(areas.after(&AreaChange::default()).unwrap_err(), ChangeError::Empty);
}

#[test]
fn areas_are_followed_through_every_merger() {
    let once = Areas::founded_on(&small()).unwrap().after(&into(&[(11, 12), (12, 11), (21, 21), (22, 21)]));
    let twice = once.unwrap().after(&into(&[(11, 21), (12, 22), (21, 11), (22, 12)])).unwrap();
    assert_eq!(twice.commune_now(CommuneCode(11).under(0)), Some(CommuneCode(22)));
    assert_eq!(twice.commune_now(CommuneCode(11).under(1)), Some(CommuneCode(21)));
    assert_eq!(twice.commune_now(CommuneCode(13).under(0)), None);
    let mut keys = twice.communes_in(CommuneCode(11)).to_vec();
    keys.sort_unstable();
    assert_eq!(keys, [21, 22, 100_021, 200_011].map(CommuneKey));
    assert_eq!(twice.province_now(ProvinceCode(1).under(0)), Some(ProvinceCode(2)));
    assert_eq!(twice.province_now(ProvinceCode(1).under(1)), Some(ProvinceCode(2)));
}

#[test]
fn an_address_keeps_the_codes_it_was_registered_with() {
    let areas = before().after(&merger()).unwrap();
    let address = |province: &str, commune: &str, division| Address {
        province: province.into(),
        commune: commune.into(),
        division,
        ..Address::default()
    };
    let same = |commune: &&CommuneCode| {
        areas.communes_in(**commune) == [commune.under(0), commune.under(1)]
            && areas.succession(commune.under(0)).is_some_and(|one| one.parts.is_empty())
    };
    // Lai Châu stayed a province by itself.
    let stayed = areas.in_force().communes_of(ProvinceCode(12)).iter().find(same).unwrap().to_string();
    let stayed = stayed.as_str();
    let mut citizen = Citizen {
        place_of_birth: Some(address("01", "00103", 0)),
        place_of_birth_registration: Some(address("12", stayed, 0)),
        place_of_origin: Some(address("02", "", 0)),
        permanent_residence: Some(address("01", "00103", 1)),
        current_dwelling: Some(Address { country: "LA".into(), ..Address::default() }),
        ..Citizen::default()
    };
    by_order_in_force(&mut citizen, &areas);
    let born = citizen.place_of_birth.unwrap();
    assert_eq!((born.province.as_str(), born.commune.as_str(), born.division), ("01", "00611", 0));
    let registered = born.as_registered.unwrap();
    assert_eq!((registered.district.as_str(), registered.commune.as_str()), ("003", "00103"));
    assert_eq!(citizen.place_of_birth_registration.unwrap(), address("12", stayed, 0));
    let origin = citizen.place_of_origin.unwrap();
    assert_eq!((origin.province.as_str(), origin.as_registered.unwrap().province.as_str()), ("08", "02"));
    assert_eq!(citizen.permanent_residence.unwrap(), address("01", "00103", 0));
    assert!(citizen.current_dwelling.unwrap().as_registered.is_none());
}

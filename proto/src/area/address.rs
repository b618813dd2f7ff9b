//! Addresses by the order in force.

use super::{Areas, CommuneCode, CommuneKey, ProvinceCode};
use crate::v1::{Address, Citizen, RegisteredArea};

/// Follows every address of a citizen to the administrative order in force. One that was registered in
/// an area that has changed since keeps its codes of then beside those in force.
pub fn by_order_in_force(citizen: &mut Citizen, areas: &Areas) {
    let temporary = citizen.temporary_residence.as_mut().and_then(|residence| residence.address.as_mut());
    let addresses = [
        citizen.place_of_birth.as_mut(),
        citizen.place_of_birth_registration.as_mut(),
        citizen.place_of_origin.as_mut(),
        citizen.permanent_residence.as_mut(),
        citizen.current_dwelling.as_mut(),
        temporary,
    ];
    addresses.into_iter().flatten().for_each(|address| follow(address, areas));
}

fn follow(address: &mut Address, areas: &Areas) {
    let division = std::mem::take(&mut address.division);
    if division == areas.number() {
        return;
    }
    let then = RegisteredArea {
        province: address.province.clone(),
        district: String::new(),
        commune: address.commune.clone(),
    };
    if let Ok(code) = address.commune.parse::<CommuneCode>() {
        let written = code.under(division);
        let now = areas.commune_now(written).and_then(|code| areas.in_force().commune(code));
        let Some(now) = now else { return };
        (address.commune, address.province) = (now.code.to_string(), now.province.to_string());
        if address.province != then.province || !is_the_same(written, now.code, areas) {
            let known = areas.division(division).and_then(|division| division.commune(code));
            let district = known.map(|commune| commune.district.clone()).unwrap_or_default();
            address.as_registered.get_or_insert(RegisteredArea { district, ..then });
        }
    } else if let Ok(code) = address.province.parse::<ProvinceCode>()
        && let Some(now) = areas.province_now(code.under(division))
        && now != code
    {
        address.province = now.to_string();
        address.as_registered.get_or_insert(then);
    }
}

/// Whether a commune is what it was: no other merged with it, and no part of it went elsewhere.
fn is_the_same(written: CommuneKey, now: CommuneCode, areas: &Areas) -> bool {
    areas.communes_in(now).iter().all(|made_of| {
        let divided = areas.succession(*made_of).is_some_and(|succession| !succession.parts.is_empty());
        made_of.code() == written.code() && !divided
    })
}

//! Addresses by the order in force.

use super::Areas;
use crate::v1::{Address, Citizen, RegisteredArea};

/// Follows every address of a citizen to the administrative order in force. One that was registered
/// by an earlier order keeps its codes of then beside those in force.
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
    let registered = |district: String| RegisteredArea {
        province: address.province.clone(),
        district,
        commune: address.commune.clone(),
    };
    let commune = address.commune.parse().ok();
    let now = commune.and_then(|code: super::CommuneCode| areas.commune_now(code.under(division)));
    if let (Some(code), Some(now)) = (commune, now.and_then(|now| areas.in_force().commune(now))) {
        let then = areas.division(division).and_then(|division| division.commune(code));
        let registered = registered(then.map(|commune| commune.district.clone()).unwrap_or_default());
        (address.commune, address.province) = (now.code.to_string(), now.province.to_string());
        address.as_registered.get_or_insert(registered);
    } else if let Ok(province) = address.province.parse::<super::ProvinceCode>()
        && let Some(now) = areas.province_now(province.under(division))
    {
        let registered = registered(String::new());
        address.province = now.to_string();
        address.as_registered.get_or_insert(registered);
    }
}

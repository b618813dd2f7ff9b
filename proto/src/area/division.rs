//! One administrative order: which provinces and communes there are.

use std::collections::{BTreeMap, HashMap};

use super::{AreaError, CommuneCode, ProvinceCode};
use crate::v1::{self, AreaChange, Date};

/// A commune of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commune {
    /// Its code.
    pub code: CommuneCode,
    /// Its name with its type: Phường Ba Đình.
    pub name: String,
    /// The province it lies in.
    pub province: ProvinceCode,
    /// Code of the district it lies in, three digits; empty since there are none.
    pub district: String,
}

/// A province of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Province {
    name: String,
    communes: Vec<CommuneCode>,
}

/// Where a commune of the order before went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The commune that took it whole, or its largest part.
    pub into: CommuneCode,
    /// The communes that took smaller parts.
    pub parts: Vec<CommuneCode>,
}

/// An administrative order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    /// Its place among the orders of a registry, from 0.
    pub number: u32,
    /// The day it begins.
    pub from: Date,
    communes: HashMap<CommuneCode, Commune>,
    provinces: BTreeMap<ProvinceCode, Province>,
}

impl Division {
    /// The order that a change lists.
    pub(super) fn listed(number: u32, change: &AreaChange) -> Result<Division, AreaError> {
        let mut division = Division {
            number,
            from: change.from.unwrap_or_default(),
            communes: HashMap::new(),
            provinces: BTreeMap::new(),
        };
        for province in &change.provinces {
            let communes = Vec::new();
            let entry = Province { name: province.name.clone(), communes };
            division.provinces.insert(province_code(province.code)?, entry);
        }
        for commune in &change.communes {
            let (code, in_province) = (commune_code(commune.code)?, province_code(commune.province)?);
            let province = division.provinces.get_mut(&in_province);
            province.ok_or_else(|| unknown("province", in_province))?.communes.push(code);
            division.communes.insert(code, commune_of(code, in_province, commune));
        }
        for province in division.provinces.values_mut() {
            province.communes.sort_unstable();
        }
        Ok(division)
    }

    /// Gives areas other names.
    pub(super) fn rename(&mut self, change: &AreaChange) -> Result<(), AreaError> {
        for province in &change.provinces {
            let code = province_code(province.code)?;
            let known = self.provinces.get_mut(&code).ok_or_else(|| unknown("province", code))?;
            known.name.clone_from(&province.name);
        }
        for commune in &change.communes {
            let code = commune_code(commune.code)?;
            let known = self.communes.get_mut(&code).ok_or_else(|| unknown("commune", code))?;
            known.name.clone_from(&commune.name);
        }
        Ok(())
    }

    /// A commune.
    #[must_use]
    pub fn commune(&self, code: CommuneCode) -> Option<&Commune> {
        self.communes.get(&code)
    }

    /// Name of a province.
    #[must_use]
    pub fn province(&self, code: ProvinceCode) -> Option<&str> {
        self.provinces.get(&code).map(|province| province.name.as_str())
    }

    /// The communes of a province, by code; empty for an unknown one.
    #[must_use]
    pub fn communes_of(&self, province: ProvinceCode) -> &[CommuneCode] {
        self.provinces.get(&province).map_or(&[], |province| &province.communes)
    }

    /// How many communes there are.
    #[must_use]
    pub fn communes(&self) -> usize {
        self.communes.len()
    }

    /// All provinces, by code.
    #[must_use]
    pub fn provinces(&self) -> Vec<ProvinceCode> {
        self.provinces.keys().copied().collect()
    }

    /// As a message lists it.
    #[must_use]
    pub fn to_message(&self) -> AreaChange {
        let provinces = self.provinces.iter();
        let communes = self.provinces.values().flat_map(|province| &province.communes);
        AreaChange {
            from: Some(self.from).filter(|from| from.year != 0),
            provinces: provinces
                .map(|(code, province)| v1::Province { code: code.0.into(), name: province.name.clone() })
                .collect(),
            communes: communes
                .filter_map(|code| self.communes.get(code))
                .map(|commune| v1::Commune {
                    code: commune.code.0,
                    name: commune.name.clone(),
                    province: commune.province.0.into(),
                    district: commune.district.parse().unwrap_or_default(),
                })
                .collect(),
            ..AreaChange::default()
        }
    }

    /// A commune from its written code.
    ///
    /// # Errors
    /// If the text is no such code.
    pub fn parse_commune(&self, text: &str) -> Result<&Commune, AreaError> {
        let code: CommuneCode = text.parse()?;
        self.commune(code).ok_or_else(|| unknown("commune", code))
    }

    /// A province from its written code.
    ///
    /// # Errors
    /// If the text is no such code.
    pub fn parse_province(&self, text: &str) -> Result<ProvinceCode, AreaError> {
        let code: ProvinceCode = text.parse()?;
        match self.province(code) {
            Some(_) => Ok(code),
            None => Err(unknown("province", code)),
        }
    }
}

fn commune_of(code: CommuneCode, province: ProvinceCode, commune: &v1::Commune) -> Commune {
    let district = if commune.district == 0 { String::new() } else { format!("{:03}", commune.district) };
    Commune { code, name: commune.name.clone(), province, district }
}

fn unknown(kind: &'static str, code: impl ToString) -> AreaError {
    AreaError::Unknown { kind, code: code.to_string() }
}

pub(super) fn province_code(number: u32) -> Result<ProvinceCode, AreaError> {
    ProvinceCode::from_number(number).ok_or(AreaError::Form { kind: "province", digits: 2 })
}

pub(super) fn commune_code(number: u32) -> Result<CommuneCode, AreaError> {
    CommuneCode::from_number(number).ok_or(AreaError::Form { kind: "commune", digits: 5 })
}

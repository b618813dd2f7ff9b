//! All administrative orders of a registry, and how each follows the one before.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use prost::{Message, bytes::Bytes};
use thiserror::Error;

use super::{
    AreaError, CommuneCode, CommuneKey, Division, ProvinceCode, ProvinceKey, Succession,
    division::commune_code, files,
};
use crate::v1::AreaChange;

/// A change is at most this long, bytes: some thirty times the largest there was.
const LONGEST: usize = 16 << 20;

/// Zstandard level: a change is packed once and sent to every node.
const LEVEL: i32 = 9;

/// A change of the administrative order that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// A code that is none, or of no area.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// It names nothing.
    #[error("the change names no area")]
    Empty,
    /// A commune in force of which it does not say where it goes.
    #[error("commune {0} is in force and the change does not say where it goes")]
    NoSuccessor(CommuneCode),
    /// A commune that goes to two.
    #[error("commune {0} goes to two communes; one of them takes it whole, or its largest part")]
    TwoSuccessors(CommuneCode),
    /// A commune that goes nowhere.
    #[error("commune {commune} goes to {into}, which is not in the new order")]
    NoSuchCommune {
        /// The commune.
        commune: CommuneCode,
        /// Where it is said to go.
        into: CommuneCode,
    },
    /// A province that would be divided.
    #[error("province {province} would be divided between {into} and {and_into}: only whole provinces merge")]
    Divided {
        /// The province.
        province: ProvinceCode,
        /// Where one of its communes goes.
        into: ProvinceCode,
        /// Where another one goes.
        and_into: ProvinceCode,
    },
    /// Not an encoded change.
    #[error("a change of the administrative order cannot be read")]
    Encoding,
}

/// The orders of a registry, from its first to the one in force.
#[derive(Clone, Debug)]
pub struct Areas {
    /// Every change, encoded and compressed, as nodes are told.
    changes: Vec<Bytes>,
    divisions: Vec<Arc<Division>>,
    /// For each order but the last, where its communes go in the next.
    successions: Vec<Arc<HashMap<CommuneCode, Succession>>>,
    /// For each order, where its provinces lie in the one in force.
    provinces: HashMap<ProvinceKey, ProvinceCode>,
    /// Every commune that lies in one in force, by that.
    communes_in: HashMap<CommuneCode, Vec<CommuneKey>>,
    /// Every province that lies in one in force, by that.
    provinces_in: HashMap<ProvinceCode, Vec<ProvinceKey>>,
}

/// The same changes make the same orders.
impl PartialEq for Areas {
    fn eq(&self, other: &Areas) -> bool {
        self.changes == other.changes
    }
}

static SHIPPED: LazyLock<Areas> = LazyLock::new(|| {
    // Covered by a test: the shipped table is a valid order.
    Areas::founded_on(&files::shipped()).expect("the shipped table of areas is valid")
});

impl Areas {
    /// The order since 1 July 2025, which a registry starts from unless it is told otherwise.
    #[must_use]
    pub fn shipped() -> &'static Areas {
        &SHIPPED
    }

    /// The order that a registry begins with.
    ///
    /// # Errors
    /// If it is none.
    pub fn founded_on(change: &AreaChange) -> Result<Areas, ChangeError> {
        if change.communes.is_empty() {
            return Err(ChangeError::Empty);
        }
        let mut areas = Areas {
            changes: vec![pack(change)],
            divisions: vec![Arc::new(Division::listed(0, change)?)],
            successions: Vec::new(),
            provinces: HashMap::new(),
            communes_in: HashMap::new(),
            provinces_in: HashMap::new(),
        };
        areas.trace();
        Ok(areas)
    }

    /// The orders after one more change.
    ///
    /// # Errors
    /// If the change contradicts the order in force or itself.
    pub fn after(&self, change: &AreaChange) -> Result<Areas, ChangeError> {
        if change.communes.is_empty() && change.provinces.is_empty() {
            return Err(ChangeError::Empty);
        }
        let mut areas = self.clone();
        areas.changes.push(pack(change));
        if change.successions.is_empty() {
            let last = areas.divisions.len() - 1;
            Arc::make_mut(&mut areas.divisions[last]).rename(change)?;
            return Ok(areas);
        }
        let new = Division::listed(self.number() + 1, change)?;
        areas.successions.push(Arc::new(successions(self.in_force(), &new, change)?));
        areas.divisions.push(Arc::new(new));
        areas.trace();
        Ok(areas)
    }

    /// Orders from changes as nodes are told.
    ///
    /// # Errors
    /// If there is none, or one cannot be read or cannot be.
    pub fn unpack(changes: &[Bytes]) -> Result<Areas, ChangeError> {
        let (first, rest) = changes.split_first().ok_or(ChangeError::Empty)?;
        let mut areas = Areas::founded_on(&unpack(first)?)?;
        for change in rest {
            areas = areas.after(&unpack(change)?)?;
        }
        // As they came, so that two who compress differently still know the same.
        areas.changes = changes.to_vec();
        Ok(areas)
    }

    /// Every change, as nodes are told: an encoded [`AreaChange`], compressed.
    #[must_use]
    pub fn changes(&self) -> &[Bytes] {
        &self.changes
    }

    /// The order in force.
    #[must_use]
    pub fn in_force(&self) -> &Division {
        // There is always the first one.
        &self.divisions[self.divisions.len() - 1]
    }

    /// Number of the order in force.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.in_force().number
    }

    /// An order by its number.
    #[must_use]
    pub fn division(&self, number: u32) -> Option<&Division> {
        self.divisions.get(number as usize).map(Arc::as_ref)
    }

    /// The orders, latest first.
    pub fn latest_first(&self) -> impl Iterator<Item = &Division> {
        self.divisions.iter().rev().map(Arc::as_ref)
    }

    /// Where a commune of an order went in the next.
    #[must_use]
    pub fn succession(&self, commune: CommuneKey) -> Option<&Succession> {
        self.successions.get(commune.division() as usize)?.get(&commune.code())
    }

    /// The commune in force that a commune of any order lies in.
    #[must_use]
    pub fn commune_now(&self, commune: CommuneKey) -> Option<CommuneCode> {
        let mut code = commune.code();
        self.division(commune.division())?.commune(code)?;
        for successions in self.successions.iter().skip(commune.division() as usize) {
            code = successions.get(&code)?.into;
        }
        Some(code)
    }

    /// The province in force that a province of any order lies in.
    #[must_use]
    pub fn province_now(&self, province: ProvinceKey) -> Option<ProvinceCode> {
        self.provinces.get(&province).copied()
    }

    /// Every commune, of any order, that lies in a commune in force; it among them.
    #[must_use]
    pub fn communes_in(&self, commune: CommuneCode) -> &[CommuneKey] {
        self.communes_in.get(&commune).map_or(&[], Vec::as_slice)
    }

    /// Every province, of any order, that lies in a province in force; it among them.
    #[must_use]
    pub fn provinces_in(&self, province: ProvinceCode) -> &[ProvinceKey] {
        self.provinces_in.get(&province).map_or(&[], Vec::as_slice)
    }

    /// Follows every area of every order to the one in force.
    fn trace(&mut self) {
        let mut provinces = HashMap::new();
        let mut communes_in: HashMap<CommuneCode, Vec<CommuneKey>> = HashMap::new();
        let mut provinces_in: HashMap<ProvinceCode, Vec<ProvinceKey>> = HashMap::new();
        for division in &self.divisions {
            for code in division.provinces() {
                let province = code.under(division.number);
                let communes = division.communes_of(code);
                for commune in communes {
                    let commune = commune.under(division.number);
                    if let Some(now) = self.commune_now(commune) {
                        communes_in.entry(now).or_default().push(commune);
                    }
                }
                // All communes of a province go to one: any of them tells which.
                let any =
                    communes.first().and_then(|commune| self.commune_now(commune.under(division.number)));
                let lies_in = any.and_then(|commune| self.in_force().commune(commune));
                if let Some(commune) = lies_in {
                    provinces.insert(province, commune.province);
                    provinces_in.entry(commune.province).or_default().push(province);
                }
            }
        }
        (self.provinces, self.communes_in, self.provinces_in) = (provinces, communes_in, provinces_in);
    }
}

/// Where the communes of an order go, checked against both.
fn successions(
    old: &Division,
    new: &Division,
    change: &AreaChange,
) -> Result<HashMap<CommuneCode, Succession>, ChangeError> {
    let mut successions = HashMap::with_capacity(change.successions.len());
    for succession in &change.successions {
        let (commune, into) = (commune_code(succession.commune)?, commune_code(succession.into)?);
        if old.commune(commune).is_none() {
            return Err(AreaError::Unknown { kind: "commune", code: commune.to_string() }.into());
        }
        let parts = succession.parts.iter().map(|part| commune_code(*part)).collect::<Result<Vec<_>, _>>()?;
        if let Some(into) = parts.iter().chain([&into]).find(|into| new.commune(**into).is_none()) {
            return Err(ChangeError::NoSuchCommune { commune, into: *into });
        }
        if successions.insert(commune, Succession { into, parts }).is_some() {
            return Err(ChangeError::TwoSuccessors(commune));
        }
    }
    for province in old.provinces() {
        let mut went_to: Option<ProvinceCode> = None;
        for commune in old.communes_of(province) {
            let succession = successions.get(commune).ok_or(ChangeError::NoSuccessor(*commune))?;
            // Checked above: it is in the new order.
            let Some(into) = new.commune(succession.into).map(|commune| commune.province) else { continue };
            match went_to {
                Some(first) if first != into => {
                    return Err(ChangeError::Divided { province, into: first, and_into: into });
                }
                _ => went_to = Some(into),
            }
        }
    }
    Ok(successions)
}

fn pack(change: &AreaChange) -> Bytes {
    let raw = change.encode_to_vec();
    // Compression into memory does not fail; if it did, nodes would say that they cannot read it.
    zstd::bulk::compress(&raw, LEVEL).unwrap_or_default().into()
}

fn unpack(change: &Bytes) -> Result<AreaChange, ChangeError> {
    let raw = zstd::bulk::decompress(change, LONGEST).map_err(|_| ChangeError::Encoding)?;
    AreaChange::decode(raw.as_slice()).map_err(|_| ChangeError::Encoding)
}

#[cfg(test)]
mod tests;

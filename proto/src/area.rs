//! Codes of administrative areas, and the areas in force since 1 July 2025.
//!
//! Codes are data that an authority edits; the table here is what a registry starts from.

use std::{collections::HashMap, fmt, str::FromStr, sync::LazyLock};

use thiserror::Error;

const UNITS: &str = include_str!("../data/administrative_units.csv");

/// What is wrong with the code of an area.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AreaError {
    /// Not as many digits as such codes have.
    #[error("the code of a {kind} has {digits} digits")]
    Form {
        /// Province or commune.
        kind: &'static str,
        /// How many.
        digits: usize,
    },
    /// No such area.
    #[error("no {kind} in force has the code {code}")]
    Unknown {
        /// Province or commune.
        kind: &'static str,
        /// The code.
        code: String,
    },
}

macro_rules! code {
    ($(#[$doc:meta])* $name:ident($inner:ty), $kind:literal, $digits:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:0width$}", self.0, width = $digits)
            }
        }

        impl FromStr for $name {
            type Err = AreaError;

            fn from_str(text: &str) -> Result<$name, AreaError> {
                if text.len() != $digits || !text.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(AreaError::Form { kind: $kind, digits: $digits });
                }
                text.parse().map($name).map_err(|_| AreaError::Form { kind: $kind, digits: $digits })
            }
        }
    };
}

code! {
    /// Code of a province, two digits.
    ProvinceCode(u8), "province", 2
}
code! {
    /// Code of a commune, five digits.
    CommuneCode(u32), "commune", 5
}

/// A commune in force.
#[derive(Clone, Debug)]
pub struct Commune {
    /// Its code.
    pub code: CommuneCode,
    /// Its name with its type: Phường Ba Đình.
    pub name: &'static str,
    /// The province it lies in.
    pub province: ProvinceCode,
}

/// The provinces and communes in force.
#[derive(Debug)]
pub struct Areas {
    communes: HashMap<CommuneCode, Commune>,
    provinces: HashMap<ProvinceCode, (&'static str, Vec<CommuneCode>)>,
}

static IN_FORCE: LazyLock<Areas> = LazyLock::new(|| {
    let mut areas = Areas { communes: HashMap::new(), provinces: HashMap::new() };
    for line in UNITS.lines().skip(1) {
        let mut columns = line.split(',');
        let mut next = || columns.next().unwrap_or_default();
        let (province, province_name, commune, name) = (next(), next(), next(), next());
        if let (Ok(province), Ok(code)) = (province.parse(), commune.parse()) {
            areas.communes.insert(code, Commune { code, name, province });
            areas.provinces.entry(province).or_insert((province_name, Vec::new())).1.push(code);
        }
    }
    for (_, communes) in areas.provinces.values_mut() {
        communes.sort_unstable();
    }
    areas
});

impl Areas {
    /// The areas in force since 1 July 2025.
    #[must_use]
    pub fn in_force() -> &'static Areas {
        &IN_FORCE
    }

    /// A commune.
    #[must_use]
    pub fn commune(&self, code: CommuneCode) -> Option<&Commune> {
        self.communes.get(&code)
    }

    /// Name of a province.
    #[must_use]
    pub fn province(&self, code: ProvinceCode) -> Option<&'static str> {
        self.provinces.get(&code).map(|(name, _)| *name)
    }

    /// The communes of a province, by code; empty for an unknown one.
    #[must_use]
    pub fn communes_of(&self, province: ProvinceCode) -> &[CommuneCode] {
        self.provinces.get(&province).map_or(&[], |(_, communes)| communes)
    }

    /// All provinces, by code.
    #[must_use]
    pub fn provinces(&self) -> Vec<ProvinceCode> {
        let mut codes: Vec<_> = self.provinces.keys().copied().collect();
        codes.sort_unstable();
        codes
    }

    /// A commune in force, from its written code.
    ///
    /// # Errors
    /// If the text is no such code.
    pub fn parse_commune(&self, text: &str) -> Result<&Commune, AreaError> {
        let code: CommuneCode = text.parse()?;
        self.commune(code).ok_or_else(|| AreaError::Unknown { kind: "commune", code: text.to_owned() })
    }

    /// A province in force, from its written code.
    ///
    /// # Errors
    /// If the text is no such code.
    pub fn parse_province(&self, text: &str) -> Result<ProvinceCode, AreaError> {
        let code: ProvinceCode = text.parse()?;
        match self.province(code) {
            Some(_) => Ok(code),
            None => Err(AreaError::Unknown { kind: "province", code: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let areas = Areas::in_force();
        assert_eq!(areas.provinces().len(), 34);
        assert_eq!(areas.communes.len(), 3321);
        assert_eq!(areas.parse_commune("00004").unwrap().name, "Phường Ba Đình");
        assert!(areas.parse_commune("99999").is_err());
        assert!(areas.parse_province("1").is_err());
        assert_eq!(areas.parse_province("01").unwrap().to_string(), "01");
    }
}

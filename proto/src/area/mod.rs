//! Administrative areas: their codes, the orders they were in one after the other, and what follows
//! what.
//!
//! Areas are data that an authority changes. An address keeps the codes it was registered with, and
//! says by which order they are written; whoever reads it follows them to the order in force. So a
//! merger changes the table and no record.
//!
//! - [`Division`]: one order. [`Areas`]: all of a registry, and how they follow each other.
//! - [`files`]: the files that authorities publish, as changes.
//! - [`by_order_in_force`]: a citizen's addresses with the codes in force beside those registered.

mod address;
mod areas;
mod division;
pub mod files;

use std::{fmt, str::FromStr};

use thiserror::Error;

pub use self::{
    address::by_order_in_force,
    areas::{Areas, ChangeError},
    division::{Commune, Division, Succession},
};

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
    ($(#[$doc:meta])* $name:ident($inner:ty), $kind:literal, $digits:literal; $(#[$key_doc:meta])* $key:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        $(#[$key_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $key(pub u32);

        impl $name {
            /// As addresses by an order name it.
            #[must_use]
            pub fn under(self, division: u32) -> $key {
                $key(division.saturating_mul(10_u32.pow($digits)).saturating_add(u32::from(self.0)))
            }

            /// From a number of a message.
            #[must_use]
            pub fn from_number(number: u32) -> Option<$name> {
                (number < 10_u32.pow($digits)).then(|| <$inner>::try_from(number).ok().map($name))?
            }
        }

        impl $key {
            /// The order.
            #[must_use]
            pub fn division(self) -> u32 {
                self.0 / 10_u32.pow($digits)
            }

            /// The code by that order.
            #[must_use]
            pub fn code(self) -> $name {
                // Below ten to the power of the digits, so it fits.
                $name((self.0 % 10_u32.pow($digits)) as $inner)
            }
        }

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
    ProvinceCode(u8), "province", 2;
    /// A province as addresses by one order name it: the code may mean another area by another.
    ProvinceKey
}
code! {
    /// Code of a commune, five digits.
    CommuneCode(u32), "commune", 5;
    /// A commune as addresses by one order name it: the code may mean another area by another.
    CommuneKey
}

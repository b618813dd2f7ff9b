//! A sharing agreement as the hub works with it.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use dancu_proto::{Areas, CommuneCode, Field, FieldSet, ProvinceCode, v1::Date};

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<$name, &'static str> {
                let fits = (2..=60).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if fits {
                    Ok($name(text.to_owned()))
                } else {
                    Err("must be 2 to 60 lower-case letters, digits and hyphens")
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// Names an agreement through all its versions.
    AgreementId
}
identifier! {
    /// Names an agency, as nodes are added for it.
    AgencyId
}

/// A sharing agreement: which agency may use what of whom, for what (Decree 137/2015 Art. 8).
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Its id.
    pub id: AgreementId,
    /// Its version, from 1, rising.
    pub version: u32,
    /// The agency.
    pub agency: AgencyId,
    /// Title, for people.
    pub title: String,
    /// The provisions it rests on.
    pub legal_basis: Vec<String>,
    /// First day, Asia/Ho_Chi_Minh.
    pub valid_from: Date,
    /// Last day; none where it has no end.
    pub valid_until: Option<Date>,
    /// What the data may be used for.
    pub purposes: Vec<Purpose>,
    /// What may be done.
    pub operations: BTreeSet<Operation>,
    /// As what the agency hands in: roles of `deploy/authority.toml`. Empty where it may not.
    pub contributes_as: BTreeSet<String>,
    /// What is given; the personal number always is.
    pub fields: FieldSet,
    /// Of whom.
    pub scope: Scope,
    /// How long look-ups may go on after the hub was last heard.
    pub offline_limit: Duration,
    /// How much.
    pub quota: Quota,
    /// Who says which officer may act.
    pub officers: Officers,
    /// Whether accesses are withheld from the citizens whom they concern.
    pub withhold: Option<Withhold>,
    /// The nodes it is for; empty for all of the agency.
    pub nodes: Vec<String>,
}

/// A purpose: a procedure or task code (mã thủ tục hành chính).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// The code.
    pub code: String,
    /// What it is, for people.
    pub title: String,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What an agreement may allow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation { $($(#[$doc])* $variant,)* }

        impl Operation {
            /// Every operation.
            pub const ALL: &[Operation] = &[$(Operation::$variant),*];

            /// Its name in documents.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Operation::$variant => $name,)* }
            }
        }
    };
}

operations! {
    /// Get and find citizens.
    Lookup = "lookup";
    /// Compare what is held with the record, disclosing nothing.
    Verify = "verify";
    /// Follow changes.
    Watch = "watch";
    /// Clean an agency's own list.
    Reconcile = "reconcile";
    /// Hand in events.
    Contribute = "contribute";
    /// Ask the hub for one person outside the slice.
    RemoteLookup = "remote_lookup";
    /// Show citizens who looked at their data.
    AccessReport = "access_report";
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whom an agreement covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope {
    /// Where they live.
    pub areas: AreaScope,
    /// Which addresses count for that.
    pub residence: ResidenceKinds,
    /// What else must hold.
    pub conditions: Conditions,
}

/// Areas, as a document names them: by the administrative order in force when it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AreaScope {
    /// Everyone, wherever they live.
    Nation,
    /// Residents of these areas.
    Listed {
        /// Whole provinces.
        provinces: BTreeSet<ProvinceCode>,
        /// Single communes.
        communes: BTreeSet<CommuneCode>,
    },
    /// Those whom the agency names: an interest list, which each of its nodes has for itself.
    Interest,
}

/// Which addresses make a resident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidenceKinds {
    /// Thường trú.
    pub permanent: bool,
    /// Tạm trú.
    pub temporary: bool,
    /// Nơi ở hiện tại.
    pub dwelling: bool,
}

/// Conditions on a citizen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Only the living, or only the dead.
    pub living: Option<bool>,
    /// Born on or after this day.
    pub born_from: Option<Date>,
    /// Born on or before this day.
    pub born_until: Option<Date>,
    /// This many years old or older, on the day.
    pub age_from: Option<u32>,
    /// Younger than this many years, on the day.
    pub age_below: Option<u32>,
}

impl Scope {
    /// The fields that decide whom it covers: an answer under it says something of these too.
    #[must_use]
    pub fn fields(&self) -> FieldSet {
        let listed = matches!(self.areas, AreaScope::Listed { .. });
        let Conditions { living, born_from, born_until, age_from, age_below } = &self.conditions;
        let born = born_from.is_some() || born_until.is_some() || age_from.is_some() || age_below.is_some();
        let deciding = [
            (Field::PermanentResidence, listed && self.residence.permanent),
            (Field::TemporaryResidence, listed && self.residence.temporary),
            (Field::CurrentDwelling, listed && self.residence.dwelling),
            (Field::DateOfDeath, living.is_some()),
            (Field::DateOfBirth, born),
        ];
        deciding.into_iter().filter_map(|(field, decides)| decides.then_some(field)).collect()
    }

    /// The scope by the administrative order in force: areas named by an earlier one are followed.
    #[must_use]
    pub fn followed(&self, written_under: u32, areas: &Areas) -> Scope {
        let mut scope = self.clone();
        if let AreaScope::Listed { provinces, communes } = &mut scope.areas {
            let province_now = |code: &ProvinceCode| areas.province_now(code.under(written_under));
            let commune_now = |code: &CommuneCode| areas.commune_now(code.under(written_under));
            *provinces = provinces.iter().filter_map(province_now).collect();
            *communes = communes.iter().filter_map(commune_now).collect();
        }
        scope
    }

    /// Whether someone may enter or leave it by the day alone.
    #[must_use]
    pub fn depends_on_the_day(&self) -> bool {
        self.conditions.age_from.is_some() || self.conditions.age_below.is_some()
    }
}

/// The law lets an agency withhold, for a time, from citizens that it looked at their data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withhold {
    /// The provision that it rests on.
    pub legal_basis: String,
    /// The last day.
    pub until: Date,
}

/// Who says which officer may act for a purpose (Decree 137/2015/NĐ-CP: agency, procedure and officer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Officers {
    /// The node's operator, in a list: officers, their purposes, from when until when.
    #[default]
    Listed,
    /// The back-end that calls.
    Vouched,
}

impl Officers {
    /// Its name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Officers::Listed => "listed",
            Officers::Vouched => "vouched",
        }
    }
}

/// How many people may be asked about, by all callers of a node together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// A second.
    pub per_second: Option<u32>,
    /// A day.
    pub per_day: Option<u32>,
}

//! Who may supply what: `deploy/authority.toml`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use dancu_proto::{Field, contribution::EVENTS};
use serde::Deserialize;
use thiserror::Error;

/// The table that is used unless an operator gives another.
const SHIPPED: &str = include_str!("../../../../deploy/authority.toml");

/// The role of a hub operator, who corrects with the authority of the first role of each field.
pub const OPERATOR: &str = "operator";

/// A table that cannot be used.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not such a table.
    #[error("the authority table: {0}")]
    Form(Box<toml::de::Error>),
    /// It names something that does not exist.
    #[error("the authority table: {0}")]
    Unknown(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    roles: BTreeMap<String, RoleTable>,
    fields: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleTable {
    title: String,
    events: Vec<String>,
}

/// Which role may hand in which events, and whose claim on a field is the better one.
#[derive(Debug)]
pub struct Authority {
    roles: BTreeMap<String, Role>,
    fields: BTreeMap<Field, Vec<String>>,
}

#[derive(Debug)]
struct Role {
    title: String,
    events: BTreeSet<String>,
}

impl Authority {
    /// The table of a file; the shipped one if none is named.
    ///
    /// # Errors
    /// The file cannot be read, or is no such table.
    pub fn load(file: Option<&Path>) -> Result<Authority, AuthorityError> {
        let Some(path) = file else { return Authority::parse(SHIPPED) };
        let text = std::fs::read_to_string(path);
        let error = |source| AuthorityError::File { path: path.display().to_string(), source };
        Authority::parse(&text.map_err(error)?)
    }

    /// A table.
    ///
    /// # Errors
    /// It is none, or names an event, a field or a role that does not exist.
    pub fn parse(text: &str) -> Result<Authority, AuthorityError> {
        let document: Document =
            toml::from_str(text).map_err(|error| AuthorityError::Form(Box::new(error)))?;
        let mut roles = BTreeMap::new();
        for (name, table) in document.roles {
            if let Some(event) = table.events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
                return Err(AuthorityError::Unknown(format!("role `{name}`: no event is called `{event}`")));
            }
            roles.insert(name, Role { title: table.title, events: table.events.into_iter().collect() });
        }
        let mut fields = BTreeMap::new();
        for (name, ranked) in document.fields {
            let field: Field = name.parse().map_err(|error| AuthorityError::Unknown(format!("{error}")))?;
            if let Some(role) = ranked.iter().find(|role| !roles.contains_key(*role)) {
                return Err(AuthorityError::Unknown(format!("field `{name}`: no role is called `{role}`")));
            }
            fields.insert(field, ranked);
        }
        Ok(Authority { roles, fields })
    }

    /// Whether a role may hand in an event.
    #[must_use]
    pub fn may(&self, role: &str, event: &str) -> bool {
        role == OPERATOR || self.roles.get(role).is_some_and(|role| role.events.contains(event))
    }

    /// The place of a role in a field's list, 0 for the best; none if it may not claim the field.
    #[must_use]
    pub fn rank(&self, role: &str, field: Field) -> Option<usize> {
        if role == OPERATOR {
            return Some(0);
        }
        self.fields.get(&field)?.iter().position(|ranked| ranked == role)
    }

    /// What a role is called, for people.
    #[must_use]
    pub fn title<'a>(&'a self, role: &'a str) -> &'a str {
        self.roles.get(role).map_or(role, |role| role.title.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_is_whole() {
        let table = Authority::load(None).unwrap();
        for event in EVENTS {
            assert!(table.roles.values().any(|role| role.events.contains(*event)), "{event}");
        }
        for field in Field::ALL {
            assert!(table.fields.contains_key(field), "{field}");
        }
        assert_eq!(table.rank("civil-status", Field::DateOfDeath), Some(0));
        assert_eq!(table.rank("residence", Field::DateOfDeath), Some(1));
        assert_eq!(table.rank("residence", Field::FullName), None);
        assert!(table.may("civil-status", "birth") && !table.may("residence", "birth"));
    }

    #[test]
    fn what_does_not_exist_is_named() {
        let error = |text: &str| Authority::parse(text).unwrap_err().to_string();
        let role = "[roles.a]\ntitle = \"A\"\nevents = [\"birht\"]\n[fields]\n";
        assert!(error(role).contains("birht"));
        let field = "[roles.a]\ntitle = \"A\"\nevents = []\n[fields]\nnmae = [\"a\"]\n";
        assert!(error(field).contains("nmae"));
        let ranked = "[roles.a]\ntitle = \"A\"\nevents = []\n[fields]\nsex = [\"b\"]\n";
        assert!(error(ranked).contains("`b`"));
    }
}

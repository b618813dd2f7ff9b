//! Who may say what: `deploy/authority.toml`, read without the hub's help.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use serde::Deserialize;

/// The table of authority.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Authority {
    /// The roles, by name.
    pub roles: BTreeMap<String, Role>,
    /// Of each field the roles that may supply it, the greatest first.
    pub fields: BTreeMap<String, Vec<String>>,
}

/// A role.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Role {
    /// For people.
    #[serde(default)]
    pub title: String,
    /// The events that it may hand in.
    pub events: Vec<String>,
}

impl Authority {
    /// The table that is shipped.
    ///
    /// # Errors
    /// If it is not there, or cannot be read.
    pub fn shipped() -> anyhow::Result<Authority> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/authority.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Authority::parse(&text)
    }

    /// A table from its text.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn parse(text: &str) -> anyhow::Result<Authority> {
        toml::from_str(text).context("the table of authority")
    }

    /// The place of a role among those that may supply a field: 0 is the greatest.
    #[must_use]
    pub fn place(&self, role: &str, field: &str) -> Option<usize> {
        self.fields.get(field)?.iter().position(|other| other == role)
    }

    /// Whether a role may hand in an event.
    #[must_use]
    pub fn may(&self, role: &str, event: &str) -> bool {
        self.roles.get(role).is_some_and(|role| role.events.iter().any(|other| other == event))
    }

    /// The roles that may hand in an event and supply these fields.
    #[must_use]
    pub fn roles_for(&self, event: &str, fields: &[&str]) -> Vec<String> {
        let able = |role: &&String| {
            self.may(role, event) && fields.iter().all(|field| self.place(role, field).is_some())
        };
        self.roles.keys().filter(able).cloned().collect()
    }
}

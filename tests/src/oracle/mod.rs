//! An independent, naive model of the registry and of what each node may hold. It shares no code with
//! the hub's projection: citizens are JSON objects, and everything is a plain loop.

use std::collections::{BTreeMap, BTreeSet};

use dancu_proto::v1::Citizen;
use serde_json::{Map, Value};

use crate::testkit::Agreement;

/// A citizen's values by field name.
pub type Values = Map<String, Value>;

/// Everything that was ever committed, by revision.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// Versions of each citizen, by number: from a revision on. None where the number is no longer
    /// in force.
    citizens: BTreeMap<String, BTreeMap<u64, Option<Values>>>,
    /// Versions of each agreement; none where withdrawn.
    agreements: BTreeMap<String, BTreeMap<u64, Option<Agreement>>>,
}

/// A citizen as JSON.
#[must_use]
pub fn values(citizen: &Citizen) -> Values {
    match serde_json::to_value(citizen) {
        Ok(Value::Object(values)) => values,
        _ => Values::new(),
    }
}

impl Oracle {
    /// A citizen has these values from a revision on.
    pub fn put(&mut self, revision: u64, values: Values) {
        let id = values["personal_id"].as_str().unwrap_or_default().to_owned();
        self.citizens.entry(id).or_default().insert(revision, Some(values));
    }

    /// A number is in force up to a revision.
    pub fn end(&mut self, revision: u64, id: &str) {
        self.citizens.entry(id.to_owned()).or_default().insert(revision, None);
    }

    /// An agreement is so from a revision on.
    pub fn agree(&mut self, revision: u64, id: &str, agreement: Option<Agreement>) {
        self.agreements.entry(id.to_owned()).or_default().insert(revision, agreement);
    }

    /// The latest values of a citizen.
    #[must_use]
    pub fn latest(&self, id: &str) -> Option<&Values> {
        self.citizens.get(id)?.values().next_back()?.as_ref()
    }

    /// Every number that is or was in force.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.citizens.keys().cloned().collect()
    }

    /// What an agency may see of a citizen for a purpose, at a revision of the registry and under the
    /// agreements of another: the fields, and the values of those that have one. None where the
    /// citizen is not covered.
    #[must_use]
    pub fn sees(
        &self,
        agency: &str,
        purpose: &str,
        id: &str,
        at: u64,
        policy: u64,
    ) -> Option<(BTreeSet<String>, Values)> {
        let (_, values) = self.citizens.get(id)?.range(..=at).next_back()?;
        let values = values.as_ref()?;
        let mut fields = BTreeSet::new();
        for versions in self.agreements.values() {
            let Some((_, Some(agreement))) = versions.range(..=policy).next_back() else { continue };
            if agreement.agency == agency && agreement.purpose == purpose && covers(agreement, values) {
                fields.insert("personal_id".to_owned());
                fields.extend(agreement.fields.iter().cloned());
            }
        }
        if fields.is_empty() {
            return None;
        }
        let seen = values.iter().filter(|(name, _)| fields.contains(*name));
        Some((fields.clone(), seen.map(|(name, value)| (name.clone(), value.clone())).collect()))
    }
}

fn covers(agreement: &Agreement, values: &Values) -> bool {
    if agreement.provinces.is_empty() && agreement.communes.is_empty() {
        return true;
    }
    let permanent = values.get("permanent_residence");
    let temporary = values.get("temporary_residence").and_then(|residence| residence.get("address"));
    [permanent, temporary].into_iter().flatten().any(|address| {
        let code = |name| address.get(name).and_then(Value::as_str).unwrap_or_default();
        agreement.provinces.iter().any(|province| province == code("province"))
            || agreement.communes.iter().any(|commune| commune == code("commune"))
    })
}

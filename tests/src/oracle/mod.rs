//! An independent, naive model of the registry and of what each node may hold. It shares no code with
//! the hub's projection: citizens are JSON objects, and everything is a plain loop.

pub mod contributions;

use std::collections::{BTreeMap, BTreeSet};

use dancu_proto::{Field, FieldSet, v1::Citizen};
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
    /// A merger, from a revision on.
    merger: Option<(u64, Merger)>,
}

/// One province merges into another, and one of its communes into one of the other's.
#[derive(Clone, Copy, Debug)]
pub struct Merger {
    /// The province that ends, and the one it lies in from then on.
    pub province: [&'static str; 2],
    /// The commune that ends, and the one it lies in.
    pub commune: [&'static str; 2],
}

/// In an oracle's values, and in a citizen as JSON: the names of fields that are in question.
pub const IN_QUESTION: &str = "in_question";

/// In an oracle's values: set where an address is written by the order after the merger.
pub const AFTER: &str = "written_after_the_merger";

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

    /// Fields of somebody, and no others, are in question from a revision on.
    pub fn question(&mut self, revision: u64, id: &str, fields: FieldSet) {
        let mut values = self.latest(id).cloned().unwrap_or_default();
        let names: Vec<Value> = fields.iter().map(|field| field.name().into()).collect();
        values.remove(IN_QUESTION);
        if !names.is_empty() {
            values.insert(IN_QUESTION.into(), names.into());
        }
        self.put(revision, values);
    }

    /// A number is in force up to a revision.
    pub fn end(&mut self, revision: u64, id: &str) {
        self.citizens.entry(id.to_owned()).or_default().insert(revision, None);
    }

    /// An agreement is so from a revision on.
    pub fn agree(&mut self, revision: u64, id: &str, agreement: Option<Agreement>) {
        self.agreements.entry(id.to_owned()).or_default().insert(revision, agreement);
    }

    /// Areas merge at a revision.
    pub fn merge(&mut self, revision: u64, merger: Merger) {
        self.merger = Some((revision, merger));
    }

    /// Values as they are shown by the areas as of a revision.
    #[must_use]
    pub fn shown(&self, values: &Values, at: u64) -> Values {
        let merger = self.merger.filter(|(merged, _)| *merged <= at).map(|(_, merger)| merger);
        let mut values = values.clone();
        for field in ADDRESSES {
            if let Some(address) = values.get_mut(field).and_then(Value::as_object_mut) {
                show(address, merger);
            }
        }
        let stay = values.get_mut("temporary_residence").and_then(|stay| stay.get_mut("address"));
        if let Some(address) = stay.and_then(Value::as_object_mut) {
            show(address, merger);
        }
        values
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
        let values = &self.shown(values.as_ref()?, policy);
        let merger = self.merger.filter(|(merged, _)| *merged <= policy).map(|(_, merger)| merger);
        let mut fields = BTreeSet::new();
        for versions in self.agreements.values() {
            let Some((_, Some(agreement))) = versions.range(..=policy).next_back() else { continue };
            if agreement.agency == agency && agreement.purpose == purpose && covers(agreement, values, merger)
            {
                fields.insert("personal_id".to_owned());
                fields.extend(agreement.fields.iter().cloned());
            }
        }
        if fields.is_empty() {
            return None;
        }
        Some((fields.clone(), told(values, &fields)))
    }
}

/// What is told of values to whom so many fields are given.
#[must_use]
pub fn told(values: &Values, fields: &BTreeSet<String>) -> Values {
    let seen = values.iter().filter(|(name, _)| fields.contains(*name));
    let mut seen: Values = seen.map(|(name, value)| (name.clone(), value.clone())).collect();
    let questions = values.get(IN_QUESTION).and_then(Value::as_array).into_iter().flatten();
    let questions = questions.filter(|name| name.as_str().is_some_and(|name| fields.contains(name)));
    let questions: Vec<Value> = questions.cloned().collect();
    if !questions.is_empty() {
        seen.insert(IN_QUESTION.into(), questions.into());
    }
    seen
}

/// What is known to whom both is told of one person.
#[must_use]
pub fn both(one: Values, other: &Values) -> Values {
    let questions = [&one, other].map(|told| told.get(IN_QUESTION).and_then(Value::as_array).cloned());
    let mut questions: Vec<Value> = questions.into_iter().flatten().flatten().collect();
    questions.sort_by_key(|name| name.as_str().and_then(|name| name.parse::<Field>().ok()));
    questions.dedup();
    let mut known = one;
    known.extend(other.clone());
    if !questions.is_empty() {
        known.insert(IN_QUESTION.into(), questions.into());
    }
    known
}

const ADDRESSES: [&str; 5] = [
    "place_of_birth",
    "place_of_birth_registration",
    "place_of_origin",
    "permanent_residence",
    "current_dwelling",
];

/// An address by the areas of now; those that changed since it was written are named beside.
fn show(address: &mut Values, merger: Option<Merger>) {
    let written_after = address.remove(AFTER).is_some();
    let Some(merger) = merger.filter(|_| !written_after) else { return };
    let text = |address: &Values, name: &str| {
        address.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (province, commune) = (text(address, "province"), text(address, "commune"));
    let moved = province == merger.province[0];
    // The commune that took another in is another one itself.
    if !moved && !merger.commune.contains(&commune.as_str()) {
        return;
    }
    let mut registered = Values::new();
    registered.insert("province".into(), province.into());
    if !commune.is_empty() {
        registered.insert("commune".into(), commune.clone().into());
    }
    if moved {
        address.insert("province".into(), merger.province[1].into());
    }
    if commune == merger.commune[0] {
        address.insert("commune".into(), merger.commune[1].into());
    }
    address.insert("as_registered".into(), registered.into());
}

fn covers(agreement: &Agreement, values: &Values, merger: Option<Merger>) -> bool {
    if agreement.provinces.is_empty() && agreement.communes.is_empty() {
        return true;
    }
    let permanent = values.get("permanent_residence");
    let temporary = values.get("temporary_residence").and_then(|residence| residence.get("address"));
    [permanent, temporary].into_iter().flatten().any(|address| {
        let code = |name| address.get(name).and_then(Value::as_str).unwrap_or_default();
        // What an agreement names is followed, whenever it was written.
        let now = |named: &String, [ends, into]: [&str; 2]| {
            if named == ends { into.to_owned() } else { named.clone() }
        };
        let province = |named: &String| merger.map_or(named.clone(), |merger| now(named, merger.province));
        let commune = |named: &String| merger.map_or(named.clone(), |merger| now(named, merger.commune));
        agreement.provinces.iter().any(|named| province(named) == code("province"))
            || agreement.communes.iter().any(|named| commune(named) == code("commune"))
    })
}

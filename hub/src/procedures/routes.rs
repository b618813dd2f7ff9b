//! Whose task a step is: the nodes whose agency has an agreement in force that lets it contribute in the
//! step's role under a purpose of the procedure, and whose areas cover the address. The narrowest areas win.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    agreements::Operation,
    projection::{Grant, Place, Policy, Reach},
};

/// A node, and what its agreements give.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Its agency.
    pub agency: String,
    /// Its policy.
    pub policy: Arc<Policy>,
}

/// Who does what where, as of one revision.
#[derive(Debug, Default)]
pub struct Routes {
    nodes: BTreeMap<String, NodeFacts>,
    /// The nodes that contribute in a role.
    by_role: HashMap<String, Vec<String>>,
}

/// Whose task something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The agency.
    pub agency: String,
    /// Its nodes, by name.
    pub nodes: Vec<String>,
}

/// What somebody is to do.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// In this role.
    pub role: &'a str,
    /// Under one of these purposes; under any where none is named.
    pub purposes: &'a [String],
}

impl Work<'_> {
    /// Whether an agreement lets its agency do it.
    fn is_agreed(&self, grant: &Grant) -> bool {
        let agreement = &grant.agreement;
        agreement.operations.contains(&Operation::Contribute)
            && agreement.contributes_as.contains(self.role)
            && (self.purposes.is_empty() || agreement.purposes.iter().any(|code| self.is_under(&code.code)))
    }

    /// Whether it is done under a purpose.
    #[must_use]
    pub fn is_under(&self, purpose: &str) -> bool {
        self.purposes.is_empty() || self.purposes.iter().any(|code| code == purpose)
    }
}

impl Routes {
    /// Of nodes.
    #[must_use]
    pub fn new(nodes: Vec<NodeFacts>) -> Routes {
        let mut by_role: HashMap<String, Vec<String>> = HashMap::new();
        for node in &nodes {
            let contribute = |grant: &&Grant| grant.agreement.operations.contains(&Operation::Contribute);
            let grants = node.policy.grants().iter().filter(contribute);
            let roles: BTreeSet<_> = grants.flat_map(|grant| &grant.agreement.contributes_as).collect();
            for role in roles {
                by_role.entry(role.clone()).or_default().push(node.name.clone());
            }
        }
        Routes { nodes: nodes.into_iter().map(|node| (node.name.clone(), node)).collect(), by_role }
    }

    /// Whose task it is to do something at a place: of those whose areas cover it the
    /// narrowest; of several agencies with equal ones, the first by name.
    #[must_use]
    pub fn whose(&self, work: Work<'_>, place: Place) -> Option<Whose> {
        let covering = self.covering(work, place);
        let (_, agency, _) = covering.first()?;
        let nodes = covering.iter().filter(|(reach, of, _)| *reach == covering[0].0 && of == agency);
        let mut nodes: Vec<_> = nodes.map(|(_, _, name)| (*name).to_owned()).collect();
        nodes.sort_unstable();
        Some(Whose { agency: (*agency).to_owned(), nodes })
    }

    /// The nodes of those who do the same for wider areas that cover the place.
    #[must_use]
    pub fn superiors(&self, work: Work<'_>, place: Place) -> Vec<String> {
        let covering = self.covering(work, place);
        let Some((narrowest, ..)) = covering.first() else { return Vec::new() };
        let wider = covering.iter().filter(|(reach, ..)| reach > narrowest);
        wider.map(|(_, _, name)| (*name).to_owned()).collect()
    }

    /// Reach, agency and name, in that order.
    fn covering(&self, work: Work<'_>, place: Place) -> Vec<(Reach, &str, &str)> {
        let nodes = self.by_role.get(work.role).into_iter().flatten().filter_map(|name| self.nodes.get(name));
        let reach = |node: &NodeFacts| {
            let grants = node.policy.grants().iter().filter(|grant| work.is_agreed(grant));
            grants.filter_map(|grant| grant.reach(place)).min()
        };
        let covering = |node| Some((reach(node)?, node.agency.as_str(), node.name.as_str()));
        let mut covering: Vec<_> = nodes.filter_map(covering).collect();
        covering.sort_unstable();
        covering
    }

    /// The agreements that let a node do something at a place, or wherever.
    #[must_use]
    pub fn grants(&self, node: &str, work: Work<'_>, place: Option<Place>) -> Vec<&Grant> {
        let grants = self.nodes.get(node).into_iter().flat_map(|node| node.policy.grants());
        let there = |grant: &&Grant| place.is_none_or(|place| grant.reach(place).is_some());
        grants.filter(|grant| work.is_agreed(grant)).filter(there).collect()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.get(name)
    }

    /// The nodes of agencies.
    #[must_use]
    pub fn of_agencies(&self, agencies: &[String]) -> Vec<String> {
        let of = self.nodes.values().filter(|node| agencies.contains(&node.agency));
        of.map(|node| node.name.clone()).collect()
    }

    /// The purposes under which a node takes part in some of this work; where it does in none, all that it has.
    #[must_use]
    pub fn purposes(&self, node: &str, work: &[Work<'_>]) -> Vec<String> {
        let grants = || self.nodes.get(node).into_iter().flat_map(|node| node.policy.grants());
        let codes =
            |grant: &Grant| grant.agreement.purposes.iter().map(|of| of.code.clone()).collect::<Vec<_>>();
        let taking_part = |work: &Work<'_>| {
            let agreed = grants().filter(|grant| work.is_agreed(grant)).flat_map(codes);
            agreed.filter(|code| work.is_under(code)).collect::<Vec<_>>()
        };
        let mut purposes: BTreeSet<_> = work.iter().flat_map(taking_part).collect();
        if purposes.is_empty() {
            purposes.extend(grants().flat_map(codes));
        }
        purposes.into_iter().collect()
    }

    /// The nodes that contribute in a role, wherever.
    #[must_use]
    pub fn in_role(&self, role: &str) -> &[String] {
        self.by_role.get(role).map_or(&[], Vec::as_slice)
    }

    /// All nodes, by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }
}

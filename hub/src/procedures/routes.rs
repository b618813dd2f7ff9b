//! Whose task a step is: the nodes whose agency has an agreement in force that lets it contribute in the
//! step's role under a purpose of the procedure, and whose areas cover the address. The narrowest areas win.
//!
//! It is looked up by role and place, and a node that changes is put in anew, so that neither costs more where
//! there are more nodes.

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

/// Who does what where.
#[derive(Debug, Default)]
pub struct Routes {
    nodes: BTreeMap<String, NodeFacts>,
    by_agency: HashMap<String, BTreeSet<String>>,
    by_role: HashMap<String, Doers>,
}

/// The nodes that contribute in a role: agency and name.
#[derive(Debug, Default)]
struct Doers {
    all: BTreeSet<(String, String)>,
    /// By the places that their areas are named by.
    there: HashMap<Place, BTreeSet<(String, String)>>,
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
        in_role(grant, self.role)
            && (self.purposes.is_empty() || agreement.purposes.iter().any(|code| self.is_under(&code.code)))
    }

    /// Whether it is done under a purpose.
    #[must_use]
    pub fn is_under(&self, purpose: &str) -> bool {
        self.purposes.is_empty() || self.purposes.iter().any(|code| code == purpose)
    }
}

fn contributes(grant: &Grant) -> bool {
    grant.agreement.operations.contains(&Operation::Contribute)
}

/// Whether an agreement lets its agency contribute in a role.
fn in_role(grant: &Grant, role: &str) -> bool {
    contributes(grant) && grant.agreement.contributes_as.contains(role)
}

impl NodeFacts {
    /// The roles in which it contributes, each with places that the areas are named by.
    fn doings(&self) -> impl Iterator<Item = (&String, Vec<Place>)> {
        let grants = self.policy.grants().iter().filter(|grant| contributes(grant));
        grants.flat_map(|grant| grant.agreement.contributes_as.iter().map(|role| (role, grant.places())))
    }
}

impl Routes {
    /// Of nodes.
    #[must_use]
    pub fn new(nodes: Vec<NodeFacts>) -> Routes {
        let mut routes = Routes::default();
        nodes.into_iter().for_each(|node| routes.put(node));
        routes
    }

    /// Puts a node in, in place of what was known of it.
    pub fn put(&mut self, node: NodeFacts) {
        self.remove(&node.name);
        let who = (node.agency.clone(), node.name.clone());
        for (role, places) in node.doings() {
            let doers = self.by_role.entry(role.clone()).or_default();
            doers.all.insert(who.clone());
            places
                .into_iter()
                .for_each(|place| _ = doers.there.entry(place).or_default().insert(who.clone()));
        }
        self.by_agency.entry(who.0).or_default().insert(who.1);
        self.nodes.insert(node.name.clone(), node);
    }

    /// Takes a node out.
    pub fn remove(&mut self, name: &str) {
        let Some(node) = self.nodes.remove(name) else { return };
        for (role, places) in node.doings() {
            let Some(doers) = self.by_role.get_mut(role) else { continue };
            let who = (node.agency.clone(), node.name.clone());
            doers.all.remove(&who);
            for place in places {
                doers.there.get_mut(&place).into_iter().for_each(|there| _ = there.remove(&who));
            }
        }
        self.by_agency.get_mut(&node.agency).into_iter().for_each(|nodes| _ = nodes.remove(name));
    }

    /// Whose task it is to do something at a place: of those whose areas cover it the
    /// narrowest; of several agencies with equal ones, the first by name.
    #[must_use]
    pub fn whose(&self, work: Work<'_>, place: Place) -> Option<Whose> {
        let narrowest = self.covering(work, place).next()?;
        let (agency, _) = narrowest.first()?;
        let nodes = narrowest.iter().take_while(|(of, _)| of == agency).map(|(_, name)| name.clone());
        Some(Whose { agency: agency.clone(), nodes: nodes.collect() })
    }

    /// The nodes of those who do the same for wider areas that cover the place.
    #[must_use]
    pub fn superiors(&self, work: Work<'_>, place: Place) -> Vec<String> {
        self.covering(work, place).skip(1).flatten().map(|(_, name)| name.clone()).collect()
    }

    /// Agency and name of those whose areas cover a place, by how wide these are, the narrowest first.
    fn covering<'a>(
        &'a self,
        work: Work<'a>,
        place: Place,
    ) -> impl Iterator<Item = Vec<&'a (String, String)>> {
        let commune = place.commune.map(|commune| Place { province: None, commune: Some(commune) });
        let province = place.province.map(|province| Place { province: Some(province), commune: None });
        let named =
            [(Reach::Commune, commune), (Reach::Province, province), (Reach::Nation, Some(Place::default()))];
        let theirs = move |(reach, named): (Reach, Option<Place>)| {
            let there = self.by_role.get(work.role)?.there.get(&named?)?;
            // Another agreement of theirs may be the one that names the place.
            let there = there.iter().filter(|(_, name)| {
                let grants = self.grants(name, work, Some(place)).into_iter();
                grants.filter_map(|grant| grant.reach(place)).min() == Some(reach)
            });
            Some(there.collect::<Vec<_>>()).filter(|there| !there.is_empty())
        };
        named.into_iter().filter_map(theirs)
    }

    /// The agreements that let a node do something at a place, or wherever.
    #[must_use]
    pub fn grants(&self, node: &str, work: Work<'_>, place: Option<Place>) -> Vec<&Grant> {
        let grants = self.nodes.get(node).into_iter().flat_map(|node| node.policy.grants());
        let there = |grant: &&Grant| place.is_none_or(|place| grant.reach(place).is_some());
        grants.filter(|grant| work.is_agreed(grant)).filter(there).collect()
    }

    /// Whether a node does something, wherever.
    #[must_use]
    pub fn does(&self, node: &str, work: Work<'_>) -> bool {
        let node = self.nodes.get(node);
        node.is_some_and(|node| node.policy.grants().iter().any(|grant| work.is_agreed(grant)))
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

    /// A node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeFacts> {
        self.nodes.get(name)
    }

    /// The nodes of an agency.
    pub fn of_agency(&self, agency: &str) -> impl Iterator<Item = &String> {
        self.by_agency.get(agency).into_iter().flatten()
    }

    /// The nodes that contribute in a role, wherever.
    pub fn in_role(&self, role: &str) -> impl Iterator<Item = &String> {
        self.by_role.get(role).into_iter().flat_map(|doers| &doers.all).map(|(_, name)| name)
    }

    /// All nodes, by name.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.nodes.keys()
    }
}

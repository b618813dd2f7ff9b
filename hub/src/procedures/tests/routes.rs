//! Whose task a step is, looked up by role and place.

use dancu_proto::v1::Address;
use proptest::prelude::*;

use super::*;
use crate::procedures::circumstances::place_of;

/// Scopes that overlap: Ba Đình and another ward of Hà Nội, the province, everywhere, nowhere.
const SCOPES: [&str; 5] =
    ["communes = [\"00004\"]", "communes = [\"00008\"]", "provinces = [\"01\"]", "nation = true", ""];
const ROLES: [&str; 2] = ["residence", "civil-status"];

/// A node of one of three agencies, with an agreement; of the last scope it has none.
fn facts(name: usize, scope: usize, role: usize) -> NodeFacts {
    let agency = format!("agency-{}", name % 3);
    let agreement =
        (!SCOPES[scope].is_empty()).then(|| agreement(&agency, ROLES[role], "\"sex\"", SCOPES[scope]));
    node(&format!("node-{name}"), &agency, &agreement.into_iter().collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn however_nodes_came_and_went_tasks_are_theirs_who_are_there(
        turns in prop::collection::vec((0usize..6, 0usize..5, 0usize..2, any::<bool>()), 0..24),
    ) {
        let (mut routes, mut there) = (Routes::default(), BTreeMap::new());
        for (name, scope, role, stays) in turns {
            let facts = facts(name, scope, role);
            match stays {
                true => _ = there.insert(name, facts.clone()),
                false => _ = there.remove(&name),
            }
            if stays { routes.put(facts) } else { routes.remove(&facts.name) }
        }
        for commune in ["00004", "00008", "00691", ""] {
            let address = Address { commune: commune.into(), ..Address::default() };
            let place = place_of(Some(&address), Areas::shipped());
            for role in ROLES {
                // By looking at every node.
                let mut covering: Vec<_> = there
                    .values()
                    .filter_map(|node| {
                        let grants = node.policy.grants().iter();
                        let grants = grants.filter(|grant| grant.agreement.contributes_as.contains(role));
                        Some((grants.filter_map(|grant| grant.reach(place)).min()?, &node.agency, &node.name))
                    })
                    .collect();
                covering.sort_unstable();
                let first = covering.first().copied();
                let theirs = |first: (_, &String, _), reach: &_, agency| (&first.0, first.1) == (reach, agency);
                let nodes = covering
                    .iter()
                    .filter(|(reach, agency, _)| first.is_some_and(|first| theirs(first, reach, *agency)));
                let nodes: Vec<_> = nodes.map(|(_, _, name)| (*name).clone()).collect();
                let whose = routes.whose(Work { role, purposes: &[] }, place);
                prop_assert_eq!(whose.as_ref().map(|whose| &whose.agency), first.map(|first| first.1));
                prop_assert_eq!(whose.map(|whose| whose.nodes).unwrap_or_default(), nodes);
                let mut superiors = routes.superiors(Work { role, purposes: &[] }, place);
                superiors.sort_unstable();
                let wider = covering.iter().filter(|(reach, ..)| first.is_some_and(|first| *reach > first.0));
                let mut wider: Vec<_> = wider.map(|(_, _, name)| (*name).clone()).collect();
                wider.sort_unstable();
                prop_assert_eq!(superiors, wider);
            }
        }
        let of_agency: Vec<_> = routes.of_agency("agency-0").cloned().collect();
        let expected = there.values().filter(|node| node.agency == "agency-0").map(|node| node.name.clone());
        prop_assert_eq!(of_agency, expected.collect::<Vec<_>>());
    }
}

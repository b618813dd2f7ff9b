use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::oracle::contributions::tests::table;

#[test]
fn the_same_seed_hands_in_the_same_and_every_kind_comes() {
    let population = Population::new(21, 4_000);
    let authority = table();
    let hand_in = || {
        let from = ages::day(2026, 1, 1);
        Contributions::new(&population, &authority, from, 60.0).take(4_000).collect::<Vec<_>>()
    };
    let handed = hand_in();
    assert!(handed == hand_in());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sorts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for one in &handed {
        *kinds.entry(kind_of(&one.contribution)).or_default() += 1;
        *sorts.entry(one.sort).or_default() += 1;
        let again = !ids.insert(&one.contribution.id);
        assert_eq!(again, one.sort == "the same again", "{}", one.sort);
        assert_eq!(uuid::Uuid::parse_str(&one.contribution.id).unwrap().get_version_num(), 7);
    }
    assert_eq!(kinds.len(), 24, "{kinds:?}");
    for sort in [
        "twin",
        "foundling",
        "one parent known",
        "adult registered late",
        "registered twice",
        "contradiction",
    ] {
        assert!(sorts.contains_key(sort), "no {sort}: {sorts:?}");
    }
}

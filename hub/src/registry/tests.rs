//! The registry against a model that keeps every version of everyone.

mod durable;

use std::collections::{BTreeMap, BTreeSet};

use dancu_proto::{
    Delta, Field, FieldSet,
    area::files,
    v1::{Address, Citizen, Date, Name, StringList},
};
use proptest::prelude::*;

use super::*;

const COMMUNES: [&str; 4] = ["00004", "00008", "00688", "00691"];

fn number(person: u8) -> u64 {
    1_185_000_000 + u64::from(person)
}

fn citizen(person: u8, commune: u8, other: u8) -> Citizen {
    Citizen {
        personal_id: format!("{:012}", number(person)),
        full_name: Some(Name::from_full("Nguyễn Văn An")),
        date_of_birth: Some(Date::from_number(19_850_101 + u32::from(person % 20))),
        permanent_residence: Some(Address {
            commune: COMMUNES[usize::from(commune) % COMMUNES.len()].into(),
            ..Address::default()
        }),
        other_name: if other == 0 { String::new() } else { format!("n{other}") },
        ..Citizen::default()
    }
}

fn listing(numbers: impl IntoIterator<Item = u64>) -> Citizen {
    let values = numbers.into_iter().map(|number| format!("{number:012}")).collect();
    Citizen { former_personal_ids: Some(StringList { values }), ..Citizen::default() }
}

/// A citizen of the founding load, with a number from before.
fn founder(person: u8) -> Record {
    let former_personal_ids = listing([number(110 + person)]).former_personal_ids;
    Record::encode(&Citizen { former_personal_ids, ..citizen(person, person, 0) })
}

#[derive(Clone, Debug)]
enum Step {
    /// New values, or a new person.
    Put(u8, u8, u8),
    /// A field emptied.
    Clear(u8),
    /// A number replaced by another.
    Renumber(u8, u8),
    /// Former numbers listed, in place of those listed before.
    List(u8, Vec<u8>),
    /// Fields in question, in place of those that were.
    Question(u8, u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..6, 0u8..4, 0u8..3).prop_map(|(p, c, o)| Step::Put(p, c, o)),
        1 => (0u8..6).prop_map(Step::Clear),
        1 => (0u8..6, 100u8..120).prop_map(|(p, n)| Step::Renumber(p, n)),
        1 => (0u8..6, prop::collection::vec(100u8..120, 0..3)).prop_map(|(p, n)| Step::List(p, n)),
        2 => (0u8..6, prop_oneof![Just(0), any::<u64>()]).prop_map(|(p, bits)| Step::Question(p, bits)),
        1 => Just(Step::Reopen),
    ]
}

/// Versions of each person, by key: the record from a revision on.
type Model = BTreeMap<u64, BTreeMap<u64, Record>>;

fn open(dir: &std::path::Path) -> Registry {
    Registry::open(dir, 0, Arc::default(), system_clock()).unwrap()
}

fn update(person: Person, set: &Citizen, clear: FieldSet) -> Commit {
    commit(CitizenUpdate::plain(person, Record::encode(set), clear))
}

fn commit(update: CitizenUpdate) -> Commit {
    Commit {
        origin: Origin { source: "test".into(), ..Origin::default() },
        content: Content::Citizens(vec![update]),
    }
}

use dancu_proto::{PersonalId, Record};

fn run(founding: u8, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    Registry::create(dir.path(), &files::shipped()).unwrap();
    let mut registry = open(dir.path());
    let mut model = Model::new();
    if founding > 0 {
        let mut load = registry.bulk_load().unwrap();
        let mut rows = load.run_builder();
        for person in (0..founding).rev() {
            let record = founder(person);
            rows.push(CitizenKey(number(person)), 1, record.as_bytes(), former_numbers(&record).into_iter())
                .unwrap();
        }
        rows.finish().unwrap();
        load.merge(&**registry.store(), &Default::default()).unwrap();
        let done = runtime.block_on(registry.finish_bulk_load(load, Origin::default())).unwrap();
        for person in 0..founding {
            model.entry(number(person)).or_default().insert(done.revision.0, founder(person));
        }
    }
    // Which number leads to whom.
    let mut numbers: BTreeMap<u64, u64> = model.keys().map(|key| (*key, *key)).collect();
    numbers.extend((0..founding).map(|person| (number(110 + person), number(person))));
    for step in steps {
        let before = registry.head();
        let (key, commit) = match step {
            Step::Reopen => {
                registry.close();
                drop(registry);
                registry = open(dir.path());
                assert_eq!(registry.head(), before);
                continue;
            }
            Step::Put(person, commune, other) => {
                let key = *numbers.entry(number(person)).or_insert(number(person));
                let mut set = citizen(person, commune, other);
                if let Some(versions) = model.get(&key) {
                    // A record keeps the number in force.
                    let last = versions.values().last().unwrap();
                    set.personal_id = last.personal_id().unwrap().to_string();
                }
                let id = PersonalId::from_u64(number(person)).unwrap();
                (key, update(Person::KnownOrNew(id), &set, FieldSet::EMPTY))
            }
            Step::Clear(person) => {
                let Some(key) = numbers.get(&number(person)).copied() else { continue };
                let id = PersonalId::from_u64(number(person)).unwrap();
                let clear = [Field::OtherName].into_iter().collect();
                (key, update(Person::Known(id), &Citizen::default(), clear))
            }
            Step::Question(person, bits) => {
                let Some(key) = numbers.get(&number(person)).copied() else { continue };
                let id = PersonalId::from_u64(number(person)).unwrap();
                let nothing = CitizenUpdate::plain(Person::Known(id), Record::default(), FieldSet::EMPTY);
                (key, commit(nothing.with_in_question(FieldSet::from_bits(bits))))
            }
            Step::Renumber(person, to) => {
                let Some(key) = numbers.get(&number(person)).copied() else { continue };
                let taken = numbers.get(&number(to)).is_some_and(|owner| *owner != key);
                let set = Citizen { personal_id: format!("{:012}", number(to)), ..Citizen::default() };
                let id = PersonalId::from_u64(number(person)).unwrap();
                let commit = update(Person::Known(id), &set, FieldSet::EMPTY);
                if taken {
                    refuse(&runtime, &registry, commit);
                    continue;
                }
                numbers.insert(number(to), key);
                (key, commit)
            }
            Step::List(person, listed) => {
                let Some(key) = numbers.get(&number(person)).copied() else { continue };
                let listed: BTreeSet<u64> = listed.into_iter().map(number).collect();
                let id = PersonalId::from_u64(number(person)).unwrap();
                let clear = if listed.is_empty() {
                    FieldSet::from_iter([Field::FormerPersonalIds])
                } else {
                    FieldSet::EMPTY
                };
                let commit = update(Person::Known(id), &listing(listed.clone()), clear);
                if listed.iter().any(|to| numbers.get(to).is_some_and(|owner| *owner != key)) {
                    refuse(&runtime, &registry, commit);
                    continue;
                }
                let in_force = once_in_force(&model[&key]);
                numbers.retain(|to, owner| *owner != key || in_force.contains(to) || listed.contains(to));
                numbers.extend(listed.into_iter().map(|to| (to, key)));
                (key, commit)
            }
        };
        let Content::Citizens(updates) = &commit.content else { unreachable!() };
        let given = Delta { set: updates[0].set.as_bytes().to_vec(), cleared: updates[0].clear };
        let old = model.get(&key).and_then(|v| v.values().last().cloned()).unwrap_or_default();
        let mut new = old.apply(&given).unwrap();
        if given.fields().contains(Field::PersonalId) || given.fields().contains(Field::FormerPersonalIds) {
            let mut former: BTreeSet<u64> =
                former_numbers(&new).into_iter().map(PersonalId::as_u64).collect();
            former.extend(model.get(&key).map(once_in_force).unwrap_or_default());
            former.remove(&new.personal_id().unwrap().as_u64());
            let mut citizen = new.decode().unwrap();
            citizen.former_personal_ids = listing(former).former_personal_ids;
            new = Record::encode(&citizen);
        }
        let done = runtime.block_on(registry.commit(commit)).unwrap();
        assert_eq!(done.unchanged, old == new);
        if old != new {
            assert_eq!(done.revision, before.next(), "revisions have no gap");
            model.entry(key).or_default().insert(done.revision.0, new);
        }
        check(&registry, &model, &numbers);
    }
    check(&registry, &model, &numbers);
}

/// Every number that was in force for a person.
fn once_in_force(versions: &BTreeMap<u64, Record>) -> BTreeSet<u64> {
    versions.values().map(|record| record.personal_id().unwrap().as_u64()).collect()
}

fn refuse(runtime: &tokio::runtime::Runtime, registry: &Registry, commit: Commit) {
    let before = registry.head();
    let refused = runtime.block_on(registry.commit(commit));
    assert!(matches!(refused, Err(CommitError::NumberTaken)), "{refused:?}");
    assert_eq!(registry.head(), before);
}

fn check(registry: &Registry, model: &Model, numbers: &BTreeMap<u64, u64>) {
    let view = registry.view();
    let head = view.revision().unwrap().0;
    assert_eq!(view.citizens().unwrap(), model.len() as u64);
    for (number, key) in numbers.iter().filter(|(_, key)| model.contains_key(key)) {
        let found = view.resolve(PersonalId::from_u64(*number).unwrap()).unwrap();
        assert_eq!(found.map(|(key, _)| key.0), Some(*key), "found by any number they ever had");
    }
    for other in (0..=255).map(number).filter(|other| !numbers.contains_key(other)) {
        let found = view.resolve(PersonalId::from_u64(other).unwrap()).unwrap();
        assert!(found.is_none(), "a number that leads to no one");
    }
    let at = |key: u64, revision: u64| {
        model[&key].range(..=revision).next_back().map(|(_, record)| record.clone())
    };
    for key in model.keys() {
        let citizen = view.citizen(CitizenKey(*key)).unwrap().unwrap();
        for revision in 0..=head {
            let record = view.record_at(CitizenKey(*key), &citizen, Revision(revision)).unwrap();
            assert_eq!(record, at(*key, revision), "as of {revision}");
        }
        // Law 5: the source of each value is the last revision that brought it.
        for field in citizen.record.fields().iter() {
            let since =
                model[key].iter().rev().take_while(|(_, r)| r.value(field) == citizen.record.value(field));
            let first = since.last().map(|(revision, _)| Revision(*revision));
            assert_eq!(citizen.source_of(field).or(view.founded().unwrap()), first, "{field}");
        }
    }
    let founded = view.founded().unwrap().map_or(0, |at| at.0);
    let mut partitions: BTreeSet<Partition> = [Partition::Nation].into();
    for record in model.values().flat_map(|versions| versions.values()) {
        partitions.extend(partitions_of(record));
    }
    for partition in partitions {
        let entries: Vec<_> = view.feed_after(&[partition], Revision::NONE).map(Result::unwrap).collect();
        let people: BTreeSet<_> = entries.iter().map(|(_, key)| key.0).collect();
        assert_eq!(people.len(), entries.len(), "each citizen once in a feed");
        let within = |record: Option<Record>| {
            record.is_some_and(|r| partition == Partition::Nation || partitions_of(&r).contains(&partition))
        };
        for (key, versions) in model {
            let touched = versions.keys().filter(|r| **r > founded || versions.len() == 1 && **r != founded);
            let touched = touched.filter(|r| within(at(*key, **r)) || within(at(*key, **r - 1))).max();
            let entry = entries.iter().find(|(_, k)| k.0 == *key).map(|(r, _)| r.0);
            assert_eq!(entry, touched.copied(), "the latest change that touched the partition");
        }
        if partition != Partition::Nation {
            let members: BTreeSet<_> = view.members_after(&[partition], None).map(|k| k.unwrap().0).collect();
            let expected = model.keys().copied().filter(|key| within(at(*key, head))).collect();
            assert_eq!(members, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_registry_is_what_the_model_says(founding in 0u8..5, steps in prop::collection::vec(step(), 1..25)) {
        run(founding, steps);
    }
}

#[test]
fn a_founding_load_gives_each_number_to_one_person() {
    let dir = tempfile::tempdir().unwrap();
    Registry::create(dir.path(), &files::shipped()).unwrap();
    let registry = open(dir.path());
    let mut load = registry.bulk_load().unwrap();
    let mut rows = load.run_builder();
    let mut push = |line: u64, person: u8, former: &[u8]| {
        let former: Vec<_> = former.iter().map(|n| PersonalId::from_u64(number(*n)).unwrap()).collect();
        let record = Record::encode(&citizen(person, 0, 0));
        rows.push(CitizenKey(number(person)), line, record.as_bytes(), former.into_iter()).unwrap();
    };
    push(1, 1, &[100]);
    push(2, 2, &[100, 101]);
    push(3, 3, &[4]);
    push(4, 4, &[]);
    push(5, 1, &[100]);
    push(6, 5, &[102]);
    // Claimed by a row that is left out itself.
    push(7, 101, &[]);
    rows.finish().unwrap();
    let summary = load.merge(&**registry.store(), &Default::default()).unwrap();
    let left_out = |line, other, clash| LeftOut { line, other, clash };
    let mut found = summary.left_out;
    found.sort_by_key(|row| row.line);
    assert_eq!(
        found,
        [
            left_out(2, 1, Clash::FormerOfBoth),
            left_out(4, 3, Clash::FormerOfOther),
            left_out(5, 1, Clash::Same),
        ]
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(registry.finish_bulk_load(load, Origin::default())).unwrap();
    let view = registry.view();
    let leads_to = |of: u8| {
        let found = view.resolve(PersonalId::from_u64(number(of)).unwrap()).unwrap();
        found.map(|(key, _)| key.0 - number(0))
    };
    let expected = [
        (1, Some(1)),
        (100, Some(1)),
        (2, None),
        (101, Some(101)),
        (3, Some(3)),
        (4, Some(3)),
        (102, Some(5)),
    ];
    for (of, to) in expected {
        assert_eq!(leads_to(of), to, "{of}");
    }
}

#[tokio::test]
async fn a_contribution_is_carried_out_once() {
    let dir = tempfile::tempdir().unwrap();
    Registry::create(dir.path(), &files::shipped()).unwrap();
    let registry = open(dir.path());
    let mut commit = update(
        Person::KnownOrNew(PersonalId::from_u64(number(1)).unwrap()),
        &citizen(1, 0, 0),
        FieldSet::EMPTY,
    );
    commit.origin.contribution = Some(uuid::Uuid::now_v7());
    let (a, b) = tokio::join!(registry.commit(commit.clone()), registry.commit(commit.clone()));
    assert_ne!(a.unwrap().unchanged, b.unwrap().unchanged);
    assert!(registry.commit(commit).await.unwrap().unchanged);
    assert_eq!(registry.head(), Revision(1));
}

#[test]
fn what_held_and_what_was_known_are_two_things() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    Registry::create(dir.path(), &files::shipped()).unwrap();
    let registry = open(dir.path());
    let id = PersonalId::from_u64(number(1)).unwrap();
    let named = |name: &str, from: u32| {
        let set = Citizen { other_name: name.into(), ..citizen(1, 0, 0) };
        let mut commit = update(Person::KnownOrNew(id), &set, FieldSet::EMPTY);
        commit.origin.effective_date = (from != 0).then(|| Date::from_number(from));
        runtime.block_on(registry.commit(commit)).unwrap().revision
    };
    named("first", 0);
    let third = named("from June", 20_260_601);
    // Known last, and holding before: a late registration.
    let late = named("from March", 20_260_301);
    let view = registry.view();
    let (key, stored) = view.resolve(id).unwrap().unwrap();
    let held = |at: Revision, day: u32| {
        let record = known_on(&view, key, &stored, at, &Date::from_number(day), &|_, _, _| None::<u8>)
            .unwrap()
            .unwrap();
        record.decode().unwrap().other_name
    };
    assert_eq!(held(late, 20_260_201), "first");
    assert_eq!(held(late, 20_260_401), "from March");
    assert_eq!(held(late, 20_260_701), "from June");
    assert_eq!(held(third, 20_260_401), "first");
    assert_eq!(held(Revision(1), 20_260_701), "first");
}

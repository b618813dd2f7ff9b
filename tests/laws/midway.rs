//! Laws 1 and 2 in the middle of things: whatever a node holds after any one frame is of its cursor
//! and within its policy, while agreements change in the middle of loads and of removals, citizens
//! change meanwhile, and the node is killed and its line breaks between two frames.

use std::{collections::BTreeMap, time::Duration};

use dancu_proto::{Field, FieldSet};
use dancu_tests::{
    oracle::{IN_QUESTION, Oracle, Values, both, told, values},
    testkit::{Agreement, Held, Holding, Hub, Observation, Simulated, eventually, people},
};
use rand::{
    Rng, SeedableRng,
    distr::{Alphanumeric, SampleString},
    rngs::SmallRng,
    seq::IndexedRandom,
};
use serde_json::{Value, json};

use crate::questions::{question, some_fields};

const AGENCY: &str = "agency";
const PROVINCES: [(&str, &str); 3] = [("01", "00004"), ("08", "00691"), ("79", "25747")];
const FIELDS: [&str; 5] = ["full_name", "date_of_birth", "sex", "religion", "permanent_residence"];
/// What a frame takes to be stored: long enough for the hub to be in the middle of things.
const STORING: Duration = Duration::from_millis(40);

struct Run {
    rng: SmallRng,
    hub: Hub,
    oracle: Oracle,
    node: Simulated,
    versions: BTreeMap<&'static str, u32>,
    /// States that were not settled.
    midway: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_holds_after_every_frame_is_within_its_policy() {
    let mut run = Run::start(31, 9_000).await;
    run.node.slow_down(STORING);
    for _ in 0..40 {
        run.step().await;
        run.check();
    }
    run.node.slow_down(Duration::ZERO);
    run.finish().await;
    assert!(run.midway > 8, "{} states midway say little", run.midway);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_again_in_the_middle_of_a_catch_up_is_told_rightly_of_both() {
    let mut run = Run::start(32, 20_000).await;
    run.apply_for("p", &["full_name", "other_name", "place_of_birth", "blood_type"], &[]).await;
    run.node.wait_until_at(run.hub.head().await).await;
    run.node.line.cut();
    // So much for everyone, and of a kind that does not compress, that it takes several frames to
    // tell and more than the line holds on its way.
    let mut people = people(32, 20_000);
    for citizen in &mut people {
        let mut text = || Alphanumeric.sample_string(&mut run.rng, 300);
        citizen.other_name = text();
        citizen.place_of_birth.get_or_insert_default().detail = text();
    }
    let revision = run.hub.import(&people).await["revision"].as_u64().unwrap();
    people.iter().for_each(|citizen| run.oracle.put(revision, values(citizen)));
    run.check();
    run.node.slow_down(Duration::from_millis(600));
    run.node.line.restore();
    let aside = || async { run.node.holding().pending.is_some() };
    eventually("the first of several frames", aside).await;
    // Late in the order of changes, so that they are still to come.
    for citizen in people.iter().rev().take(10) {
        let revision = run.hub.change(&citizen.personal_id, &["blood_type=04"]).await.unwrap();
        let mut values = run.oracle.latest(&citizen.personal_id).unwrap().clone();
        values.insert("blood_type".into(), "04".into());
        run.oracle.put(revision, values);
    }
    assert!(run.node.holding().pending.is_some(), "the catch-up was over too soon");
    run.node.slow_down(Duration::ZERO);
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_moves_from_one_agreement_to_another_is_not_kept_as_it_was() {
    let mut run = Run::start(33, 500).await;
    run.apply_for("p", &["sex", "religion"], &[]).await;
    run.apply_for("q", &["full_name"], &[]).await;
    let people = people(33, 500);
    let questioned = |fields: &[Field]| {
        let fields: FieldSet = fields.iter().copied().collect();
        people.iter().take(100).map(|citizen| (citizen.personal_id.clone(), fields)).collect()
    };
    run.question(questioned(&[Field::Religion, Field::FullName, Field::Email])).await;
    run.node.wait_until_at(run.hub.head().await).await;
    run.node.line.cut();
    // Away, the node misses that one agreement loses the field, that the other gains it, that someone
    // loses the value, and that it is in question no longer.
    run.apply_for("p", &["sex"], &[]).await;
    run.apply_for("q", &["full_name", "religion"], &[]).await;
    run.question(questioned(&[Field::FullName, Field::Email])).await;
    for citizen in people.iter().filter(|citizen| !citizen.religion.is_empty()).take(20) {
        let id = &citizen.personal_id;
        let args = ["--json", "change", id, "--clear", "religion", "--reason", "a test"];
        let why = ["--document", "T/1", "--effective", "2026-01-01"];
        let out = run.hub.cli(&[&args[..], &why[..]].concat()).await.unwrap();
        let done: Value = serde_json::from_str(&out).unwrap();
        let mut values = run.oracle.latest(id).unwrap().clone();
        values.remove("religion");
        run.oracle.put(done["revision"].as_u64().unwrap(), values);
    }
    run.node.line.restore();
    run.finish().await;
}

impl Run {
    async fn start(seed: u64, citizens: u32) -> Run {
        let hub = Hub::start().await;
        let people = people(seed, citizens);
        let revision = hub.import(&people).await["revision"].as_u64().unwrap();
        let mut oracle = Oracle::default();
        people.iter().for_each(|citizen| oracle.put(revision, values(citizen)));
        let node = hub.simulate("node", AGENCY).await;
        node.observe();
        let rng = SmallRng::seed_from_u64(seed);
        Run { rng, hub, oracle, node, versions: BTreeMap::new(), midway: 0 }
    }

    async fn finish(&mut self) {
        self.node.wait_until_at(self.hub.head().await).await;
        self.check();
        self.check_settled();
        assert_eq!(self.node.faults(), Vec::<String>::new());
    }

    /// Something happens, and the node gets on with it for one to a few frames.
    async fn step(&mut self) {
        match self.rng.random_range(0..11) {
            0..6 => self.apply().await,
            10 => {
                let mut some: Vec<_> =
                    self.oracle.ids().choose_multiple(&mut self.rng, 300).cloned().collect();
                some.sort_unstable();
                let of = some.into_iter().map(|id| (id, some_fields(&mut self.rng))).collect();
                self.question(of).await;
            }
            6..8 => {
                self.change().await;
                self.change().await;
            }
            8 => self.node.line.break_after(self.rng.random_range(0..40_000)),
            _ => {
                self.node.kill().await;
                self.change().await;
                self.node.start();
            }
        }
        tokio::time::sleep(STORING * self.rng.random_range(0..5)).await;
    }

    async fn apply(&mut self) {
        let purpose = *["p", "q"].choose(&mut self.rng).unwrap();
        let mut fields: Vec<_> = FIELDS.into_iter().filter(|_| self.rng.random_bool(0.6)).collect();
        if fields.is_empty() {
            fields.push("sex");
        }
        let nation = self.rng.random_bool(0.4);
        let codes = PROVINCES.iter().map(|(code, _)| *code);
        let provinces: Vec<_> = codes.filter(|_| !nation && self.rng.random_bool(0.5)).collect();
        self.apply_for(purpose, &fields, &provinces).await;
    }

    /// A new version of the agreement for a purpose.
    async fn apply_for(&mut self, purpose: &'static str, fields: &[&str], provinces: &[&str]) {
        let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        let version = self.versions.entry(purpose).or_default();
        *version += 1;
        let agreement = Agreement {
            id: format!("{AGENCY}-{purpose}"),
            version: *version,
            agency: AGENCY.into(),
            purpose: purpose.into(),
            fields: list(fields),
            provinces: list(provinces),
            communes: Vec::new(),
            offline_limit: "1d".into(),
        };
        let revision = self.hub.apply(&agreement).await;
        self.oracle.agree(revision, &agreement.id.clone(), Some(agreement));
    }

    async fn change(&mut self) {
        let ids = self.oracle.ids();
        let id = ids.choose(&mut self.rng).unwrap();
        let (province, commune) = PROVINCES.choose(&mut self.rng).unwrap();
        let address = json!({ "province": province, "commune": commune });
        let revision = self.hub.change(id, &[&format!("permanent_residence={address}")]).await.unwrap();
        let mut values = self.oracle.latest(id).unwrap().clone();
        values.insert("permanent_residence".into(), address);
        self.oracle.put(revision, values);
    }

    /// Fields of some people, and no others, are in question.
    async fn question(&mut self, of: Vec<(String, FieldSet)>) {
        let head = self.hub.head().await;
        let revision = question(&mut self.hub, &of).await;
        if revision > head {
            of.iter().for_each(|(id, fields)| self.oracle.question(revision, id, *fields));
        }
    }

    fn check(&mut self) {
        let mut last: Option<Holding> = None;
        for Observation { after, holding } in self.node.observations() {
            // In a narrowing nothing is answered, and what is held is on its way out.
            if holding.narrowing.is_some() || last.is_some_and(|last| alike(&last, &holding)) {
                last = Some(holding);
                continue;
            }
            self.midway += usize::from(!holding.settled());
            for (id, held) in holding.citizens.iter() {
                self.within(after, &holding, &format!("{id:012}"), held);
            }
            self.readable_is_whole(after, &holding);
            last = Some(holding);
        }
    }

    /// Law 1: this citizen is covered by the policy that the node was told, and so is every field;
    /// and law 2: each value is that of the cursor.
    fn within(&self, after: &str, holding: &Holding, id: &str, held: &Held) {
        let at = (holding.cursor, holding.policy);
        let mut allowed = Values::new();
        for mark in &held.marks {
            let grant = holding.target.iter().find(|grant| grant.handle == mark.handle);
            let grant = grant.unwrap_or_else(|| panic!("after a {after}: a mark of no agreement"));
            let purpose = grant.agreement.strip_prefix("agency-").unwrap();
            let seen = self.oracle.sees(AGENCY, purpose, id, at.0, at.1);
            let (_, seen) = seen.unwrap_or_else(|| panic!("after a {after}: {id} is held at {at:?}"));
            allowed = both(allowed, &seen);
        }
        let questions = allowed.get(IN_QUESTION).and_then(Value::as_array).cloned().unwrap_or_default();
        for (name, value) in values(&held.record.decode().unwrap()) {
            if name == IN_QUESTION {
                let told = value.as_array().unwrap();
                assert!(
                    told.iter().all(|field| questions.contains(field)),
                    "after a {after}: of {id} at {at:?}"
                );
                continue;
            }
            assert_eq!(allowed.get(&name), Some(&value), "after a {after}: {name} of {id} at {at:?}");
        }
    }

    /// Law 2: whoever an agreement that may be read covers is there, with all of its fields.
    fn readable_is_whole(&self, after: &str, holding: &Holding) {
        // What every policy still in play gives: the node was told that it may read this much.
        let whole = holding.readable == holding.target && holding.loaded == holding.policy;
        if !whole {
            return;
        }
        for purpose in ["p", "q"] {
            for id in self.oracle.ids().into_iter().step_by(5) {
                let Some((may, seen)) =
                    self.oracle.sees(AGENCY, purpose, &id, holding.cursor, holding.policy)
                else {
                    continue;
                };
                let held = id.parse().ok().and_then(|id: u64| holding.citizens.get(&id));
                let held = held.unwrap_or_else(|| panic!("after a {after}: {id} is missing"));
                let held = told(&values(&held.record.decode().unwrap()), &may);
                assert!(seen.iter().all(|(name, value)| held.get(name) == Some(value)), "{id} lacks");
            }
        }
    }

    fn check_settled(&self) {
        let holding = self.node.holding();
        assert!(holding.settled());
        for (id, held) in holding.citizens.iter() {
            let id = format!("{id:012}");
            let mut expected = Values::new();
            for purpose in ["p", "q"] {
                let seen = self.oracle.sees(AGENCY, purpose, &id, holding.cursor, holding.cursor);
                expected = both(expected, &seen.map(|(_, values)| values).unwrap_or_default());
            }
            assert_eq!(Value::Object(values(&held.record.decode().unwrap())), Value::Object(expected));
        }
        self.readable_is_whole("settled", &holding);
    }
}

/// Whether two states say the same, so that one check is enough.
fn alike(a: &Holding, b: &Holding) -> bool {
    let of = |holding: &Holding| (holding.cursor, holding.policy, holding.loaded);
    std::sync::Arc::ptr_eq(&a.citizens, &b.citizens) && of(a) == of(b) && a.readable == b.readable
}

//! A short run of the fuzz targets: their corpora, and changes to them that are the same each time.
//! `SEED=7` tries others, `FUZZ_ROUNDS=100000` more. Long runs are those of `cargo fuzz` (`run.sh`).

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "src/lib.rs"]
mod targets;

use std::{env, fs, panic, path::Path};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use self::targets::{TARGETS, Target};

/// Changed inputs for each target.
const ROUNDS: usize = 4_000;
/// Inputs that grow beyond this are no short run.
const LONGEST: usize = 4096;

fn number(variable: &str, or: usize) -> usize {
    env::var(variable).map_or(or, |text| text.parse().unwrap())
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    // Asked at run time: a build may be shared by several copies of the tree.
    let dir = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// An input that is not quite one of the corpus.
fn changed(corpus: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = corpus.choose(random).unwrap().clone();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=input.len());
        let end = (at + random.random_range(0..9)).min(input.len());
        match random.random_range(0..5) {
            0 => _ = input.drain(at..end),
            1 => input.insert(at, random.random()),
            2 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            3 => input = [&input[..at], &input[at..end], &input[at..]].concat(),
            _ => {
                let other = corpus.choose(random).unwrap();
                let from = random.random_range(0..=other.len());
                let until = (from + random.random_range(0..40)).min(other.len());
                input.splice(at..end, other[from..until].iter().copied());
            }
        }
    }
    input.truncate(LONGEST);
    input
}

fn holds(name: &str, target: Target, input: &[u8], what: &str) {
    let held = panic::catch_unwind(|| target(input));
    assert!(held.is_ok(), "{name}: {what}: {input:02x?}");
}

fn replay(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    for input in &corpus {
        holds(name, *target, input, "an input of the corpus");
    }
    let seed = number("SEED", 1) as u64;
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..number("FUZZ_ROUNDS", ROUNDS) {
        holds(name, *target, &changed(&corpus, &mut random), &format!("seed {seed}, round {round}"));
    }
}

#[test]
fn access_log() {
    replay("access_log");
}

#[test]
fn agreement() {
    replay("agreement");
}

#[test]
fn contribution() {
    replay("contribution");
}

#[test]
fn frame() {
    replay("frame");
}

#[test]
fn import_rows() {
    replay("import_rows");
}

#[test]
fn name() {
    replay("name");
}

#[test]
fn node_services() {
    replay("node_services");
}

#[test]
fn personal_id() {
    replay("personal_id");
}

#[test]
fn reconcile_rows() {
    replay("reconcile_rows");
}

#[test]
fn every_target_is_replayed_and_has_a_program() {
    let dir = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap()).join("fuzz");
    let this = fs::read_to_string(dir.join("replay.rs")).unwrap();
    for (name, _) in TARGETS {
        assert!(this.contains(&format!("replay(\"{name}\")")), "{name}");
        let program = fs::read_to_string(dir.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("dancu_fuzz::{name}(data)")), "{name}");
    }
}

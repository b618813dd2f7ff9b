//! The slice against a model, over everything that a hub may send and any number of restarts.

use std::collections::{BTreeMap, BTreeSet};

use dancu_proto::{
    Delta as RecordDelta, Field, FieldSet, PersonalId, Record, Revision, frame,
    hub::v1::{
        self as wire, Change, ChangeFrame, ChangeList, Delta, GrantList, GrantMark, Heartbeat, Load, Policy,
        Zone,
    },
    v1::{Citizen, Date, Name, StringList},
};
use proptest::{collection::vec, prelude::*};

use super::*;

/// A slice with its key.
pub(super) fn unsealed(dir: &std::path::Path) -> Slice {
    let slice = Slice::open(dir, &SliceOptions { reserve_mb: 0, ..SliceOptions::default() }).unwrap();
    slice.unseal(&SliceKey::from_bytes(&[9; 32]).unwrap()).unwrap();
    slice
}

const PEOPLE: u8 = 8;
const NAMES: [&str; 3] = ["Nguyễn Văn An", "Trần Thị Bình", "Đỗ Chi"];
const OLD_NUMBERS: [&str; 3] = ["", "012345678", "112345678"];

fn number(person: u8) -> u64 {
    1_185_000_000 + u64::from(person)
}

fn id(person: u8) -> PersonalId {
    PersonalId::from_u64(number(person)).unwrap()
}

/// A person with values drawn from a number.
fn record(person: u8, draw: u16) -> Record {
    let pick = |shift: u32, of: usize| usize::from(draw >> shift) % of;
    let former = match pick(6, 3) {
        0 => Vec::new(),
        n => vec![id(100 + n as u8 * 10 + person).to_string()],
    };
    Record::encode(&Citizen {
        personal_id: id(person).to_string(),
        full_name: Some(Name::from_full(NAMES[pick(0, 3)])),
        date_of_birth: Some(Date { year: 1985 + pick(2, 2) as u32, month: 0, day: 0 }),
        old_id_number: OLD_NUMBERS[pick(4, 3)].into(),
        former_personal_ids: (!former.is_empty()).then_some(StringList { values: former }),
        email: format!("a{}@b.vn", pick(8, 5)),
        ..Citizen::default()
    })
    .with_in_question(fields([0, 0, 0b10001, 0b01110][pick(3, 4)]))
}

const FIELDS: [Field; 5] =
    [Field::FullName, Field::DateOfBirth, Field::OldIdNumber, Field::FormerPersonalIds, Field::Email];

fn fields(bits: u8) -> FieldSet {
    FIELDS.iter().enumerate().filter(|(n, _)| bits & (1 << n) != 0).map(|(_, field)| *field).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Delta(Vec<(u8, u16)>),
    /// Of several frames; a restart after one of them.
    LongDelta(Vec<Vec<(u8, u16)>>, usize),
    /// Fields of two agreements, none for an agreement that is not there; people removed.
    Policy(u8, u8, Vec<u8>),
    Reset,
    Heartbeat,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let change = || (0..PEOPLE, any::<u16>());
    prop_oneof![
        5 => vec(change(), 1..6).prop_map(Step::Delta),
        2 => (vec(vec(change(), 1..4), 2..4), 0usize..4).prop_map(|(frames, at)| Step::LongDelta(frames, at)),
        3 => (0u8..32, 0u8..32, vec(0..PEOPLE, 0..3)).prop_map(|(a, b, gone)| Step::Policy(a, b, gone)),
        1 => Just(Step::Reset),
        1 => Just(Step::Heartbeat),
        1 => Just(Step::Reopen),
    ]
}

/// What the node should hold, and under what.
#[derive(Default)]
struct Model {
    revision: u64,
    cursor: u64,
    /// The fields of each agreement, by handle.
    grants: BTreeMap<u32, FieldSet>,
    people: BTreeMap<u8, (BTreeSet<u32>, Record)>,
}

struct Bench {
    dir: tempfile::TempDir,
    slice: Option<Slice>,
    model: Model,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let mut bench = Bench { dir, slice: None, model: Model::default() };
        bench.reopen();
        bench
    }

    fn slice(&self) -> &Slice {
        self.slice.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.slice = None;
        self.slice = Some(unsealed(self.dir.path()));
    }

    /// The model after a change that a draw decides, and the change as the hub would say it.
    fn change(&mut self, (person, draw): (u8, u16)) -> Option<Change> {
        let held = self.model.people.get(&person).cloned();
        let mut handles: BTreeSet<u32> = self.model.grants.keys().copied().collect();
        handles.retain(|handle| draw & (1 << (10 + handle)) != 0);
        let personal_id = number(person);
        if handles.is_empty() {
            self.model.people.remove(&person)?;
            return Some(Change { personal_id, drop: true, ..Change::default() });
        }
        let given = handles.iter().fold(FieldSet::from_iter([Field::PersonalId]), |all, handle| {
            all.union(self.model.grants[handle])
        });
        let new = record(person, draw).project(given).into_record();
        let base = held.as_ref().map(|(_, record)| record.clone()).unwrap_or_default();
        let RecordDelta { set, cleared } = base.delta_to(&new);
        let mark = |handle: &u32| GrantMark { handle: *handle, pending: 0 };
        let same = held.is_some_and(|(marks, _)| marks == handles);
        let grants = (!same).then(|| GrantList { marks: handles.iter().map(mark).collect() });
        self.model.people.insert(person, (handles, new));
        Some(Change { personal_id, drop: false, grants, set, cleared: cleared.bits(), ..Change::default() })
    }

    fn frame(&mut self, draws: Vec<(u8, u16)>) -> Option<ChangeFrame> {
        let mut seen = BTreeSet::new();
        let once = draws.into_iter().filter(|(person, _)| seen.insert(*person));
        let changes: Vec<_> = once.filter_map(|draw| self.change(draw)).collect();
        Some(frame::pack(&ChangeList { changes }))
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Reopen => self.reopen(),
            Step::Heartbeat => {
                self.model.cursor += 1;
                let cursor = self.model.cursor;
                self.slice().apply_heartbeat(&Heartbeat { cursor, ..Heartbeat::default() }).unwrap();
            }
            Step::Delta(draws) => {
                let changes = self.frame(draws);
                self.model.cursor += 1;
                let target = self.model.cursor;
                let delta = Delta { target, position: target, last: true, narrowing: false, changes };
                self.slice().apply_delta(&delta).unwrap();
            }
            Step::LongDelta(frames, restart) => {
                let before = self.answers();
                let target = self.model.cursor + frames.len() as u64;
                let count = frames.len();
                let mut seen = BTreeSet::new();
                for (n, mut draws) in frames.into_iter().enumerate() {
                    // Each citizen at most once in a delta.
                    draws.retain(|(person, _)| seen.insert(*person));
                    let changes = self.frame(draws);
                    let last = n + 1 == count;
                    let delta = Delta { target, position: target, last, narrowing: false, changes };
                    self.slice().apply_delta(&delta).unwrap();
                    if n == restart {
                        self.reopen();
                    }
                    if !last {
                        assert_eq!(self.answers(), before, "nothing shows before the last frame");
                    }
                }
                self.model.cursor = target;
            }
            Step::Policy(a, b, gone) => self.policy(a, b, gone),
            Step::Reset => {
                self.model.people.clear();
                self.send_policy(Policy { reset: true, ..Policy::default() });
            }
        }
    }

    fn policy(&mut self, a: u8, b: u8, gone: Vec<u8>) {
        let narrowed: BTreeMap<u32, FieldSet> =
            [(1, fields(a)), (2, fields(b))].into_iter().filter(|(_, fields)| !fields.is_empty()).collect();
        self.model.grants = narrowed;
        let gone: BTreeSet<u8> = gone.into_iter().filter(|p| self.model.people.contains_key(p)).collect();
        let removals_follow = !gone.is_empty();
        for (handles, record) in self.model.people.values_mut() {
            handles.retain(|handle| self.model.grants.contains_key(handle));
            let given = handles.iter().fold(FieldSet::from_iter([Field::PersonalId]), |all, handle| {
                all.union(self.model.grants[handle])
            });
            *record = record.project(given).into_record();
        }
        self.model.people.retain(|person, (handles, _)| !handles.is_empty() && !gone.contains(person));
        self.send_policy(Policy { removals_follow, ..Policy::default() });
        if removals_follow {
            assert!(self.slice().read().is_err(), "nothing is answered while something is to be removed");
            self.reopen();
            assert!(self.slice().read().is_err(), "nor after a restart");
            let drop = |person: &u8| Change { personal_id: number(*person), drop: true, ..Change::default() };
            let changes = Some(frame::pack(&ChangeList { changes: gone.iter().map(drop).collect() }));
            let delta = Delta { target: 0, position: 0, last: true, narrowing: true, changes };
            self.slice().apply_delta(&delta).unwrap();
        }
        // What is gained is readable when it is loaded.
        let load = Load {
            zones: self.zones(),
            changes: None,
            complete: true,
            remaining: 0,
            cursor: self.model.cursor,
        };
        self.slice().apply_load(load).unwrap();
    }

    fn zones(&self) -> Vec<Zone> {
        vec![Zone { up_to: 0, policies: vec![self.model.revision] }]
    }

    fn send_policy(&mut self, policy: Policy) {
        self.model.revision += 1;
        let grant = |(handle, fields): (&u32, &FieldSet)| wire::Grant {
            handle: *handle,
            fields: fields.bits(),
            ..wire::Grant::default()
        };
        let target: Vec<_> = self.model.grants.iter().map(grant).collect();
        let policy = Policy {
            revision: self.model.revision,
            readable: target.clone(),
            target,
            zones: self.zones(),
            registry_id: vec![7; 16],
            cursor: self.model.cursor,
            ..policy
        };
        self.slice().apply_policy(policy).unwrap();
    }

    /// Everything that can be asked.
    fn answers(&self) -> Vec<(u8, Record)> {
        let reader = self.slice().read().unwrap();
        let held = |person| Some((person, reader.get(id(person)).unwrap()?.record.clone()));
        (0..PEOPLE).filter_map(held).collect()
    }

    fn check(&self) {
        let (slice, model) = (self.slice(), &self.model);
        let state = slice.state();
        assert_eq!(state.citizens, model.people.len() as u64);
        assert_eq!(state.cursor, Revision(model.cursor));
        assert_eq!(state.pending, None);
        let reader = slice.read().unwrap();
        let mut entries = [0; 3];
        for person in 0..PEOPLE {
            let held = reader.get(id(person)).unwrap();
            let expected = model.people.get(&person);
            assert_eq!(held.as_ref().map(|held| &held.record), expected.map(|(_, record)| record));
            assert!(reader.see(id(person), |_| None::<()>).unwrap().is_none(), "who is not seen is nobody");
            let (Some(held), Some((handles, record))) = (held, expected) else { continue };
            assert_eq!(held.marks.iter().map(|mark| mark.handle).collect::<BTreeSet<_>>(), *handles);
            let citizen = record.decode().unwrap();
            if let (Some(name), Some(birth)) = (&citizen.full_name, &citizen.date_of_birth) {
                entries[0] += 1;
                assert!(finds(&reader.find_by_name(&name.full().to_lowercase(), birth, 9).unwrap(), person));
            }
            if !citizen.old_id_number.is_empty() {
                entries[1] += 1;
                assert!(finds(&reader.find_by_old_number(&citizen.old_id_number).unwrap(), person));
            }
            for former in citizen.former_personal_ids.iter().flat_map(|list| &list.values) {
                entries[2] += 1;
                let found = reader.get(former.parse().unwrap()).unwrap().unwrap();
                assert!(found.former_number);
                assert_eq!(found.record, *record);
                let unseen = |held: &Held| (!held.former_number).then_some(());
                assert!(reader.see(former.parse().unwrap(), unseen).unwrap().is_none());
            }
        }
        // No index entry is left of what is gone.
        for (kind, count) in (2u8..).zip(entries) {
            assert_eq!(slice.read().unwrap().entries_with(&[kind]), count, "index {kind}");
        }
    }
}

fn finds(found: &[Held], person: u8) -> bool {
    found.iter().any(|held| held.record.personal_id() == Some(id(person)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_slice_is_what_the_hub_said(steps in vec(step(), 1..20)) {
        let mut bench = Bench::new();
        bench.policy(31, 7, Vec::new());
        for step in steps {
            bench.run(step);
            bench.check();
        }
    }
}

#[test]
fn what_was_received_of_a_delta_that_is_void_never_shows() {
    let mut bench = Bench::new();
    bench.policy(31, 0, Vec::new());
    bench.run(Step::Delta(vec![(1, u16::MAX)]));
    let before = bench.answers();
    let changes = bench.frame(vec![(2, u16::MAX), (1, 0)]);
    let delta = Delta { target: 9, position: 5, last: false, narrowing: false, changes };
    bench.slice().apply_delta(&delta).unwrap();
    assert!(bench.slice().state().pending.is_some());
    // A stream that opens says whether it goes on where the last one stopped; this one does not.
    bench.send_policy(Policy::default());
    assert_eq!(bench.slice().state().pending, None);
    bench.reopen();
    assert_eq!(bench.answers(), before);
}

#[test]
fn what_a_narrowing_takes_is_gone_when_another_policy_overtakes_it() {
    let grant = |fields: &[Field]| wire::Grant {
        handle: 1,
        fields: fields.iter().copied().collect::<FieldSet>().bits(),
        ..wire::Grant::default()
    };
    let policy = |revision, fields: &[Field], removals_follow| Policy {
        revision,
        target: vec![grant(fields)],
        zones: vec![Zone { up_to: 0, policies: vec![revision] }],
        registry_id: vec![7],
        cursor: 1,
        removals_follow,
        ..Policy::default()
    };
    let bench = Bench::new();
    let slice = bench.slice();
    slice.apply_policy(policy(1, &[Field::FullName, Field::Email], false)).unwrap();
    let change = Change {
        personal_id: number(0),
        grants: Some(GrantList { marks: vec![GrantMark { handle: 1, pending: 0 }] }),
        set: record(0, 0)
            .project([Field::PersonalId, Field::Email].into_iter().collect())
            .into_record()
            .into_bytes(),
        ..Change::default()
    };
    let changes = Some(frame::pack(&ChangeList { changes: vec![change] }));
    slice.apply_delta(&Delta { target: 2, position: 2, last: true, narrowing: false, changes }).unwrap();
    // The first takes the field away, the second gives it again before the removals of the first came.
    slice.apply_policy(policy(3, &[Field::FullName], true)).unwrap();
    slice.apply_policy(policy(4, &[Field::FullName, Field::Email], true)).unwrap();
    slice.apply_delta(&Delta { narrowing: true, last: true, ..Delta::default() }).unwrap();
    let held = slice.read().unwrap().get(id(0)).unwrap().unwrap();
    assert!(held.record.value(Field::Email).is_none(), "it comes again with its load");
}

#[test]
fn erasing_leaves_nothing() {
    let mut bench = Bench::new();
    bench.policy(31, 31, Vec::new());
    bench.run(Step::Delta((0..PEOPLE).map(|person| (person, u16::MAX)).collect()));
    assert_eq!(bench.answers().len(), usize::from(PEOPLE));
    bench.slice().erase().unwrap();
    bench.reopen();
    assert_eq!(bench.slice().state().citizens, 0);
    assert!(bench.answers().is_empty());
    assert!(bench.slice().state().target.is_empty());
}

//! Loads. What comes of one is gathered until it is worth a sorted file, which the database takes in
//! whole: millions of records cost what they weigh, and not a log, a sort and two compactions besides.
//!
//! Taking a file in and moving the state are two writes. A *landing* row goes before both and says all
//! that is left to do: a start after a crash does it, as often as need be. Until the state has moved no
//! one reads what came: all of its marks are pending, or its number was not held.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Instant,
};

use dancu_proto::{
    PersonalId, Revision,
    hub::v1::{Change, ChangeList, Load},
};
use prost::Message;

use super::{
    Phase, Slice, SliceError, SliceState, apply::changes, batch::Batch, cipher::Cipher, index, keys,
    value::Stored,
};

/// A file is written when this much has come, bytes.
const FILE: usize = 16 << 20;
/// Less than this goes the way of all changes, bytes.
const WORTH_A_FILE: usize = 1 << 20;

/// What has come of a load and waits for more.
#[derive(Default)]
pub(super) struct Staged {
    /// People who were not held, by number, ascending.
    rows: Vec<(PersonalId, Stored)>,
    /// What goes the way of all changes: of people who are held, and who lie elsewhere in the order of
    /// numbers than in the hub's.
    others: Vec<Change>,
    bytes: usize,
    /// The latest frame, without its changes: where all of them lead.
    load: Option<Load>,
    pace: Pace,
}

/// How much has come of a load since its first frame.
#[derive(Clone, Copy, Default)]
struct Pace {
    since: Option<Instant>,
    received: u64,
}

impl Pace {
    /// What has been received after so many more, and how many in a second; with the last ones it ends.
    fn after(&mut self, more: u64, last: bool) -> (u64, u64) {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.received += more;
        let received = self.received;
        let seconds = since.elapsed().as_secs_f64();
        if last {
            *self = Pace::default();
        }
        // The first frame took its time before it came.
        let per_second = if seconds < 0.2 { 0 } else { (received as f64 / seconds) as u64 };
        (received, per_second)
    }
}

/// What is left to do once a file is written.
#[derive(Clone, PartialEq, Message)]
struct Landing {
    #[prost(message, optional, tag = "1")]
    load: Option<Load>,
    #[prost(message, repeated, tag = "2")]
    others: Vec<Change>,
    /// Citizens in the file.
    #[prost(uint64, tag = "3")]
    citizens: u64,
    /// The agreements that cover somebody in the file, by handle.
    #[prost(uint32, repeated, tag = "4")]
    covering: Vec<u32>,
}

impl Slice {
    /// A part of what a widening adds.
    ///
    /// # Errors
    /// If the disk refuses, or the changes cannot be understood. What has not landed is lost then, and
    /// comes again with the next stream.
    pub fn apply_load(&self, load: Load) -> Result<(), SliceError> {
        let mut staged = self.lock();
        let list = changes(load.changes.as_ref())?;
        let count = list.changes.len() as u64;
        self.stage(&mut staged, list, &load)?;
        let (complete, remaining) = (load.complete, load.remaining);
        staged.load = Some(Load { changes: None, ..load });
        let (received, per_second) = staged.pace.after(count, complete);
        self.show_progress(Phase::Loading { received, remaining, per_second });
        if complete || staged.bytes >= FILE { self.land(&mut staged) } else { Ok(()) }
    }

    fn stage(&self, staged: &mut Staged, list: ChangeList, load: &Load) -> Result<(), SliceError> {
        // Nobody beyond the end of the range that the frame fills is in order.
        let end = load.zones.first().map_or(0, |zone| zone.up_to);
        let mut last = staged.rows.last().map_or(0, |(id, _)| id.as_u64());
        let mut in_order = Vec::with_capacity(list.changes.len());
        for change in list.changes {
            staged.bytes += change.set.len() + 32;
            let (number, whole) = (change.personal_id, !change.drop && change.grants.is_some());
            if whole && number > last && (end == 0 || number <= end) {
                last = number;
                in_order.push(change);
            } else {
                staged.others.push(change);
            }
        }
        let Some(first) = in_order.first().map(|change| change.personal_id) else { return Ok(()) };
        let cipher = self.0.store.cipher()?;
        let nobody = holds_nobody(&self.state(), first, last);
        for change in in_order {
            let id = PersonalId::from_u64(change.personal_id);
            let id = id.map_err(|_| SliceError::Corrupt("a number in what the hub sent"))?;
            if !nobody && self.0.store.holds(&cipher, id)? {
                staged.others.push(change);
            } else {
                staged.rows.push(Stored::whole(change)?);
            }
        }
        Ok(())
    }

    /// Enters what has come of a load: everything else that is applied builds on it.
    pub(super) fn land(&self, staged: &mut Staged) -> Result<(), SliceError> {
        self.finish_landing()?;
        let pace = staged.pace;
        let Staged { rows, others, bytes, load, .. } =
            std::mem::replace(staged, Staged { pace, ..Staged::default() });
        let Some(load) = load else { return Ok(()) };
        self.0.room.check(bytes as u64)?;
        if bytes < WORTH_A_FILE {
            let mut batch = Batch::new(&self.0.store);
            batch.apply(&ChangeList { changes: others })?;
            rows.into_iter().for_each(|(id, stored)| batch.add(id, stored));
            return self.store_load(batch, &load, 0, &[]);
        }
        self.prepare_landing(&rows, others, load)?;
        self.finish_landing()
    }

    /// Writes the file, and what is left to do then.
    fn prepare_landing(
        &self,
        rows: &[(PersonalId, Stored)],
        others: Vec<Change>,
        load: Load,
    ) -> Result<(), SliceError> {
        let store = &self.0.store;
        let cipher = store.cipher()?;
        let (records, entries) = sorted(&cipher, rows)?;
        store.write_file(File::Records, records)?;
        store.write_file(File::Entries, entries)?;
        let mut batch = Batch::new(store);
        let slice = store.slice()?;
        let marks = rows.iter().flat_map(|(_, stored)| &stored.marks);
        let covering: BTreeSet<u32> = marks.map(|mark| mark.handle).collect();
        let (citizens, covering) = (rows.len() as u64, covering.into_iter().collect());
        let landing = Landing { load: Some(load), others, citizens, covering };
        let landing = cipher.seal(keys::LANDING, &landing.encode_to_vec())?;
        batch.raw().put_cf(&slice, keys::LANDING, landing);
        batch.write_alone(true)
    }

    /// Does what a landing row says is left to do.
    pub(super) fn finish_landing(&self) -> Result<(), SliceError> {
        let store = &self.0.store;
        let Some(row) = store.landing()? else { return Ok(()) };
        let landing = Landing::decode(row.as_slice()).map_err(|_| SliceError::Corrupt("a landing"))?;
        // An entry that leads to no one yet is passed over.
        store.ingest(File::Entries)?;
        store.ingest(File::Records)?;
        let mut batch = Batch::new(store);
        batch.apply(&ChangeList { changes: landing.others })?;
        batch.raw().delete_cf(&store.slice()?, keys::LANDING);
        let load = landing.load.unwrap_or_default();
        self.store_load(batch, &load, landing.citizens, &landing.covering)
    }

    fn store_load(
        &self,
        batch: Batch<'_>,
        load: &Load,
        citizens: u64,
        covering: &[u32],
    ) -> Result<(), SliceError> {
        let mut state: SliceState = (*self.state()).clone();
        state.zones.clone_from(&load.zones);
        state.cursor = state.cursor.max(Revision(load.cursor));
        state.citizens += citizens;
        state.untold.extend(covering);
        if load.complete {
            state.readable.clone_from(&state.target);
            state.settled = state.policy_revision;
        }
        self.store(batch, state, load.complete)
    }
}

/// Whether nobody between two numbers is held: most loads fill a part of the slice that is empty.
fn holds_nobody(state: &SliceState, first: u64, last: u64) -> bool {
    let zone = state.zones.iter().find(|zone| zone.up_to == 0 || zone.up_to >= first);
    zone.is_some_and(|zone| zone.policies.is_empty() && (zone.up_to == 0 || zone.up_to >= last))
}

/// The rows of a file, by key.
type Rows = std::vec::IntoIter<(Vec<u8>, Vec<u8>)>;

/// Records and their index entries as files take them.
fn sorted(cipher: &Cipher, rows: &[(PersonalId, Stored)]) -> Result<(Rows, Rows), SliceError> {
    let (mut records, mut entries) = (Vec::with_capacity(rows.len()), Vec::new());
    for (id, stored) in rows {
        let person = cipher.person(*id);
        let of_record = index::entries(cipher, &person, &stored.record);
        entries.extend(of_record.into_iter().map(|entry| (entry, Vec::new())));
        records.push((person.to_vec(), stored.sealed(cipher, *id, &person)?));
    }
    records.sort_unstable();
    entries.sort_unstable();
    Ok((records.into_iter(), entries.into_iter()))
}

/// A sorted file.
#[derive(Clone, Copy, Debug)]
pub(super) enum File {
    /// Of records.
    Records,
    /// Of index entries.
    Entries,
}

impl File {
    /// Where it is written, below the directory of the slice.
    pub(super) fn path(self, dir: &Path) -> PathBuf {
        let name = match self {
            File::Records => "records.sst",
            File::Entries => "entries.sst",
        };
        dir.join("landing").join(name)
    }
}

#[cfg(test)]
mod tests {
    use dancu_proto::{
        Record,
        hub::v1::{GrantList, GrantMark, Policy, Zone},
        v1::{Citizen, Date, Name},
    };

    use super::*;
    use crate::slice::tests::unsealed;

    const PEOPLE: u64 = 4_000;

    fn person(number: u64) -> Change {
        let id = PersonalId::from_u64(1_185_000_000 + number).unwrap();
        let citizen = Citizen {
            personal_id: id.to_string(),
            full_name: Some(Name::from_full(&format!("Nguyễn Văn {}", "An".repeat(number as usize % 9 + 1)))),
            date_of_birth: Some(Date { year: 1985, month: 1, day: 1 }),
            email: format!("{number}@{}.vn", "a".repeat(200)),
            ..Citizen::default()
        };
        Change {
            personal_id: id.as_u64(),
            grants: Some(GrantList { marks: vec![GrantMark { handle: 1, pending: 1 }] }),
            set: Record::encode(&citizen).into_bytes(),
            ..Change::default()
        }
    }

    fn zone(up_to: u64, policies: Vec<u64>) -> Zone {
        Zone { up_to, policies }
    }

    /// How far a landing comes before the process dies.
    #[derive(Clone, Copy, Debug)]
    enum Cut {
        FileWritten,
        Prepared,
        TakenIn,
        Done,
    }

    #[test]
    fn a_landing_that_is_cut_short_is_finished_or_comes_again() {
        for cut in [Cut::FileWritten, Cut::Prepared, Cut::TakenIn, Cut::Done] {
            let dir = tempfile::tempdir().unwrap();
            let open = || unsealed(dir.path());
            let slice = open();
            let grant = dancu_proto::hub::v1::Grant { handle: 1, fields: u64::MAX, ..Default::default() };
            let policy = Policy {
                revision: 1,
                target: vec![grant],
                zones: vec![zone(0, vec![])],
                registry_id: vec![7],
                cursor: 1,
                ..Policy::default()
            };
            slice.apply_policy(policy).unwrap();
            // One who lies elsewhere in the order of numbers comes among the others.
            let mut people: Vec<Change> = (1..PEOPLE).map(person).collect();
            people.insert(1_000, person(PEOPLE + 5));
            let end = person(PEOPLE - 1).personal_id;
            let load =
                Load { zones: vec![zone(end, vec![1]), zone(0, vec![])], cursor: 1, ..Load::default() };
            let mut staged = Staged::default();
            slice.stage(&mut staged, ChangeList { changes: people.clone() }, &load).unwrap();
            assert_eq!((staged.rows.len() as u64, staged.others.len()), (PEOPLE - 1, 1));
            let Staged { rows, others, bytes, .. } = staged;
            assert!(bytes > WORTH_A_FILE);
            match cut {
                Cut::FileWritten => {
                    let (records, _) = sorted(&slice.0.store.cipher().unwrap(), &rows).unwrap();
                    slice.0.store.write_file(File::Records, records).unwrap();
                }
                Cut::Prepared => slice.prepare_landing(&rows, others, load.clone()).unwrap(),
                Cut::TakenIn => {
                    slice.prepare_landing(&rows, others, load.clone()).unwrap();
                    slice.0.store.ingest(File::Entries).unwrap();
                }
                Cut::Done => {
                    slice.prepare_landing(&rows, others, load.clone()).unwrap();
                    slice.finish_landing().unwrap();
                }
            }
            drop(slice);
            let slice = open();
            let state = slice.state();
            if matches!(cut, Cut::FileWritten) {
                assert_eq!(
                    (state.citizens, state.zones.len()),
                    (0, 1),
                    "it comes again with the next stream"
                );
                continue;
            }
            assert_eq!((state.citizens, &state.zones), (PEOPLE, &load.zones), "{cut:?}");
            let held = slice.0.store.rows(None, &[]).unwrap().count() as u64;
            assert_eq!(held, PEOPLE);
            assert!(slice.0.store.landing().unwrap().is_none());
            // The rest, which is none, and all of it is readable and found.
            let rest = Load { zones: vec![zone(0, vec![1])], complete: true, cursor: 1, ..Load::default() };
            slice.apply_load(rest).unwrap();
            assert_eq!(slice.repair_indexes().unwrap(), 0, "{cut:?}");
            assert!(slice.examine().unwrap().unwrap().indexes_agree().unwrap());
        }
    }

    #[test]
    fn frames_land_together_and_whatever_else_is_applied_builds_on_them() {
        let dir = tempfile::tempdir().unwrap();
        let slice = unsealed(dir.path());
        let frame = |from: u64, to: u64| {
            let changes = (from..to).map(person).collect();
            let changes = Some(dancu_proto::frame::pack(&ChangeList { changes }));
            let zones = vec![zone(person(to - 1).personal_id, vec![1]), zone(0, vec![])];
            Load { zones, changes, cursor: 1, remaining: 9, ..Load::default() }
        };
        slice.apply_load(frame(1, 50)).unwrap();
        assert_eq!(slice.state().citizens, 0, "not worth a file yet");
        assert!(matches!(slice.state().phase, Phase::Empty | Phase::Loading { received: 49, .. }));
        // Somebody of the frame changes: the change finds them.
        let change =
            Change { cleared: 1 << 5, ..Change { personal_id: person(7).personal_id, ..Change::default() } };
        let changes = Some(dancu_proto::frame::pack(&ChangeList { changes: vec![change] }));
        let delta =
            dancu_proto::hub::v1::Delta { target: 2, position: 2, last: true, changes, ..Default::default() };
        slice.apply_delta(&delta).unwrap();
        assert_eq!(slice.state().citizens, 49);
        let id = PersonalId::from_u64(person(7).personal_id).unwrap();
        let held = slice.0.store.record(id).unwrap().unwrap();
        assert!(held.record.value(dancu_proto::Field::DateOfBirth).is_none());
        // What was not stored when the line broke is stored before the node says what it holds.
        slice.apply_load(frame(50, 80)).unwrap();
        let holding = slice.holding(1, "").unwrap();
        assert_eq!((slice.state().citizens, holding.zones[0].up_to), (79, person(79).personal_id));
    }
}

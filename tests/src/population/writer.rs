//! Writes populations as JSON Lines or CSV, on several threads, in order.

use std::{
    io::{self, Write},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

use dancu_proto::v1::{Citizen, Relative};

use super::{Population, csv_rows, json, person::Household, record::Records};

/// Hamlets that a thread writes at a time: about a megabyte.
const CHUNK: u32 = 16;
/// Chunks that wait in order, for each thread.
const WAITING: usize = 4;

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// A citizen as JSON on each line.
    JsonLines,
    /// A header of dotted names, then a line each.
    Csv,
    /// As something else wants it: appends a citizen.
    Other(fn(&mut Vec<u8>, &Citizen) -> io::Result<()>),
}

/// Writes everybody. `progress` hears how many more have been written.
///
/// # Errors
/// If writing fails.
pub fn write(
    population: &Population,
    format: Format,
    threads: u32,
    mut out: impl Write,
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    if matches!(format, Format::Csv) {
        csv_rows::header(&mut out)?;
    }
    let threads = threads.max(1);
    let chunks = population.places().hamlets().div_ceil(CHUNK);
    thread::scope(|scope| {
        let workers: Vec<Receiver<io::Result<Chunk>>> = (0..threads)
            .map(|first| {
                let (done, receive) = mpsc::sync_channel(WAITING);
                scope.spawn(move || {
                    // An error is the receiver having gone, which ends the work.
                    let _ = work(population, format, (first..chunks).step_by(threads as usize), &done);
                });
                receive
            })
            .collect();
        for (_, worker) in (0..chunks).zip(workers.iter().cycle()) {
            let chunk = worker.recv().map_err(io::Error::other)??;
            out.write_all(&chunk.text)?;
            progress(chunk.citizens);
        }
        out.flush()
    })
}

struct Chunk {
    text: Vec<u8>,
    citizens: u64,
}

type Gone = mpsc::SendError<io::Result<Chunk>>;

fn work(
    population: &Population,
    format: Format,
    chunks: impl Iterator<Item = u32>,
    done: &SyncSender<io::Result<Chunk>>,
) -> Result<(), Gone> {
    let hamlets = population.places().hamlets();
    let mut size = 0;
    for chunk in chunks {
        let text = one(population, format, chunk * CHUNK..hamlets.min((chunk + 1) * CHUNK), size);
        size = text.as_ref().map_or(0, |chunk| chunk.text.len() + chunk.text.len() / 8);
        done.send(text)?;
    }
    Ok(())
}

fn one(
    population: &Population,
    format: Format,
    hamlets: std::ops::Range<u32>,
    size: usize,
) -> io::Result<Chunk> {
    let mut text = Vec::with_capacity(size);
    let mut citizens = 0;
    let records = population.records();
    for household in hamlets.flat_map(|hamlet| population.households(hamlet)) {
        citizens += household.people.len() as u64;
        match format {
            Format::JsonLines => json_lines(&mut text, records, &household),
            Format::Csv => each(&mut text, records, &household, csv_rows::append)?,
            Format::Other(append) => each(&mut text, records, &household, append)?,
        }
    }
    Ok(Chunk { text, citizens })
}

fn each(
    text: &mut Vec<u8>,
    records: Records<'_>,
    household: &Household,
    append: impl Fn(&mut Vec<u8>, &Citizen) -> io::Result<()>,
) -> io::Result<()> {
    (0..household.people.len()).try_for_each(|at| append(text, &records.citizen(household, at)))
}

fn json_lines(text: &mut Vec<u8>, records: Records<'_>, household: &Household) {
    let written = |(at, member): (usize, Relative)| {
        let mut object = Vec::with_capacity(128);
        json::member(&mut object, &member);
        (at, object)
    };
    let members: Vec<(usize, Vec<u8>)> = records.members(household).into_iter().map(written).collect();
    for (at, person) in household.people.iter().enumerate() {
        let others = members.iter().filter(|(other, _)| person.alive() && *other != at);
        let others = others.map(|(_, member)| member.as_slice());
        json::append_with_members(text, &records.without_members(household, at), others);
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_change_nothing() {
        let population = Population::new(5, 5_000);
        let text = |format, threads| {
            let (mut out, mut citizens) = (Vec::new(), 0);
            write(&population, format, threads, &mut out, |more| citizens += more).unwrap();
            assert_eq!(citizens, 5_000);
            out
        };
        for format in [Format::JsonLines, Format::Csv] {
            assert!(text(format, 1) == text(format, 3));
        }
        let lines = text(Format::JsonLines, 2).split(|b| *b == b'\n').count();
        assert_eq!(lines, 5_001);
    }

    #[test]
    fn what_is_written_is_the_population() {
        let population = Population::new(5, 5_000);
        let mut written = Vec::new();
        write(&population, Format::JsonLines, 1, &mut written, |_| {}).unwrap();
        let mut wanted = Vec::new();
        for citizen in population.iter() {
            json::append(&mut wanted, &citizen);
            wanted.push(b'\n');
        }
        assert!(written == wanted);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let population = Population::new(5, 5_000);
        let mut small = [0; 1000];
        assert!(write(&population, Format::JsonLines, 2, &mut small[..], |_| {}).is_err());
    }
}

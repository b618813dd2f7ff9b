//! Subscribers that see one commune each: a publication with a row filter and a column list, a slot,
//! and a process that streams `pgoutput` from it.

use std::process::Stdio;

use anyhow::Context;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

use super::{
    super::drive::{Sightings, number_in},
    Cluster, program, rows,
};
use crate::bench::people::OFFICE_FIELDS;

/// How `pgoutput` begins a text of ten bytes in a tuple; a mobile number is one that begins with 09.
const MARK: &[u8] = b"t\0\0\0\x0a";
const LENGTH: usize = 10;

/// A subscriber; it ends when dropped.
pub struct Subscriber {
    _process: Child,
}

/// What the filters of publications go by must be part of the replica identity.
///
/// # Errors
/// What the server says.
pub fn prepare(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.sql(
        "CREATE UNIQUE INDEX citizens_identity ON citizens (personal_id, commune);\
         ALTER TABLE citizens REPLICA IDENTITY USING INDEX citizens_identity; ANALYZE citizens;",
    )?;
    cluster.sql("CHECKPOINT")?;
    Ok(())
}

impl Subscriber {
    /// Subscribes to a commune, by way of a port that leads to the cluster.
    ///
    /// # Errors
    /// What the server says.
    pub fn start(
        cluster: &Cluster,
        port: u16,
        name: &str,
        commune: &str,
        sightings: Sightings,
    ) -> anyhow::Result<Subscriber> {
        // The searched name is no field: a subscriber makes its own.
        let columns = rows::columns(&rows::fields_of(&OFFICE_FIELDS));
        cluster.sql(&format!(
            "CREATE PUBLICATION {name} FOR TABLE citizens ({columns}, commune) WHERE (commune = '{commune}')"
        ))?;
        cluster.sql(&format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"))?;
        let mut command = Command::new(program("pg_recvlogical")?);
        command.arg("-d").arg(cluster.remote(port)).args(["--slot", name, "--start", "--no-loop", "-f", "-"]);
        command.args(["-o", "proto_version=1", "-o", &format!("publication_names={name}")]);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = process.stdout.take().context("a pipe")?;
        tokio::spawn(read(output, sightings));
        Ok(Subscriber { _process: process })
    }
}

async fn read(mut output: impl AsyncRead + Unpin, sightings: Sightings) {
    let mut buffer: Vec<u8> = Vec::with_capacity(64 << 10);
    while output.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let used = look(&buffer, |number| sightings.saw(number));
        buffer.drain(..used);
    }
}

/// Finds the numbers in a stream; how much of it need not be looked at again.
fn look(bytes: &[u8], mut found: impl FnMut(u64)) -> usize {
    let whole = MARK.len() + LENGTH;
    let mut at = 0;
    while at + whole <= bytes.len() {
        let text = bytes[at..].strip_prefix(MARK).and_then(|rest| std::str::from_utf8(&rest[..LENGTH]).ok());
        match text.and_then(number_in) {
            Some(number) => {
                found(number);
                at += whole;
            }
            None => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::drive::value_of;

    #[test]
    fn numbers_are_found_across_reads() {
        let stream = format!("U..N..t\0\0\0\x0a{}\nt\0\0\0\x0a{}", value_of(12), value_of(13));
        let stream = stream.as_bytes();
        let mut numbers = Vec::new();
        let used = look(&stream[..30], |number| numbers.push(number));
        look(&stream[used..], |number| numbers.push(number));
        assert_eq!(numbers, [12, 13]);
    }
}

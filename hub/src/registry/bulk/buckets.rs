//! Keys gathered by bucket, spilled to disk. Keys come in ascending order, so that what a bucket
//! gathered is sorted without sorting.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufWriter, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use super::{super::CitizenKey, StoreError};

/// Kept in memory up to this many bytes.
const IN_MEMORY: usize = 64 << 20;
/// Bytes of a key.
const KEY: usize = 5;

pub(super) struct Buckets {
    path: PathBuf,
    filling: HashMap<u64, Vec<u8>>,
    size: usize,
    spills: Vec<Spill>,
}

struct Spill {
    file: File,
    /// Where each bucket's keys lie, and how many bytes.
    places: BTreeMap<u64, (u64, usize)>,
}

impl Buckets {
    pub(super) fn new(path: PathBuf) -> Buckets {
        Buckets { path, filling: HashMap::new(), size: 0, spills: Vec::new() }
    }

    pub(super) fn push(&mut self, bucket: u64, key: CitizenKey) -> Result<(), StoreError> {
        let [_, _, _, bytes @ ..] = key.0.to_be_bytes();
        self.filling.entry(bucket).or_default().extend_from_slice(&bytes);
        self.size += KEY;
        if self.size >= IN_MEMORY {
            self.spill()?;
        }
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<u64> {
        let spilled = self.spills.iter().flat_map(|spill| spill.places.keys());
        spilled.chain(self.filling.keys()).copied().collect()
    }

    /// Hands out a bucket's keys, ascending.
    pub(super) fn read(
        &self,
        bucket: u64,
        mut each: impl FnMut(CitizenKey) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut hand_out = |bytes: &[u8]| {
            bytes.chunks_exact(KEY).try_for_each(|chunk| {
                let mut whole = [0; 8];
                whole[8 - KEY..].copy_from_slice(chunk);
                each(CitizenKey(u64::from_be_bytes(whole)))
            })
        };
        for spill in &self.spills {
            if let Some((place, length)) = spill.places.get(&bucket) {
                let mut bytes = vec![0; *length];
                spill.file.read_exact_at(&mut bytes, *place)?;
                hand_out(&bytes)?;
            }
        }
        self.filling.get(&bucket).map_or(Ok(()), |bytes| hand_out(bytes))
    }

    fn spill(&mut self) -> Result<(), StoreError> {
        let path = self.path.with_extension(self.spills.len().to_string());
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        let mut out = BufWriter::with_capacity(1 << 20, &file);
        let mut places = BTreeMap::new();
        let mut place = 0u64;
        for (bucket, bytes) in self.filling.drain() {
            out.write_all(&bytes)?;
            places.insert(bucket, (place, bytes.len()));
            place += bytes.len() as u64;
        }
        out.flush()?;
        drop(out);
        self.spills.push(Spill { file, places });
        self.size = 0;
        Ok(())
    }
}

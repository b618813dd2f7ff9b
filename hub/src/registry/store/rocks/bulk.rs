//! Bulk loads: sorted files built outside the database and taken in whole.

use std::path::{Path, PathBuf};

use dancu_proto::{PersonalId, v1::Date};
use rocksdb::{IngestExternalFileOptions, Options, SstFileWriter, WriteBatch};

use super::{
    super::{
        super::{CitizenKey, Partition, StoredCitizen},
        BulkTable, BulkWriter, StoreError, Write,
    },
    RocksStore, Table, keys, meta, options, synced,
};

/// One sorted file.
pub(super) struct SortedFile<'a> {
    writer: SstFileWriter<'a>,
}

impl<'a> SortedFile<'a> {
    pub(super) fn create(options: &'a Options, file: &Path) -> Result<SortedFile<'a>, StoreError> {
        let writer = SstFileWriter::create(options);
        writer.open(file)?;
        Ok(SortedFile { writer })
    }
}

/// Options of the sorted files of a table.
pub(super) fn options_of(table: BulkTable) -> Options {
    let mut options = options::table(table.into(), &options::small_cache());
    // The files go straight to the lowest level.
    options.set_compression_type(rocksdb::DBCompressionType::Zstd);
    // The fastest level: a load is bound by the processor, and compaction recompresses what changes.
    options.set_compression_options(-14, 1, 0, 0);
    options
}

impl BulkWriter for SortedFile<'_> {
    fn citizen(&mut self, key: CitizenKey, citizen: &StoredCitizen) -> Result<(), StoreError> {
        Ok(self.writer.put(keys::citizen(key), citizen.encode())?)
    }

    fn member(&mut self, partition: Partition, key: CitizenKey) -> Result<(), StoreError> {
        Ok(self.writer.put(keys::member(partition, key), [])?)
    }

    fn birth(&mut self, date: Date, key: CitizenKey) -> Result<(), StoreError> {
        Ok(self.writer.put(keys::birth(&date, key), [])?)
    }

    fn number(&mut self, number: PersonalId, key: CitizenKey) -> Result<(), StoreError> {
        Ok(self.writer.put(keys::citizen(number.into()), keys::citizen(key))?)
    }

    fn size(&self) -> u64 {
        self.writer.file_size()
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        Ok(self.writer.finish()?)
    }
}

impl RocksStore {
    pub(super) fn ingest_files(
        &self,
        files: &[(BulkTable, PathBuf)],
        writes: &[Write],
    ) -> Result<(), StoreError> {
        self.undo_ingest()?;
        let taken = self.take_in(files, writes);
        if taken.is_err() {
            // Readers must not see a part. If this fails too, as on a full disk it may, the next load
            // or start does it.
            self.undo_ingest()?;
        }
        taken
    }

    fn take_in(&self, files: &[(BulkTable, PathBuf)], writes: &[Write]) -> Result<(), StoreError> {
        let meta = self.table(Table::Meta)?;
        // Files are taken in a table at a time; the mark lets a start after a crash undo a part.
        self.db.put_cf_opt(meta, meta::INGESTING, [1], &synced())?;
        for table in BulkTable::ALL {
            let of_table: Vec<_> = files.iter().filter(|(t, _)| *t == table).map(|(_, file)| file).collect();
            if !of_table.is_empty() {
                let mut options = IngestExternalFileOptions::default();
                options.set_move_files(true);
                let cf = self.table(table.into())?;
                self.db.ingest_external_file_cf_opts(cf, &options, of_table)?;
            }
        }
        let mut batch = WriteBatch::default();
        for write in writes {
            self.add(&mut batch, write)?;
        }
        batch.delete_cf(meta, meta::INGESTING);
        Ok(self.db.write_opt(batch, &synced())?)
    }

    /// Empties the tables that a bulk load was entering when it failed or the process died.
    pub(super) fn undo_ingest(&self) -> Result<(), StoreError> {
        let meta = self.table(Table::Meta)?;
        if self.db.get_cf(meta, meta::INGESTING)?.is_none() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        for table in BulkTable::ALL {
            batch.delete_range_cf(self.table(table.into())?, &[0u8][..], &[u8::MAX; 32][..]);
        }
        batch.delete_cf(meta, meta::INGESTING);
        Ok(self.db.write_opt(batch, &synced())?)
    }
}

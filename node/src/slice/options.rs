//! The only place that knows the options of RocksDB.

use std::time::Duration;

use time::OffsetDateTime;

use rocksdb::{BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, Options, WriteOptions};

/// How much memory the slice may use, and how much of the disk it leaves free.
#[derive(Clone, Copy, Debug)]
pub struct SliceOptions {
    /// Cache of blocks read, MiB.
    pub cache_mb: usize,
    /// Citizens whom callers asked for lately, opened, MiB.
    pub hot_mb: usize,
    /// Buffer of what is being written, MiB; up to three of them at once.
    pub write_buffer_mb: usize,
    /// Nothing is added while less than this is free on the disk, MiB.
    pub reserve_mb: u64,
    /// How long it is kept what has changed, for those who follow.
    pub keep_changes: Duration,
    /// The time.
    pub clock: fn() -> OffsetDateTime,
}

/// A back-end that stood still for longer reads everything anew.
const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// Sized for a commune of 30,000 citizens on a small machine.
impl Default for SliceOptions {
    fn default() -> SliceOptions {
        SliceOptions {
            cache_mb: 16,
            hot_mb: 8,
            write_buffer_mb: 8,
            reserve_mb: 64,
            keep_changes: MONTH,
            clock: OffsetDateTime::now_utc,
        }
    }
}

pub(super) fn database(options: &SliceOptions) -> Options {
    let mut database = Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_max_background_jobs(2);
    database.set_keep_log_file_num(3);
    database.set_max_open_files(256);
    database.set_max_total_wal_size((options.write_buffer_mb as u64 * 4) << 20);
    database.set_db_write_buffer_size((options.write_buffer_mb * 3) << 20);
    database
}

pub(super) fn table(options: &SliceOptions, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_block_size(8 << 10);
    // A slice of millions has indexes and filters larger than a small cache: they are kept in parts,
    // so that a look-up reads the part it needs and not all of it.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(4 << 10);
    blocks.set_pin_top_level_index_and_filter(true);
    blocks.set_format_version(5);
    let mut table = Options::default();
    table.set_block_based_table_factory(&blocks);
    table.set_write_buffer_size(options.write_buffer_mb << 20);
    table.set_level_compaction_dynamic_level_bytes(true);
    // What is sealed does not compress, nor do hashes.
    table.set_compression_type(DBCompressionType::None);
    table
}

pub(super) fn cache(options: &SliceOptions) -> Cache {
    Cache::new_lru_cache(options.cache_mb << 20)
}

/// On disk before the call returns.
pub(super) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

//! The only place that knows the options of RocksDB.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, Options, SliceTransform};

use super::Table;

/// Cache shared by all tables, bytes.
const CACHE: usize = 512 << 20;

/// Options of the database as a whole.
pub(super) fn database() -> Options {
    let mut options = Options::default();
    options.create_missing_column_families(true);
    options.set_max_background_jobs(2);
    options.set_max_total_wal_size(256 << 20);
    options.set_max_open_files(2048);
    options.set_keep_log_file_num(5);
    // What was acknowledged survives a crash; a torn last record of the log does not stop the start.
    options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::PointInTime);
    options
}

/// The cache for all tables.
pub(super) fn cache() -> Cache {
    Cache::new_lru_cache(CACHE)
}

/// Options of one table.
pub(super) fn table(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.set_write_buffer_size(64 << 20);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    match table {
        Table::Citizens => {
            // Point reads of rows of some 600 bytes: larger blocks compress better.
            blocks.set_block_size(16 << 10);
            blocks.set_bloom_filter(10.0, false);
            options.set_compression_type(DBCompressionType::Zstd);
        }
        Table::Journal => {
            blocks.set_block_size(32 << 10);
            options.set_compression_type(DBCompressionType::Zstd);
        }
        Table::Feed | Table::Members => {
            // Read by partition, and never by a whole key: the first five bytes are the partition.
            options.set_prefix_extractor(SliceTransform::create_fixed_prefix(5));
            // Every superseded feed entry is a point deletion. Compaction by size gets to them while
            // changes go on; when they stop, the last files would stay with their deletions, so files
            // that have many are compacted for that. `retention.rs` measures what is left.
            options.add_compact_on_deletion_collector_factory(4096, 1024, 0.25);
        }
        _ => {
            blocks.set_bloom_filter(10.0, false);
        }
    }
    if !matches!(table, Table::Feed | Table::Members) {
        // Many rows that a commit asks for are not there: a filter says so before the skip list is searched.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.02);
    }
    options.set_block_based_table_factory(&blocks);
    options
}

/// A cache for files that are only written.
pub(super) fn small_cache() -> Cache {
    Cache::new_lru_cache(1 << 20)
}

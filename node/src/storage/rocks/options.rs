//! Options of both databases, and the memory they share.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, InfoLogger, LogLevel, Options,
    UniversalCompactOptions, WriteBufferManager,
};

use crate::mutants::Mutant;
use crate::storage::Profile;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Open table files per database, at most: bounds file descriptors and table-reader memory.
const OPEN_FILES_MAX: i32 = 512;
/// Bytes of an SST file before the next is begun.
const SST_BYTES: u64 = 64 << 20;
/// From so many bytes on a value stands in a file of its own kind: a chunk of an attachment does, its digest does not.
const LARGE_VALUE_BYTES: u64 = 4 << 10;
/// Bytes of such a file before the next is begun.
const BLOB_FILE_BYTES: u64 = 64 << 20;
/// Memory is taken in blocks of this size; RocksDB's default of 1 MiB per table would cost 11 MiB at idle.
const ARENA_BLOCK_BYTES: usize = 128 * KIB;
/// Filter of rows in memory, as a part of them: some 20 bits a row of 150 bytes.
const MEMTABLE_BLOOM_RATIO: f64 = 0.02;
/// Threads that flush and compact, per process.
const BACKGROUND_JOBS: i32 = 2;

/// Compression of table files. The build carries no codec, so there is one choice; sealed bodies do not compress anyway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Rows are stored as they are.
    #[default]
    None,
}

/// Memory of all databases of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Cached blocks of table files, MiB.
    pub block_cache_mib: usize,
    /// Unflushed rows of all databases together, MiB.
    pub write_buffer_mib: usize,
    /// Compression of table files.
    pub compression: Compression,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { block_cache_mib: 32, write_buffer_mib: 64, compression: Compression::None }
    }
}

/// Block cache and write-buffer manager, one each for all databases of a process.
#[derive(Clone)]
pub(super) struct Shared {
    cache: Cache,
    buffers: WriteBufferManager,
    tuning: Tuning,
}

impl Shared {
    /// Takes the memory that `tuning` allows.
    pub(super) fn new(tuning: Tuning) -> Self {
        let cache = Cache::new_lru_cache(tuning.block_cache_mib * MIB);
        let buffers = WriteBufferManager::new_write_buffer_manager(tuning.write_buffer_mib * MIB, false);
        Self { cache, buffers, tuning }
    }
}

/// How a table is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// Keys ascend and are never changed: files never overlap, so compaction only moves them.
    Append,
    /// Point reads by random keys: a bloom filter pays.
    Point,
    /// Values of hundreds of KiB among small ones, by random keys: the large ones stand in files of their own, so that
    /// compaction moves small ones only.
    Large,
    /// Anything else.
    Plain,
}

/// Of tables to which rows are only appended: files at the bottom stay as they are. RocksDB writes each of them once more as
/// soon as no snapshot is older, to take the sequence numbers out of its keys, which saves nothing here; a read makes a
/// snapshot. (The setting is a file's age in seconds, for ever; `rocksdb` has no function for it.)
pub(super) const WRITTEN_ONCE: &[(&str, &str)] = &[("bottommost_file_compaction_delay", "4294967295")];

/// Options of the database as a whole.
pub(super) fn database(profile: Profile, shared: &Shared, name: &str) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_write_buffer_manager(&shared.buffers);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_file_opening_threads(1);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options.set_keep_log_file_num(1);
    options.set_max_manifest_file_size(4 * MIB);
    options.set_atomic_flush(!Mutant::FlushApart.planted());
    options.set_enable_pipelined_write(false);
    // fdatasync, not fsync: file sizes are synced by it as well.
    options.set_use_fsync(false);
    // One writer thread: no spinning for others to join a write group.
    options.set_enable_write_thread_adaptive_yield(false);
    if profile == Profile::Log {
        // Point-in-time recovery, the default, would stop at a damaged record in the middle and silently
        // drop the synced entries behind it. This mode refuses to open instead; a torn tail is fine.
        // Recycled files cannot be told from damage in this mode, so RocksDB would ignore recycling.
        options.set_wal_recovery_mode(if Mutant::DamageTruncated.planted() {
            DBRecoveryMode::PointInTime
        } else {
            DBRecoveryMode::TolerateCorruptedTailRecords
        });
        options.set_recycle_log_file_num(0);
        options.set_wal_bytes_per_sync(0);
        options.set_bytes_per_sync(MIB as u64);
    }
    let label = name.to_owned();
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, move |level, text| {
        if matches!(level, LogLevel::Error | LogLevel::Fatal) {
            tracing::error!(database = label, "{}", text.trim());
        } else if level == LogLevel::Warn {
            tracing::debug!(database = label, "{}", text.trim());
        }
    }));
    options.set_log_level(LogLevel::Warn);
    options
}

/// Options of one table.
pub(super) fn table(profile: Profile, usage: Usage, shared: &Shared) -> Options {
    let mut options = Options::default();
    options.set_compression_type(match shared.tuning.compression {
        Compression::None => DBCompressionType::None,
    });
    options.set_arena_block_size(ARENA_BLOCK_BYTES);
    options.set_write_buffer_size(16 * MIB);
    options.set_max_write_buffer_number(3);
    options.set_target_file_size_base(SST_BYTES);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&shared.cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_format_version(5);
    match usage {
        Usage::Append => {
            blocks.set_block_size(16 * KIB);
            // Non-overlapping files are moved between levels, never rewritten.
            options.set_level_compaction_dynamic_level_bytes(false);
            if profile == Profile::Log {
                options.set_write_buffer_size(32 * MIB);
            }
        }
        Usage::Point => {
            blocks.set_bloom_filter(10.0, false);
            blocks.set_whole_key_filtering(true);
            // Most are asked for rows that are not there: each new record, on each node, by its id and its series.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
            // Random keys: universal compaction writes each row fewer times.
            options.set_compaction_style(rocksdb::DBCompactionStyle::Universal);
            let mut universal = UniversalCompactOptions::default();
            universal.set_max_size_amplification_percent(100);
            options.set_universal_compaction_options(&universal);
        }
        Usage::Large => {
            options.set_enable_blob_files(true);
            options.set_min_blob_size(LARGE_VALUE_BYTES);
            options.set_blob_file_size(BLOB_FILE_BYTES);
            // begun where it pays, see `garbage`: each compaction would write old values again, as often as there are any
            options.set_enable_blob_gc(false);
            options.set_blob_gc_age_cutoff(1.0);
            options.set_blob_gc_force_threshold(0.25);
        }
        Usage::Plain => {}
    }
    options.set_block_based_table_factory(&blocks);
    options
}

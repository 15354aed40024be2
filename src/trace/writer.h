#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "trace/manifest.h"
#include "trace/trace.h"

namespace foregate::trace {

/// Writes one shard: traces in, `part-NNNNN.parquet` out, visible under its name only when whole
/// (temporary name, fsync, rename). zstd; geometry repeated in the Parquet key-value metadata.
/// Memory is bounded by one row group. The same traces give the same bytes.
class ShardWriter {
 public:
  /// `manifest` gives geometry and which columns exist. Throws EnvironmentError if the file cannot
  /// be made.
  ShardWriter(const std::filesystem::path& directory, int index, const Manifest& manifest);
  ~ShardWriter();  ///< Removes the temporary file unless finish() was called.
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  /// Throws std::logic_error (our bug) if the trace's sizes do not fit the geometry, DataError
  /// naming the text if its values cannot be meant (gate weights that are not a number: the model
  /// overflowed), EnvironmentError if it cannot be written (full disk: says how much is free and
  /// that finished shards are kept).
  void add(const Trace& trace);
  /// Completes the file; `features` stays empty in the returned entry.
  ShardEntry finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// part-NNNNN.parquet
std::string shard_name(int index);

}  // namespace foregate::trace

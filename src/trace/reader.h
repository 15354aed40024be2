#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "trace/manifest.h"
#include "trace/trace.h"

namespace foregate::trace {

/// Which columns to decode; what is left out stays empty in the Trace.
struct TraceColumns {
  bool token_ids = true;
  bool experts = true;
  bool gate_weights = false;
  bool router_logits = false;
};

/// Streams one shard, a few rows at a time. Every value is checked against the geometry (expert <
/// E, list lengths, num_tokens): DataError names the file and row (counted from 0) otherwise.
/// Shards that other writers made are read too: any kind of list, any integer type, wider floats.
class ShardReader {
 public:
  /// Throws EnvironmentError (missing), DataError (not Parquet, columns missing or of another type,
  /// recorded with another geometry).
  ShardReader(const std::filesystem::path& file, const Geometry& geometry,
              TraceColumns columns = {});
  ~ShardReader();
  ShardReader(ShardReader&&) noexcept;
  ShardReader& operator=(ShardReader&&) noexcept;

  /// The next row; false at the end. Without token_ids the number of tokens is that of the lists
  /// that are read, divided by their width.
  bool next(Trace& trace);
  int64_t num_rows() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A complete trace directory. Cheap to construct: reads the manifest and checks that shards exist
/// with the size the manifest says.
class TraceDirectory {
 public:
  /// Throws DataError for an unfinished trace unless `allow_unfinished` ("collect has not finished:
  /// 3 of 10 shards; run the same collect command again").
  explicit TraceDirectory(const std::filesystem::path& directory, bool allow_unfinished = false);

  const std::filesystem::path& path() const { return path_; }
  const Manifest& manifest() const { return manifest_; }
  const Geometry& geometry() const { return manifest_.geometry; }
  /// Throws DataError also if a wanted column was not recorded.
  ShardReader open_shard(size_t index, TraceColumns columns = {}) const;
  std::filesystem::path features_path(size_t shard) const;  ///< empty path if not recorded

 private:
  std::filesystem::path path_;
  Manifest manifest_;
};

/// Compares every shard with the manifest's checksum, reading all of it. One line for each damaged
/// shard; empty if all are whole. Throws EnvironmentError if one cannot be read.
std::vector<std::string> verify_shards(const TraceDirectory& traces);

/// Reads a lone shard's geometry from its Parquet key-value metadata.
Geometry read_shard_geometry(const std::filesystem::path& file);

}  // namespace foregate::trace

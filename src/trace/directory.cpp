#include <fmt/format.h>

#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/number_text.h"
#include "trace/reader.h"

namespace foregate::trace {
namespace {

void require_size(const fs::path& path, int64_t expected) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  if (error) {
    throw DataError(
        fmt::format("{}: {}; the manifest names this file: restore it or record the trace again",
                    path.string(), error.message()));
  }
  if (size != static_cast<uintmax_t>(expected)) {
    const MappedFile pointer(path);  // Says so, if it only stands in the file's place.
    throw DataError(
        fmt::format("{} has {} bytes; the manifest says {}: restore it or record the trace again",
                    path.string(), size, expected));
  }
}

void require_finished(const Manifest& manifest, const fs::path& path) {
  if (manifest.complete) return;
  throw DataError(fmt::format(
      "{}: collect has not finished: {} of {} traces are there ({} shards); run the same collect "
      "command again",
      path.string(), with_commas(manifest.num_traces()), with_commas(manifest.num_planned()),
      manifest.shards.size()));
}

}  // namespace

TraceDirectory::TraceDirectory(const fs::path& directory, bool allow_unfinished)
    : path_(directory), manifest_(read_manifest(directory)) {
  if (!allow_unfinished) require_finished(manifest_, path_);
  for (const ShardEntry& shard : manifest_.shards) {
    require_size(path_ / shard.file, shard.bytes);
    if (!shard.features.empty()) require_size(path_ / shard.features, shard.feature_bytes);
  }
}

ShardReader TraceDirectory::open_shard(size_t index, TraceColumns columns) const {
  const ShardEntry& shard = manifest_.shards.at(index);
  const fs::path file = path_ / shard.file;
  const auto require_recorded = [&](bool wanted, bool recorded, const char* column) {
    if (!wanted || recorded) return;
    throw DataError(
        fmt::format("{}: this trace has no {}; expected one that was recorded with them",
                    path_.string(), column));
  };
  require_recorded(columns.gate_weights, manifest_.gate_weights, "gate weights");
  require_recorded(columns.router_logits, manifest_.router_logits, "router logits");
  ShardReader reader(file, manifest_.geometry, columns);
  if (reader.num_rows() != shard.rows) {
    throw DataError(fmt::format("{} has {} rows; the manifest says {}", file.string(),
                                reader.num_rows(), shard.rows));
  }
  return reader;
}

fs::path TraceDirectory::features_path(size_t shard) const {
  const std::string& features = manifest_.shards.at(shard).features;
  return features.empty() ? fs::path() : path_ / features;
}

std::vector<std::string> verify_shards(const TraceDirectory& traces) {
  std::vector<std::string> damaged;
  for (const ShardEntry& shard : traces.manifest().shards) {
    const fs::path file = traces.path() / shard.file;
    const std::string found = sha256_of_file(file);
    if (found == shard.sha256) continue;
    damaged.push_back(
        fmt::format("{}: sha256 is {}; the manifest says {}", file.string(), found, shard.sha256));
  }
  return damaged;
}

}  // namespace foregate::trace

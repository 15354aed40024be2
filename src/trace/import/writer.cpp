#include "trace/import/writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "trace/parquet/validate.h"

namespace foregate::trace {
namespace {

// A shard ends at the first of these; both keep it at some tens of megabytes.
constexpr int64_t kShardTraces = 4096;
constexpr int64_t kShardTokens = 1 << 18;

}  // namespace

ImportWriter::ImportWriter(const std::filesystem::path& directory, Manifest manifest,
                           std::string source)
    : directory_(directory), manifest_(std::move(manifest)), source_(std::move(source)) {
  // What an export says of its datasets is kept; the traces are counted again.
  known_datasets_ = manifest_.datasets.size();
  for (DatasetEntry& dataset : manifest_.datasets) dataset.traces = 0;
}

DatasetEntry& ImportWriter::dataset_of(const std::string& name) {
  auto& all = manifest_.datasets;
  if (last_ < all.size() && all[last_].name == name) return all[last_];
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& entry) { return entry.name == name; });
  last_ = static_cast<size_t>(found - all.begin());
  if (found == all.end()) all.push_back({.name = name, .source = source_});
  return all[last_];
}

void ImportWriter::add(SourceText& text) {
  Trace& trace = text.trace;
  DatasetEntry& dataset = dataset_of(trace.dataset);
  if (trace.sample < 0) trace.sample = dataset.traces + dataset.skipped;
  if (trace.token_ids.empty()) {
    ++dataset.skipped;
    return;
  }
  const std::string problem = value_problem(trace, manifest_.geometry);
  if (!problem.empty()) throw DataError(fmt::format("{}: {}", text.where, problem));
  if (!shard_) {
    const auto index = static_cast<int>(manifest_.shards.size());
    shard_ = std::make_unique<ShardWriter>(directory_, index, manifest_);
  }
  shard_->add(trace);
  ++dataset.traces;
  ++traces_;
  tokens_ += trace.num_tokens();
  if (traces_ >= kShardTraces || tokens_ >= kShardTokens) finish_shard();
}

void ImportWriter::finish_shard() {
  manifest_.shards.push_back(shard_->finish());
  shard_.reset();
  traces_ = 0;
  tokens_ = 0;
}

Manifest ImportWriter::finish() {
  if (shard_) finish_shard();
  if (manifest_.shards.empty()) {
    throw DataError(
        fmt::format("{}: no text in it is complete; there is nothing to import", source_));
  }
  for (size_t i = known_datasets_; i < manifest_.datasets.size(); ++i) {
    manifest_.datasets[i].available = manifest_.datasets[i].traces;
  }
  manifest_.complete = true;
  write_manifest(directory_, manifest_);
  return manifest_;
}

}  // namespace foregate::trace

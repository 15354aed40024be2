#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "collect/work.h"
#include "tensor/files/safetensors.h"
#include "trace/manifest.h"
#include "trace/writer.h"

namespace foregate::collect {

/// Turns batch results into traces and shards. The manifest names a shard only once its Parquet and
/// feature files are whole.
class ShardSink {
 public:
  /// `manifest` is updated and rewritten after every shard.
  ShardSink(std::filesystem::path directory, trace::Manifest manifest);

  /// Writes the manifest: a directory is never without its settings.
  void begin();
  /// Batches arrive in trace order, their tensors ready to be read.
  void add(const BatchResult& batch);
  /// What the only dataset is to be, where that turns out while it is read.
  void plan(const trace::DatasetEntry& dataset);
  /// Digest of the routers that lie beside the shards.
  void set_routers(const std::string& sha256);
  /// Marks the trace complete.
  void complete();

  const trace::Manifest& manifest() const { return manifest_; }

 private:
  void open_shard(const ShardWork& work);
  void add_features(const BatchResult& batch);
  void finish_shard();

  std::filesystem::path directory_;
  trace::Manifest manifest_;
  std::unique_ptr<trace::ShardWriter> writer_;
  std::unique_ptr<tensor::SafetensorsWriter> features_;
  std::filesystem::path features_name_;
  int64_t feature_row_ = 0;
};

}  // namespace foregate::collect

#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/output_folder.h"
#include "base/run_context.h"
#include "collect/generation_recorder.h"
#include "collect/sink.h"
#include "nn/routers.h"
#include "trace/manifest.h"

namespace foregate::collect {

/// The dataset that the texts of a GenerationTrace are of.
inline constexpr const char* kPromptsName = "prompts";

/// A trace directory that fills while a generator runs: prompts and what follows them, in the order
/// in which texts end. As one that collect() makes it can be continued, and is locked meanwhile. It
/// loses at most the open shard, and none of it in an orderly stop.
class GenerationTrace {
 public:
  /// `planned`: as a fresh directory's would be, with `source` and digest of the prompts in its
  /// only dataset. `settings`: what else the texts follow from. Throws as OutputFolder,
  /// keep_generation() and resume_or_start() do.
  GenerationTrace(const std::filesystem::path& directory, trace::Manifest planned,
                  const Json& settings, Logger& log);

  /// Rows whose texts are there already; they are not recorded again.
  const std::set<int64_t>& done() const { return done_; }
  /// Of the model, once it is loaded: a trace with features holds them.
  void set_routers(const nn::Routers& routers);

  engine::EngineObserver& observer() { return recorder_; }
  /// See GenerationListener.
  void on_step(std::span<const engine::StepPart> parts);
  void on_result(const engine::GenerationResult& result);

  /// Writes what is held back, all that there will be of this run.
  void flush();
  /// The same when there are no more prompts; so many were refused.
  void complete(int64_t refused);

  const trace::Manifest& manifest() const { return sink_.manifest(); }

 private:
  void read_done();
  bool keeps_features(int64_t row) const;

  OutputFolder folder_;
  std::filesystem::path directory_;
  ShardSink sink_;
  GenerationRecorder recorder_;
  std::set<int64_t> done_;
  // The open shard.
  ShardWork work_;
  std::vector<BatchResult> results_;
  int64_t held_bytes_ = 0;
};

}  // namespace foregate::collect

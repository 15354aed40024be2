#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/run_context.h"
#include "engine/experts/cache_options.h"
#include "engine/experts/expert_counts.h"
#include "models/config.h"
#include "tensor/compute.h"
#include "timeline_file.h"

namespace CLI {
class App;
}

namespace foregate {

/// Where experts are kept, as the command line says it.
struct OffloadArguments {
  std::string kind = "none";
  std::string cache_memory;
  std::string policy;
  std::filesystem::path usage;
  std::vector<std::filesystem::path> predictors;
  std::string prefetch = "auto";
  std::filesystem::path timeline;
};

void add_offload_options(CLI::App& command, OffloadArguments& arguments);

/// The expert cache that a run asks for, and what it is to be told of.
class Offload {
 public:
  /// Throws UsageError for what cannot be meant, DataError for predictors and traces of other
  /// models, and what reading them throws.
  Offload(const OffloadArguments& arguments, const models::ModelConfig& config,
          const tensor::Compute& compute, int64_t sequences);

  /// Nothing: all experts are on the device.
  const std::optional<engine::ExpertCacheOptions>& cache() const { return cache_; }
  /// What the cache did.
  Json json(const engine::ExpertCounts& counts) const;
  /// Writes the timeline, if there is to be one.
  void write_timeline() const;

 private:
  std::filesystem::path timeline_path_;
  std::string prefetch_;
  std::unique_ptr<TimelineFile> timeline_;
  std::optional<engine::ExpertCacheOptions> cache_;
};

/// "71% of 4,096 experts were there, 3% on their way; 4.1 GB copied", for people.
std::string offload_summary(const engine::ExpertCounts& counts);

}  // namespace foregate

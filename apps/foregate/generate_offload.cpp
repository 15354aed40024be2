#include "generate_offload.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/number_text.h"
#include "engine/experts/cached_experts.h"
#include "engine/experts/device_experts.h"
#include "engine/memory_needs.h"
#include "engine/trace_geometry.h"
#include "offload/prediction/trained.h"
#include "offload/replay/text_source.h"
#include "simulate_options.h"
#include "trace/reader.h"

namespace foregate {
namespace {

constexpr const char* kDefaultPolicy = "lrfu-8";
constexpr int64_t kTimelineSteps = 256;

void refuse_without_offload(const OffloadArguments& arguments) {
  const auto refuse = [](bool given, const char* option) {
    if (!given) return;
    throw UsageError(
        fmt::format("{} is of experts in host memory; give --offload ram with it", option));
  };
  refuse(!arguments.cache_memory.empty(), "--cache-memory");
  refuse(!arguments.policy.empty(), "--policy");
  refuse(!arguments.usage.empty(), "--usage");
  refuse(!arguments.predictors.empty(), "--predictor");
  refuse(!arguments.timeline.empty(), "--timeline");
}

// How often the texts of a trace use each expert.
std::vector<int64_t> read_usage(const std::filesystem::path& directory,
                                const trace::Geometry& geometry) {
  const trace::TraceDirectory traces(directory);
  const std::string difference = trace::geometry_difference(traces.geometry(), geometry);
  if (!difference.empty()) {
    throw DataError(fmt::format("--usage {}: {} of the model; give traces of this model",
                                directory.string(), difference));
  }
  const auto layers = static_cast<size_t>(geometry.num_moe_layers);
  const auto top_k = static_cast<size_t>(geometry.top_k);
  std::vector<int64_t> counts(layers * static_cast<size_t>(geometry.num_experts));
  offload::TraceTexts texts(traces);
  for (trace::Trace text; texts.next(text);) {
    for (size_t i = 0; i < text.experts.size(); ++i) {
      const size_t layer = i / top_k % layers;
      ++counts[layer * static_cast<size_t>(geometry.num_experts) + text.experts[i]];
    }
  }
  return counts;
}

engine::MakeForesight foresight_of(const std::vector<std::filesystem::path>& directories,
                                   const trace::Geometry& geometry) {
  std::vector<std::shared_ptr<const offload::TrainedPredictor>> predictors;
  for (const std::filesystem::path& directory : directories) {
    predictors.push_back(std::make_shared<offload::TrainedPredictor>(directory, geometry));
  }
  return [predictors](int64_t sequences) {
    std::vector<std::unique_ptr<offload::Foresight>> parts;
    for (const auto& predictor : predictors) {
      parts.push_back(predictor->foresight({.sequences = sequences}, kLeastProbability));
    }
    return offload::make_foresight_of(std::move(parts));
  };
}

offload::TimelineSpan first_steps(const offload::TimelineSpan& all) {
  return [all](offload::TimelineLane lane, int64_t step, int layer, int expert, double start,
               double seconds) {
    if (step < kTimelineSteps) all(lane, step, layer, expert, start, seconds);
  };
}

Json ratio(double part, double whole) {
  return whole > 0 ? Json(part / whole) : Json();
}

offload::FoundCount sum_of(const std::vector<offload::FoundCount>& layers) {
  offload::FoundCount sum;
  for (const offload::FoundCount& layer : layers) {
    sum.hits += layer.hits;
    sum.late += layer.late;
    sum.misses += layer.misses;
  }
  return sum;
}

Json found_json(const offload::FoundCount& found) {
  return {{"requests", found.requests()},
          {"hits", found.hits},
          {"late", found.late},
          {"misses", found.misses}};
}

}  // namespace

void add_offload_options(CLI::App& command, OffloadArguments& arguments) {
  command
      .add_option("--offload", arguments.kind,
                  "Where the experts are: none: all where the model runs; ram: in host memory, and "
                  "in a cache beside the rest of the model")
      ->check(CLI::IsMember({"none", "ram"}))
      ->capture_default_str();
  command.add_option("--cache-memory", arguments.cache_memory,
                     "Size of the cache: memory (8GB), a share of all experts (40%) or a number of "
                     "them");
  command.add_option("--policy", arguments.policy,
                     fmt::format("Which expert leaves the cache, by the names of simulate "
                                 "(default: {})",
                                 kDefaultPolicy));
  command.add_option("--usage", arguments.usage,
                     "Traces that say which experts --policy static keeps: those used most");
  command
      .add_option("--predictor", arguments.predictors,
                  "What foresees experts: a directory that train wrote; repeatable")
      ->allow_extra_args(false);
  command
      .add_option("--prefetch", arguments.prefetch,
                  "Whether to fetch what is foreseen: auto: as long as tokens come sooner with it")
      ->check(CLI::IsMember({"auto", "off", "on"}))
      ->capture_default_str();
  command.add_option("--timeline", arguments.timeline,
                     "Write the first steps as a Chrome trace, which Perfetto opens");
}

Offload::Offload(const OffloadArguments& arguments, const models::ModelConfig& config,
                 const tensor::Compute& compute, int64_t sequences)
    : timeline_path_(arguments.timeline), prefetch_(arguments.prefetch) {
  if (arguments.kind == "none") {
    refuse_without_offload(arguments);
    return;
  }
  if (arguments.cache_memory.empty()) {
    throw UsageError("--offload ram needs --cache-memory, e.g. 8GB or 40%");
  }
  const trace::Geometry geometry = engine::geometry_of(config);
  const auto bytes =
      static_cast<double>(engine::expert_bytes(config, *compute.quantization, compute.dtype));
  engine::ExpertCacheOptions cache;
  cache.slots = parse_budget(arguments.cache_memory, "--cache-memory", geometry, bytes).slots;
  cache.policy =
      offload::parse_policy(arguments.policy.empty() ? kDefaultPolicy : arguments.policy);
  const bool is_static = cache.policy.kind == offload::Policy::Kind::kStatic;
  if (is_static && arguments.usage.empty()) {
    throw UsageError("--policy static needs --usage TRACES, which say what is used most");
  }
  if (!is_static && !arguments.usage.empty()) {
    throw UsageError("--usage is for --policy static; the other policies learn by themselves");
  }
  if (is_static) cache.counts = read_usage(arguments.usage, geometry);
  if (prefetch_ == "on" && arguments.predictors.empty()) {
    throw UsageError("--prefetch on needs --predictor, which says what comes");
  }
  if (prefetch_ != "off" && !arguments.predictors.empty()) {
    cache.prefetch = offload::PrefetchRule{};
    cache.foresight = foresight_of(arguments.predictors, geometry);
    cache.sequences = sequences;
    cache.on_trial = prefetch_ == "auto";
  }
  if (!timeline_path_.empty()) {
    timeline_ = std::make_unique<TimelineFile>();
    cache.timeline = first_steps(timeline_->recorder());
  }
  // Trained predictors, and what is told of each copy, are the host's.
  cache.on_device = !cache.prefetch && timeline_path_.empty() &&
                    engine::DeviceExperts::can_keep(cache.policy, compute.device);
  engine::CachedExperts::check(geometry, cache);
  cache_ = std::move(cache);
}

void Offload::write_timeline() const {
  if (timeline_) timeline_->write(timeline_path_);
}

Json Offload::json(const engine::ExpertCounts& counts) const {
  Json hits = Json::array();
  Json late = Json::array();
  Json misses = Json::array();
  for (size_t layer = 0; layer < counts.generated.size(); ++layer) {
    const offload::FoundCount both = sum_of({counts.generated[layer], counts.prompt[layer]});
    hits.push_back(both.hits);
    late.push_back(both.late);
    misses.push_back(both.misses);
  }
  const offload::FoundCount generated = sum_of(counts.generated);
  const auto right = static_cast<double>(counts.prefetch.right);
  return {
      {"policy", offload::policy_name(cache_->policy)},
      {"kept_by", cache_->on_device ? "gpu" : "host"},
      {"slots", counts.slots},
      {"expert_bytes", counts.expert_bytes},
      {"cache_bytes", counts.slots * counts.expert_bytes},
      {"passing_bytes", counts.passing_slots * counts.expert_bytes},
      {"host_bytes",
       static_cast<int64_t>(counts.generated.size()) * counts.num_experts * counts.expert_bytes},
      {"generated", found_json(generated)},
      {"prompt", found_json(sum_of(counts.prompt))},
      {"hits_by_layer", hits},
      {"late_by_layer", late},
      {"misses_by_layer", misses},
      {"bytes",
       {{"demand", counts.demand_bytes},
        {"prefetch", counts.prefetch_bytes},
        {"useful", static_cast<int64_t>(counts.prefetch.useful_bytes)},
        {"wasted", static_cast<int64_t>(counts.prefetch.wasted_bytes)}}},
      {"copy_seconds", {{"demand", counts.demand_seconds}, {"prefetch", counts.prefetch_seconds}}},
      {"wait_seconds", counts.wait_seconds},
      {"prefetching",
       {{"mode", cache_->prefetch ? Json(prefetch_) : Json("off")},
        {"steps", counts.prefetch_steps},
        {"foreseen", counts.prefetch.foreseen},
        {"precision", ratio(right, static_cast<double>(counts.prefetch.foreseen))},
        {"recall", ratio(right, static_cast<double>(counts.prefetch_requests))}}}};
}

std::string offload_summary(const engine::ExpertCounts& counts) {
  const offload::FoundCount generated = sum_of(counts.generated);
  if (generated.requests() == 0) return {};
  const auto share = [&](int64_t count) {
    return 100 * static_cast<double>(count) / static_cast<double>(generated.requests());
  };
  return fmt::format(
      "of {} asked for {:.1f}% were in the cache of {}, {:.1f}% on their way; {} were copied",
      number_of(generated.requests(), "expert"), share(generated.hits), with_commas(counts.slots),
      share(generated.late),
      human_bytes(static_cast<uint64_t>(counts.demand_bytes + counts.prefetch_bytes)));
}

}  // namespace foregate

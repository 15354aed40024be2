#include "collect/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "collect/source.h"
#include "tensor/dtype.h"
#include "trace/features.h"

namespace foregate::collect {
namespace {

/// The settings that must not change between runs into one directory: everything the manifest says
/// that is not the outcome of a run or a mere spelling of a path.
Json settings_of(const trace::Manifest& manifest) {
  trace::Manifest settings = manifest;
  settings.shards.clear();
  settings.complete = false;
  for (trace::DatasetEntry& dataset : settings.datasets) dataset.source.clear();
  return settings.to_json();
}

/// The first place where two settings differ, as "seed: 0 there, 1 asked for"; empty if nowhere.
std::string first_difference(const Json& there, const Json& asked, const std::string& path = "") {
  if (there.is_object() && asked.is_object()) {
    std::set<std::string> keys;
    for (const auto& [key, value] : there.items()) keys.insert(key);
    for (const auto& [key, value] : asked.items()) keys.insert(key);
    for (const std::string& key : keys) {
      const std::string name = path.empty() ? key : path + "." + key;
      const std::string found =
          first_difference(there.value(key, Json()), asked.value(key, Json()), name);
      if (!found.empty()) return found;
    }
    return "";
  }
  if (there.is_array() && asked.is_array() && there.size() == asked.size()) {
    for (size_t i = 0; i < there.size(); ++i) {
      const std::string found =
          first_difference(there[i], asked[i], fmt::format("{}[{}]", path, i));
      if (!found.empty()) return found;
    }
    return "";
  }
  if (there == asked) return "";
  return fmt::format("{}: {} there, {} asked for", path, there.dump(), asked.dump());
}

/// Parquet and feature files that no manifest names come from a run that was killed in the middle
/// of a shard.
void remove_leftovers(const std::filesystem::path& directory, const trace::Manifest& manifest,
                      Logger& log) {
  std::set<std::string> known;
  for (const trace::ShardEntry& shard : manifest.shards) {
    known.insert(shard.file);
    known.insert(shard.features);
  }
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const bool of_a_shard = name.starts_with("part-");
    if (of_a_shard && !known.contains(name)) {
      log.debug("removing {}, left by a run that was stopped", entry.path().string());
      fs::remove(entry.path());
    }
  }
}

}  // namespace

bool keeps_features(const std::string& dataset, int64_t row, uint64_t seed, double fraction) {
  const uint64_t hash = stable_hash(fmt::format("{}\n{}", dataset, row), seed);
  return static_cast<double>(hash >> 11) * 0x1.0p-53 < fraction;
}

trace::Manifest planned_manifest(const CollectOptions& options, const engine::Engine& engine,
                                 const text::SamplingPlan& plan) {
  trace::Manifest manifest;
  manifest.model = model_name_of(options);
  manifest.model_type = engine.model_type();
  manifest.config_sha256 = sha256_of_file(options.model / "config.json");
  manifest.tokenizer_sha256 = sha256_of_file(options.model / "tokenizer.json");
  manifest.dtype = tensor::dtype_name(options.compute.dtype);
  manifest.quantization = tensor::quantization_name(options.compute.quantization.value());
  manifest.geometry = engine.geometry();
  manifest.router = engine.router_spec();
  manifest.seed = options.seed;
  manifest.max_length = options.max_length;
  manifest.router_logits = options.record_logits;
  manifest.feature_fraction = options.feature_fraction;
  manifest.shard_traces = options.shard_traces;
  manifest.batch_tokens = options.batch_tokens;
  for (const text::DatasetPlan& dataset : plan.datasets) {
    trace::DatasetEntry entry;
    entry.name = dataset.spec.name;
    entry.source = dataset.spec.path.string();
    if (!dataset.spec.column.empty()) entry.source += ":" + dataset.spec.column;
    entry.traces = static_cast<int64_t>(dataset.ordinals.size());
    entry.available = dataset.available;
    entry.skipped = dataset.skipped;
    manifest.datasets.push_back(std::move(entry));
  }
  return manifest;
}

trace::Manifest resume_or_start(const std::filesystem::path& directory,
                                const trace::Manifest& planned, Logger& log) {
  if (!fs::exists(directory / trace::kManifestName)) {
    const bool foreign =
        std::any_of(fs::directory_iterator(directory), fs::directory_iterator(),
                    [](const auto& entry) { return entry.path().extension() == ".parquet"; });
    if (foreign) {
      throw UsageError(fmt::format("{} holds Parquet files but no {}; choose another --output",
                                   directory.string(), trace::kManifestName));
    }
    remove_leftovers(directory, planned, log);
    return planned;
  }
  trace::Manifest manifest = trace::read_manifest(directory);
  // Begun when manifests did not say it yet; config_sha256 tells whether the model is the same.
  if (!manifest.router) manifest.router = planned.router;
  const std::string difference = first_difference(settings_of(manifest), settings_of(planned));
  if (!difference.empty()) {
    throw UsageError(
        fmt::format("{} holds a trace made with other settings ({}); repeat the settings it was "
                    "started with, or choose another --output",
                    directory.string(), difference));
  }
  remove_leftovers(directory, manifest, log);
  return manifest;
}

}  // namespace foregate::collect

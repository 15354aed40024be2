#include "collect/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file_digest.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/number_text.h"
#include "collect/source.h"
#include "engine/trace_geometry.h"
#include "models/model_files.h"
#include "tensor/dtype.h"
#include "text/tokenizer/formats/tokenizer_path.h"
#include "trace/features.h"

namespace foregate::collect {
namespace {

/// The settings that must not change between runs into one directory: everything the manifest says
/// that is not the outcome of a run, a mere spelling of a path, or what was read (changed_input),
/// and may not grow.
Json settings_of(const trace::Manifest& manifest) {
  trace::Manifest settings = manifest;
  settings.config_sha256.clear();
  settings.tokenizer_sha256.clear();
  settings.weights.clear();
  settings.routers_sha256.clear();
  settings.grown_from.clear();
  settings.shards.clear();
  settings.complete = false;
  for (trace::DatasetEntry& dataset : settings.datasets) {
    trace::DatasetEntry only_name;
    only_name.name = dataset.name;
    dataset = only_name;
  }
  return settings.to_json();
}

/// How the texts of a dataset changed; empty if they did not, or if nothing is known of them.
std::string changed_texts(const trace::DatasetEntry& before, const trace::DatasetEntry& now) {
  const auto rows = [](const trace::DatasetEntry& dataset) {
    return fmt::format("{} usable rows and {} skipped", dataset.available, dataset.skipped);
  };
  std::string change;
  if (rows(before) != rows(now)) {
    change = fmt::format("{} then, {} now", rows(before), rows(now));
  } else if (!before.sha256.empty() && before.sha256 != now.sha256) {
    change = "other texts in as many rows";
  } else {
    return "";
  }
  return fmt::format("dataset '{}' ({}): {}", now.name, now.source, change);
}

/// What was read when the trace was begun and is another now; empty if all is the same, as far as
/// is known. Of the same settings.
std::string changed_input(const trace::Manifest& before, const trace::Manifest& now) {
  if (before.config_sha256 != now.config_sha256) {
    const bool is_header = now.config_sha256 == now.tokenizer_sha256;  // of a GGUF file: it is both
    return is_header ? "the header of the model's file has changed"
                     : "config.json of the model has changed";
  }
  if (before.tokenizer_sha256 != now.tokenizer_sha256) {
    return "tokenizer.json of the model has changed";
  }
  if (!before.weights.empty()) {
    const std::string file = changed_file(before.weights, now.weights);
    if (!file.empty()) return "the model has other weights: " + file;
  }
  for (size_t i = 0; i < before.datasets.size(); ++i) {
    const std::string texts = changed_texts(before.datasets[i], now.datasets[i]);
    if (!texts.empty()) return texts;
  }
  return "";
}

bool lacks_digests(const trace::Manifest& manifest) {
  return manifest.weights.empty() ||
         std::ranges::any_of(manifest.datasets, [](const auto& set) { return set.sha256.empty(); });
}

/// Throws unless `planned` is what `manifest` began, or what it may grow to.
void require_same_run(const trace::Manifest& manifest, const trace::Manifest& planned,
                      const std::filesystem::path& directory) {
  const auto difference = first_difference(settings_of(manifest), settings_of(planned));
  if (difference) {
    throw UsageError(fmt::format(
        "{} holds a trace made with other settings ({}: {} there, {} asked for); repeat "
        "the settings it was started with, or choose another --output",
        directory.string(), difference->path, difference->before, difference->now));
  }
  const std::string change = changed_input(manifest, planned);
  if (!change.empty()) {
    throw DataError(
        fmt::format("{} was begun with other input ({}); give it what it was begun with, or choose "
                    "another --output",
                    directory.string(), change));
  }
  if (planned.num_planned() < manifest.num_planned()) {
    throw UsageError(fmt::format(
        "{} holds a trace of {} texts, and --traces asks for {}; a trace can grow but not shrink: "
        "ask for as many or more, or choose another --output",
        directory.string(), with_commas(manifest.num_planned()),
        with_commas(planned.num_planned())));
  }
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

trace::Manifest manifest_of_model(const std::filesystem::path& model,
                                  const models::ModelConfig& config,
                                  const tensor::Compute& compute) {
  trace::Manifest manifest;
  manifest.model_type = config.model_type;
  manifest.config_sha256 = models::config_digest(model);
  if (fs::exists(text::tokenizer_path(model))) {
    manifest.tokenizer_sha256 = text::tokenizer_digest(model);
  }
  manifest.dtype = tensor::dtype_name(compute.dtype);
  manifest.quantization = tensor::quantization_name(compute.quantization.value());
  manifest.geometry = engine::geometry_of(config);
  manifest.router = config.router;
  return manifest;
}

trace::Manifest planned_manifest(const Source& source) {
  const CollectOptions& options = source.options;
  trace::Manifest manifest = manifest_of_model(options.model, source.config, options.compute);
  manifest.model = model_name_of(options);
  manifest.weights = source.weights;
  manifest.seed = options.seed;
  manifest.max_length = options.max_length;
  manifest.router_logits = options.record_logits;
  manifest.feature_fraction = options.feature_fraction;
  manifest.shard_traces = options.shard_traces;
  manifest.batch_tokens = options.batch_tokens;
  manifest.grown_from = source.plan.earlier;
  for (const text::DatasetPlan& dataset : source.plan.datasets) {
    trace::DatasetEntry entry;
    entry.name = dataset.spec.name;
    entry.source = dataset.spec.path.string();
    if (!dataset.spec.column.empty()) entry.source += ":" + dataset.spec.column;
    entry.traces = static_cast<int64_t>(dataset.ordinals.size());
    entry.available = dataset.available;
    entry.skipped = dataset.skipped;
    entry.sha256 = dataset.sha256;
    manifest.datasets.push_back(std::move(entry));
  }
  return manifest;
}

void keep_generation(const std::filesystem::path& directory, const Json& settings) {
  const fs::path path = directory / kGenerationName;
  if (!fs::exists(directory / trace::kManifestName)) {
    if (!settings.is_null()) write_json_atomically(path, settings);
    return;
  }
  const Json before{{"generation", fs::exists(path) ? read_json(path) : Json()}};
  const auto difference = first_difference(before, Json{{"generation", settings}});
  if (!difference) return;
  throw UsageError(fmt::format(
      "{} holds a trace made with other settings ({}: {} there, {} asked for); repeat the settings "
      "it was started with, or choose another --output",
      directory.string(), difference->path, difference->before, difference->now));
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
  require_same_run(manifest, planned, directory);
  if (lacks_digests(manifest) && !lacks_digests(planned)) {
    log.warning("{}", unchecked_input(directory.string()));
    manifest.weights = planned.weights;
  }
  for (size_t i = 0; i < planned.datasets.size(); ++i) {
    manifest.datasets[i].sha256 = planned.datasets[i].sha256;
    manifest.datasets[i].traces = planned.datasets[i].traces;
  }
  if (planned.grown_from != manifest.grown_from) {
    log.info("{} grows from {} to {} traces", directory.string(),
             with_commas(planned.grown_from.back()), with_commas(manifest.num_planned()));
    manifest.grown_from = planned.grown_from;
    manifest.complete = false;
  }
  remove_leftovers(directory, manifest, log);
  return manifest;
}

}  // namespace foregate::collect

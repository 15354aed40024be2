#include "predict/train.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "predict/registry.h"
#include "predict/scoring.h"

namespace foregate {
namespace {

constexpr const char* kCheckpointFile = "checkpoint.safetensors";

std::unique_ptr<Predictor> make_configured(const TrainOptions& options, const Geometry& geometry) {
  if (options.config.empty()) return make_predictor(options.predictor, options.lead, geometry);
  const Json settings = read_json(options.config);
  return make_predictor(options.predictor, options.lead, geometry,
                        JsonReader(settings, options.config.string()));
}

PredictorInfo info_of(const Predictor& predictor, const TrainOptions& options,
                      const Corpus& corpus) {
  const Manifest& manifest = corpus.manifest();
  PredictorInfo info;
  info.name = predictor.name();
  info.lead = predictor.lead();
  info.geometry = predictor.geometry();
  info.settings = predictor.settings().dump();
  info.model = manifest.model;
  info.config_sha256 = manifest.config_sha256;
  info.trace = corpus.path().string();
  info.trace_sha256 = corpus.digest();
  info.split_seed = manifest.seed;
  info.split = corpus.split_options();
  info.held_out = options.held_out;
  info.seed = options.seed;
  info.dtype = options.dtype;
  return info;
}

/// What must be equal for a finished predictor to be the one asked for.
std::string identity_of(PredictorInfo info) {
  info.trace.clear();
  info.validation.clear();
  return info.to_json().dump();
}

/// Whether the output already holds this very predictor. Throws UsageError if it holds another one.
bool is_done(const TrainOptions& options, const PredictorInfo& wanted) {
  if (!is_predictor_directory(options.output)) return false;
  const PredictorInfo there = read_predictor_info(options.output);
  if (identity_of(there) == identity_of(wanted)) return true;
  throw UsageError(
      fmt::format("{} already holds a predictor ({} at {}) made with other settings, seed or "
                  "traces; choose another "
                  "--output",
                  options.output.string(), there.name, lead_name(there.lead)));
}

std::vector<std::pair<std::string, double>> validate(const Predictor& predictor,
                                                     const Corpus& corpus) {
  using Features = TextSelection::Features;
  TextSelection selection{.split = Split::kValidation, .gate_weights = true};
  if (predictor.needs_features()) selection.features = Features::kRequire;
  PredictorScorer scorer(predictor, predictor.name());
  int64_t texts = 0;
  corpus.for_each(selection, [&](const RoutedText& text) {
    if (text.num_tokens() == 0) return;
    scorer.add(text, Truth(text));
    ++texts;
  });
  std::vector<std::pair<std::string, double>> metrics;
  if (texts == 0) return metrics;
  for (const auto& [name, interval] : scorer.row(0).metrics) {
    metrics.emplace_back(name, interval.mean);
  }
  return metrics;
}

/// Texts of the splits that were learned from or chosen by.
std::vector<uint64_t> texts_seen(const Corpus& corpus) {
  std::vector<uint64_t> hashes;
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    corpus.for_each({.split = split}, [&](const RoutedText& text) { hashes.push_back(text.hash); });
  }
  return hashes;
}

}  // namespace

TrainSummary train_predictor(const TrainOptions& options) {
  Corpus corpus(options.traces, options.held_out);
  if (options.routers) corpus.set_routers(*options.routers, "the model's routers");
  const auto predictor = make_configured(options, corpus.geometry());
  if (predictor->needs_features()) corpus.require_features(predictor->name());
  PredictorInfo info = info_of(*predictor, options, corpus);
  if (is_done(options, info)) return {read_predictor_info(options.output), true};
  make_output_directory(options.output);

  TrainingEnvironment environment;
  environment.device = options.device;
  environment.dtype = options.dtype;
  environment.seed = options.seed;
  environment.checkpoint = options.output / kCheckpointFile;
  environment.tensorboard = options.tensorboard;
  environment.identity = identity_of(info);
  environment.progress = options.progress;
  environment.should_stop = options.should_stop ? options.should_stop : interrupted;
  SharedCounts counts(corpus);
  predictor->fit({corpus, counts, environment});

  info.settings = predictor->settings().dump();
  info.validation = validate(*predictor, corpus);
  save_predictor(options.output, *predictor, info, texts_seen(corpus));
  fs::remove(environment.checkpoint);
  return {info, false};
}

}  // namespace foregate

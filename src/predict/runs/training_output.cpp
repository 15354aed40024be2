#include "predict/runs/training_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_digest.h"
#include "base/files.h"
#include "predict/evaluation/predictor_evaluator.h"
#include "predict/evaluation/text_queue.h"
#include "predict/registry.h"
#include "predict/texts/routed_text.h"
#include "predict/training/identity.h"

namespace foregate::predict {

std::unique_ptr<Predictor> make_configured(const std::string& name, const scoring::Lead& lead,
                                           const trace::Geometry& geometry,
                                           const std::filesystem::path& config) {
  if (config.empty()) return make_predictor(name, lead, geometry);
  const Json settings = read_json(config);
  return make_predictor(name, lead, geometry, JsonReader(settings, config.string()));
}

std::string identity_of(PredictorInfo info) {
  info.trace.clear();
  info.validation.clear();
  info.calibration.reset();
  info.token_ids.reset();  // The trace's digest says as much, and older directories do not.
  info.tokenizer_sha256.clear();
  info.best_step.reset();
  Json json = info.to_json();
  json["settings"].erase("checkpoint_seconds");  // changes nothing but how often the state is kept
  return json.dump();
}

bool is_done(const std::filesystem::path& output, const PredictorInfo& wanted, Logger& log) {
  if (!is_predictor_directory(output)) return false;
  const PredictorInfo there = read_predictor_info(output);
  const IdentityDifference difference =
      identity_difference(identity_of(there), identity_of(wanted));
  if (difference.unknown) log.warning("{}", unchecked_input(output.string()));
  if (difference.words.empty()) return true;
  throw UsageError(
      fmt::format("{} already holds a predictor ({} at {}) made with other settings, seed or "
                  "texts ({}); choose another --output",
                  output.string(), there.name, scoring::lead_name(there.lead), difference.words));
}

std::vector<ValidationMetrics> measure_on_validation(
    const std::vector<const Predictor*>& predictors, const RoutedTexts& texts) {
  using Features = TextSelection::Features;
  TextSelection selection{.split = trace::Split::kValidation, .gate_weights = true};
  const bool states = std::any_of(predictors.begin(), predictors.end(), [](const auto* predictor) {
    return predictor->needs_features();
  });
  if (states) selection.features = Features::kRequire;
  std::vector<PredictorEvaluator> evaluators;
  for (const Predictor* predictor : predictors)
    evaluators.emplace_back(*predictor, predictor->name());
  TextQueue queue(evaluators, torch::kCPU);
  int64_t count = 0;
  texts.for_each(selection, [&](const RoutedText& text) {
    queue.add(text);
    count += text.num_tokens() > 0 ? 1 : 0;
  });
  queue.flush();
  std::vector<ValidationMetrics> metrics(predictors.size());
  for (size_t i = 0; count > 0 && i < evaluators.size(); ++i) {
    const stats::EvaluationRow row = evaluators[i].summarize(0);
    for (const auto& [key, interval] : row.whole().metrics) {
      metrics[i].emplace_back(stats::metric_name(key), interval.mean);
    }
  }
  return metrics;
}

}  // namespace foregate::predict

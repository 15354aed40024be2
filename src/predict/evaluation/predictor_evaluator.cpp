#include "predict/evaluation/predictor_evaluator.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/stopwatch.h"
#include "predict/registry.h"

namespace foregate::predict {
namespace {

constexpr int64_t kDecisionsPerThread = 256;

/// Shares of the true experts that people plan for.
constexpr double kRecallTargets[] = {0.90, 0.95, 0.99};

/// k, 2k and those asked for, as far as there are that many experts.
std::vector<int> budgets_of(const trace::Geometry& geometry, const std::vector<int>& more) {
  std::set<int> budgets = {geometry.top_k, std::min(2 * geometry.top_k, geometry.num_experts)};
  budgets.insert(more.begin(), more.end());
  return {budgets.begin(), budgets.end()};
}

/// The smallest m at which the m highest-scored hold this share of the true experts.
int experts_needed(const std::vector<int64_t>& ranks, double share) {
  const auto total = static_cast<double>(std::accumulate(ranks.begin(), ranks.end(), int64_t{0}));
  double found = 0;
  for (size_t m = 0; m < ranks.size(); ++m) {
    found += static_cast<double>(ranks[m]);
    if (found >= share * total) return static_cast<int>(m) + 1;
  }
  return static_cast<int>(ranks.size());
}

std::vector<std::string> metric_names(const std::vector<int>& budgets) {
  std::vector<std::string> names;
  for (const int budget : budgets) {
    for (const char* metric : {"recall", "exact-set", "gate-mass"}) {
      names.push_back(fmt::format("{}@{}", metric, budget));
    }
  }
  names.emplace_back("top-1");
  return names;
}

}  // namespace

Targets::Targets(const RoutedText& text)
    : tokens(text.num_tokens()),
      prompt_tokens(text.prompt_tokens),
      layers(text.experts.size(1)),
      top_k(text.experts.size(2)) {
  const torch::Tensor chosen = text.experts.contiguous();
  const int64_t* begin = chosen.const_data_ptr<int64_t>();
  experts.assign(begin, begin + chosen.numel());
  if (!text.gate_weights.defined()) return;
  const torch::Tensor weights = text.gate_weights.contiguous();
  const float* first = weights.const_data_ptr<float>();
  gate_weights.assign(first, first + weights.numel());
}

void PredictorEvaluator::Sums::add(const stats::TextScore& score) {
  decisions += static_cast<double>(score.decisions);
  metrics.resize(3 * score.recall.size() + 1);
  for (size_t b = 0; b < score.recall.size(); ++b) {
    metrics[3 * b] += score.recall[b];
    metrics[3 * b + 1] += score.exact_set[b];
    metrics[3 * b + 2] += score.gate_mass[b];
  }
  metrics.back() += score.top1;
}

PredictorEvaluator::PredictorEvaluator(const Predictor& predictor, std::string label,
                                       scoring::Calibration calibration,
                                       const std::vector<int>& budgets,
                                       std::optional<double> threshold)
    : predictor_(predictor),
      label_(std::move(label)),
      calibration_(calibration),
      threshold_(threshold),
      budgets_(budgets_of(predictor.geometry(), budgets)),
      names_(metric_names(budgets_)),
      ranks_(static_cast<size_t>(predictor.geometry().num_experts)),
      confidence_(threshold.value_or(1)) {
  const std::string recall = fmt::format("recall@{}", predictor.geometry().top_k);
  recall_ = static_cast<size_t>(std::find(names_.begin(), names_.end(), recall) - names_.begin());
}

void PredictorEvaluator::add(const RoutedText& text, const Targets& truth) {
  Stopwatch watch;
  watch.start();
  const torch::Tensor scores = predictor_.score(text).contiguous();  // [n, L', E]
  seconds_ += watch.seconds();
  tokens_ += truth.tokens;
  const torch::Tensor probabilities = calibrated(calibration_, scores).contiguous();
  gate_mass_ = gate_mass_ && !truth.gate_weights.empty();

  const auto layers = static_cast<size_t>(predictor_.num_layers());
  std::vector<LayerScore> parts(layers, empty_score());
  // Short texts are not worth waking threads for.
  const int64_t grain = 1 + kDecisionsPerThread / std::max<int64_t>(truth.tokens, 1);
  at::parallel_for(0, predictor_.num_layers(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t l = begin; l < end; ++l) {
      add_layer(scores, probabilities, truth, l, parts[static_cast<size_t>(l)]);
    }
  });
  Sums whole;
  std::map<std::string, Sums> phases;
  for (size_t l = 0; l < layers; ++l) {
    Sums layer;
    for (const auto& [phase, scorer] :
         {std::pair("prompt", &parts[l].prompt), std::pair("generated", &parts[l].generated)}) {
      const stats::TextScore& score = scorer->score();
      if (score.decisions == 0) continue;
      for (Sums* sums : {&whole, &layer, &phases[phase]}) sums->add(score);
      for (size_t i = 0; i < ranks_.size(); ++i) ranks_[i] += score.ranks[i];
    }
    layers_[predictor_.first_layer() + static_cast<int>(l)].push_back(std::move(layer));
    confidence_.add(parts[l].confidence);
  }
  for (auto& [phase, sums] : phases) phases_[phase].push_back(std::move(sums));
  datasets_[text.dataset].push_back(whole);
  texts_.push_back(std::move(whole));
}

PredictorEvaluator::LayerScore PredictorEvaluator::empty_score() const {
  const trace::Geometry& geometry = predictor_.geometry();
  const stats::MetricSums scorer(geometry.num_experts, geometry.top_k, budgets_);
  return {scorer, scorer, stats::ConfidenceScore(confidence_.threshold())};
}

void PredictorEvaluator::add_layer(const torch::Tensor& scores, const torch::Tensor& probabilities,
                                   const Targets& truth, int64_t layer, LayerScore& sums) const {
  const auto width = static_cast<size_t>(predictor_.geometry().num_experts);
  const auto k = static_cast<size_t>(truth.top_k);
  for (int64_t t = 0; t < truth.tokens; ++t) {
    const int64_t row = (t * predictor_.num_layers() + layer) * predictor_.geometry().num_experts;
    const int64_t at = (t * truth.layers + predictor_.first_layer() + layer) * truth.top_k;
    const std::span<const uint16_t> experts(truth.experts.data() + at, k);
    std::span<const float> gates;
    if (!truth.gate_weights.empty()) gates = {truth.gate_weights.data() + at, k};
    stats::MetricSums& scorer = t < truth.prompt_tokens ? sums.prompt : sums.generated;
    scorer.add({scores.const_data_ptr<float>() + row, width}, experts, gates);
    sums.confidence.add({probabilities.const_data_ptr<float>() + row, width}, experts);
  }
}

stats::Metrics PredictorEvaluator::metrics_of(const std::vector<Sums>& texts, uint64_t seed) const {
  std::vector<std::vector<double>> values;
  std::vector<double> decisions;
  for (const Sums& text : texts) {
    values.push_back(text.metrics);
    values.back().resize(names_.size());  // a text without decisions has none
    decisions.push_back(text.decisions);
  }
  const std::vector<stats::Interval> intervals =
      stats::bootstrap_ratios(values, decisions, 1000, seed);
  stats::Metrics metrics;
  for (size_t i = 0; i < intervals.size(); ++i) {
    if (!gate_mass_ && names_[i].starts_with("gate-mass")) continue;
    metrics.emplace_back(names_[i], intervals[i]);
  }
  return metrics;
}

stats::EvaluationSlice PredictorEvaluator::slice_of(const char* by, std::string part,
                                                    const std::vector<Sums>& texts,
                                                    uint64_t seed) const {
  stats::EvaluationSlice slice{.by = by,
                               .part = std::move(part),
                               .texts = static_cast<int64_t>(texts.size()),
                               .metrics = metrics_of(texts, seed)};
  for (const Sums& text : texts) slice.decisions += static_cast<int64_t>(text.decisions);
  return slice;
}

stats::EvaluationRow PredictorEvaluator::row(uint64_t seed) const {
  stats::EvaluationRow row;
  row.predictor = label_;
  row.lead = scoring::lead_name(predictor_.lead());
  row.texts = static_cast<int64_t>(texts_.size());
  for (const Sums& text : texts_) row.decisions += static_cast<int64_t>(text.decisions);
  row.metrics = metrics_of(texts_, seed);
  const auto add_slice = [&](const char* by, const std::string& part,
                             const std::vector<Sums>& texts) {
    const stats::EvaluationSlice& slice = row.slices.emplace_back(slice_of(by, part, texts, seed));
    const auto recall =
        std::find_if(slice.metrics.begin(), slice.metrics.end(),
                     [this](const auto& metric) { return metric.first == names_[recall_]; });
    return recall->second.mean;
  };
  for (const auto& [dataset, texts] : datasets_) {
    row.recall_by_dataset[dataset] = add_slice("dataset", dataset, texts);
  }
  for (const auto& [layer, texts] : layers_) {
    row.recall_by_layer.emplace_back(layer, add_slice("layer", std::to_string(layer), texts));
  }
  if (phases_.size() > 1) {
    for (const auto& [phase, texts] : phases_) {
      row.recall_by_phase[phase] = add_slice("phase", phase, texts);
    }
  }
  for (const double share : kRecallTargets) {
    row.experts_for_recall.emplace_back(share, experts_needed(ranks_, share));
  }
  row.calibration_error = confidence_.calibration_error();
  row.reliability = confidence_.reliability();
  if (threshold_) {
    row.at_threshold = {*threshold_, confidence_.mean_fetched(), confidence_.recall()};
  }
  row.microseconds = 1e6 * seconds_ / static_cast<double>(std::max<int64_t>(tokens_, 1));
  row.flops = 2 * find_predictor_kind(predictor_.name())->cost(predictor_);
  for (const auto& [name, tensor] : predictor_.weights()) {
    row.weight_bytes += static_cast<int64_t>(tensor.nbytes());
  }
  return row;
}

stats::Interval PredictorEvaluator::gain_over(const PredictorEvaluator& other,
                                              uint64_t seed) const {
  std::vector<double> differences;
  std::vector<double> decisions;
  for (size_t i = 0; i < texts_.size(); ++i) {
    differences.push_back(texts_[i].metrics[recall_] - other.texts_[i].metrics[other.recall_]);
    decisions.push_back(texts_[i].decisions);
  }
  return stats::bootstrap_ratio(differences, decisions, 1000, seed);
}

}  // namespace foregate::predict

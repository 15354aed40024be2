#include "predict/evaluation/predictor_evaluator.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/stopwatch.h"
#include "predict/registry.h"
#include "predict/texts/routed_text.h"

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

int64_t weight_bytes(const Predictor& predictor) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : predictor.weights()) {
    bytes += static_cast<int64_t>(tensor.nbytes());
  }
  return bytes;
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

void PredictorEvaluator::Sums::add(const stats::MetricSums& more) {
  decisions += static_cast<double>(more.decisions());
  metrics.resize(more.sums().size());
  for (size_t i = 0; i < metrics.size(); ++i) metrics[i] += more.sums()[i];
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
      keys_(stats::metric_keys(budgets_)),
      ranks_(static_cast<size_t>(predictor.geometry().num_experts)),
      confidence_(threshold.value_or(1)) {
  const stats::MetricKey recall = stats::recall_at(predictor.geometry().top_k);
  recall_ = static_cast<size_t>(std::find(keys_.begin(), keys_.end(), recall) - keys_.begin());
}

PredictorEvaluator::TextScore PredictorEvaluator::score(const RoutedText& text,
                                                        const Targets& targets) const {
  Stopwatch watch;
  watch.start();
  const torch::Tensor scores = predictor_.score(text).contiguous();  // [n, L', E]
  const double seconds = watch.seconds();
  const torch::Tensor probabilities = calibrated(calibration_, scores).contiguous();

  const auto layers = static_cast<size_t>(predictor_.num_layers());
  std::vector<LayerScore> parts(layers, empty_score());
  // Short texts are not worth waking threads for.
  const int64_t grain = 1 + kDecisionsPerThread / std::max<int64_t>(targets.tokens, 1);
  at::parallel_for(0, predictor_.num_layers(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t l = begin; l < end; ++l) {
      add_layer(scores, probabilities, targets, l, parts[static_cast<size_t>(l)]);
    }
  });
  return {text.dataset, targets.tokens, !targets.gate_weights.empty(), seconds, std::move(parts)};
}

void PredictorEvaluator::add(const TextScore& text) {
  seconds_ += text.seconds;
  tokens_ += text.tokens;
  gate_mass_ = gate_mass_ && text.gate_weights;
  using stats::Part;
  std::map<Part, Sums> sums;
  for (size_t l = 0; l < text.layers.size(); ++l) {
    const LayerScore& score = text.layers[l];
    const Part layer = Part::moe_layer(predictor_.first_layer() + static_cast<int>(l));
    for (const auto& [phase, found] :
         {std::pair("prompt", &score.prompt), std::pair("generated", &score.generated)}) {
      if (found->decisions() == 0) continue;
      for (const Part& part : {Part(), layer, Part::phase(phase)}) sums[part].add(*found);
      for (size_t i = 0; i < ranks_.size(); ++i) ranks_[i] += found->ranks()[i];
    }
    confidence_.add(score.confidence);
  }
  sums[Part::dataset(text.dataset)] = sums[Part()];
  for (auto& [part, of_part] : sums) sums_[part].push_back(std::move(of_part));
}

PredictorEvaluator::LayerScore PredictorEvaluator::empty_score() const {
  const trace::Geometry& geometry = predictor_.geometry();
  const stats::MetricSums none(geometry.num_experts, geometry.top_k, budgets_);
  return {none, none, stats::ConfidenceScore(confidence_.threshold())};
}

void PredictorEvaluator::add_layer(const torch::Tensor& scores, const torch::Tensor& probabilities,
                                   const Targets& targets, int64_t layer, LayerScore& sums) const {
  const auto width = static_cast<size_t>(predictor_.geometry().num_experts);
  const auto k = static_cast<size_t>(targets.top_k);
  for (int64_t t = 0; t < targets.tokens; ++t) {
    const int64_t row = (t * predictor_.num_layers() + layer) * predictor_.geometry().num_experts;
    const int64_t at = (t * targets.layers + predictor_.first_layer() + layer) * targets.top_k;
    const std::span<const uint16_t> experts(targets.experts.data() + at, k);
    std::span<const float> gates;
    if (!targets.gate_weights.empty()) gates = {targets.gate_weights.data() + at, k};
    stats::MetricSums& phase = t < targets.prompt_tokens ? sums.prompt : sums.generated;
    phase.add({scores.const_data_ptr<float>() + row, width}, experts, gates);
    sums.confidence.add({probabilities.const_data_ptr<float>() + row, width}, experts);
  }
}

stats::MetricTable PredictorEvaluator::metrics_of(const std::vector<Sums>& texts,
                                                  uint64_t seed) const {
  std::vector<std::vector<double>> values;
  std::vector<double> decisions;
  for (const Sums& text : texts) {
    values.push_back(text.metrics);
    decisions.push_back(text.decisions);
  }
  const std::vector<stats::Interval> intervals =
      stats::bootstrap_ratios(values, decisions, 1000, seed);
  stats::MetricTable metrics;
  for (size_t i = 0; i < intervals.size(); ++i) {
    if (!gate_mass_ && keys_[i].kind == stats::Metric::kGateMass) continue;
    metrics.add(keys_[i], intervals[i]);
  }
  return metrics;
}

std::vector<stats::Slice> PredictorEvaluator::slices(uint64_t seed) const {
  using stats::Part;
  const auto phases = std::count_if(sums_.begin(), sums_.end(), [](const auto& entry) {
    return entry.first.by == Part::By::kPhase;
  });
  std::vector<stats::Slice> slices;
  for (const auto& [part, texts] : sums_) {
    if (part.by == Part::By::kPhase && phases == 1) continue;  // the whole once more
    stats::Slice& slice = slices.emplace_back();
    slice.part = part;
    slice.texts = static_cast<int64_t>(texts.size());
    for (const Sums& text : texts) slice.decisions += static_cast<int64_t>(text.decisions);
    slice.metrics = metrics_of(texts, seed);
  }
  return slices;
}

stats::EvaluationRow PredictorEvaluator::summarize(uint64_t seed) const {
  stats::EvaluationRow row;
  row.predictor = label_;
  row.lead = scoring::lead_name(predictor_.lead());
  row.slices = slices(seed);
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
  row.weight_bytes = weight_bytes(predictor_);
  return row;
}

stats::Interval PredictorEvaluator::gain_over(const PredictorEvaluator& other,
                                              uint64_t seed) const {
  const std::vector<Sums>& own = sums_.at(stats::Part());
  const std::vector<Sums>& others = other.sums_.at(stats::Part());
  std::vector<double> differences;
  std::vector<double> decisions;
  for (size_t i = 0; i < own.size(); ++i) {
    differences.push_back(own[i].metrics[recall_] - others[i].metrics[other.recall_]);
    decisions.push_back(own[i].decisions);
  }
  return stats::bootstrap_ratio(differences, decisions, 1000, seed);
}

}  // namespace foregate::predict

#include "predict/scoring.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

namespace foregate {
namespace {

constexpr int64_t kDecisionsPerThread = 256;

/// k and 2k, as far as there are that many experts.
std::vector<int> budgets_of(const Geometry& geometry) {
  const int twice = std::min(2 * geometry.top_k, geometry.num_experts);
  if (twice == geometry.top_k) return {twice};
  return {geometry.top_k, twice};
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

Truth::Truth(const RoutedText& text)
    : tokens(text.num_tokens()), layers(text.experts.size(1)), top_k(text.experts.size(2)) {
  const torch::Tensor chosen = text.experts.contiguous();
  const int64_t* begin = chosen.const_data_ptr<int64_t>();
  experts.assign(begin, begin + chosen.numel());
  if (!text.gate_weights.defined()) return;
  const torch::Tensor weights = text.gate_weights.contiguous();
  const float* first = weights.const_data_ptr<float>();
  gate_weights.assign(first, first + weights.numel());
}

void PredictorScorer::Sums::add(const TextScore& score) {
  decisions += static_cast<double>(score.decisions);
  metrics.resize(3 * score.recall.size() + 1);
  for (size_t b = 0; b < score.recall.size(); ++b) {
    metrics[3 * b] += score.recall[b];
    metrics[3 * b + 1] += score.exact_set[b];
    metrics[3 * b + 2] += score.gate_mass[b];
  }
  metrics.back() += score.top1;
}

PredictorScorer::PredictorScorer(const Predictor& predictor, std::string label)
    : predictor_(predictor),
      label_(std::move(label)),
      budgets_(budgets_of(predictor.geometry())),
      names_(metric_names(budgets_)) {}

void PredictorScorer::add(const RoutedText& text, const Truth& truth) {
  const Geometry& geometry = predictor_.geometry();
  const torch::Tensor scores = predictor_.score(text).contiguous();  // [n, L', E]
  const float* score = scores.const_data_ptr<float>();
  const int first_layer = predictor_.first_layer();
  const auto width = static_cast<size_t>(geometry.num_experts);
  const auto k = static_cast<size_t>(truth.top_k);
  std::vector<TextScorer> scorers(static_cast<size_t>(predictor_.num_layers()),
                                  TextScorer(geometry.num_experts, geometry.top_k, budgets_));
  // Short texts are not worth waking threads for.
  const int64_t grain = 1 + kDecisionsPerThread / std::max<int64_t>(truth.tokens, 1);
  at::parallel_for(0, predictor_.num_layers(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t l = begin; l < end; ++l) {
      for (int64_t t = 0; t < truth.tokens; ++t) {
        const float* row = score + (t * predictor_.num_layers() + l) * geometry.num_experts;
        const int64_t at = (t * truth.layers + first_layer + l) * truth.top_k;
        std::span<const float> gates;
        if (!truth.gate_weights.empty()) gates = {truth.gate_weights.data() + at, k};
        scorers[static_cast<size_t>(l)].add({row, width}, {truth.experts.data() + at, k}, gates);
      }
    }
  });
  gate_mass_ = gate_mass_ && !truth.gate_weights.empty();
  Sums& sums = texts_.emplace_back();
  for (size_t l = 0; l < scorers.size(); ++l) {
    sums.add(scorers[l].score());
    datasets_[text.dataset].add(scorers[l].score());
    layers_[first_layer + static_cast<int>(l)].add(scorers[l].score());
  }
}

EvaluationRow PredictorScorer::row(uint64_t seed) const {
  EvaluationRow row;
  row.predictor = label_;
  row.lead = lead_name(predictor_.lead());
  row.texts = static_cast<int64_t>(texts_.size());
  std::vector<double> decisions;
  for (const Sums& text : texts_) decisions.push_back(text.decisions);
  for (const double count : decisions) row.decisions += static_cast<int64_t>(count);
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!gate_mass_ && names_[i].starts_with("gate-mass")) continue;
    std::vector<double> values;
    for (const Sums& text : texts_) values.push_back(text.metrics[i]);
    row.metrics.emplace_back(names_[i], bootstrap_ratio(values, decisions, 1000, seed));
  }
  // The first metric is recall@k.
  for (const auto& [dataset, sums] : datasets_) {
    row.recall_by_dataset[dataset] = sums.metrics[0] / std::max(1.0, sums.decisions);
  }
  for (const auto& [layer, sums] : layers_) {
    row.recall_by_layer.emplace_back(layer, sums.metrics[0] / std::max(1.0, sums.decisions));
  }
  return row;
}

}  // namespace foregate

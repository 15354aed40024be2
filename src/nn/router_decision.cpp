#include "nn/router_decision.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace foregate::nn {
namespace {

constexpr int64_t kDecisionsAtOnce = 32;

// Whether a ranks before b: the higher value first, NaN last, ties by index.
bool ranks_before(const float* values, int64_t a, int64_t b) {
  const float x = values[a];
  const float y = values[b];
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) == std::isnan(y) ? a < b : std::isnan(y);
  return x != y ? x > y : a < b;
}

// The `size` first in rank order of what add() was called with, by insertion: they are few, and
// most fail the first test.
class Ranking {
 public:
  Ranking(const float* values, int64_t size, int64_t* ranked)
      : values_(values), size_(size), ranked_(ranked) {}

  void add(int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) {
      if (count_ == size_ && !ranks_before(values_, i, ranked_[size_ - 1])) continue;
      int64_t place = count_ < size_ ? count_++ : size_ - 1;
      for (; place > 0 && ranks_before(values_, i, ranked_[place - 1]); --place) {
        ranked_[place] = ranked_[place - 1];
      }
      ranked_[place] = i;
    }
  }

 private:
  const float* values_;
  int64_t size_;
  int64_t* ranked_;
  int64_t count_ = 0;
};

/// Decides for one token after another. Steps are those of router.h.
class Decider {
 public:
  Decider(const RouterSpec& spec, const RouterBiases& biases, int64_t experts, int64_t k)
      : spec_(spec), experts_(experts), k_(k) {
    const auto values = [](const torch::Tensor& bias) {
      return bias.defined() ? std::optional(bias.contiguous()) : std::nullopt;
    };
    logit_bias_ = values(biases.logit);
    choice_bias_ = values(biases.choice);
    const bool sums_of_two =
        spec.groups > 1 && spec.group_score == RouterSpec::GroupScore::kSumOfTopTwo;
    ranks_logits_ = spec.score == RouterSpec::Score::kSoftmaxOfChosen ||
                    (spec.score == RouterSpec::Score::kSoftmax && !choice_bias_ && !sums_of_two);
  }

  void decide(const float* logits, int64_t* chosen, float* gates) {
    if (logit_bias_) logits = sum(logits, *logit_bias_, biased_logits_);
    const float* scores = ranks_logits_ ? logits : scores_of(logits);
    const float* choice = choice_bias_ ? sum(scores, *choice_bias_, choice_) : scores;
    choose(choice, chosen);
    switch (spec_.score) {
      case RouterSpec::Score::kSoftmax:
        softmax_gates(logits, chosen, gates);
        break;
      case RouterSpec::Score::kSigmoid:
        for (int64_t i = 0; i < k_; ++i) gates[i] = scores[chosen[i]];
        break;
      case RouterSpec::Score::kSoftmaxOfChosen:
        softmax_of_chosen_gates(logits, chosen, gates);
        break;
    }
    finish(gates);
  }

 private:
  const float* sum(const float* values, const torch::Tensor& bias, std::vector<float>& result) {
    const float* added = bias.const_data_ptr<float>();
    result.resize(static_cast<size_t>(experts_));
    for (int64_t e = 0; e < experts_; ++e) result[e] = values[e] + added[e];
    return result.data();
  }

  float highest_of(const float* logits) const {
    float highest = -std::numeric_limits<float>::infinity();
    for (int64_t e = 0; e < experts_; ++e) {
      if (logits[e] > highest) highest = logits[e];
    }
    return highest;
  }

  // Of softmax or sigmoid, computed in float64.
  const float* scores_of(const float* logits) {
    scores_.resize(static_cast<size_t>(experts_));
    if (spec_.score == RouterSpec::Score::kSigmoid) {
      for (int64_t e = 0; e < experts_; ++e) {
        scores_[e] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(logits[e]))));
      }
      return scores_.data();
    }
    const double highest = highest_of(logits);
    double total = 0;
    for (int64_t e = 0; e < experts_; ++e) total += std::exp(logits[e] - highest);
    for (int64_t e = 0; e < experts_; ++e) {
      scores_[e] = static_cast<float>(std::exp(logits[e] - highest) / total);
    }
    return scores_.data();
  }

  void choose(const float* choice, int64_t* chosen) {
    Ranking best(choice, k_, chosen);
    if (spec_.top_groups == spec_.groups) {
      best.add(0, experts_);
      return;
    }
    const int64_t size = experts_ / spec_.groups;
    group_scores_.resize(static_cast<size_t>(spec_.groups));
    for (int64_t group = 0; group < spec_.groups; ++group) {
      group_scores_[group] = group_score(choice, group * size, size);
    }
    kept_groups_.resize(static_cast<size_t>(spec_.top_groups));
    Ranking(group_scores_.data(), spec_.top_groups, kept_groups_.data()).add(0, spec_.groups);
    for (const int64_t group : kept_groups_) best.add(group * size, (group + 1) * size);
  }

  float group_score(const float* choice, int64_t first, int64_t size) const {
    std::array<int64_t, 2> best{};
    const bool two = spec_.group_score == RouterSpec::GroupScore::kSumOfTopTwo;
    Ranking(choice, two ? 2 : 1, best.data()).add(first, first + size);
    return two ? choice[best[0]] + choice[best[1]] : choice[best[0]];
  }

  void softmax_gates(const float* logits, const int64_t* chosen, float* gates) const {
    // By logits the first one chosen is the highest.
    const float highest = ranks_logits_ ? logits[chosen[0]] : highest_of(logits);
    float total = 0;
    for (int64_t e = 0; e < experts_; ++e) total += std::exp(logits[e] - highest);
    for (int64_t i = 0; i < k_; ++i) gates[i] = std::exp(logits[chosen[i]] - highest) / total;
  }

  void softmax_of_chosen_gates(const float* logits, const int64_t* chosen, float* gates) const {
    float highest = logits[chosen[0]];
    for (int64_t i = 1; i < k_; ++i) highest = std::max(highest, logits[chosen[i]]);
    float total = 0;
    for (int64_t i = 0; i < k_; ++i) total += gates[i] = std::exp(logits[chosen[i]] - highest);
    for (int64_t i = 0; i < k_; ++i) gates[i] /= total;
  }

  void finish(float* gates) const {
    if (spec_.norm_topk) {
      float total = 0;
      for (int64_t i = 0; i < k_; ++i) total += gates[i];
      total += static_cast<float>(spec_.epsilon);
      for (int64_t i = 0; i < k_; ++i) gates[i] /= total;
    }
    if (spec_.scale == 1) return;
    for (int64_t i = 0; i < k_; ++i) gates[i] *= static_cast<float>(spec_.scale);
  }

  const RouterSpec& spec_;
  int64_t experts_;
  int64_t k_;
  bool ranks_logits_ = false;  ///< logits rank as the scores do, or are the scores
  std::optional<torch::Tensor> logit_bias_;
  std::optional<torch::Tensor> choice_bias_;
  std::vector<float> biased_logits_;
  std::vector<float> scores_;
  std::vector<float> choice_;
  std::vector<float> group_scores_;
  std::vector<int64_t> kept_groups_;
};

}  // namespace

Routing route_cpu(const torch::Tensor& logits, const RouterSpec& spec, const RouterBiases& biases,
                  int64_t k) {
  const int64_t tokens = logits.size(0);
  const int64_t experts = logits.size(1);
  const torch::Tensor rows = logits.contiguous();
  Routing routing{torch::empty({tokens, k}, logits.options().dtype(torch::kInt64)),
                  torch::empty({tokens, k}, logits.options())};
  const float* row = rows.const_data_ptr<float>();
  auto* chosen = routing.experts.mutable_data_ptr<int64_t>();
  auto* gates = routing.gate_weights.mutable_data_ptr<float>();
  at::parallel_for(0, tokens, kDecisionsAtOnce, [&](int64_t begin, int64_t end) {
    Decider decider(spec, biases, experts, k);
    for (int64_t t = begin; t < end; ++t) {
      decider.decide(row + t * experts, chosen + t * k, gates + t * k);
    }
  });
  return routing;
}

}  // namespace foregate::nn

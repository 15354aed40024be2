#include "trace/router_decision.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace foregate::trace {
namespace {

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

}  // namespace

RouterDecision::RouterDecision(const RouterSpec& spec, const RouterBiasSpans& biases,
                               int64_t num_experts, int64_t top_k)
    : spec_(spec),
      biases_(biases),
      num_experts_(num_experts),
      top_k_(top_k),
      ranks_logits_(
          spec.score == RouterSpec::Score::kSoftmaxOfChosen ||
          spec.score == RouterSpec::Score::kSparsemixer ||
          (spec.score == RouterSpec::Score::kSoftmax && biases.choice.empty() &&
           !(spec.groups > 1 && spec.group_score == RouterSpec::GroupScore::kSumOfTopTwo))) {}

void RouterDecision::decide(const float* logits, int64_t* chosen, float* gates) {
  logits = biased(logits, biases_.logit, biased_logits_);
  const float* scores = ranks_logits_ ? logits : scores_of(logits);
  choose(biased(scores, biases_.choice, choice_), chosen);
  switch (spec_.score) {
    case RouterSpec::Score::kSoftmax:
      softmax_gates(logits, chosen, gates);
      break;
    case RouterSpec::Score::kSigmoid:
      for (int64_t i = 0; i < top_k_; ++i) gates[i] = scores[chosen[i]];
      break;
    case RouterSpec::Score::kSoftmaxOfChosen:
      softmax_of_chosen_gates(logits, chosen, gates);
      break;
    case RouterSpec::Score::kSparsemixer:
      sparsemixer_gates(logits, chosen, gates);
      break;
  }
  finish(gates);
  order_by_gates(chosen, gates);  // a choice bias and a sparsemixer rank otherwise
}

void RouterDecision::order_by_gates(int64_t* chosen, float* gates) const {
  for (int64_t i = 1; i < top_k_; ++i) {
    for (int64_t place = i; place > 0 && gates[place] > gates[place - 1]; --place) {
      std::swap(gates[place], gates[place - 1]);
      std::swap(chosen[place], chosen[place - 1]);
    }
  }
}

const float* RouterDecision::biased(const float* values, std::span<const float> bias,
                                    std::vector<float>& result) const {
  if (bias.empty()) return values;
  result.resize(static_cast<size_t>(num_experts_));
  for (int64_t e = 0; e < num_experts_; ++e) result[e] = values[e] + bias[e];
  return result.data();
}

float RouterDecision::highest_of(const float* logits) const {
  float highest = -std::numeric_limits<float>::infinity();
  for (int64_t e = 0; e < num_experts_; ++e) {
    if (logits[e] > highest) highest = logits[e];
  }
  return highest;
}

const float* RouterDecision::scores_of(const float* logits) {
  scores_.resize(static_cast<size_t>(num_experts_));
  if (spec_.score == RouterSpec::Score::kSigmoid) {
    for (int64_t e = 0; e < num_experts_; ++e) {
      scores_[e] = static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(logits[e]))));
    }
    return scores_.data();
  }
  const double highest = highest_of(logits);
  double total = 0;
  for (int64_t e = 0; e < num_experts_; ++e) total += std::exp(logits[e] - highest);
  for (int64_t e = 0; e < num_experts_; ++e) {
    scores_[e] = static_cast<float>(std::exp(logits[e] - highest) / total);
  }
  return scores_.data();
}

void RouterDecision::choose(const float* choice, int64_t* chosen) {
  Ranking best(choice, top_k_, chosen);
  if (spec_.top_groups == spec_.groups) {
    best.add(0, num_experts_);
    return;
  }
  const int64_t size = keep_groups(choice);
  for (const int64_t group : kept_groups_) best.add(group * size, (group + 1) * size);
}

int64_t RouterDecision::keep_groups(const float* choice) {
  const int64_t size = num_experts_ / spec_.groups;
  group_scores_.resize(static_cast<size_t>(spec_.groups));
  for (int64_t group = 0; group < spec_.groups; ++group) {
    group_scores_[group] = group_score(choice, group * size, size);
  }
  kept_groups_.resize(static_cast<size_t>(spec_.top_groups));
  Ranking(group_scores_.data(), spec_.top_groups, kept_groups_.data()).add(0, spec_.groups);
  return size;
}

void RouterDecision::rank(const float* logits, float* scores) {
  logits = biased(logits, biases_.logit, biased_logits_);
  const float* choice = biased(ranks_logits_ ? logits : scores_of(logits), biases_.choice, choice_);
  if (choice != scores) std::copy_n(choice, num_experts_, scores);
  if (spec_.top_groups == spec_.groups) return;
  const int64_t size = keep_groups(choice);
  std::vector<bool> kept(static_cast<size_t>(spec_.groups), false);
  for (const int64_t group : kept_groups_) kept[group] = true;
  float lowest_kept = std::numeric_limits<float>::infinity();
  float highest_dropped = -std::numeric_limits<float>::infinity();
  for (int64_t e = 0; e < num_experts_; ++e) {
    if (kept[e / size]) {
      lowest_kept = std::min(lowest_kept, choice[e]);
    } else {
      highest_dropped = std::max(highest_dropped, choice[e]);
    }
  }
  const float shift = std::max(highest_dropped - lowest_kept, 0.0F) + 1;
  for (int64_t e = 0; e < num_experts_; ++e) {
    if (!kept[e / size]) scores[e] -= shift;
  }
}

float RouterDecision::group_score(const float* choice, int64_t first, int64_t size) const {
  std::array<int64_t, 2> best{};
  const bool two = spec_.group_score == RouterSpec::GroupScore::kSumOfTopTwo;
  Ranking(choice, two ? 2 : 1, best.data()).add(first, first + size);
  return two ? choice[best[0]] + choice[best[1]] : choice[best[0]];
}

void RouterDecision::softmax_gates(const float* logits, const int64_t* chosen, float* gates) const {
  // By logits the first one chosen is the highest.
  const float highest = ranks_logits_ ? logits[chosen[0]] : highest_of(logits);
  float total = 0;
  for (int64_t e = 0; e < num_experts_; ++e) total += std::exp(logits[e] - highest);
  for (int64_t i = 0; i < top_k_; ++i) gates[i] = std::exp(logits[chosen[i]] - highest) / total;
}

void RouterDecision::softmax_of_chosen_gates(const float* logits, const int64_t* chosen,
                                             float* gates) const {
  float highest = logits[chosen[0]];
  for (int64_t i = 1; i < top_k_; ++i) highest = std::max(highest, logits[chosen[i]]);
  float total = 0;
  for (int64_t i = 0; i < top_k_; ++i) total += gates[i] = std::exp(logits[chosen[i]] - highest);
  for (int64_t i = 0; i < top_k_; ++i) gates[i] /= total;
}

// The first chosen has no part in the second's softmax.
void RouterDecision::sparsemixer_gates(const float* logits, const int64_t* chosen,
                                       float* gates) const {
  const auto threshold = static_cast<float>(2 * spec_.jitter);
  for (int64_t i = 0; i < top_k_; ++i) {
    const float highest = logits[chosen[i]];
    float total = 0;
    for (int64_t e = 0; e < num_experts_; ++e) {
      if (std::find(chosen, chosen + i, e) != chosen + i) continue;
      const float below = (highest - logits[e]) / std::max(std::abs(logits[e]), highest);
      if (!(below > threshold)) total += std::exp(logits[e] - highest);
    }
    gates[i] = 1 / total;
  }
}

void RouterDecision::finish(float* gates) const {
  if (spec_.norm_topk) {
    float total = 0;
    for (int64_t i = 0; i < top_k_; ++i) total += gates[i];
    total = std::max(total + static_cast<float>(spec_.epsilon), static_cast<float>(spec_.min_sum));
    for (int64_t i = 0; i < top_k_; ++i) gates[i] /= total;
  }
  if (spec_.scale == 1) return;
  for (int64_t i = 0; i < top_k_; ++i) gates[i] *= static_cast<float>(spec_.scale);
}

}  // namespace foregate::trace

#include "offload/time/prefetch_plan.h"

#include <algorithm>

namespace foregate::offload {
namespace {

/// Of what was seen last, in the averages that the rule goes by.
constexpr double kNewStep = 0.02;
constexpr double kNewVictim = 0.01;

}  // namespace

PrefetchPlan::PrefetchPlan(const PrefetchRule& rule, int num_layers)
    : rule_(rule), waiting_(static_cast<size_t>(num_layers)) {}

void PrefetchPlan::add(const std::vector<Guess>& guesses) {
  for (const Guess& guess : guesses) {
    std::vector<Guess>& layer = waiting_[static_cast<size_t>(guess.layer)];
    const auto same = std::find_if(layer.begin(), layer.end(), [&](const Guess& earlier) {
      return earlier.expert == guess.expert;
    });
    if (same == layer.end()) {
      layer.push_back(guess);
    } else {
      same->probability = guess.probability;
    }
  }
}

const std::vector<Guess>& PrefetchPlan::release(int layer) {
  released_.clear();
  const auto last = std::min(waiting_.size(), static_cast<size_t>(layer + 1 + rule_.depth));
  for (auto next = static_cast<size_t>(layer + 1); next < last; ++next) {
    const auto begin = static_cast<std::ptrdiff_t>(released_.size());
    for (const Guess& guess : waiting_[next]) {
      if (worth(guess.probability)) released_.push_back(guess);
    }
    waiting_[next].clear();
    std::stable_sort(released_.begin() + begin, released_.end(),
                     [](const Guess& a, const Guess& b) { return a.probability > b.probability; });
  }
  return released_;
}

void PrefetchPlan::end_step() {
  for (std::vector<Guess>& layer : waiting_) layer.clear();
}

void PrefetchPlan::observe_step(double seconds, double demand_seconds) {
  if (seconds <= 0) return;
  link_share_ += kNewStep * (std::min(1.0, demand_seconds / seconds) - link_share_);
}

void PrefetchPlan::observe_victim(bool needed) {
  victim_worth_ += kNewVictim * ((needed ? 1.0 : 0.0) - victim_worth_);
}

bool PrefetchPlan::worth(double probability) const {
  if (rule_.kind == PrefetchRule::Kind::kThreshold) return probability >= rule_.threshold;
  return probability * (1 + link_share_) > link_share_ + victim_worth_;
}

}  // namespace foregate::offload

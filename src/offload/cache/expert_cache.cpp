#include "offload/cache/expert_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/number_text.h"
#include "offload/cache/lowest.h"

namespace foregate::offload {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
/// Added to the value of what the running step used (least stale): above any count of loads.
constexpr double kFresh = 0x1p52;
/// LRFU's weights grow from step to step, so that values need not decay; from here on all are
/// scaled down, by a power of two, which rounds nothing.
constexpr double kLargestExponent = 200;

}  // namespace

ExpertCache::ExpertCache(const ExpertGrid& grid, const Policy& policy, int64_t slots, int top_k,
                         std::span<const int64_t> counts)
    : grid_(grid), policy_(policy), slots_(std::min(slots, static_cast<int64_t>(grid.size()))) {
  const int64_t least = num_slots(grid.num_layers - 1);
  if (least < top_k) {
    const int64_t needed = policy.by_layer ? int64_t{top_k} * grid.num_layers : top_k;
    throw UsageError(fmt::format(
        "a cache of {} is below what one layer needs under {} ({}); give at least {}",
        number_of(slots, "expert"), policy_name(policy),
        policy.by_layer
            ? fmt::format("{} in each of {}", top_k, number_of(grid.num_layers, "layer"))
            : std::to_string(top_k),
        with_commas(needed)));
  }
  values_.resize(grid.size());
  if (policy.kind == Policy::Kind::kLfu) last_uses_.resize(grid.size());
  ranks_.assign(grid.size(), kInfinite);
  resident_.resize(grid.size());
  pins_.resize(grid.size());
  used_slots_.resize(policy.by_layer ? static_cast<size_t>(grid.num_layers) : 1);
  least_.resize(static_cast<size_t>(grid.num_layers));
  if (policy.kind == Policy::Kind::kLfu) least_ties_.resize(least_.size());
  changed_.resize(static_cast<size_t>(grid.num_layers));
  reset();
  if (policy.kind == Policy::Kind::kStatic) hold_static(counts);
}

int64_t ExpertCache::num_slots(int layer) const {
  if (!policy_.by_layer) return slots_;
  return slots_ / grid_.num_layers + (layer < slots_ % grid_.num_layers ? 1 : 0);
}

void ExpertCache::reset() {
  if (policy_.kind == Policy::Kind::kStatic) return;
  std::fill(values_.begin(), values_.end(), 0.0);
  std::fill(last_uses_.begin(), last_uses_.end(), 0.0);
  std::fill(ranks_.begin(), ranks_.end(), kInfinite);
  std::fill(resident_.begin(), resident_.end(), uint8_t{0});
  std::fill(pins_.begin(), pins_.end(), uint16_t{0});
  std::fill(used_slots_.begin(), used_slots_.end(), int64_t{0});
  for (int layer = 0; layer < grid_.num_layers; ++layer) touch_layer(layer);
  used_now_.clear();
  step_ = -1;
  clock_ = 0;
  weight_ = 1;
  scaled_down_ = 0;
}

ExpertCache::Memory ExpertCache::memory() const {
  Memory memory{.step = step_,
                .first_step = first_step_,
                .clock = clock_,
                .weight = weight_,
                .scaled_down = scaled_down_,
                .values = values_,
                .last_uses = last_uses_,
                .resident = resident_};
  // What the last step used is as stale as the rest when the next begins.
  for (const size_t expert : used_now_) {
    if (memory.values[expert] >= kFresh) memory.values[expert] -= kFresh;
  }
  return memory;
}

void ExpertCache::remember(const Memory& memory) {
  step_ = memory.step;
  first_step_ = memory.first_step;
  clock_ = memory.clock;
  weight_ = memory.weight;
  scaled_down_ = memory.scaled_down;
  values_ = memory.values;
  last_uses_ = memory.last_uses;
  resident_ = memory.resident;
  used_now_.clear();
  std::fill(pins_.begin(), pins_.end(), uint16_t{0});
  std::fill(used_slots_.begin(), used_slots_.end(), int64_t{0});
  for (size_t expert = 0; expert < ranks_.size(); ++expert) {
    const size_t layer = expert / static_cast<size_t>(grid_.num_experts);
    used_slots_[policy_.by_layer ? layer : 0] += resident_[expert];
    if (policy_.kind != Policy::Kind::kStatic) set_rank(expert);
  }
  for (int layer = 0; layer < grid_.num_layers; ++layer) touch_layer(layer);
}

void ExpertCache::hold_static(std::span<const int64_t> counts) {
  if (counts.size() != grid_.size()) throw std::logic_error("a static cache without counts");
  const auto hold_best = [&](size_t first, size_t size, int64_t slots) {
    std::vector<size_t> order(size);
    std::iota(order.begin(), order.end(), first);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return counts[a] > counts[b]; });
    for (int64_t i = 0; i < std::min<int64_t>(slots, static_cast<int64_t>(size)); ++i)
      resident_[order[static_cast<size_t>(i)]] = 1;
  };
  if (!policy_.by_layer) return hold_best(0, grid_.size(), slots_);
  for (int layer = 0; layer < grid_.num_layers; ++layer) {
    hold_best(grid_.index(layer, 0), static_cast<size_t>(grid_.num_experts), num_slots(layer));
  }
}

std::span<const uint16_t> ExpertCache::to_load(std::span<const uint16_t> elsewhere) {
  if (elsewhere.empty()) return outcome_.misses;
  to_load_.clear();
  for (const uint16_t expert : outcome_.misses) {
    if (std::find(elsewhere.begin(), elsewhere.end(), expert) == elsewhere.end())
      to_load_.push_back(expert);
  }
  return to_load_;
}

const ExpertCache::Outcome& ExpertCache::serve(const RoutingEvent& event,
                                               std::span<const uint16_t> elsewhere) {
  outcome_.misses.clear();
  outcome_.loads.clear();
  const size_t first = grid_.index(event.layer, 0);
  for (const uint16_t expert : event.experts) {
    if (!resident_[first + expert]) outcome_.misses.push_back(expert);
  }
  if (policy_.kind == Policy::Kind::kStatic) return outcome_;
  if (event.step != step_) begin_step(event.step);
  use(event);
  const std::span<const uint16_t> missing = to_load(elsewhere);
  if (missing.empty()) {
    refresh_hits(event);
  } else if (static_cast<int64_t>(event.experts.size()) > num_slots(event.layer)) {
    fill_free_slots(event, missing);
  } else if (policy_.bypass) {
    load_by_value(event, missing);
  } else {
    load_always(event, missing);
  }
  return outcome_;
}

void ExpertCache::begin_step(int64_t step) {
  if (step_ < 0) first_step_ = step;
  step_ = step;
  if (policy_.kind == Policy::Kind::kLrfu) set_weight();
  if (policy_.kind == Policy::Kind::kLeastStale) {
    for (const size_t expert : used_now_) {
      if (values_[expert] >= kFresh) values_[expert] -= kFresh;
      set_rank(expert);
      touch_layer(static_cast<int>(expert / static_cast<size_t>(grid_.num_experts)));
    }
    used_now_.clear();
  }
}

void ExpertCache::set_weight() {
  const double exponent = static_cast<double>(step_ - first_step_) / policy_.half_life;
  while (exponent - scaled_down_ >= kLargestExponent) {
    scaled_down_ += kLargestExponent;
    for (double& value : values_) value = std::ldexp(value, -static_cast<int>(kLargestExponent));
    for (size_t expert = 0; expert < ranks_.size(); ++expert) set_rank(expert);
    for (int layer = 0; layer < grid_.num_layers; ++layer) touch_layer(layer);
  }
  weight_ = std::exp2(exponent - scaled_down_);
}

void ExpertCache::use(const RoutingEvent& event) {
  const size_t first = grid_.index(event.layer, 0);
  const auto uses = [&](size_t i) { return event.tokens.empty() ? 1.0 : event.tokens[i]; };
  for (size_t i = 0; i < event.experts.size(); ++i) {
    const size_t expert = first + event.experts[i];
    double& value = values_[expert];
    switch (policy_.kind) {
      case Policy::Kind::kLru:
        value = ++clock_;
        break;
      case Policy::Kind::kLruByToken:
        value = static_cast<double>(event.step);
        break;
      case Policy::Kind::kLfu:
        value = (resident_[expert] ? value : 0) + uses(i);
        last_uses_[expert] = ++clock_;
        break;
      case Policy::Kind::kLrfu:
        value += weight_ * uses(i);
        break;
      case Policy::Kind::kLeastStale:
        if (!resident_[expert]) value = ++clock_;
        if (value < kFresh) {
          value += kFresh;
          used_now_.push_back(expert);
        }
        break;
      case Policy::Kind::kBelady:
        value = -static_cast<double>(event.next_use[i]);
        break;
      case Policy::Kind::kStatic:
        break;
    }
  }
}

void ExpertCache::set_rank(size_t expert) {
  ranks_[expert] = resident_[expert] && pins_[expert] == 0 ? values_[expert] : kInfinite;
}

void ExpertCache::refresh_hits(const RoutingEvent& event) {
  const size_t first = grid_.index(event.layer, 0);
  for (const uint16_t expert : event.experts) set_rank(first + expert);
  touch_layer(event.layer);
}

bool ExpertCache::take_free_slot(int layer) {
  int64_t& used = used_slots_[policy_.by_layer ? static_cast<size_t>(layer) : 0];
  if (used >= num_slots(layer)) return false;
  ++used;
  return true;
}

void ExpertCache::load(size_t expert, int64_t victim) {
  if (victim != kFreeSlot) {
    const auto leaving = static_cast<size_t>(victim);
    resident_[leaving] = 0;
    ranks_[leaving] = kInfinite;
    touch_layer(static_cast<int>(leaving / static_cast<size_t>(grid_.num_experts)));
  }
  resident_[expert] = 1;
  outcome_.loads.push_back({expert, victim});
}

void ExpertCache::load_always(const RoutingEvent& event, std::span<const uint16_t> missing) {
  const size_t first = grid_.index(event.layer, 0);
  for (const uint16_t expert : event.experts) ranks_[first + expert] = kInfinite;
  touch_layer(event.layer);
  for (const uint16_t expert : missing) {
    if (take_free_slot(event.layer)) {
      load(first + expert, kFreeSlot);
      continue;
    }
    const Victim victim = victim_of(event.layer);
    if (victim.expert == kFreeSlot) break;  // All are pinned: the rest passes through.
    load(first + expert, victim.expert);
  }
  refresh_hits(event);
}

void ExpertCache::load_by_value(const RoutingEvent& event, std::span<const uint16_t> missing) {
  refresh_hits(event);
  const size_t first = grid_.index(event.layer, 0);
  for (const uint16_t expert : missing) {
    if (take_free_slot(event.layer)) {
      load(first + expert, kFreeSlot);
    } else {
      const Victim victim = victim_of(event.layer);
      if (victim.expert == kFreeSlot || values_[first + expert] <= victim.value) continue;
      load(first + expert, victim.expert);
    }
    set_rank(first + expert);
    touch_layer(event.layer);
  }
}

void ExpertCache::fill_free_slots(const RoutingEvent& event, std::span<const uint16_t> missing) {
  const size_t first = grid_.index(event.layer, 0);
  for (const uint16_t expert : missing) {
    if (!take_free_slot(event.layer)) break;
    load(first + expert, kFreeSlot);
  }
  refresh_hits(event);
}

void ExpertCache::pin(size_t expert) {
  ++pins_[expert];
  set_rank(expert);
  touch_layer(static_cast<int>(expert / static_cast<size_t>(grid_.num_experts)));
}

void ExpertCache::unpin(size_t expert) {
  --pins_[expert];
  set_rank(expert);
  touch_layer(static_cast<int>(expert / static_cast<size_t>(grid_.num_experts)));
}

std::optional<ExpertCache::Load> ExpertCache::insert(size_t expert, int running_layer) {
  if (policy_.kind == Policy::Kind::kStatic) return std::nullopt;
  const int layer = static_cast<int>(expert / static_cast<size_t>(grid_.num_experts));
  outcome_.loads.clear();
  if (take_free_slot(layer)) {
    load(expert, kFreeSlot);
  } else {
    const Victim victim = victim_of(policy_.by_layer ? layer : running_layer);
    if (victim.expert == kFreeSlot) return std::nullopt;
    load(expert, victim.expert);
  }
  if (policy_.kind == Policy::Kind::kLfu) values_[expert] = 0;
  if (policy_.kind == Policy::Kind::kLeastStale) values_[expert] = ++clock_;
  pin(expert);
  return outcome_.loads.front();
}

void ExpertCache::remove(size_t expert) {
  const int layer = static_cast<int>(expert / static_cast<size_t>(grid_.num_experts));
  resident_[expert] = 0;
  pins_[expert] = 0;
  set_rank(expert);
  touch_layer(layer);
  --used_slots_[policy_.by_layer ? static_cast<size_t>(layer) : 0];
}

void ExpertCache::touch_layer(int layer) {
  uint8_t& changed = changed_[static_cast<size_t>(layer)];
  if (changed) return;
  changed = 1;
  changed_layers_.push_back(layer);
}

void ExpertCache::rescan(int layer) {
  const std::span<const double> ranks = ranks_of(layer);
  const auto place = static_cast<size_t>(layer);
  least_[place] = lowest_of(ranks);
  if (policy_.kind == Policy::Kind::kLfu)
    least_ties_[place] = lowest_tie(ranks, least_[place], last_uses_of(layer));
}

/// Of a layer's experts of least rank the one that goes.
int64_t ExpertCache::least_expert(int layer) const {
  const std::span<const double> ranks = ranks_of(layer);
  const auto place = static_cast<size_t>(layer);
  size_t expert = 0;
  if (policy_.kind == Policy::Kind::kLfu) {
    const std::span<const double> last_uses = last_uses_of(layer);
    while (ranks[expert] != least_[place] || last_uses[expert] != least_ties_[place]) ++expert;
  } else {
    while (ranks[expert] != least_[place]) ++expert;
  }
  return static_cast<int64_t>(grid_.index(layer, static_cast<int>(expert)));
}

/// From the layer that was just here, whose turn comes last, back to the one that is next.
int ExpertCache::least_layer(int layer, double least) const {
  const bool ties = policy_.kind == Policy::Kind::kLfu;
  const double least_tie = ties ? lowest_tie(least_, least, least_ties_) : 0;
  const auto goes = [&](int other) {
    const auto place = static_cast<size_t>(other);
    return least_[place] == least && (!ties || least_ties_[place] == least_tie);
  };
  int other = layer;
  while (!goes(other)) other = (other == 0 ? grid_.num_layers : other) - 1;
  return other;
}

ExpertCache::Victim ExpertCache::victim_of(int layer) {
  for (const int changed : changed_layers_) {
    rescan(changed);
    changed_[static_cast<size_t>(changed)] = 0;
  }
  changed_layers_.clear();
  const double least = policy_.by_layer ? least_[static_cast<size_t>(layer)] : lowest_of(least_);
  if (least == kInfinite) return {};
  return {least, least_expert(policy_.by_layer ? layer : least_layer(layer, least))};
}

}  // namespace foregate::offload

#include "offload/time/prefetcher.h"

#include <algorithm>

namespace foregate::offload {
namespace {

constexpr int64_t kNotEvicted = -1;

}  // namespace

Prefetcher::Prefetcher(const ExpertGrid& grid, const PrefetchRule& rule, double expert_bytes,
                       ExpertCache& cache, PrefetchLink& link)
    : grid_(grid),
      expert_bytes_(expert_bytes),
      cache_(cache),
      link_(link),
      plan_(rule, grid.num_layers),
      pinned_(static_cast<size_t>(grid.num_layers)),
      asked_(static_cast<size_t>(grid.num_layers)),
      foreseen_(static_cast<size_t>(grid.num_layers)),
      kept_(grid.size()),
      unused_(grid.size()),
      victim_step_(grid.size(), kNotEvicted) {}

void Prefetcher::reset() {
  std::fill(unused_.begin(), unused_.end(), uint8_t{0});
  std::fill(victim_step_.begin(), victim_step_.end(), kNotEvicted);
  victims_.clear();
}

void Prefetcher::ask(const std::vector<Guess>& guesses, int64_t step, int layer) {
  plan_.add(guesses);
  for (const Guess& guess : plan_.release(layer)) {
    const size_t expert = grid_.index(guess.layer, guess.expert);
    const auto of_layer = static_cast<size_t>(guess.layer);
    if (kept_[expert] || link_.prefetch_state(expert) == PrefetchLink::State::kQueued) continue;
    if (cache_.policy().kind == Policy::Kind::kStatic) continue;
    foreseen_[of_layer].push_back(expert);
    if (cache_.holds(guess.layer, guess.expert)) {
      cache_.pin(expert);
      kept_[expert] = 1;
      pinned_[of_layer].push_back(expert);
    } else {
      link_.ask_for(expert, step * grid_.num_layers + guess.layer);
      asked_[of_layer].push_back(expert);
    }
  }
}

std::optional<ExpertCache::Load> Prefetcher::begin(size_t expert, int64_t step, int running_layer) {
  const auto load = cache_.insert(expert, running_layer);
  if (!load) return load;
  lost(load->victim);
  if (load->victim != ExpertCache::kFreeSlot) {
    victim_step_[static_cast<size_t>(load->victim)] = step;
    victims_.push_back(static_cast<size_t>(load->victim));
  }
  kept_[expert] = 1;  // insert() has pinned it
  pinned_[expert / static_cast<size_t>(grid_.num_experts)].push_back(expert);
  unused_[expert] = 1;
  return load;
}

void Prefetcher::missed(size_t expert) {
  if (link_.prefetch_state(expert) == PrefetchLink::State::kQueued) link_.drop_prefetch(expert);
  if (victim_step_[expert] == kNotEvicted) return;
  plan_.observe_victim(true);
  victim_step_[expert] = kNotEvicted;
}

void Prefetcher::evicted(int64_t victim) {
  lost(victim);
}

void Prefetcher::lost(int64_t victim) {
  if (victim == ExpertCache::kFreeSlot) return;
  const auto expert = static_cast<size_t>(victim);
  link_.left_slot(expert);
  if (!unused_[expert]) return;
  counts_.wasted_bytes += expert_bytes_;
  unused_[expert] = 0;
}

bool Prefetcher::took(size_t expert) {
  if (!unused_[expert]) return false;
  unused_[expert] = 0;
  counts_.useful_bytes += expert_bytes_;
  return true;
}

void Prefetcher::end_layer(int layer, std::span<const uint16_t> used) {
  const auto of_layer = static_cast<size_t>(layer);
  std::vector<size_t>& foreseen = foreseen_[of_layer];
  std::sort(foreseen.begin(), foreseen.end());
  foreseen.erase(std::unique(foreseen.begin(), foreseen.end()), foreseen.end());
  for (const size_t expert : foreseen) {
    const auto id = static_cast<uint16_t>(expert - grid_.index(layer, 0));
    ++counts_.foreseen;
    counts_.right += std::find(used.begin(), used.end(), id) != used.end();
  }
  foreseen.clear();
  for (const size_t expert : asked_[of_layer]) {
    const PrefetchLink::State state = link_.prefetch_state(expert);
    if (state == PrefetchLink::State::kQueued) {
      link_.drop_prefetch(expert);
    } else if (state == PrefetchLink::State::kMoving) {
      // What is still to come of it would hold up others; its slot is free again.
      counts_.wasted_bytes += link_.drop_prefetch(expert);
      unused_[expert] = 0;
      kept_[expert] = 0;
      std::erase(pinned_[of_layer], expert);
      cache_.remove(expert);
      link_.left_slot(expert);
    }
  }
  asked_[of_layer].clear();
  for (const size_t expert : pinned_[of_layer]) {
    cache_.unpin(expert);
    kept_[expert] = 0;
  }
  pinned_[of_layer].clear();
}

void Prefetcher::end_step(int64_t step, double seconds, double demand_seconds) {
  plan_.end_step();
  end_victims(step);
  plan_.observe_step(seconds, demand_seconds);
}

/// Victims that a whole step has not asked for were worth nothing.
void Prefetcher::end_victims(int64_t step) {
  while (!victims_.empty()) {
    int64_t& evicted_at = victim_step_[victims_.front()];
    if (evicted_at == step) return;
    if (evicted_at != kNotEvicted) plan_.observe_victim(false);
    evicted_at = kNotEvicted;
    victims_.pop_front();
  }
}

}  // namespace foregate::offload

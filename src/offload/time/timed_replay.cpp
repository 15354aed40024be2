#include "offload/time/timed_replay.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace foregate::offload {
namespace {

Policy host_policy() {
  return {Policy::Kind::kLru, false, false, 0};
}

double mean_of(double sum, int64_t count) {
  return count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
}

}  // namespace

double TimedResult::mean_bound() const {
  return mean_of(bound_seconds, token_seconds.count());
}

double TimedResult::mean_resident() const {
  return mean_of(resident_seconds, token_seconds.count());
}

TimedReplay::TimedReplay(const trace::Geometry& geometry, const TimedOptions& options,
                         std::unique_ptr<Foresight> foresight, std::span<const int64_t> counts)
    : geometry_(geometry),
      grid_{geometry.num_moe_layers, geometry.num_experts},
      options_(options),
      foresight_(std::move(foresight)),
      cache_(grid_, options.policy, options.slots, geometry.top_k, counts),
      link_(options.hardware.host_to_device, options.model.expert_bytes,
            options.prefetch ? options.prefetch->pieces : 1, grid_.size(),
            {[this](size_t expert) { return prefetcher_.begin(expert, step_, layer_).has_value(); },
             [this](size_t expert, bool demand, double start, double seconds) {
               const auto experts = static_cast<size_t>(grid_.num_experts);
               span(demand ? TimelineLane::kDemand : TimelineLane::kPrefetch,
                    static_cast<int>(expert / experts), static_cast<int>(expert % experts), start,
                    seconds);
             }}),
      prefetcher_(grid_, options.prefetch.value_or(PrefetchRule{}), options.model.expert_bytes,
                  cache_, *this),
      union_(geometry) {
  if (options.host_slots > 0 && options.host_slots < static_cast<int64_t>(grid_.size()))
    host_.emplace(grid_, host_policy(), options.host_slots, geometry.top_k);
}

void TimedReplay::span(TimelineLane lane, int layer, int expert, double start, double seconds) {
  if (timeline_ && seconds > 0) timeline_(lane, step_, layer, expert, start, seconds);
}

void TimedReplay::compute(int layer, double seconds) {
  span(TimelineLane::kCompute, layer, -1, now_, seconds);
  now_ += seconds;
  step_compute_ += seconds;
}

void TimedReplay::run(const Step& step) {
  if (options_.cold && step.begins_text) {
    cache_.reset();
    for (size_t expert = 0; expert < grid_.size(); ++expert) link_.forget(expert);
    prefetcher_.reset();
  }
  const double began = now_;
  const double demand_before = link_.demand_seconds();
  step_ = step.number;
  step_compute_ = 0;
  step_transfers_ = 0;
  begin_foreseeing(step);
  for (int layer = 0; layer < grid_.num_layers; ++layer) {
    layer_ = layer;
    foresee(step, layer, false);
    compute(layer, options_.model.layer_seconds(options_.hardware, step.num_tokens));
    foresee(step, layer, true);
    serve(step, layer);
    prefetcher_.end_layer(layer, experts_);
  }
  const double seconds = now_ - began;
  prefetcher_.end_step(step_, seconds, link_.demand_seconds() - demand_before);
  result_.seconds += seconds;
  result_.compute_seconds += step_compute_;
  const auto sequence = static_cast<size_t>(step.sequence);
  if (first_token_.size() <= sequence) first_token_.resize(sequence + 1);
  if (step.prompt) {
    first_token_[sequence] += seconds;
    if (step.first_token + step.num_tokens >= step.text->prompt_tokens) {
      result_.first_token_seconds.add(first_token_[sequence]);
      first_token_[sequence] = 0;
    }
    return;
  }
  result_.token_seconds.add(seconds);
  result_.resident_seconds += step_compute_;
  result_.bound_seconds += std::max(
      step_compute_, static_cast<double>(step_transfers_) *
                         options_.hardware.host_to_device.seconds(options_.model.expert_bytes));
}

void TimedReplay::begin_foreseeing(const Step& step) {
  if (!foresight_) return;
  guesses_.clear();
  foresight_->at_step(step, guesses_);
  layer_ = 0;
  prefetch(step, -1);
}

void TimedReplay::foresee(const Step& step, int layer, bool at_router) {
  if (!foresight_) return;
  guesses_.clear();
  if (at_router) {
    foresight_->at_router(step, layer, guesses_);
    prefetch(step, layer);
  } else {
    foresight_->at_layer(step, layer, guesses_);
    // The layer itself may still be asked for.
    if (!guesses_.empty()) prefetch(step, layer - 1);
  }
}

void TimedReplay::prefetch(const Step& step, int layer) {
  if (!options_.prefetch) return;
  if (!guesses_.empty() && options_.prefetch->predictor_seconds > 0) {
    const double seconds = options_.prefetch->predictor_seconds;
    span(TimelineLane::kPredictor, layer, -1, now_, seconds);
    now_ += seconds;
    result_.predictor_seconds += seconds;
  }
  link_.advance(now_);
  prefetcher_.ask(guesses_, step.number, layer);
}

PrefetchLink::State TimedReplay::prefetch_state(size_t expert) const {
  switch (link_.state(expert)) {
    case TransferLink::State::kQueued:
      return State::kQueued;
    case TransferLink::State::kMoving:
      return State::kMoving;
    case TransferLink::State::kIdle:
    case TransferLink::State::kThere:
      return State::kIdle;
  }
  throw std::logic_error("a state of a link without a meaning");
}

void TimedReplay::ask_for(size_t expert, int64_t need) {
  link_.prefetch(expert, need, now_, ready_at_host(expert));
}

double TimedReplay::drop_prefetch(size_t expert) {
  return link_.drop(expert);
}

void TimedReplay::left_slot(size_t expert) {
  link_.forget(expert);
}

double TimedReplay::ready_at_host(size_t expert) {
  if (!host_) return now_;
  const auto experts = static_cast<size_t>(grid_.num_experts);
  const auto id = static_cast<uint16_t>(expert % experts);
  const std::span<const uint16_t> one(&id, 1);
  const RoutingEvent event{step_, static_cast<int>(expert / experts), one};
  if (host_->serve(event).misses.empty()) return now_;
  const LinkSpeed& storage = options_.hardware.storage_to_host;
  storage_free_ = std::max(storage_free_, now_) + storage.issue_seconds +
                  storage.seconds(options_.model.expert_bytes);
  ++result_.storage_reads;
  return storage_free_;
}

void TimedReplay::demand(size_t expert) {
  link_.demand(expert, now_, ready_at_host(expert));
  result_.demand_bytes += options_.model.expert_bytes;
  ++step_transfers_;
}

/// How many of a layer's misses the CPU takes, so that the slower of link and CPU is done first.
/// `demanded` transfers are waited for in any case. One miss stays with the link: what the CPU
/// computes is not kept, and a cache that nothing comes into would never hit again.
size_t TimedReplay::misses_on_cpu(size_t misses, int64_t demanded) const {
  const HardwareProfile& hardware = options_.hardware;
  if (!options_.cpu_experts || hardware.host_bytes_per_second <= 0) return 0;
  const double copy = link_.copy_seconds();
  const double waits = std::max(0.0, link_.free_at() - now_);
  size_t best = 0;
  double best_seconds = std::numeric_limits<double>::infinity();
  for (size_t on_cpu = 0; on_cpu == 0 || on_cpu < misses; ++on_cpu) {
    const double copies = static_cast<double>(misses - on_cpu) + static_cast<double>(demanded);
    const double rate =
        copies > 0 ? hardware.host_bytes_per_second_beside_link : hardware.host_bytes_per_second;
    const double link = copies > 0 ? waits + copies * copy : 0;
    const double cpu = on_cpu == 0 ? 0
                                   : hardware.host_seconds + static_cast<double>(on_cpu) *
                                                                 options_.model.expert_bytes / rate;
    if (std::max(link, cpu) >= best_seconds) continue;
    best = on_cpu;
    best_seconds = std::max(link, cpu);
  }
  return best;
}

void TimedReplay::serve(const Step& step, int layer) {
  experts_.clear();
  counts_.clear();
  union_.append(step, layer, experts_, counts_);
  link_.advance(now_);
  FoundCount& found = step.prompt ? result_.prompt : result_.generated;
  const auto place = [&](uint16_t expert) { return grid_.index(layer, expert); };

  std::vector<uint16_t> missing;
  std::vector<size_t> awaited;  // places in experts_, and when they are there
  std::vector<size_t> at_once;
  for (size_t i = 0; i < experts_.size(); ++i) {
    const size_t expert = place(experts_[i]);
    if (!cache_.holds(layer, experts_[i])) {
      prefetcher_.missed(expert);
      missing.push_back(experts_[i]);
      continue;
    }
    const TransferLink::State state = link_.state(expert);
    const bool moving = state == TransferLink::State::kMoving ||
                        (state == TransferLink::State::kThere && link_.arrival(expert) > now_);
    if (moving) {
      link_.promote(expert);
      ++found.late;
      awaited.push_back(i);
    } else {
      ++found.hits;
      at_once.push_back(i);
    }
  }
  const size_t on_cpu =
      step.prompt ? 0 : misses_on_cpu(missing.size(), static_cast<int64_t>(awaited.size()));
  const std::span<const uint16_t> elsewhere(missing.data() + (missing.size() - on_cpu), on_cpu);
  const RoutingEvent event{step.number, layer, experts_, counts_};
  for (const ExpertCache::Load& load : cache_.serve(event, elsewhere).loads)
    prefetcher_.evicted(load.victim);
  found.misses += static_cast<int64_t>(missing.size());
  found.on_cpu += static_cast<int64_t>(on_cpu);
  for (size_t i = 0; i < missing.size() - on_cpu; ++i) demand(place(missing[i]));
  for (const uint16_t expert : experts_) step_transfers_ += prefetcher_.took(place(expert));

  const double began = now_;
  const auto run_expert = [&](size_t i) {
    compute(layer, options_.model.expert_seconds(options_.hardware, counts_[i]));
  };
  for (const size_t i : at_once) run_expert(i);
  for (size_t i = 0; i < experts_.size(); ++i) {
    const auto miss = std::find(missing.begin(),
                                missing.end() - static_cast<std::ptrdiff_t>(on_cpu), experts_[i]);
    if (miss != missing.end() - static_cast<std::ptrdiff_t>(on_cpu)) awaited.push_back(i);
  }
  std::vector<std::pair<double, size_t>> arrivals;
  for (const size_t i : awaited) arrivals.emplace_back(link_.arrival(place(experts_[i])), i);
  std::sort(arrivals.begin(), arrivals.end());
  for (const auto& [arrival, i] : arrivals) {
    if (arrival > now_) {
      span(TimelineLane::kWait, layer, experts_[i], now_, arrival - now_);
      now_ = arrival;
    }
    run_expert(i);
    if (!cache_.holds(layer, experts_[i])) link_.forget(place(experts_[i]));  // passed through
  }
  if (on_cpu == 0) return;
  const HardwareProfile& hardware = options_.hardware;
  const double rate = arrivals.empty() ? hardware.host_bytes_per_second
                                       : hardware.host_bytes_per_second_beside_link;
  const double cpu =
      hardware.host_seconds + static_cast<double>(on_cpu) * options_.model.expert_bytes / rate;
  span(TimelineLane::kCpu, layer, -1, began, cpu);
  now_ = std::max(now_, began + cpu);
}

TimedResult TimedReplay::result() const {
  TimedResult result = result_;
  result.useful_bytes = prefetcher_.counts().useful_bytes;
  result.wasted_bytes = prefetcher_.counts().wasted_bytes;
  result.demand_seconds = link_.demand_seconds();
  result.prefetch_seconds = link_.prefetch_seconds();
  return result;
}

}  // namespace foregate::offload

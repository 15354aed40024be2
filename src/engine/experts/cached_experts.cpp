#include "engine/experts/cached_experts.h"

#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <stdexcept>

#include "base/error.h"

namespace foregate::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

/// Tokens of which experts pass through at once: see ExpertRequest::at_once.
constexpr int64_t kLeastTokens = 3;
/// Experts that pass through at once, where a layer has so many.
constexpr int64_t kPassing = 8;

int64_t passing_slots(const trace::Geometry& geometry, const ExpertCacheOptions& options) {
  const int64_t wanted = options.passing_slots > 0 ? options.passing_slots : kPassing;
  return std::min<int64_t>(geometry.num_experts,
                           std::max<int64_t>(kLeastTokens * geometry.top_k, wanted));
}

std::vector<const nn::ExpertWeights*> experts_of(const std::vector<models::LayerWeights>& layers) {
  std::vector<const nn::ExpertWeights*> experts;
  for (const models::LayerWeights& layer : layers) {
    const models::MoeWeights* moe = layer.moe();
    if (moe == nullptr) continue;
    if (!moe->experts.gate_up.defined()) throw std::logic_error("a cache of absent experts");
    experts.push_back(&moe->experts);
  }
  return experts;
}

const offload::Policy& checked(const offload::Policy& policy) {
  if (!policy.needs_future()) return policy;
  throw UsageError(fmt::format(
      "the policy {} needs to know what comes, which only a replay does (foregate simulate); "
      "choose another, e.g. lrfu-8",
      offload::policy_name(policy)));
}

}  // namespace

CachedExperts::CachedExperts(const std::vector<models::LayerWeights>& layers,
                             const trace::Geometry& geometry, torch::Device device,
                             const ExpertCacheOptions& options)
    : geometry_(geometry),
      grid_{geometry.num_moe_layers, geometry.num_experts},
      device_(device),
      prefetches_(options.prefetch.has_value()),
      on_trial_(options.on_trial),
      timeline_(options.timeline),
      cache_(grid_, checked(options.policy), options.slots, geometry.top_k, options.counts),
      slots_(experts_of(layers), cache_.num_slots() + passing_slots(geometry, options), device),
      prefetcher_(grid_, options.prefetch.value_or(offload::PrefetchRule{}),
                  static_cast<double>(slots_.expert_bytes()), cache_, *this),
      slot_of_(grid_.size(), -1),
      used_(static_cast<size_t>(cache_.num_slots() + passing_slots(geometry, options))),
      union_(geometry),
      mover_(options.lane(device), prefetches_ ? options.prefetch->pieces : 0, grid_.size(),
             {.begin = [this](size_t expert) { return begin_prefetch(expert); },
              .name =
                  [this](size_t expert) {
                    const auto experts = static_cast<size_t>(grid_.num_experts);
                    return fmt::format("expert {} of MoE layer {}", expert % experts,
                                       expert / experts);
                  },
              .moved =
                  [this](size_t expert, bool prefetched, int64_t bytes, double seconds) {
                    const auto experts = static_cast<size_t>(grid_.num_experts);
                    span(prefetched ? offload::TimelineLane::kPrefetch
                                    : offload::TimelineLane::kDemand,
                         static_cast<int>(expert / experts), static_cast<int>(expert % experts),
                         Clock::now() - std::chrono::duration_cast<Clock::duration>(
                                            std::chrono::duration<double>(seconds)));
                    (prefetched ? counts_.prefetch_bytes : counts_.demand_bytes) += bytes;
                    (prefetched ? counts_.prefetch_seconds : counts_.demand_seconds) += seconds;
                  }}) {
  counts_.num_experts = geometry.num_experts;
  counts_.slots = cache_.num_slots();
  counts_.passing_slots = passing_slots(geometry, options);
  counts_.expert_bytes = slots_.expert_bytes();
  counts_.generated.resize(static_cast<size_t>(grid_.num_layers));
  counts_.prompt.resize(static_cast<size_t>(grid_.num_layers));
  for (int64_t slot = cache_.num_slots(); slot-- > 0;) free_slots_.push_back(slot);
  if (prefetches_) foresight_.emplace(geometry, options.foresight, options.sequences);
  if (options.policy.kind == offload::Policy::Kind::kStatic) hold_static();
}

void CachedExperts::check(const trace::Geometry& geometry, const ExpertCacheOptions& options) {
  offload::ExpertCache({geometry.num_moe_layers, geometry.num_experts}, checked(options.policy),
                       options.slots, geometry.top_k, options.counts);
}

void CachedExperts::hold_static() {
  for (size_t expert = 0; expert < grid_.size(); ++expert) {
    const auto experts = static_cast<size_t>(grid_.num_experts);
    if (!cache_.holds(static_cast<int>(expert / experts), static_cast<int>(expert % experts))) {
      continue;
    }
    {
      const auto guard = mover_.lock();
      mover_.demand(expert, route(expert, take_slot(expert)));
    }
    mover_.wait(expert);
  }
  counts_.demand_bytes = 0;
  counts_.demand_seconds = 0;
}

nn::ExpertWeights CachedExperts::shape_of(int moe_layer) const {
  return slots_.weights(moe_layer, torch::empty({grid_.num_experts}, torch::dtype(torch::kInt32)));
}

std::optional<ExpertCounts> CachedExperts::counts() const {
  const auto guard = mover_.lock();
  ExpertCounts counts = counts_;
  counts.prefetch = prefetcher_.counts();
  return counts;
}

CachedExperts::Books CachedExperts::books() const {
  const auto guard = mover_.lock();
  Books books{.memory = cache_.memory(),
              .owners = std::vector<int64_t>(static_cast<size_t>(cache_.num_slots()), -1)};
  for (size_t expert = 0; expert < slot_of_.size(); ++expert) {
    if (slot_of_[expert] >= 0)
      books.owners[static_cast<size_t>(slot_of_[expert])] = static_cast<int64_t>(expert);
  }
  return books;
}

void CachedExperts::set_books(const Books& books) {
  const auto guard = mover_.lock();
  cache_.remember(books.memory);
  step_ = books.memory.step;
  std::ranges::fill(slot_of_, -1);
  free_slots_.clear();
  for (int64_t slot = std::ssize(books.owners); slot-- > 0;) {
    const int64_t expert = books.owners[static_cast<size_t>(slot)];
    if (expert < 0) {
      free_slots_.push_back(slot);
    } else {
      slot_of_[static_cast<size_t>(expert)] = slot;
    }
  }
  std::ranges::fill(used_, tensor::record_event(device_));
}

ExpertRoute CachedExperts::route(size_t expert, int64_t slot) const {
  const auto experts = static_cast<size_t>(grid_.num_experts);
  return {slots_.pieces(static_cast<int>(expert / experts), static_cast<int64_t>(expert % experts),
                        slot),
          used_[static_cast<size_t>(slot)]};
}

int64_t CachedExperts::take_slot(size_t expert) {
  if (free_slots_.empty()) throw std::logic_error("an expert cache has lost a slot");
  const int64_t slot = free_slots_.back();
  free_slots_.pop_back();
  slot_of_[expert] = slot;
  return slot;
}

offload::PrefetchLink::State CachedExperts::prefetch_state(size_t expert) const {
  switch (mover_.state(expert)) {
    case ExpertMover::State::kIdle:
      return State::kIdle;
    case ExpertMover::State::kQueued:
      return State::kQueued;
    case ExpertMover::State::kMoving:
      return State::kMoving;
  }
  throw std::logic_error("a state of a mover without a meaning");
}

void CachedExperts::ask_for(size_t expert, int64_t need) {
  mover_.prefetch(expert, need);
}

double CachedExperts::drop_prefetch(size_t expert) {
  return static_cast<double>(mover_.drop(expert));
}

void CachedExperts::left_slot(size_t expert) {
  free_slots_.push_back(slot_of_[expert]);
  slot_of_[expert] = -1;
}

std::optional<ExpertRoute> CachedExperts::begin_prefetch(size_t expert) {
  if (slot_of_[expert] >= 0) return std::nullopt;
  if (!prefetcher_.begin(expert, step_, layer_)) return std::nullopt;
  return route(expert, take_slot(expert));
}

void CachedExperts::begin_step(const StepBatch& batch, std::span<const int64_t> past) {
  if (in_step_) abandon_step();
  prompt_ = false;
  for (int text = 0; text < batch.num_texts(); ++text) {
    const auto i = static_cast<size_t>(text);
    prompt_ |= past[i] == 0 || batch.cu_seqlens[i + 1] - batch.cu_seqlens[i] > 1;
  }
  in_step_ = true;
  asks_ = prefetches_ && (!on_trial_ || trial_.on());
  began_ = Clock::now();
  guesses_.clear();
  if (foresight_) foresight_->begin_step(batch, past, step_ + 1, guesses_);
  const auto guard = mover_.lock();
  mover_.check();
  demand_before_ = counts_.demand_seconds;
  ++step_;
  layer_ = 0;
  foresee(-1);
}

// The lock is held.
void CachedExperts::foresee(int layer) {
  if (asks_) prefetcher_.ask(guesses_, step_, layer);
}

// Something ends that began then. The lock is held.
void CachedExperts::span(offload::TimelineLane lane, int layer, int expert,
                         Clock::time_point began) {
  if (!timeline_) return;
  timeline_(lane, step_, layer, expert, std::chrono::duration<double>(began - made_).count(),
            seconds_since(began));
}

void CachedExperts::begin_layer(int moe_layer) {
  guesses_.clear();
  if (foresight_) foresight_->at_layer(moe_layer, guesses_);
  const auto guard = mover_.lock();
  layer_ = moe_layer;
  if (!guesses_.empty()) foresee(moe_layer - 1);  // the layer itself may still be asked for
}

void CachedExperts::use(const ExpertRequest& request, const Work& work) {
  const torch::Tensor decisions = request.routing.experts.to(torch::kCPU).contiguous();
  const std::span<const int64_t> chosen(decisions.const_data_ptr<int64_t>(),
                                        static_cast<size_t>(decisions.numel()));
  experts_.clear();
  union_.append(chosen, experts_, chosen_by_);
  serve(request.moe_layer);
  if (foresight_) {
    guesses_.clear();
    const Clock::time_point began = Clock::now();
    foresight_->at_router(request.moe_layer, chosen, guesses_);
    const auto guard = mover_.lock();
    if (!guesses_.empty()) span(offload::TimelineLane::kPredictor, request.moe_layer, -1, began);
    foresee(request.moe_layer);
  }
  if (static_cast<int64_t>(passing_.size()) <= counts_.passing_slots) {
    std::vector<Placed> there;
    for (const uint16_t expert : passing_)
      there.push_back({expert, passing_slot(std::ssize(there))});
    bring(request.moe_layer, there);
    there.insert(there.end(), resident_.begin(), resident_.end());
    show(request, there, {.num_tokens = decisions.size(0)}, work);
  } else if (request.at_once) {
    use_by_tokens(request, chosen, work);
  } else {
    use_by_experts(request, work);
  }
  end_layer(request.moe_layer);
}

// Books what the layer uses, and asks for what gets a slot.
void CachedExperts::serve(int layer) {
  const auto guard = mover_.lock();
  mover_.check();
  offload::FoundCount& found =
      (prompt_ ? counts_.prompt : counts_.generated)[static_cast<size_t>(layer)];
  if (asks_ && !prompt_) counts_.prefetch_requests += std::ssize(experts_);
  for (const uint16_t id : experts_) {
    const size_t expert = grid_.index(layer, id);
    if (!cache_.holds(layer, id)) {
      prefetcher_.missed(expert);
      ++found.misses;
    } else if (mover_.state(expert) == ExpertMover::State::kMoving) {
      mover_.promote(expert);
      ++found.late;
    } else {
      ++found.hits;
    }
  }
  for (const offload::ExpertCache::Load& load :
       cache_.serve({step_, layer, experts_, chosen_by_}).loads) {
    prefetcher_.evicted(load.victim);
    mover_.demand(load.expert, route(load.expert, take_slot(load.expert)));
  }
  resident_.clear();
  passing_.clear();
  for (const uint16_t id : experts_) {
    const size_t expert = grid_.index(layer, id);
    prefetcher_.took(expert);
    if (slot_of_[expert] < 0) {
      passing_.push_back(id);
      continue;
    }
    resident_.push_back({id, slot_of_[expert]});
    if (!prefetches_) continue;
    cache_.pin(expert);
    in_use_.push_back(expert);
  }
}

void CachedExperts::bring(int layer, std::span<const Placed> passing) {
  const auto guard = mover_.lock();
  for (const Placed& each : passing) {
    const size_t expert = grid_.index(layer, each.expert);
    mover_.demand(expert, route(expert, each.slot));
  }
}

// Waits for what is `there` and lets it be used.
void CachedExperts::show(const ExpertRequest& request, std::span<const Placed> there,
                         ExpertView view, const Work& work) {
  const Clock::time_point began = Clock::now();
  torch::Tensor matrices = torch::full({grid_.num_experts}, -1, torch::dtype(torch::kInt32));
  auto* matrix = matrices.mutable_data_ptr<int32_t>();
  for (const Placed& each : there) {
    mover_.wait(grid_.index(request.moe_layer, each.expert));
    matrix[each.expert] = static_cast<int32_t>(each.slot);
  }
  counts_.wait_seconds += seconds_since(began);
  {
    const auto guard = mover_.lock();
    span(offload::TimelineLane::kWait, request.moe_layer, -1, began);
  }
  view.experts = slots_.weights(request.moe_layer, tensor::to_device(matrices, device_));
  const Clock::time_point arrived = Clock::now();
  work(view);
  const tensor::DeviceEvent used = tensor::record_event(device_);
  const auto guard = mover_.lock();
  span(offload::TimelineLane::kCompute, request.moe_layer, -1, arrived);
  for (const Placed& each : there) used_[static_cast<size_t>(each.slot)] = used;
}

// What has no slot comes in two halves in turn, one while the other is used.
void CachedExperts::use_by_experts(const ExpertRequest& request, const Work& work) {
  const int64_t half = std::max<int64_t>(1, counts_.passing_slots / 2);
  const int64_t count = std::ssize(passing_);
  std::vector<std::vector<Placed>> groups((count + half - 1) / half);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t group = i / half;
    groups[static_cast<size_t>(group)].push_back(
        {passing_[static_cast<size_t>(i)], passing_slot(group % 2 * half + i % half)});
  }
  bring(request.moe_layer, groups.front());
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i + 1 < groups.size()) bring(request.moe_layer, groups[i + 1]);
    std::vector<Placed> there = groups[i];
    if (i == 0) there.insert(there.end(), resident_.begin(), resident_.end());
    show(request, there, {.num_tokens = request.routing.experts.size(0), .whole = false}, work);
  }
  counts_.further_views += std::ssize(groups) - 1;
}

// As many tokens at a time as what they need without a slot has room; never one by itself, which
// is added up in another order.
void CachedExperts::use_by_tokens(const ExpertRequest& request, std::span<const int64_t> chosen,
                                  const Work& work) {
  const int64_t tokens = request.routing.experts.size(0);
  const int64_t k = request.routing.experts.size(1);
  const auto missing = [&](int64_t first, int64_t count) {
    std::vector<Placed> placed;
    for (int64_t i = first * k; i < (first + count) * k; ++i) {
      const auto expert = static_cast<uint16_t>(chosen[static_cast<size_t>(i)]);
      if (std::ranges::find(passing_, expert) == passing_.end()) continue;
      if (std::ranges::find(placed, expert, &Placed::expert) != placed.end()) continue;
      placed.push_back({expert, passing_slot(std::ssize(placed))});
    }
    return placed;
  };
  for (int64_t first = 0; first < tokens;) {
    int64_t count = tokens - first;
    const auto fits = [&] { return std::ssize(missing(first, count)) <= counts_.passing_slots; };
    while (!fits() || tokens - first - count == 1) --count;
    std::vector<Placed> there = missing(first, count);
    bring(request.moe_layer, there);
    there.insert(there.end(), resident_.begin(), resident_.end());
    show(request, there, {.first_token = first, .num_tokens = count}, work);
    first += count;
    if (first < tokens) ++counts_.further_views;
  }
}

void CachedExperts::end_layer(int layer) {
  const auto guard = mover_.lock();
  for (const size_t expert : in_use_) cache_.unpin(expert);
  in_use_.clear();
  if (prefetches_) prefetcher_.end_layer(layer, experts_);
}

void CachedExperts::end_step() {
  in_step_ = false;
  if (foresight_) foresight_->end_step();
  const double seconds = seconds_since(began_);
  if (on_trial_ && !prompt_) trial_.took(seconds);
  const auto guard = mover_.lock();
  if (asks_ && !prompt_) ++counts_.prefetch_steps;
  prefetcher_.end_step(step_, seconds, counts_.demand_seconds - demand_before_);
}

void CachedExperts::abandon_step() {
  in_step_ = false;
  if (foresight_) foresight_->abandon_step();
  {
    const auto guard = mover_.lock();
    mover_.check();
    for (const size_t expert : in_use_) cache_.unpin(expert);
    in_use_.clear();
    for (int layer = 0; layer < grid_.num_layers; ++layer) prefetcher_.end_layer(layer, {});
    prefetcher_.end_step(step_, 0, 0);
    // Whatever was queued may still read any slot.
    std::ranges::fill(used_, tensor::record_event(device_));
  }
  for (size_t expert = 0; expert < grid_.size(); ++expert) mover_.wait(expert);
}

}  // namespace foregate::engine

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/experts/copy_lane.h"
#include "engine/experts/live_foresight.h"
#include "nn/cuda/expert_cache.h"
#include "offload/cache/policy.h"
#include "offload/time/prefetch_plan.h"
#include "offload/time/timeline.h"

namespace foregate::engine {

/// How experts that live in the host's memory come to the device.
struct ExpertCacheOptions {
  int64_t slots = 0;       ///< experts that the device has room for
  offload::Policy policy;  ///< one that does without the future
  /// Experts that have room beside them, to be used once and not kept; 0: some. At least what three
  /// tokens choose.
  int64_t passing_slots = 0;
  std::vector<int64_t> counts{};  ///< [L][E] uses by other texts; of a static policy only
  /// Nothing: on demand.
  std::optional<offload::PrefetchRule> prefetch{};
  MakeForesight foresight{};  ///< what prefetching goes by; not null with `prefetch`
  int64_t sequences = 1;      ///< texts that it follows at once
  /// Whether prefetching is tried first, and only goes on while tokens come sooner with it.
  bool on_trial = false;
  MakeCopyLane lane = make_copy_lane;
  offload::TimelineSpan timeline{};  ///< told what takes how long, if it is there
  /// The device decides by itself in steps of single tokens: see DeviceExperts. What it prefetches
  /// is what `next_gate` says, not `prefetch`.
  bool on_device = false;
  nn::ForeseeRules next_gate{};  ///< its routers are the model's
};

}  // namespace foregate::engine

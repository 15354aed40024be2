#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::offload {

/// Which expert leaves a full cache. Every policy gives each expert a value; the one of least value
/// goes. What the running event uses stays, whatever it is worth. The values:
///
/// - LRU: when it was used last, use by use.
/// - LRU by token: the step that used it last; among equals goes the one whose layer is needed
///   last.
/// - LFU: uses since it was loaded; among equals goes the one used longest ago.
/// - LRFU (Lee et al. 2001): the sum over its uses of 2^(-age in steps / half-life); among equals
///   goes the one whose layer is needed last.
/// - Least stale (Hoang et al. 2026): whether this step used it, then when it was loaded.
/// - Static: how often other texts use it; nothing ever goes.
/// - Belady (1966): how soon it is used again, which needs the future; among equals goes the one
///   whose layer is needed last.
struct Policy {
  enum class Kind : uint8_t { kLru, kLruByToken, kLfu, kLrfu, kLeastStale, kStatic, kBelady };

  Kind kind = Kind::kLru;
  /// Every layer has its share of the slots for itself; else all layers compete for all slots.
  bool by_layer = false;
  /// What is fetched stays only if it is worth more than what would go: Belady's optimum for a
  /// cache that may pass an expert through. Else what is fetched always stays.
  bool bypass = false;
  double half_life = 0;  ///< of LRFU, in steps

  bool operator==(const Policy&) const = default;
  bool needs_future() const { return kind == Kind::kBelady; }
};

/// "lru", "lru-layer", "lru-token", "lfu", "lrfu-8", "lrfu-32-layer", "least-stale", "static",
/// "belady" (with bypass), "belady-demand" (without). Each may end in "-layer". Throws
/// UsageError that lists them.
Policy parse_policy(std::string_view name);
std::string policy_name(const Policy& policy);

/// Those that a sweep compares unless told otherwise.
std::vector<Policy> default_policies();

}  // namespace foregate::offload

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "offload/cache/expert_cache.h"
#include "offload/time/prefetch_plan.h"

namespace foregate::offload {

/// What moves experts to their slots, for a Prefetcher: a replay's link, or a real one.
class PrefetchLink {
 public:
  enum class State : uint8_t { kIdle, kQueued, kMoving };

  virtual ~PrefetchLink() = default;
  virtual State prefetch_state(size_t expert) const = 0;
  /// `need` orders prefetches: the lowest first.
  virtual void ask_for(size_t expert, int64_t need) = 0;
  /// Drops a prefetch that is not there yet. -> bytes of it that were moved, in vain.
  virtual double drop_prefetch(size_t expert) = 0;
  /// The expert left its slot.
  virtual void left_slot(size_t expert) = 0;
};

/// What became of what was prefetched.
struct PrefetchCounts {
  double useful_bytes = 0;  ///< used
  double wasted_bytes = 0;  ///< evicted or dropped unused
  int64_t foreseen = 0;     ///< experts of layers that were fetched, or kept, because foreseen
  int64_t right = 0;        ///< of them those that the layer used
};

/// Keeps the books of prefetching beside a cache. What is foreseen and there is pinned until its
/// layer has passed; what is not there is asked for, takes its slot when its first byte moves, and
/// is dropped if it is not there by then.
class Prefetcher {
 public:
  /// `cache` and `link` must outlive it.
  Prefetcher(const ExpertGrid& grid, const PrefetchRule& rule, double expert_bytes,
             ExpertCache& cache, PrefetchLink& link);

  /// Asks for what of these guesses, and of earlier ones, is worth it behind `layer` (-1: the
  /// step's beginning).
  void ask(const std::vector<Guess>& guesses, int64_t step, int layer);
  /// A prefetch is about to move its first byte while `running_layer` runs: its slot, or nothing.
  std::optional<ExpertCache::Load> begin(size_t expert, int64_t step, int running_layer);

  /// A layer asks for an expert that is not there.
  void missed(size_t expert);
  /// A demand took the slot of this expert, or of ExpertCache::kFreeSlot.
  void evicted(int64_t victim);
  /// A layer uses an expert: whether it was prefetched, and is used for the first time.
  bool took(size_t expert);
  /// A layer, which used these experts, has passed.
  void end_layer(int layer, std::span<const uint16_t> used);
  /// A step took so long, of which the link served demand for so long.
  void end_step(int64_t step, double seconds, double demand_seconds);

  /// The cache is empty again.
  void reset();

  const PrefetchCounts& counts() const { return counts_; }

 private:
  void lost(int64_t victim);
  void end_victims(int64_t step);

  ExpertGrid grid_;
  double expert_bytes_;
  ExpertCache& cache_;
  PrefetchLink& link_;
  PrefetchPlan plan_;
  PrefetchCounts counts_;
  std::vector<std::vector<size_t>> pinned_;    // [L] by pending predictions
  std::vector<std::vector<size_t>> asked_;     // [L] prefetches of this step
  std::vector<std::vector<size_t>> foreseen_;  // [L] what either was done for
  std::vector<uint8_t> kept_;                  // [L][E] pinned by a prediction
  std::vector<uint8_t> unused_;                // [L][E] prefetched and not used yet
  std::vector<int64_t> victim_step_;           // [L][E] when a prefetch evicted it, -1
  std::deque<size_t> victims_;                 // those, in that order
};

}  // namespace foregate::offload

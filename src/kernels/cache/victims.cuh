#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cache/cache.h"

namespace foregate::kernels {

/// Added to the value of what the running step used, of least-stale: above any count of loads.
constexpr double kFreshlyUsed = 0x1p52;

/// A slot that is given away, and who leaves it.
struct Given {
  int slot = -1;   ///< -1: none
  int owner = -1;  ///< layer * E + expert, or -1: the slot was free
};

/// A block's search for the slots that are given away next: free ones first, then the expert of
/// least value; among equals the one whose layer is needed last, then the one of lowest number. A
/// thread keeps the ranks of every kThreads-th slot.
template <int kPerThread, int kThreads>
class VictimSearch {
 public:
  static constexpr int kWarps = kThreads / 32;
  struct Rank {
    uint64_t value;  ///< rises with the policy's; 0: free, from kHeld on: held back, kNone: stays
    uint32_t tie;
  };
  struct Scratch {
    Rank ranks[2][kWarps];
    int32_t slots[2][kWarps];
  };
  static constexpr uint64_t kNone = ~uint64_t{0};
  static constexpr uint64_t kHeld = uint64_t{1} << 63;
  /// What may become of the expert in a slot.
  enum class Fate { kGoes, kHeld, kStays };

  __device__ VictimSearch(const CacheTables& tables, Scratch& scratch)
      : tables_(tables), scratch_(scratch) {}

  /// Takes in the slots that nothing is on its way to, for a need of `layer`. `stays(slot)`: leave
  /// its expert there; `takes_free`, `takes_owned`: whether free ones, and others, are given at
  /// all.
  template <typename FateOf>
  __device__ void load(int layer, const FateOf& fate_of, bool takes_free, bool takes_owned) {
    layer_ = layer;
    const CacheShape& shape = tables_.shape;
    const auto step = static_cast<int32_t>(tables_.control->step);
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int at = slot_of(i);
      ranks_[i] = {kNone, 0};
      if (at >= shape.slots) continue;
      const CacheSlot slot = tables_.slots[at];
      if (slot.transfer >= 0) continue;
      if (slot.owner < 0) {
        if (takes_free) ranks_[i] = {0, static_cast<uint32_t>(at)};
        continue;
      }
      const int owner_layer = slot.owner / shape.experts;
      if (!takes_owned || (shape.by_layer && owner_layer != layer_)) continue;
      const Fate fate = fate_of(slot);
      if (fate == Fate::kStays) continue;
      double value = slot.value;
      if (shape.policy == SlotPolicy::kLeastStale && slot.used_step == step) value += kFreshlyUsed;
      const int behind = layer_ - owner_layer + (owner_layer > layer_ ? shape.layers : 0);
      const uint64_t held = fate == Fate::kHeld ? kHeld : 0;
      ranks_[i] = {held | (static_cast<uint64_t>(__double_as_longlong(value)) + 1),
                   static_cast<uint32_t>(behind * shape.experts + slot.owner % shape.experts)};
    }
    find_best(-1);
  }

  /// The next slot, the same for all threads, which is not found again. `takes_held`: even if its
  /// expert is held back.
  __device__ Given next(bool takes_free, bool takes_held = false) {
    Given given;
    do given = take(takes_held);
    while (given.slot >= 0 && given.owner < 0 && !takes_free);  // Those are another pool's.
    return given;
  }

 private:
  __device__ Given take(bool takes_held) {
    Rank best = best_;
    int best_slot = best_slot_;
    reduce(best, best_slot);
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (lane == 0) {
      scratch_.ranks[parity_][warp] = best;
      scratch_.slots[parity_][warp] = best_slot;
    }
    __syncthreads();
    best = lane < kWarps ? scratch_.ranks[parity_][lane] : Rank{kNone, 0};
    best_slot = lane < kWarps ? scratch_.slots[parity_][lane] : -1;
    reduce(best, best_slot);
    parity_ ^= 1;
    if (best.value == kNone || (best.value >= kHeld && !takes_held)) return {};
    if (best_slot == best_slot_) find_best(best_slot);
    return {best_slot, best.value == 0 ? -1 : owner_of(best.tie)};
  }

  /// Of this thread's slots but for one, which is not found again.
  __device__ void find_best(int taken) {
    best_ = {kNone, 0};
    best_slot_ = -1;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      if (slot_of(i) == taken) ranks_[i] = {kNone, 0};
      if (is_less(ranks_[i], best_)) {
        best_ = ranks_[i];
        best_slot_ = slot_of(i);
      }
    }
  }

  __device__ static int slot_of(int i) {
    return static_cast<int>(threadIdx.x) + i * kThreads;
  }
  __device__ int owner_of(uint32_t tie) const {
    const CacheShape& shape = tables_.shape;
    const int behind = static_cast<int>(tie) / shape.experts;
    const int owner_layer = layer_ - behind + (behind > layer_ ? shape.layers : 0);
    return owner_layer * shape.experts + static_cast<int>(tie) % shape.experts;
  }
  __device__ static bool is_less(const Rank& a, const Rank& b) {
    return a.value < b.value || (a.value == b.value && a.tie < b.tie);
  }
  /// The least of a warp's, in every lane.
  __device__ static void reduce(Rank& rank, int& slot) {
    constexpr unsigned kAll = 0xffffffffU;
    const auto high = static_cast<uint32_t>(rank.value >> 32);
    const uint32_t least_high = __reduce_min_sync(kAll, high);
    const uint32_t low = high == least_high ? static_cast<uint32_t>(rank.value) : kAll;
    const uint32_t least_low = __reduce_min_sync(kAll, low);
    const bool in_value = high == least_high && static_cast<uint32_t>(rank.value) == least_low;
    const uint32_t tie = in_value ? rank.tie : kAll;
    const uint32_t least_tie = __reduce_min_sync(kAll, tie);
    const unsigned holders = __ballot_sync(kAll, in_value && rank.tie == least_tie);
    slot = __shfl_sync(kAll, slot, __ffs(static_cast<int>(holders)) - 1);
    rank = {uint64_t{least_high} << 32 | least_low, least_tie};
  }

  const CacheTables& tables_;
  int layer_ = 0;
  Scratch& scratch_;
  Rank ranks_[kPerThread];
  Rank best_{kNone, 0};  ///< of these
  int best_slot_ = -1;
  int parity_ = 0;
};

/// Slots that a layer's experts may take.
__device__ inline int room_of_pool(const CacheShape& shape, int layer) {
  if (!shape.by_layer) return shape.slots;
  return shape.slots / shape.layers + (layer < shape.slots % shape.layers ? 1 : 0);
}

/// Calls `work` with how many slots a thread keeps.
template <int kThreads, typename Work>
cudaError_t with_slots_per_thread(int slots, const Work& work) {
  if (slots <= 2 * kThreads) return work(std::integral_constant<int, 2>{});
  if (slots <= 8 * kThreads) return work(std::integral_constant<int, 8>{});
  return work(std::integral_constant<int, kMostCacheSlots / kThreads>{});
}

}  // namespace foregate::kernels

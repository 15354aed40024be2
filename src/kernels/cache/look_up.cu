#include <climits>
#include <type_traits>

#include "kernels/cache/cache.h"
#include "kernels/cache/sync.cuh"
#include "kernels/cache/transfer.cuh"
#include "kernels/cache/victims.cuh"
#include "kernels/dependent_launch.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 512;
constexpr int kPairWarps = kMostCachePairs / 32;
/// These threads look after transfers while the first kMostCachePairs take a pair each.
constexpr int kFirstSweeper = kMostCachePairs;
static_assert(kFirstSweeper + kMostTransfers <= kThreads);

/// What a layer's event finds: one bit a pair, of which every expert has one, its first.
struct Found {
  unsigned used[kPairWarps];
  unsigned missing[kPairWarps];
  unsigned late[kPairWarps];
};

struct Scratch {
  int first[kMostCacheExperts];  ///< pair that names the expert first, or INT_MAX
  int uses[kMostCacheExperts];   ///< tokens that chose it
  Found found;
  int miss_experts[kMostCachePairs];  ///< in the order of their pairs
  double miss_values[kMostCachePairs];
  Given given[kMostCachePairs];  ///< to them
  int useful;
};

__device__ int count(const unsigned (&bits)[kPairWarps]) {
  int sum = 0;
  for (const unsigned word : bits) sum += __popc(word);
  return sum;
}

/// Bits before this thread's.
__device__ int count_before(const unsigned (&bits)[kPairWarps]) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  int sum = __popc(bits[warp] & ((1U << threadIdx.x % 32) - 1U));
  for (int i = 0; i < warp; ++i) sum += __popc(bits[i]);
  return sum;
}

/// Ends the transfers that have arrived, and those that were for this event or an earlier one and
/// that nobody needs: what is left of them is not brought any more.
__device__ void sweep(const CacheTables& tables, const Scratch& scratch, int number, int layer,
                      int64_t event, uint32_t pieces) {
  const CacheShape& shape = tables.shape;
  Transfer& transfer = tables.transfers[number];
  if (transfer.state == Transfer::kIdle) return;
  CacheSlot& slot = tables.slots[transfer.slot];
  const int expert = transfer.expert;
  const int owner_layer = expert / shape.experts;
  const uint32_t done = load_acquire(&transfer.done);
  if (done == transfer.expected) {
    slot.transfer = -1;
    transfer.state = Transfer::kIdle;
    return;
  }
  const bool is_used = owner_layer == layer && scratch.first[expert % shape.experts] != INT_MAX;
  if (transfer.state == Transfer::kDropped || transfer.need > event || is_used) return;
  const uint32_t claimed = atomicExch(&transfer.next, Transfer::kClosed);
  if (claimed >= pieces) return;  // All of it comes.
  transfer.expected = claimed;
  transfer.state = Transfer::kDropped;
  tables.slot_of[expert] = -1;
  slot.owner = -1;
  slot.unused = 0;
  atomicSub(&tables.used[shape.by_layer ? owner_layer : 0], 1);
  atomicAdd(reinterpret_cast<unsigned long long*>(&tables.counts[owner_layer].wasted), 1ULL);
  if (claimed == done) {
    slot.transfer = -1;
    transfer.state = Transfer::kIdle;
  }
}

/// What the policy says that an expert is worth now that this event uses it.
__device__ double used_value(const CacheTables& tables, double value, int order, int miss_order,
                             bool is_missing, int uses) {
  const CacheControl& control = *tables.control;
  switch (tables.shape.policy) {
    case SlotPolicy::kLru:
      return control.clock + order + 1;
    case SlotPolicy::kLruByToken:
      return static_cast<double>(control.step);
    case SlotPolicy::kLrfu:
      return value + control.weight * uses;
    case SlotPolicy::kLeastStale:
      return is_missing ? control.clock + miss_order + 1 : value;
    case SlotPolicy::kStatic:
      break;
  }
  return value;
}

/// Gives slots to what is missing, or staging slots to what gets none.
template <int kPerThread>
__device__ void place_misses(const CacheTables& tables, Scratch& scratch, int layer, int64_t event,
                             int misses, int used) {
  using Search = VictimSearch<kPerThread, kThreads>;
  __shared__ typename Search::Scratch search_scratch;
  const CacheShape& shape = tables.shape;
  const bool keeps = shape.policy != SlotPolicy::kStatic;
  const int pool = shape.by_layer ? layer : 0;
  const int room = room_of_pool(shape, layer);
  int taken = tables.used[pool];
  __syncthreads();
  Search search(tables, search_scratch);
  // With more experts than slots, what lies there stays.
  const bool takes_owned = used <= room;
  const auto fate_of = [&](const CacheSlot& slot) {
    const bool is_used =
        slot.owner / shape.experts == layer && scratch.first[slot.owner % shape.experts] != INT_MAX;
    return is_used              ? Search::Fate::kStays
           : slot.need >= event ? Search::Fate::kHeld
                                : Search::Fate::kGoes;
  };
  if (keeps) search.load(layer, fate_of, taken < room, takes_owned);
  int passed = 0;
  for (int i = 0; i < misses; ++i) {
    Given given;
    // What is foreseen goes where there is no other room left.
    if (keeps) given = search.next(taken < room, passed >= shape.staging);
    if (given.slot < 0) {
      given.slot = shape.slots + passed++;
    } else if (given.owner < 0) {
      ++taken;
    }
    if (threadIdx.x == 0) scratch.given[i] = given;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    tables.used[pool] = taken;
    tables.counts[layer].passed += passed;
  }
  const int thread = static_cast<int>(threadIdx.x);
  if (thread >= misses) return;
  const Given given = scratch.given[thread];
  const int index = layer * shape.experts + scratch.miss_experts[thread];
  if (given.slot < shape.slots) {
    CacheSlot& place = tables.slots[given.slot];
    if (given.owner >= 0) {
      tables.slot_of[given.owner] = -1;
      if (place.unused != 0) {
        atomicAdd(reinterpret_cast<unsigned long long*>(
                      &tables.counts[given.owner / shape.experts].wasted),
                  1ULL);
      }
    }
    place = {.value = scratch.miss_values[thread],
             .need = event,
             .owner = index,
             .transfer = -1,
             .used_step = static_cast<int32_t>(tables.control->step),
             .unused = 0};
  }
  tables.slot_of[index] = given.slot;
  tables.demands[thread] = {index, given.slot, -1};
}

template <int kPerThread>
__global__ void __launch_bounds__(kThreads)
    look_up_kernel(const CacheTables tables, const CacheEvent happening, uint32_t pieces) {
  __shared__ Scratch scratch;
  const CacheShape& shape = tables.shape;
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int layer = happening.layer;
  for (int e = thread; e < shape.experts; e += kThreads) {
    scratch.first[e] = INT_MAX;
    scratch.uses[e] = 0;
  }
  if (thread == 0) scratch.useful = 0;
  wait_for_previous();
  let_next_begin();
  __syncthreads();

  const int pairs = happening.tokens * happening.top_k;
  const int64_t event = tables.control->step * shape.layers + layer;
  int expert = 0;
  if (thread < pairs) {
    expert = static_cast<int>(happening.chosen[thread]);
    atomicMin(&scratch.first[expert], thread);
    atomicAdd(&scratch.uses[expert], 1);
  }
  __syncthreads();
  const bool is_first = thread < pairs && scratch.first[expert] == thread;
  const int index = layer * shape.experts + expert;
  double value = 0;
  if (is_first) value = tables.values[index];
  if (thread >= kFirstSweeper && thread - kFirstSweeper < shape.transfers) {
    sweep(tables, scratch, thread - kFirstSweeper, layer, event, pieces);
  }
  __syncthreads();
  int slot = -1;
  int transfer = -1;
  int unused = 0;
  if (is_first) {
    slot = tables.slot_of[index];
    if (slot >= shape.slots) slot = -1;  // It was only passed through.
    if (slot >= 0) {
      transfer = tables.slots[slot].transfer;
      unused = tables.slots[slot].unused;
    }
  }
  const bool is_missing = is_first && slot < 0;
  const bool is_late = is_first && transfer >= 0;
  if (warp < kPairWarps) {
    const unsigned used_bits = __ballot_sync(0xffffffffU, is_first);
    const unsigned missing_bits = __ballot_sync(0xffffffffU, is_missing);
    const unsigned late_bits = __ballot_sync(0xffffffffU, is_late);
    if (thread % 32 == 0) {
      scratch.found.used[warp] = used_bits;
      scratch.found.missing[warp] = missing_bits;
      scratch.found.late[warp] = late_bits;
    }
  }
  __syncthreads();
  const int used = count(scratch.found.used);
  const int misses = count(scratch.found.missing);
  const int late = count(scratch.found.late);
  const int miss_order = is_missing ? count_before(scratch.found.missing) : 0;
  if (is_first) {
    value = used_value(tables, value, count_before(scratch.found.used), miss_order, is_missing,
                       scratch.uses[expert]);
    tables.values[index] = value;
    if (is_missing) {
      scratch.miss_experts[miss_order] = expert;
      scratch.miss_values[miss_order] = value;
    } else {
      CacheSlot& place = tables.slots[slot];
      place.value = value;
      if (place.need < event) place.need = event;
      place.used_step = static_cast<int32_t>(tables.control->step);
      if (unused != 0) {
        place.unused = 0;
        atomicAdd(&scratch.useful, 1);
      }
      if (is_late) {
        tables.demands[misses + count_before(scratch.found.late)] = {index, slot, transfer};
      }
    }
  }
  __syncthreads();
  if (thread == 0) {
    CacheControl& control = *tables.control;
    if (shape.policy == SlotPolicy::kLru) control.clock += used;
    if (shape.policy == SlotPolicy::kLeastStale) control.clock += misses;
    control.num_misses = misses;
    control.num_demands = misses + late;
    store_relaxed(&control.demand_open, misses + late > 0 ? 1 : 0);
    store_relaxed(&control.events, control.events + 1);
    CacheCounts& counts = tables.counts[layer];
    counts.hits += used - misses - late;
    counts.late += late;
    counts.misses += misses;
    counts.useful += scratch.useful;
  }
  if (misses > 0) place_misses<kPerThread>(tables, scratch, layer, event, misses, used);
}

}  // namespace

cudaError_t cache_look_up(const CacheTables& tables, const CacheEvent& event,
                          const ExpertParts& parts, cudaStream_t stream) {
  if (!can_run_cache(tables.shape) || event.tokens * event.top_k > kMostCachePairs) {
    return cudaErrorInvalidValue;
  }
  const auto pieces = static_cast<uint32_t>(pieces_of(parts, parts.piece_bytes));
  return with_slots_per_thread<kThreads>(tables.shape.slots, [&](auto per_thread) {
    return launch_early(look_up_kernel<per_thread.value>, {1, kThreads}, stream, tables, event,
                        pieces);
  });
}

}  // namespace foregate::kernels

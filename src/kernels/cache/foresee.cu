#include <cstdint>
#include <type_traits>

#include "kernels/cache/cache.h"
#include "kernels/cache/sync.cuh"
#include "kernels/cache/transfer.cuh"
#include "kernels/cache/victims.cuh"
#include "kernels/dependent_launch.cuh"
#include "kernels/vector.cuh"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 512;

/// An expert that is probable enough and not there.
struct Candidate {
  int32_t expert;  ///< layer * E + expert
  float probability;
};

constexpr int kMostCandidates = 8;  ///< of a layer

struct ForeseenScratch {
  Candidate candidates[kMostDepths][kMostCandidates];
  int counts[kMostDepths];
  unsigned idle[2];  ///< a bit each transfer
};

__device__ float warp_highest(float value) {
  for (int width = 16; width > 0; width /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, width));
  }
  return value;
}

/// How probable it is that any of the tokens chooses each of a layer's experts: a lane's are
/// lane, lane + 32, ... See scoring::to_probabilities.
template <int kPerLane>
__device__ void probabilities_of(const Foreseen& foreseen, const DepthRule& rule, int depth,
                                 int experts, float (&probabilities)[kPerLane]) {
  constexpr float kLowest = -INFINITY;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float none[kPerLane];
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) none[i] = 1;
  for (int token = 0; token < foreseen.tokens; ++token) {
    const float* const row =
        foreseen.scores + token * foreseen.token_stride + int64_t{depth} * experts;
    float scores[kPerLane];
    float highest = kLowest;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int e = lane + 32 * i;
      scores[i] = e < experts ? row[e] : kLowest;
      highest = fmaxf(highest, scores[i]);
    }
    highest = warp_highest(highest);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) sum += __expf(scores[i] - highest);
    const float base = rule.shared * (highest + __logf(warp_sum(sum))) + rule.offset;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      none[i] *= 1 - 1 / (1 + __expf(-(rule.scale * scores[i] + base)));
    }
  }
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    probabilities[i] = lane + 32 * i < experts ? 1 - none[i] : -1;
  }
}

/// By a warp: keeps what is foreseen and there, and lists what is not, the most probable first.
template <int kPerLane>
__device__ void list_candidates(const CacheTables& tables, const Foreseen& foreseen,
                                int running_layer, int depth, ForeseenScratch& scratch) {
  const CacheShape& shape = tables.shape;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int layer = running_layer + 1 + depth;
  int listed = 0;
  const DepthRule rule = layer < shape.layers ? foreseen.rules[depth] : DepthRule{};
  if (layer < shape.layers && rule.threshold <= 1) {
    const int64_t event = tables.control->step * shape.layers + layer;
    float probabilities[kPerLane];
    probabilities_of(foreseen, rule, depth, shape.experts, probabilities);
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (probabilities[i] < rule.threshold) {
        probabilities[i] = -1;
        continue;
      }
      const int slot = tables.slot_of[layer * shape.experts + lane + 32 * i];
      if (slot < 0 || slot >= shape.slots) continue;
      if (tables.slots[slot].need < event) tables.slots[slot].need = event;
      probabilities[i] = -1;
    }
    const int most = min(foreseen.most, kMostCandidates);
    while (listed < most) {
      float best = -1;
      int expert = 0;
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        if (probabilities[i] > best) {
          best = probabilities[i];
          expert = lane + 32 * i;
        }
      }
      const float highest = warp_highest(best);
      if (highest < 0) break;
      const unsigned holders = __ballot_sync(0xffffffffU, best == highest);
      const int holder = __ffs(static_cast<int>(holders)) - 1;
      expert = __shfl_sync(0xffffffffU, expert, holder);
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) {
        if (lane + 32 * i == expert) probabilities[i] = -1;
      }
      if (lane == 0) {
        scratch.candidates[depth][listed] = {layer * shape.experts + expert, highest};
      }
      ++listed;
    }
  }
  if (lane == 0) scratch.counts[depth] = listed;
}

/// Opens a transfer of the expert to the slot.
__device__ void open_transfer(const CacheTables& tables, int number, int expert, const Given& given,
                              int64_t need, uint32_t pieces) {
  const CacheShape& shape = tables.shape;
  CacheSlot& slot = tables.slots[given.slot];
  if (given.owner >= 0) {
    tables.slot_of[given.owner] = -1;
    if (slot.unused != 0) {
      atomicAdd(
          reinterpret_cast<unsigned long long*>(&tables.counts[given.owner / shape.experts].wasted),
          1ULL);
    }
  } else {
    ++tables.used[shape.by_layer ? expert / shape.experts : 0];
  }
  if (shape.policy == SlotPolicy::kLeastStale) tables.values[expert] = ++tables.control->clock;
  slot = {.value = tables.values[expert],
          .need = need,
          .owner = expert,
          .transfer = number,
          .used_step = -1,
          .unused = 1};
  tables.slot_of[expert] = given.slot;
  Transfer& transfer = tables.transfers[number];
  transfer.done = 0;
  transfer.expert = expert;
  transfer.slot = given.slot;
  transfer.need = need;
  transfer.expected = pieces;
  transfer.state = Transfer::kMoving;
  store_release(&transfer.next, 0);
  ++tables.counts[expert / shape.experts].prefetched;
}

/// -1 if none is set.
__device__ int lowest_bit(uint64_t bits) {
  return __ffsll(static_cast<long long>(bits)) - 1;
}

/// By a block: queues what is foreseen and worth more than what leaves for it, the next layer's
/// first.
template <int kPerThread>
__device__ void queue_foreseen(const CacheTables& tables, const Foreseen& foreseen, int layer,
                               uint32_t pieces) {
  using Search = VictimSearch<kPerThread, kThreads>;
  static_assert(kMostTransfers == 64 && kThreads / 32 >= kMostDepths + 2);
  __shared__ ForeseenScratch scratch;
  __shared__ typename Search::Scratch search_scratch;
  const CacheShape& shape = tables.shape;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (warp < foreseen.depths) {
    if (shape.experts <= 64) {
      list_candidates<2>(tables, foreseen, layer, warp, scratch);
    } else if (shape.experts <= 128) {
      list_candidates<4>(tables, foreseen, layer, warp, scratch);
    } else {
      list_candidates<kMostForeseen / 32>(tables, foreseen, layer, warp, scratch);
    }
  } else if (warp - kMostDepths >= 0 && warp - kMostDepths < 2) {
    const int number = (warp - kMostDepths) * 32 + lane;
    const bool is_idle =
        number < shape.transfers && tables.transfers[number].state == Transfer::kIdle;
    const unsigned idle = __ballot_sync(0xffffffffU, is_idle);
    if (lane == 0) scratch.idle[warp - kMostDepths] = idle;
  }
  __syncthreads();
  int wanted = 0;
  for (int depth = 0; depth < foreseen.depths; ++depth) wanted += scratch.counts[depth];
  if (wanted == 0 || shape.policy == SlotPolicy::kStatic) return;
  uint64_t idle = uint64_t{scratch.idle[1]} << 32 | scratch.idle[0];

  const int64_t step = tables.control->step;
  const int64_t now = step * shape.layers + layer;
  const auto fate_of = [&](const CacheSlot& slot) {
    return slot.need >= now ? Search::Fate::kStays : Search::Fate::kGoes;
  };
  Search search(tables, search_scratch);
  int taken = 0;
  int room = 0;
  Given given;  // found, and not given away so far
  for (int depth = 0; depth < foreseen.depths; ++depth) {
    const int target = layer + 1 + depth;
    if (scratch.counts[depth] == 0) continue;
    if (shape.by_layer || room == 0) {
      room = room_of_pool(shape, target);
      taken = tables.used[shape.by_layer ? target : 0];
      __syncthreads();
      search.load(shape.by_layer ? target : layer, fate_of, taken < room, true);
      given = {};
    }
    for (int i = 0; i < scratch.counts[depth]; ++i) {
      const Candidate candidate = scratch.candidates[depth][i];
      if (given.slot < 0) given = search.next(taken < room);
      const int number = lowest_bit(idle);
      const int age = given.owner < 0
                          ? kVictimAges
                          : static_cast<int32_t>(step) - tables.slots[given.slot].used_step;
      const bool is_worth =
          given.slot >= 0 && number >= 0 &&
          (given.owner < 0 ||
           candidate.probability > foreseen.victim_worth[min(max(age, 0), kVictimAges - 1)]);
      if (!is_worth) {
        if (threadIdx.x == 0) ++tables.counts[target].not_worth;
        continue;
      }
      idle &= idle - 1;
      if (threadIdx.x == 0) {
        open_transfer(tables, number, candidate.expert, given, step * shape.layers + target,
                      pieces);
      }
      if (given.owner < 0) ++taken;
      given = {};
    }
  }
}

/// All that it reads was there, and all that it writes was done with, before the kernel in front of
/// it began to work: so it runs beside that one.
template <int kPerThread>
__global__ void __launch_bounds__(kThreads)
    foresee_kernel(const CacheTables tables, const Foreseen foreseen, int layer, uint32_t pieces) {
  __threadfence();  // nothing older than this kernel is read
  queue_foreseen<kPerThread>(tables, foreseen, layer, pieces);
  wait_for_previous();
  let_next_begin();
}

}  // namespace

cudaError_t cache_foresee(const CacheTables& tables, const ExpertParts& parts, int layer,
                          const Foreseen& foreseen, cudaStream_t stream) {
  if (foreseen.depths < 1 || foreseen.depths > kMostDepths ||
      tables.shape.experts > kMostForeseen) {
    return cudaErrorInvalidValue;
  }
  const auto pieces = static_cast<uint32_t>(pieces_of(parts, parts.piece_bytes));
  return with_slots_per_thread<kThreads>(tables.shape.slots, [&](auto per_thread) {
    return launch_early(foresee_kernel<per_thread.value>, {1, kThreads}, stream, tables, foreseen,
                        layer, pieces);
  });
}

}  // namespace foregate::kernels

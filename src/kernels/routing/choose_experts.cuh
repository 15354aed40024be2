#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/vector.cuh"

namespace foregate::kernels {

// A logit and its index as one number that rises with rank: NaN below -infinity, zeros of either
// sign alike, and of equal logits the lower index higher.
__device__ inline uint64_t rank_key(float logit, int expert) {
  const uint32_t bits = __float_as_uint(logit == 0.0F ? 0.0F : logit);
  const uint32_t ordered = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
  const uint32_t high = isnan(logit) ? 0U : ordered;
  return uint64_t{high} << 32 | (0xffffffffU - static_cast<uint32_t>(expert));
}

__device__ inline int expert_of(uint64_t key) {
  return static_cast<int>(0xffffffffU - static_cast<uint32_t>(key));
}

__device__ inline uint64_t warp_max(uint64_t value) {
  for (int width = 16; width > 0; width /= 2) {
    value = max(value, __shfl_xor_sync(0xffffffffU, value, width));
  }
  return value;
}

/// Chooses a token's experts, a warp a token; a lane keeps the keys of kPerLane experts, or makes
/// them again each round if kPerLane is 0. Every round takes the highest key below the last one
/// taken, so nothing is marked.
template <int kPerLane>
__device__ void choose_experts(const float* row,     // [experts] logits
                               int64_t* chosen,      // [k]
                               float* gate_weights,  // [k]
                               int experts, int k, bool norm_topk) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  uint64_t keys[kPerLane == 0 ? 1 : kPerLane];
  const auto for_each_key = [&](const auto& use) {
    if constexpr (kPerLane == 0) {
      for (int e = lane; e < experts; e += 32) use(rank_key(row[e], e));
    } else {
#pragma unroll
      for (int i = 0; i < kPerLane; ++i) use(keys[i]);
    }
  };
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int e = lane + i * 32;
    keys[i] = e < experts ? rank_key(row[e], e) : 0;
  }
  uint64_t last = ~uint64_t{0};
  float highest = 0;
  float total = 0;
  float chosen_total = 0;
  for (int rank = 0; rank < k; ++rank) {
    uint64_t best = 0;
    for_each_key([&](uint64_t key) {
      if (key < last) best = max(best, key);
    });
    last = warp_max(best);
    const int expert = expert_of(last);
    if (rank == 0) {
      highest = row[expert];
      for (int e = lane; e < experts; e += 32) total += expf(row[e] - highest);
      total = warp_sum(total);
    }
    const float gate = expf(row[expert] - highest) / total;
    chosen_total += gate;
    if (lane == 0) {
      chosen[rank] = expert;
      gate_weights[rank] = gate;
    }
  }
  if (!norm_topk) return;
  __syncwarp();
  for (int rank = lane; rank < k; rank += 32) gate_weights[rank] /= chosen_total;
}

/// Calls `work` with how many keys a lane keeps of so many experts.
template <typename Work>
auto with_keys_per_lane(int64_t experts, const Work& work) {
  if (experts <= 64) return work(std::integral_constant<int, 2>{});
  if (experts <= 128) return work(std::integral_constant<int, 4>{});
  if (experts <= 256) return work(std::integral_constant<int, 8>{});
  return work(std::integral_constant<int, 0>{});
}

}  // namespace foregate::kernels

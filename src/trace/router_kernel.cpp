#include "trace/router_kernel.h"

#include <algorithm>
#include <array>
#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace foregate::trace {
namespace {

constexpr int64_t kLanes = 16;

// Tokens and experts of one register block: their sums stay in registers over the whole row.
constexpr int64_t kBlockTokens = 4;
constexpr int64_t kBlockExperts = 4;

// Step 2 of nn/router.h.
float add_lanes(float* sum) {
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) sum[i] += sum[i + width];
  }
  return sum[0];
}

float logit_portable(const float* x, const float* w, int64_t hidden) {
  std::array<float, kLanes> sum{};
  for (int64_t h = 0; h < hidden; ++h) sum[h % kLanes] = std::fma(x[h], w[h], sum[h % kLanes]);
  return add_lanes(sum.data());
}

// A block kernel computes kTokens x kExperts logits; rows of x and weight lie `hidden` apart, rows
// of logits `experts` apart.
using BlockKernel = void (*)(const float* x, const float* w, float* logits, int64_t hidden,
                             int64_t experts);

template <int kTokens, int kExperts>
void block_portable(const float* x, const float* w, float* logits, int64_t hidden,
                    int64_t experts) {
  for (int t = 0; t < kTokens; ++t) {
    for (int e = 0; e < kExperts; ++e) {
      logits[t * experts + e] = logit_portable(x + t * hidden, w + e * hidden, hidden);
    }
  }
}

#if defined(__x86_64__)

template <int kTokens, int kExperts>
__attribute__((target("avx512f"))) void block_avx512(const float* x, const float* w, float* logits,
                                                     int64_t hidden, int64_t experts) {
  __m512 sum[kTokens][kExperts];
  for (auto& row : sum) {
    for (auto& value : row) value = _mm512_setzero_ps();
  }
  // The last step may be partial: lanes beyond the row keep their sums.
  for (int64_t h = 0; h < hidden; h += kLanes) {
    const auto mask = static_cast<__mmask16>(
        hidden - h >= kLanes ? 0xffffU : (1U << static_cast<unsigned>(hidden - h)) - 1U);
    __m512 values[kTokens];
    for (int t = 0; t < kTokens; ++t) values[t] = _mm512_maskz_loadu_ps(mask, x + t * hidden + h);
    for (int e = 0; e < kExperts; ++e) {
      const __m512 row = _mm512_maskz_loadu_ps(mask, w + e * hidden + h);
      for (int t = 0; t < kTokens; ++t) {
        sum[t][e] = _mm512_mask3_fmadd_ps(values[t], row, sum[t][e], mask);
      }
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    for (int e = 0; e < kExperts; ++e) {
      alignas(64) float lanes[kLanes];
      _mm512_store_ps(lanes, sum[t][e]);
      logits[t * experts + e] = add_lanes(lanes);
    }
  }
}

template <int kTokens, int kExperts>
__attribute__((target("avx2,fma"))) void block_avx2(const float* x, const float* w, float* logits,
                                                    int64_t hidden, int64_t experts) {
  const int64_t whole = hidden / kLanes * kLanes;
  for (int t = 0; t < kTokens; ++t) {
    __m256 sum[kExperts][2];
    for (auto& halves : sum) halves[0] = halves[1] = _mm256_setzero_ps();
    for (int64_t h = 0; h < whole; h += kLanes) {
      const __m256 low = _mm256_loadu_ps(x + t * hidden + h);
      const __m256 high = _mm256_loadu_ps(x + t * hidden + h + 8);
      for (int e = 0; e < kExperts; ++e) {
        const float* row = w + e * hidden + h;
        sum[e][0] = _mm256_fmadd_ps(low, _mm256_loadu_ps(row), sum[e][0]);
        sum[e][1] = _mm256_fmadd_ps(high, _mm256_loadu_ps(row + 8), sum[e][1]);
      }
    }
    for (int e = 0; e < kExperts; ++e) {
      alignas(32) float lanes[kLanes];
      _mm256_store_ps(lanes, sum[e][0]);
      _mm256_store_ps(lanes + 8, sum[e][1]);
      for (int64_t h = whole; h < hidden; ++h) {
        lanes[h - whole] = std::fma(x[t * hidden + h], w[e * hidden + h], lanes[h - whole]);
      }
      logits[t * experts + e] = add_lanes(lanes);
    }
  }
}

#endif

// The kernels of one instruction set, for whole blocks and for what is left at the edges.
struct Kernels {
  BlockKernel whole;
  BlockKernel one_token;
  BlockKernel one_expert;
  BlockKernel single;
};

#define FOREGATE_KERNELS(block)                                                          \
  Kernels {                                                                              \
    block<kBlockTokens, kBlockExperts>, block<1, kBlockExperts>, block<kBlockTokens, 1>, \
        block<1, 1>                                                                      \
  }

Kernels kernels_of(RouterIsa isa) {
#if defined(__x86_64__)
  if (isa == RouterIsa::kAvx512) return FOREGATE_KERNELS(block_avx512);
  if (isa == RouterIsa::kAvx2) return FOREGATE_KERNELS(block_avx2);
#endif
  static_cast<void>(isa);
  return FOREGATE_KERNELS(block_portable);
}

#undef FOREGATE_KERNELS

}  // namespace

RouterIsa best_router_isa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return RouterIsa::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return RouterIsa::kAvx2;
#endif
  return RouterIsa::kPortable;
}

void router_logits_kernel(RouterIsa isa, const float* x, const float* weight, float* logits,
                          int64_t tokens, int64_t experts, int64_t hidden) {
  const Kernels kernels = kernels_of(isa);
  // Experts outside, so that a block of weight rows stays in the L1 cache over all tokens.
  for (int64_t e = 0; e < experts;) {
    const bool whole_experts = e + kBlockExperts <= experts;
    for (int64_t t = 0; t < tokens;) {
      const bool whole_tokens = t + kBlockTokens <= tokens;
      const BlockKernel kernel = whole_tokens
                                     ? (whole_experts ? kernels.whole : kernels.one_expert)
                                     : (whole_experts ? kernels.one_token : kernels.single);
      kernel(x + t * hidden, weight + e * hidden, logits + t * experts + e, hidden, experts);
      t += whole_tokens ? kBlockTokens : 1;
    }
    e += whole_experts ? kBlockExperts : 1;
  }
}

}  // namespace foregate::trace

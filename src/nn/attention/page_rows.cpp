#include "nn/attention/page_rows.h"

#include <torch/types.h>

#include <algorithm>
#include <array>

#include "trace/router_kernel.h"

namespace foregate::nn {
namespace {

constexpr int64_t kPageLanes = 16;

// Rows of a head lie far apart: no processor fetches the next ones by itself.
constexpr int64_t kRowsAhead = 8;

template <typename Scalar>
[[gnu::always_inline]] inline void fetch_ahead(const PageRows<Scalar>& rows, int64_t row) {
  constexpr int64_t kLine = 64 / sizeof(Scalar);
  const Scalar* ahead = rows.first + std::min(row + kRowsAhead, rows.count - 1) * rows.stride;
  for (int64_t d = 0; d < rows.size; d += kLine) __builtin_prefetch(ahead + d);
}

// Partial sums, added in halves: the compiler may use vector registers for all of it.
template <typename Scalar>
[[gnu::always_inline]] inline float dot(const float* query, const Scalar* key, int64_t size) {
  std::array<float, kPageLanes> sum{};
  const int64_t whole = size / kPageLanes * kPageLanes;
  for (int64_t d = 0; d < whole; d += kPageLanes) {
    for (int64_t i = 0; i < kPageLanes; ++i)
      sum[i] += query[d + i] * static_cast<float>(key[d + i]);
  }
  for (int64_t d = whole; d < size; ++d) sum[d - whole] += query[d] * static_cast<float>(key[d]);
  for (int64_t width = kPageLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) sum[i] += sum[i + width];
  }
  return sum[0];
}

template <typename Scalar>
[[gnu::always_inline]] inline void score_rows(const float* query, const PageRows<Scalar>& rows,
                                              float* scores) {
  for (int64_t i = 0; i < rows.count; ++i) {
    fetch_ahead(rows, i);
    scores[i] = dot(query, rows.first + i * rows.stride, rows.size);
  }
}

// Piece by piece of a row, so that sums stay in registers over all rows.
template <typename Scalar>
[[gnu::always_inline]] inline void mix_rows(const float* weights, const PageRows<Scalar>& rows,
                                            float* mixed) {
  const int64_t whole = rows.size / kPageLanes * kPageLanes;
  for (int64_t d = 0; d < whole; d += kPageLanes) {
    std::array<float, kPageLanes> sum{};
    for (int64_t i = 0; i < rows.count; ++i) {
      if (d == 0) fetch_ahead(rows, i);
      const Scalar* row = rows.first + i * rows.stride + d;
      for (int64_t lane = 0; lane < kPageLanes; ++lane) {
        sum[lane] += weights[i] * static_cast<float>(row[lane]);
      }
    }
    for (int64_t lane = 0; lane < kPageLanes; ++lane) mixed[d + lane] += sum[lane];
  }
  for (int64_t d = whole; d < rows.size; ++d) {
    for (int64_t i = 0; i < rows.count; ++i) {
      mixed[d] += weights[i] * static_cast<float>(rows.first[i * rows.stride + d]);
    }
  }
}

#if defined(__x86_64__)

template <typename Scalar>
__attribute__((target("avx2,fma"))) void score_rows_avx2(const float* query,
                                                         const PageRows<Scalar>& rows,
                                                         float* scores) {
  score_rows(query, rows, scores);
}

template <typename Scalar>
__attribute__((target("avx2,fma"))) void mix_rows_avx2(const float* weights,
                                                       const PageRows<Scalar>& rows, float* mixed) {
  mix_rows(weights, rows, mixed);
}

#endif

}  // namespace

template <typename Scalar>
void score_page(const float* query, const PageRows<Scalar>& rows, float* scores) {
#if defined(__x86_64__)
  if (trace::best_router_isa() != trace::RouterIsa::kPortable)
    return score_rows_avx2(query, rows, scores);
#endif
  score_rows(query, rows, scores);
}

template <typename Scalar>
void mix_page(const float* weights, const PageRows<Scalar>& rows, float* mixed) {
#if defined(__x86_64__)
  if (trace::best_router_isa() != trace::RouterIsa::kPortable)
    return mix_rows_avx2(weights, rows, mixed);
#endif
  mix_rows(weights, rows, mixed);
}

#define FOREGATE_PAGE_ROWS(Scalar)                                         \
  template void score_page(const float*, const PageRows<Scalar>&, float*); \
  template void mix_page(const float*, const PageRows<Scalar>&, float*);
FOREGATE_PAGE_ROWS(float)
FOREGATE_PAGE_ROWS(double)
FOREGATE_PAGE_ROWS(c10::BFloat16)
FOREGATE_PAGE_ROWS(c10::Half)
FOREGATE_PAGE_ROWS(int8_t)
#undef FOREGATE_PAGE_ROWS

}  // namespace foregate::nn

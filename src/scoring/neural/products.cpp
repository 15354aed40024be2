#include "scoring/neural/products.h"

#include <algorithm>
#include <cstring>

namespace foregate::scoring {
namespace {

#define FOREGATE_INLINE inline __attribute__((always_inline))

constexpr int64_t kLanes = 16;
constexpr int64_t kBlockRows = 4;
constexpr int64_t kCachedFloats = 32768;  // of the matrix, while all vectors pass by

// GCC and clang make of it what the processor has: one register of 512 bits, or several.
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

using Kernel = void (*)(const float* matrix, int64_t rows, int64_t columns, const float* vector,
                        float* out);

/// Dot products of kRows rows with the vector.
template <int64_t kRows>
FOREGATE_INLINE void dot_block(const float* matrix, int64_t columns, const float* vector,
                               float* out) {
  Lanes sums[kRows] = {};
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    Lanes values;
    std::memcpy(&values, vector + c, sizeof(values));
    for (int64_t r = 0; r < kRows; ++r) {
      Lanes weights;
      std::memcpy(&weights, matrix + r * columns + c, sizeof(weights));
      sums[r] += weights * values;
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    float sum = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane) sum += sums[r][lane];
    for (int64_t rest = c; rest < columns; ++rest) sum += matrix[r * columns + rest] * vector[rest];
    out[r] += sum;
  }
}

FOREGATE_INLINE void dot_rows(const float* matrix, int64_t rows, int64_t columns,
                              const float* vector, float* out) {
  int64_t r = 0;
  for (; r + kBlockRows <= rows; r += kBlockRows) {
    dot_block<kBlockRows>(matrix + r * columns, columns, vector, out + r);
  }
  for (; r < rows; ++r) dot_block<1>(matrix + r * columns, columns, vector, out + r);
}

FOREGATE_INLINE void sum_rows(const float* matrix, int64_t rows, int64_t columns,
                              const float* vector, float* __restrict out) {
  int64_t r = 0;
  for (; r + kBlockRows <= rows; r += kBlockRows) {
    const float* row = matrix + r * columns;
    for (int64_t c = 0; c < columns; ++c) {
      out[c] += (vector[r] * row[c] + vector[r + 1] * row[columns + c]) +
                (vector[r + 2] * row[2 * columns + c] + vector[r + 3] * row[3 * columns + c]);
    }
  }
  for (; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) out[c] += vector[r] * matrix[r * columns + c];
  }
}

struct Kernels {
  Kernel dot_rows;
  Kernel sum_rows;
};

// The same code, compiled for what the processor may have.
#define FOREGATE_COMPILE_FOR(NAME, ATTRIBUTES)                                        \
  ATTRIBUTES void dot_rows_##NAME(const float* matrix, int64_t rows, int64_t columns, \
                                  const float* vector, float* out) {                  \
    dot_rows(matrix, rows, columns, vector, out);                                     \
  }                                                                                   \
  ATTRIBUTES void sum_rows_##NAME(const float* matrix, int64_t rows, int64_t columns, \
                                  const float* vector, float* out) {                  \
    sum_rows(matrix, rows, columns, vector, out);                                     \
  }                                                                                   \
  constexpr Kernels k_##NAME = {dot_rows_##NAME, sum_rows_##NAME};

FOREGATE_COMPILE_FOR(portable, )
#if defined(__x86_64__)
FOREGATE_COMPILE_FOR(avx2, __attribute__((target("avx2,fma"))))
FOREGATE_COMPILE_FOR(avx512, __attribute__((target("avx512f,avx2,fma,prefer-vector-width=512"))))
#endif

Kernels choose_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return k_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return k_avx2;
#endif
  return k_portable;
}

/// All vectors pass by some rows of the matrix, then by the next: rows stay in the cache meanwhile.
template <typename Work>
void each_cached(int64_t rows, int64_t columns, const Work& work) {
  const int64_t some =
      std::max<int64_t>(kCachedFloats / std::max<int64_t>(columns, 1), 1) * kBlockRows;
  for (int64_t first = 0; first < rows; first += some) work(first, std::min(some, rows - first));
}

const Kernels& kernels() {
  static const Kernels chosen = choose_kernels();
  return chosen;
}

}  // namespace

void add_product(const float* matrix, int64_t rows, int64_t columns,
                 std::span<const float* const> vectors, std::span<float* const> outs) {
  each_cached(rows, columns, [&](int64_t first, int64_t some) {
    for (size_t t = 0; t < vectors.size(); ++t) {
      kernels().dot_rows(matrix + first * columns, some, columns, vectors[t], outs[t] + first);
    }
  });
}

void add_transposed_product(const float* matrix, int64_t rows, int64_t columns,
                            std::span<const float* const> vectors, std::span<float* const> outs) {
  each_cached(rows, columns, [&](int64_t first, int64_t some) {
    for (size_t t = 0; t < vectors.size(); ++t) {
      kernels().sum_rows(matrix + first * columns, some, columns, vectors[t] + first, outs[t]);
    }
  });
}

}  // namespace foregate::scoring

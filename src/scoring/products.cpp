#include "scoring/products.h"

#include <algorithm>
#include <cstring>

#include "scoring/constants.h"

namespace foregate::scoring {
namespace {

#define FOREGATE_INLINE inline __attribute__((always_inline))

constexpr int64_t kLanes = 16;
constexpr int64_t kBlockRows = 4;
constexpr int64_t kCachedFloats = 32768;  // of the matrix, while all vectors pass by

// GCC and clang make of it what the processor has: one register of 512 bits, or several.
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

using Ints = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));

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

FOREGATE_INLINE void weigh_rows(const float* matrix, int64_t rows, int64_t columns,
                                const float* weights, float* out) {
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    Lanes sum = {};
    for (int64_t r = 0; r < rows; ++r) {
      Lanes values;
      std::memcpy(&values, matrix + r * columns + c, sizeof(values));
      sum += weights[r] * values;
    }
    std::memcpy(out + c, &sum, sizeof(sum));
  }
  for (; c < columns; ++c) {
    float sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += weights[r] * matrix[r * columns + c];
    out[c] = sum;
  }
}

/// log(x) of positive x: x = 2^e m with m around 1, and a polynomial in m - 1 (Cephes' logf).
FOREGATE_INLINE void take_logs(Lanes& x) {
  x = x > kSmallestProbability ? x : Lanes{} + kSmallestProbability;
  Ints bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const Ints half = (bits & 0x7fffff) | 0x3f000000;  // m in [0.5, 1)
  Lanes m;
  std::memcpy(&m, &half, sizeof(m));
  const Ints low = m < 0.707106781F;  // -1 where it is
  const Lanes exponent = __builtin_convertvector((bits >> 23) - 126 + low, Lanes);
  m = (low ? m + m : m) - 1.0F;
  const Lanes square = m * m;
  Lanes y = Lanes{} + 7.0376836292e-2F;
  for (const float coefficient :
       {-1.1514610310e-1F, 1.1676998740e-1F, -1.2420140846e-1F, 1.4249322787e-1F, -1.6668057665e-1F,
        2.0000714765e-1F, -2.4999993993e-1F, 3.3333331174e-1F}) {
    y = y * m + coefficient;
  }
  y = y * m * square + exponent * -2.12194440e-4F - 0.5F * square;
  x = m + y + exponent * 0.693359375F;
}

FOREGATE_INLINE void log_row(const float* values, int64_t size, float* out) {
  for (int64_t i = 0; i < size; i += kLanes) {
    // The rest goes through the same registers.
    const auto bytes = static_cast<size_t>(std::min(kLanes, size - i)) * sizeof(float);
    Lanes some = {};
    std::memcpy(&some, values + i, bytes);
    take_logs(some);
    std::memcpy(out + i, &some, bytes);
  }
}

struct Kernels {
  Kernel dot_rows;
  Kernel sum_rows;
  Kernel weigh_rows;
  void (*log_row)(const float* values, int64_t size, float* out);
};

// The same code, compiled for what the processor may have.
#define FOREGATE_COMPILE_FOR(NAME, ATTRIBUTES)                                          \
  ATTRIBUTES void dot_rows_##NAME(const float* matrix, int64_t rows, int64_t columns,   \
                                  const float* vector, float* out) {                    \
    dot_rows(matrix, rows, columns, vector, out);                                       \
  }                                                                                     \
  ATTRIBUTES void sum_rows_##NAME(const float* matrix, int64_t rows, int64_t columns,   \
                                  const float* vector, float* out) {                    \
    sum_rows(matrix, rows, columns, vector, out);                                       \
  }                                                                                     \
  ATTRIBUTES void weigh_rows_##NAME(const float* matrix, int64_t rows, int64_t columns, \
                                    const float* vector, float* out) {                  \
    weigh_rows(matrix, rows, columns, vector, out);                                     \
  }                                                                                     \
  ATTRIBUTES void log_row_##NAME(const float* values, int64_t size, float* out) {       \
    log_row(values, size, out);                                                         \
  }                                                                                     \
  constexpr Kernels k_##NAME = {dot_rows_##NAME, sum_rows_##NAME, weigh_rows_##NAME,    \
                                log_row_##NAME};

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

void safe_log(const float* probabilities, int64_t size, float* out) {
  kernels().log_row(probabilities, size, out);
}

void weighted_sum(const float* matrix, int64_t rows, int64_t columns, const float* weights,
                  float* out) {
  kernels().weigh_rows(matrix, rows, columns, weights, out);
}

}  // namespace foregate::scoring

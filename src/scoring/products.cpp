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

using Floats4 = float __attribute__((vector_size(16)));
using Floats8 = float __attribute__((vector_size(32)));
using Floats16 = float __attribute__((vector_size(64)));
using Ints4 = int32_t __attribute__((vector_size(16)));
using Ints8 = int32_t __attribute__((vector_size(32)));
using Ints16 = int32_t __attribute__((vector_size(64)));

/// Registers of so many floats, as wide as the processor's: the compiler would split a wider one,
/// GCC 12 through memory.
template <int64_t kWidth, typename F, typename I>
struct Registers {
  using Floats = F;
  using Ints = I;
  static constexpr int64_t kSize = kWidth;
  static constexpr int64_t kParts = kLanes / kWidth;  // for kLanes floats
};
using Sse = Registers<4, Floats4, Ints4>;
using Avx2 = Registers<8, Floats8, Ints8>;
using Avx512 = Registers<16, Floats16, Ints16>;

using Kernel = void (*)(const float* matrix, int64_t rows, int64_t columns, const float* vector,
                        float* out);

/// Dot products of kRows rows with the vector. Lane by lane the same sums at every width.
template <int64_t kRows, typename Regs>
FOREGATE_INLINE void dot_block(const float* matrix, int64_t columns, const float* vector,
                               float* out) {
  using Floats = typename Regs::Floats;
  constexpr int64_t kParts = Regs::kParts;
  Floats sums[kRows][kParts] = {};
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    for (int64_t part = 0; part < kParts; ++part) {
      Floats values;
      std::memcpy(&values, vector + c + part * Regs::kSize, sizeof(values));
      for (int64_t r = 0; r < kRows; ++r) {
        Floats weights;
        std::memcpy(&weights, matrix + r * columns + c + part * Regs::kSize, sizeof(weights));
        sums[r][part] += weights * values;
      }
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    float sum = 0;
    for (int64_t lane = 0; lane < kLanes; ++lane)
      sum += sums[r][lane / Regs::kSize][lane % Regs::kSize];
    for (int64_t rest = c; rest < columns; ++rest) sum += matrix[r * columns + rest] * vector[rest];
    out[r] += sum;
  }
}

template <typename Regs>
FOREGATE_INLINE void dot_rows(const float* matrix, int64_t rows, int64_t columns,
                              const float* vector, float* out) {
  int64_t r = 0;
  for (; r + kBlockRows <= rows; r += kBlockRows) {
    dot_block<kBlockRows, Regs>(matrix + r * columns, columns, vector, out + r);
  }
  for (; r < rows; ++r) dot_block<1, Regs>(matrix + r * columns, columns, vector, out + r);
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

template <typename Regs>
FOREGATE_INLINE void weigh_rows(const float* matrix, int64_t rows, int64_t columns,
                                const float* weights, float* out) {
  using Floats = typename Regs::Floats;
  constexpr int64_t kParts = Regs::kParts;
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    Floats sums[kParts] = {};
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t part = 0; part < kParts; ++part) {
        Floats values;
        std::memcpy(&values, matrix + r * columns + c + part * Regs::kSize, sizeof(values));
        sums[part] += weights[r] * values;
      }
    }
    std::memcpy(out + c, &sums, sizeof(sums));
  }
  for (; c < columns; ++c) {
    float sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += weights[r] * matrix[r * columns + c];
    out[c] = sum;
  }
}

/// log(x) of positive x: x = 2^e m with m around 1, and a polynomial in m - 1 (Cephes' logf).
template <typename Regs>
FOREGATE_INLINE void take_logs(typename Regs::Floats& x) {
  using Lanes = typename Regs::Floats;
  using Ints = typename Regs::Ints;
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

template <typename Regs>
FOREGATE_INLINE void log_row(const float* values, int64_t size, float* out) {
  for (int64_t i = 0; i < size; i += Regs::kSize) {
    // The rest goes through the same registers.
    const auto bytes = static_cast<size_t>(std::min(Regs::kSize, size - i)) * sizeof(float);
    typename Regs::Floats some = {};
    std::memcpy(&some, values + i, bytes);
    take_logs<Regs>(some);
    std::memcpy(out + i, &some, bytes);
  }
}

struct Kernels {
  Kernel dot_rows;
  Kernel sum_rows;
  Kernel weigh_rows;
  void (*log_row)(const float* values, int64_t size, float* out);
};

// The same code, compiled for what the processor may have, with registers of so many floats.
#define FOREGATE_COMPILE_FOR(NAME, REGS, ATTRIBUTES)                                    \
  ATTRIBUTES void dot_rows_##NAME(const float* matrix, int64_t rows, int64_t columns,   \
                                  const float* vector, float* out) {                    \
    dot_rows<REGS>(matrix, rows, columns, vector, out);                                 \
  }                                                                                     \
  ATTRIBUTES void sum_rows_##NAME(const float* matrix, int64_t rows, int64_t columns,   \
                                  const float* vector, float* out) {                    \
    sum_rows(matrix, rows, columns, vector, out);                                       \
  }                                                                                     \
  ATTRIBUTES void weigh_rows_##NAME(const float* matrix, int64_t rows, int64_t columns, \
                                    const float* weights, float* out) {                 \
    weigh_rows<REGS>(matrix, rows, columns, weights, out);                              \
  }                                                                                     \
  ATTRIBUTES void log_row_##NAME(const float* values, int64_t size, float* out) {       \
    log_row<REGS>(values, size, out);                                                   \
  }                                                                                     \
  constexpr Kernels k_##NAME = {dot_rows_##NAME, sum_rows_##NAME, weigh_rows_##NAME,    \
                                log_row_##NAME};

FOREGATE_COMPILE_FOR(portable, Sse, )
#if defined(__x86_64__)
FOREGATE_COMPILE_FOR(avx2, Avx2, __attribute__((target("avx2,fma"))))
FOREGATE_COMPILE_FOR(avx512, Avx512,
                     __attribute__((target("avx512f,avx2,fma,prefer-vector-width=512"))))
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

#include "nn/gemm_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace foregate::nn {
namespace {

struct Isa {
  using Vector = __m256;
  static constexpr int kWidth = 8;
  static constexpr int kRows = 3;  // 12 sums of the 16 registers

  static Vector load(const float* values) { return _mm256_loadu_ps(values); }
  static void store(float* values, Vector x) { _mm256_storeu_ps(values, x); }
  static Vector broadcast(float value) { return _mm256_set1_ps(value); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
  static Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
  static Vector divide(Vector a, Vector b) { return _mm256_div_ps(a, b); }
  static Vector min(Vector a, Vector b) { return _mm256_min_ps(a, b); }
  static Vector max(Vector a, Vector b) { return _mm256_max_ps(a, b); }
  static Vector round(Vector x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  // n is a whole number in [-126, 127]: it goes straight into the exponent.
  static Vector scale_by_power_of_two(Vector x, Vector n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
  }
};

}  // namespace
}  // namespace foregate::nn

#include "nn/gemm_kernel_body.h"

void foregate::nn::gemm_avx2(const GemmTask& task) {
  multiply(task);
}

#pragma GCC pop_options

#else

void foregate::nn::gemm_avx2(const GemmTask&) {}

#endif

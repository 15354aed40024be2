#include "nn/gemm_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx512f,fma")

namespace foregate::nn {
namespace {

struct Isa {
  using Vector = __m512;
  static constexpr int kWidth = 16;
  static constexpr int kRows = 12;  // 24 sums of the 32 registers

  static Vector load(const float* values) { return _mm512_loadu_ps(values); }
  static void store(float* values, Vector x) { _mm512_storeu_ps(values, x); }
  static Vector broadcast(float value) { return _mm512_set1_ps(value); }
  static Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
  static Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
  static Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
  static Vector divide(Vector a, Vector b) { return _mm512_div_ps(a, b); }
  static Vector min(Vector a, Vector b) { return _mm512_min_ps(a, b); }
  static Vector max(Vector a, Vector b) { return _mm512_max_ps(a, b); }
  static Vector round(Vector x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Vector scale_by_power_of_two(Vector x, Vector n) { return _mm512_scalef_ps(x, n); }
};

}  // namespace
}  // namespace foregate::nn

#include "nn/gemm_kernel_body.h"

void foregate::nn::gemm_avx512(const GemmTask& task) {
  multiply(task);
}

#pragma GCC pop_options

#else

void foregate::nn::gemm_avx512(const GemmTask&) {}

#endif

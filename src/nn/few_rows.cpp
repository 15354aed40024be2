#include "nn/few_rows.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/thread_share.h"
#include "trace/router_kernel.h"

namespace foregate::nn {
namespace {

constexpr int64_t kMostRows = 8;
// Rows of the weight that meet all rows of x while they are in the L1 cache.
constexpr int64_t kBlockValues = 4096;

bool is_plain(const torch::Tensor& tensor, int64_t dimensions) {
  return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat32 && tensor.dim() == dimensions &&
         tensor.is_contiguous();
}

bool is_plain(const tensor::Weight& weight) {
  return weight.defined() && !weight.is_quantized() && is_plain(weight.dense(), 3);
}

struct FewRowsMatrix {
  const float* values;  // [outer, inner]
  int64_t outer;
  int64_t inner;

  int64_t block() const { return std::max<int64_t>(4, kBlockValues / inner / 4 * 4); }

  // result(i)[m] is the product of row(i) and the matrix's row m, from `begin` to `end`.
  template <typename Row, typename Result>
  void multiply(int64_t begin, int64_t end, int64_t rows, const Row& row,
                const Result& result) const {
    const trace::RouterIsa isa = trace::best_router_isa();
    for (int64_t first = begin; first < end; first += block()) {
      const int64_t count = std::min(block(), end - first);
      for (int64_t i = 0; i < rows; ++i) {
        trace::router_logits_kernel(isa, row(i), values + first * inner, result(i) + first, 1,
                                    count, inner);
      }
    }
  }
};

FewRowsMatrix matrix_of(const tensor::Weight& weight, int64_t index) {
  const int64_t outer = weight.size(1);
  const int64_t inner = weight.size(2);
  return {weight.dense().const_data_ptr<float>() + index * outer * inner, outer, inner};
}

}  // namespace

bool has_few_rows(const torch::Tensor& x, const torch::Tensor& weight) {
  return x.size(0) <= kMostRows && is_plain(x, 2) && is_plain(weight, 2) && x.size(1) > 0 &&
         !torch::GradMode::is_enabled();
}

void few_rows_linear(torch::Tensor& result, const torch::Tensor& x, const torch::Tensor& weight,
                     const torch::Tensor& bias) {
  const int64_t rows = x.size(0);
  const FewRowsMatrix matrix{weight.const_data_ptr<float>(), weight.size(0), weight.size(1)};
  TORCH_CHECK(x.size(1) == matrix.inner && is_plain(result, 2) && result.size(0) == rows &&
                  result.size(1) == matrix.outer,
              "linear: x is ", x.sizes(), ", weight ", weight.sizes(), ", the result ",
              result.sizes(), "; expected [T, N], [M, N] and [T, M]");
  const auto* values = x.const_data_ptr<float>();
  auto* sums = result.mutable_data_ptr<float>();
  share_among_threads(matrix.outer, rows * matrix.inner, [&](int64_t begin, int64_t end) {
    matrix.multiply(
        begin, end, rows, [&](int64_t i) { return values + i * matrix.inner; },
        [&](int64_t i) { return sums + i * matrix.outer; });
  });
  if (bias.defined()) result.add_(bias);
}

bool has_few_rows(const torch::Tensor& x, const ExpertWeights& weights, int64_t count) {
  return count <= kMostRows && is_plain(x, 2) && weights.is_plain() &&
         !weights.down_bias.defined() && is_plain(weights.gate_up) && is_plain(weights.down) &&
         x.size(1) > 0 && weights.down.size(2) > 0;
}

void few_rows_expert(float* result, const torch::Tensor& x, std::span<const int64_t> tokens,
                     const ExpertWeights& weights, int64_t matrix) {
  const auto rows = static_cast<int64_t>(tokens.size());
  const FewRowsMatrix gate_up = matrix_of(weights.gate_up, matrix);
  const FewRowsMatrix down = matrix_of(weights.down, matrix);
  const auto* values = x.const_data_ptr<float>();
  std::vector<float> inner(static_cast<size_t>(rows * gate_up.outer));
  const auto inner_row = [&](int64_t i) { return inner.data() + i * gate_up.outer; };
  gate_up.multiply(
      0, gate_up.outer, rows,
      [&](int64_t i) { return values + tokens[static_cast<size_t>(i)] * gate_up.inner; },
      inner_row);
  for (int64_t i = 0; i < rows; ++i) {
    float* gate = inner_row(i);
    const float* up = gate + down.inner;
    for (int64_t j = 0; j < down.inner; ++j) gate[j] = gate[j] / (1 + std::exp(-gate[j])) * up[j];
  }
  down.multiply(0, down.outer, rows, inner_row, [&](int64_t i) { return result + i * down.outer; });
}

}  // namespace foregate::nn

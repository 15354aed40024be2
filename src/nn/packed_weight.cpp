#include "nn/packed_weight.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>

namespace foregate::nn {
namespace {

constexpr int64_t kHalfPanel = kPanelColumns / 2;

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// [N, K] with N a multiple of a panel -> [panels, K, 32].
torch::Tensor to_panels(const torch::Tensor& rows) {
  return rows.view({-1, kPanelColumns, rows.size(1)}).transpose(1, 2).contiguous();
}

// Rows of zeros below, up to a multiple.
torch::Tensor padded(const torch::Tensor& rows, int64_t multiple) {
  const int64_t count = round_up(rows.size(0), multiple);
  torch::Tensor result = torch::zeros({count, rows.size(1)}, rows.options());
  result.narrow(0, 0, rows.size(0)).copy_(rows);
  return result;
}

}  // namespace

GemmKernel best_gemm_kernel() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return gemm_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return gemm_avx2;
#endif
  return nullptr;
}

bool can_pack(const torch::Tensor& weight) {
  return weight.device().is_cpu() && weight.scalar_type() == torch::kFloat32 &&
         best_gemm_kernel() != nullptr;
}

PackedWeight pack(const torch::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 2, "pack: weight is ", weight.sizes(), "; expected [N, K]");
  return {to_panels(padded(weight, kPanelColumns)), weight.size(0)};
}

PackedWeight pack_gate_up(const torch::Tensor& gate_up) {
  TORCH_CHECK(gate_up.dim() == 2 && gate_up.size(0) % 2 == 0, "pack_gate_up: weight is ",
              gate_up.sizes(), "; expected [2I, K]");
  const int64_t inner = gate_up.size(0) / 2;
  const auto halves = [&](int64_t first) {
    return padded(gate_up.narrow(0, first, inner), kHalfPanel)
        .view({-1, 1, kHalfPanel, gate_up.size(1)});
  };
  const torch::Tensor rows = torch::cat({halves(0), halves(inner)}, 1);
  return {to_panels(rows.view({-1, gate_up.size(1)})), inner};
}

void multiply(const PackedWeight& weight, GemmTask task) {
  task.panels = weight.panels.const_data_ptr<float>();
  task.depth = weight.depth();
  task.columns = weight.columns;
  best_gemm_kernel()(task);
}

int64_t tile_rows(int64_t rows) {
  constexpr int64_t kBlockRows = 12;  // a multiple of every kernel's block
  constexpr int64_t kMostRows = 96;
  const int64_t threads = at::get_num_threads();
  const int64_t per_thread = std::max<int64_t>((rows + threads - 1) / threads, 1);
  const int64_t tiles = (per_thread + kMostRows - 1) / kMostRows;
  return round_up((per_thread + tiles - 1) / tiles, kBlockRows);
}

}  // namespace foregate::nn

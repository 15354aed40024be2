#include "nn/mlp.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>

namespace foregate::nn {

torch::Tensor silu_and_multiply(const torch::Tensor& gate_up) {
  TORCH_CHECK(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0, "silu_and_multiply: rows are ",
              gate_up.sizes(), "; expected [T, 2I]");
  const int64_t half = gate_up.size(1) / 2;
  return at::silu(gate_up.narrow(1, 0, half)).mul_(gate_up.narrow(1, half, half));
}

Mlp::Mlp(const MlpWeights& weights) {
  if (can_pack(weights.gate_up)) {
    packed_gate_up_ = pack_gate_up(weights.gate_up);
    packed_down_ = pack(weights.down);
  } else {
    weights_ = weights;
  }
}

void Mlp::add_to(torch::Tensor& sum, const torch::Tensor& x, const torch::Tensor& scale) const {
  TORCH_CHECK(sum.sizes() == x.sizes() && x.dim() == 2, "mlp: x is ", x.sizes(), ", sum ",
              sum.sizes(), "; expected [T, H] both");
  if (packed_down_.defined()) {
    add_packed(sum, x, scale);
    return;
  }
  const torch::Tensor inner = silu_and_multiply(at::linear(x, weights_.gate_up));
  const torch::Tensor output = at::linear(inner, weights_.down);
  if (scale.defined()) {
    sum.addcmul_(output, scale.to(output.scalar_type()));
  } else {
    sum.add_(output);
  }
}

void Mlp::add_packed(torch::Tensor& sum, const torch::Tensor& x, const torch::Tensor& scale) const {
  TORCH_CHECK(x.size(1) == packed_gate_up_.depth() && x.is_contiguous() && sum.is_contiguous(),
              "mlp: x is ", x.sizes(), "; expected contiguous [T, ", packed_gate_up_.depth(), "]");
  const int64_t rows = x.size(0);
  const int64_t hidden = x.size(1);
  const int64_t width = packed_gate_up_.columns;
  const int64_t tile = tile_rows(rows);
  torch::Tensor inner = torch::empty({rows, width}, x.options());
  const float* input = x.const_data_ptr<float>();
  const float* factor = scale.defined() ? scale.const_data_ptr<float>() : nullptr;
  float* middle = inner.mutable_data_ptr<float>();
  float* output = sum.mutable_data_ptr<float>();
  at::parallel_for(0, (rows + tile - 1) / tile, 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * tile; first < std::min(end * tile, rows); first += tile) {
      const int64_t count = std::min(tile, rows - first);
      multiply(packed_gate_up_, {.x = input + first * hidden,
                                 .x_stride = hidden,
                                 .rows = count,
                                 .out = middle + first * width,
                                 .out_stride = width,
                                 .epilogue = GemmEpilogue::kSiluMultiply,
                                 .scale = factor == nullptr ? nullptr : factor + first});
      multiply(packed_down_, {.x = middle + first * width,
                              .x_stride = width,
                              .rows = count,
                              .out = output + first * hidden,
                              .out_stride = hidden,
                              .epilogue = GemmEpilogue::kAdd});
    }
  });
}

}  // namespace foregate::nn

#include "nn/linear.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>

namespace foregate::nn {

Linear::Linear(const torch::Tensor& weight, const torch::Tensor& bias) : bias_(bias) {
  if (can_pack(weight)) {
    packed_ = pack(weight);
  } else {
    weight_ = weight;
  }
}

torch::Tensor Linear::forward(const torch::Tensor& x) const {
  if (!packed_.defined()) return at::linear(x, weight_, bias_);
  torch::Tensor out = torch::empty({x.size(0), packed_.columns}, x.options());
  multiply_tiles(x, out, GemmEpilogue::kStore);
  return out;
}

void Linear::add_to(torch::Tensor& sum, const torch::Tensor& x) const {
  TORCH_CHECK(!bias_.defined(), "linear: add_to of a layer with a bias");
  if (packed_.defined()) {
    multiply_tiles(x, sum, GemmEpilogue::kAdd);
  } else {
    sum.add_(at::linear(x, weight_));
  }
}

void Linear::multiply_tiles(const torch::Tensor& x, torch::Tensor& out,
                            GemmEpilogue epilogue) const {
  TORCH_CHECK(x.dim() == 2 && x.size(1) == packed_.depth() && x.is_contiguous(), "linear: x is ",
              x.sizes(), "; expected contiguous [T, ", packed_.depth(), "]");
  TORCH_CHECK(out.size(0) == x.size(0) && out.size(1) == packed_.columns && out.is_contiguous(),
              "linear: sum is ", out.sizes(), "; expected contiguous [", x.size(0), ", ",
              packed_.columns, "]");
  const int64_t rows = x.size(0);
  const int64_t tile = tile_rows(rows);
  const float* input = x.const_data_ptr<float>();
  float* output = out.mutable_data_ptr<float>();
  const float* bias = bias_.defined() ? bias_.const_data_ptr<float>() : nullptr;
  at::parallel_for(0, (rows + tile - 1) / tile, 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * tile; first < std::min(end * tile, rows); first += tile) {
      multiply(packed_, {.x = input + first * x.size(1),
                         .x_stride = x.size(1),
                         .rows = std::min(tile, rows - first),
                         .out = output + first * packed_.columns,
                         .out_stride = packed_.columns,
                         .epilogue = epilogue,
                         .bias = bias});
    }
  });
}

}  // namespace foregate::nn

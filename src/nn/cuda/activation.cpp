#include "nn/cuda/activation.h"

#include <torch/types.h>

#include "kernels/activation.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {

torch::Tensor silu_product_cuda(const torch::Tensor& gate_up, const torch::Tensor& row_scale) {
  const int64_t inner = gate_up.size(1) / 2;
  torch::Tensor result = torch::empty({gate_up.size(0), inner}, gate_up.options());
  on_stream_of(gate_up, [&](cudaStream_t stream) {
    return kernels::silu_product(
        gate_up.const_data_ptr(), row_scale.defined() ? row_scale.const_data_ptr<float>() : nullptr,
        result.mutable_data_ptr(), gate_up.size(0), inner, kernel_dtype(gate_up), stream);
  });
  return result;
}

torch::Tensor sigmoid_gate_cuda(const torch::Tensor& x, const torch::Tensor& weight) {
  torch::Tensor gate = torch::empty({x.size(0)}, x.options().dtype(torch::kFloat32));
  on_stream_of(x, [&](cudaStream_t stream) {
    return kernels::sigmoid_gate(x.const_data_ptr(), weight.const_data_ptr(),
                                 gate.mutable_data_ptr<float>(), x.size(0), x.size(1),
                                 kernel_dtype(x), stream);
  });
  return gate;
}

}  // namespace foregate::nn

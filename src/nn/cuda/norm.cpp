#include "nn/cuda/norm.h"

#include <torch/types.h>

#include "kernels/gather_rms_norm.h"
#include "kernels/rms_norm.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {

torch::Tensor rms_norm_cuda(const torch::Tensor& x, const torch::Tensor& weight, double epsilon) {
  const torch::Tensor rows = x.contiguous();
  torch::Tensor result = torch::empty_like(rows);
  on_stream_of(x, [&](cudaStream_t stream) {
    return kernels::rms_norm(rows.const_data_ptr(), weight.const_data_ptr(),
                             result.mutable_data_ptr(), rows.size(0), rows.size(1),
                             static_cast<float>(epsilon), kernel_dtype(x), stream);
  });
  return result;
}

torch::Tensor gather_rms_norm_cuda(const torch::Tensor& states, const torch::Tensor& tokens,
                                   double epsilon, torch::ScalarType dtype) {
  const torch::Tensor rows = states.contiguous();
  const torch::Tensor chosen = tokens.contiguous();
  const int64_t layers = rows.size(1);
  const int64_t batch = chosen.size(0);
  const int64_t hidden = rows.size(2);
  torch::Tensor result = torch::empty({layers, batch, hidden}, rows.options().dtype(dtype));
  on_stream_of(rows, [&](cudaStream_t stream) {
    return kernels::gather_rms_norm(
        {rows.const_data_ptr(), chosen.const_data_ptr<int64_t>(), result.mutable_data_ptr(), layers,
         batch, hidden, static_cast<float>(epsilon)},
        kernel_dtype(rows), kernel_dtype(dtype), stream);
  });
  return result;
}

}  // namespace foregate::nn

#include "nn/cuda/rope.h"

#include <torch/types.h>

#include "kernels/rope.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {

void rope_cuda(const torch::Tensor& heads, const torch::Tensor& positions, const torch::Tensor& cos,
               const torch::Tensor& sin) {
  on_stream_of(heads, [&](cudaStream_t stream) {
    return kernels::rope(heads.mutable_data_ptr(), positions.const_data_ptr<int64_t>(),
                         cos.const_data_ptr(), sin.const_data_ptr(), heads.size(0), heads.stride(0),
                         heads.size(1), cos.size(1), kernel_dtype(heads), stream);
  });
}

}  // namespace foregate::nn

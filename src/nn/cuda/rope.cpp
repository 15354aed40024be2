#include "nn/cuda/rope.h"

#include <torch/types.h>

#include "kernels/rope.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {

void rope_cuda(torch::Tensor& rows, const torch::Tensor& positions, const torch::Tensor& cos,
               const torch::Tensor& sin, int64_t heads) {
  on_stream_of(rows, [&](cudaStream_t stream) {
    return kernels::rope(rows.mutable_data_ptr(), positions.const_data_ptr<int64_t>(),
                         cos.const_data_ptr(), sin.const_data_ptr(), rows.size(0), rows.size(1),
                         heads, cos.size(1), kernel_dtype(rows), stream);
  });
}

}  // namespace foregate::nn

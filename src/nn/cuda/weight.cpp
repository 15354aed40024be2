#include "nn/cuda/weight.h"

#include <torch/types.h>

#include "kernels/dequantize.h"
#include "nn/cuda/launch.h"
#include "tensor/weight/quantized_rows.h"

namespace foregate::nn {

torch::Tensor dequantize_cuda(const tensor::Weight& weight, torch::ScalarType dtype) {
  const torch::Tensor codes = weight.codes().contiguous();
  const torch::Tensor scales = weight.scales().contiguous();
  torch::Tensor result = torch::empty(weight.sizes(), codes.options().dtype(dtype));
  const int64_t columns = weight.size(-1);
  const int64_t rows = columns == 0 ? 0 : result.numel() / columns;
  on_stream_of(codes, [&](cudaStream_t stream) {
    if (weight.quantization() == tensor::Quantization::kInt8) {
      return kernels::dequantize_int8(codes.const_data_ptr<int8_t>(),
                                      scales.const_data_ptr<float>(), result.mutable_data_ptr(),
                                      rows, columns, kernel_dtype(dtype), stream);
    }
    return kernels::dequantize_nf4(codes.const_data_ptr<uint8_t>(), scales.const_data_ptr<float>(),
                                   tensor::kNf4Values.data(), result.mutable_data_ptr(), rows,
                                   columns, kernel_dtype(dtype), stream);
  });
  return result;
}

}  // namespace foregate::nn

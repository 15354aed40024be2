#include "nn/cuda/weight.h"

#include <torch/types.h>

#include "kernels/dequantize.h"
#include "nn/cuda/launch.h"
#include "tensor/weight/quantized_rows.h"

namespace foregate::nn {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a kind without its kernel does not compile
cudaError_t decode(const tensor::Weight& weight, torch::Tensor& result, cudaStream_t stream) {
  const int64_t columns = result.size(-1);
  const int64_t rows = columns == 0 ? 0 : result.numel() / columns;
  const void* codes = weight.codes().const_data_ptr();
  const auto* scales = weight.scales().const_data_ptr<float>();
  const kernels::DType dtype = kernel_dtype(result);
  switch (weight.quantization()) {
    case tensor::Quantization::kNone:
      break;
    case tensor::Quantization::kInt8:
      return kernels::dequantize_int8(static_cast<const int8_t*>(codes), scales,
                                      result.mutable_data_ptr(), rows, columns, dtype, stream);
    case tensor::Quantization::kNf4:
      return kernels::dequantize_nf4(static_cast<const uint8_t*>(codes), scales,
                                     tensor::kNf4Values.data(), result.mutable_data_ptr(), rows,
                                     columns, dtype, stream);
  }
  return cudaErrorInvalidValue;
}
#pragma GCC diagnostic pop

}  // namespace

torch::Tensor dequantize_cuda(const tensor::Weight& weight, torch::ScalarType dtype) {
  const tensor::Weight whole(weight.quantization(), weight.codes().contiguous(),
                             weight.scales().contiguous(), weight.size(-1));
  torch::Tensor result = torch::empty(weight.sizes(), whole.codes().options().dtype(dtype));
  on_stream_of(result, [&](cudaStream_t stream) { return decode(whole, result, stream); });
  return result;
}

}  // namespace foregate::nn

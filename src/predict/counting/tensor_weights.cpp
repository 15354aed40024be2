#include "predict/counting/tensor_weights.h"

#include <torch/types.h>

#include <utility>

#include "tensor/dtype.h"

namespace foregate::predict {

TensorWeights::TensorWeights(const NamedTensors& tensors, std::string where)
    : where_(std::move(where)) {
  for (const auto& [name, tensor] : tensors) tensors_[name] = tensor.contiguous();
}

scoring::TensorView TensorWeights::get(std::string_view name) const {
  const auto found = tensors_.find(std::string(name));
  if (found == tensors_.end()) fail_missing(name);
  const torch::Tensor& tensor = found->second;
  return {tensor::safetensors_dtype(tensor.scalar_type()),
          {tensor.sizes().data(), tensor.sizes().size()},
          static_cast<const std::byte*>(tensor.const_data_ptr())};
}

}  // namespace foregate::predict

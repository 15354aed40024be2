#pragma once

#include <torch/types.h>

namespace foregate::tensor {

/// A copy in host memory that a GPU reads by itself. It takes the tensor's size, where torch's own
/// pinned memory takes the next power of two. Builds without CUDA return ordinary memory.
torch::Tensor pinned_copy(const torch::Tensor& source);

}  // namespace foregate::tensor

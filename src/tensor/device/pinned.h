#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate::tensor {

/// A copy in host memory that a GPU reads by itself. It takes the tensor's size, where torch's own
/// pinned memory takes the next power of two. Builds without CUDA return ordinary memory.
torch::Tensor pinned_copy(const torch::Tensor& source);

/// Room for so many bytes in such memory, [bytes] uint8, whose pages several threads have fetched:
/// that, not the GPU's driver, is what takes long. Throws OutOfMemoryError.
torch::Tensor pinned_bytes(int64_t bytes);

}  // namespace foregate::tensor

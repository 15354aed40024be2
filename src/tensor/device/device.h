#pragma once

#include <torch/types.h>

#include <string>

namespace foregate::tensor {

/// "cpu", "cuda" (the first GPU) or "cuda:N", among the GPUs that CUDA_VISIBLE_DEVICES leaves.
/// Throws UsageError for any other spelling, DeviceError if this libtorch or this machine has no
/// such device, or if the driver or this build's kernels are not made for it.
torch::Device parse_device(const std::string& name);

}  // namespace foregate::tensor

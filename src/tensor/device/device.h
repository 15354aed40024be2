#pragma once

#include <torch/types.h>

#include <string>

#include "base/run_context.h"

namespace foregate::tensor {

/// "cpu", "cuda" (the first GPU) or "cuda:N", among the GPUs that CUDA_VISIBLE_DEVICES leaves.
/// Throws UsageError for any other spelling, DeviceError if this libtorch or this machine has no
/// such device, or if the driver or this build's kernels are not made for it.
torch::Device parse_device(const std::string& name);

/// What users mean by a device: as parse_device(), but "cuda" is the GPU with the most free memory,
/// with a line in `log` that says so if there are several.
torch::Device choose_device(const std::string& name, Logger& log);

}  // namespace foregate::tensor

#pragma once

#include <torch/types.h>

#include <string>

namespace foregate {

/// "cpu", "cuda" (the first GPU) or "cuda:N". Throws UsageError for any other spelling, DeviceError
/// if this libtorch or this machine has no such device.
torch::Device parse_device(const std::string& name);

}  // namespace foregate

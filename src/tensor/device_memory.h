#pragma once

#include <torch/types.h>

#include <cstdint>

namespace foregate {

/// Bytes of a GPU's memory; zeros for the CPU, and in builds without CUDA.
struct DeviceMemory {
  int64_t total = 0;
  int64_t free = 0;
  int64_t peak_used = 0;  ///< most that tensors of this process took at once
};

DeviceMemory device_memory(torch::Device device);

}  // namespace foregate
